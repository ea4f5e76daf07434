"""Which of many bits flip: the gaps between flips are drawn, so that no other bit is looked at.

Notes
-----
Each bit flips with probability p, whatever the others do. Then the bits skipped before the next
flip number ``floor(log u / log(1 - p))``, u uniform in (0, 1]. Logarithms are made of + - * /,
which IEEE 754 defines, so the same numbers give the same flips on every machine.

References
----------
Devroye, Non-Uniform Random Variate Generation, 1986, section X.2 (geometric gaps).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from accelsim.kernels.jit import kernel

LN_2 = 0.6931471805599453
SQRT_2 = 1.4142135623730951
_FRACTION = 52
_FRACTION_MASK = 0xFFFFFFFFFFFFF
_BIAS = 1023
_LOW_BITS_DROPPED = np.uint64(11)
_SERIES_UP_TO = 0.25


@kernel
def twice_atanh(s: float) -> float:
    """Return ``log((1 + s) / (1 - s))`` for \\|s\\| <= 0.172 as the series of atanh."""
    square = s * s
    total = 0.0
    for odd in range(23, 0, -2):
        total = total * square + 1.0 / odd
    return 2.0 * s * total


@kernel
def natural_log(x: float) -> float:
    """Return log x of a positive normal number."""
    bits = np.float64(x).view(np.int64)
    exponent = (bits >> _FRACTION) - _BIAS
    m = np.int64((bits & _FRACTION_MASK) | (_BIAS << _FRACTION)).view(np.float64)
    if m > SQRT_2:
        m *= 0.5
        exponent += 1
    return exponent * LN_2 + twice_atanh((m - 1.0) / (m + 1.0))


@kernel
def log_of_miss(rate: float) -> float:
    """Return ``log(1 - rate)`` for rates above 0, up to 1."""
    if rate >= 1.0:
        return -np.inf
    if rate < _SERIES_UP_TO:
        return twice_atanh(-rate / (2.0 - rate))
    return natural_log(1.0 - rate)


@kernel
def skip_ahead(
    random_words: NDArray[np.uint64],
    log_miss: float,
    first: int,
    size: int,
    out_positions: NDArray[np.int64],
) -> tuple[int, int]:
    """Write the places of flips among the bits from `first` to `size`, one per random word.

    Returns how many were written and the first bit not decided yet, `size` when done.
    """
    position = first
    for i in range(len(random_words)):
        u = (np.float64(random_words[i] >> _LOW_BITS_DROPPED) + 1.0) * 2.0**-53
        skipped = np.floor(natural_log(u) / log_miss)
        if skipped >= size - position:
            return i, size
        position += int(skipped)
        out_positions[i] = position
        position += 1
    return len(random_words), position
