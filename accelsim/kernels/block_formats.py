"""Block formats: the largest value of each block, and elements divided by their block's scale.

Arrays are (rows, n); a block is `block` consecutive values of a row, the last of a row may be
shorter. Per block arrays are (rows, ceil(n / block)).
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from accelsim.kernels.formats import (
    NEAREST_EVEN,
    TOWARD_ZERO,
    Codes,
    Rounding,
    code_of,
    nearest,
    stochastic,
    toward_zero,
)
from accelsim.kernels.jit import kernel, parallel_kernel


@kernel
def largest_of(x: NDArray[Any]) -> float:
    """Return the largest magnitude of a block, NaN where a value is NaN or infinite."""
    found = np.float64(0.0)
    bad = 0
    for i in range(x.size):
        magnitude = np.float64(abs(x[i]))
        found = max(found, magnitude)
        bad += not magnitude < np.inf
    return np.nan if bad > 0 else found


@kernel
def encode_block(
    x: NDArray[Any],
    divisor: float,
    rule: Rounding,
    codes: Codes,
    mode: int,
    key: int,
    first: int,
    out_codes: NDArray[np.uint8],
) -> None:
    """Write the codes of one block; its first value draws random number `first`."""
    if not divisor > 0.0:
        for i in range(x.size):
            out_codes[i] = 0
    elif mode == NEAREST_EVEN:
        for i in range(x.size):
            out_codes[i] = code_of(nearest(np.float64(x[i]) / divisor, rule), codes)
    elif mode == TOWARD_ZERO:
        for i in range(x.size):
            out_codes[i] = code_of(toward_zero(np.float64(x[i]) / divisor, rule), codes)
    else:
        for i in range(x.size):
            ratio = np.float64(x[i]) / divisor
            out_codes[i] = code_of(stochastic(ratio, rule, key, first + i), codes)


@parallel_kernel
def largest(x: NDArray[Any], block: int, out_largest: NDArray[np.float64]) -> None:
    """Write the largest magnitude of each block, NaN where a value is NaN or infinite."""
    rows, n = x.shape
    for row in numba.prange(rows):
        for place in range(out_largest.shape[1]):
            start = place * block
            out_largest[row, place] = largest_of(x[row, start : min(n, start + block)])


@parallel_kernel
def encode_blocks(
    x: NDArray[Any],
    divisors: NDArray[np.float64],
    block: int,
    rule: Rounding,
    codes: Codes,
    mode: int,
    key: int,
    out_codes: NDArray[np.uint8],
) -> None:
    """Write the codes of values over their block's divisor; 0 where that is 0 or NaN."""
    rows, n = x.shape
    for row in numba.prange(rows):
        for place in range(divisors.shape[1]):
            start = place * block
            stop = min(n, start + block)
            encode_block(
                x[row, start:stop],
                divisors[row, place],
                rule,
                codes,
                mode,
                key,
                row * n + start,
                out_codes[row, start:stop],
            )


@parallel_kernel
def scale_blocks(
    elements: NDArray[np.float32],
    scales: NDArray[np.float32],
    block: int,
    tensor_scale: float,
    out_values: NDArray[np.float32],
) -> None:
    """Write elements times their block's scale times that of the tensor, rounded once."""
    rows, n = elements.shape
    for row in numba.prange(rows):
        for place in range(scales.shape[1]):
            start = place * block
            scale = np.float64(scales[row, place]) * tensor_scale
            given = elements[row, start : min(n, start + block)]
            found = out_values[row, start : min(n, start + block)]
            for i in range(given.size):
                found[i] = np.float32(np.float64(given[i]) * scale)
