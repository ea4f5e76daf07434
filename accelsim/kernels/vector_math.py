"""Elementary functions of a vector unit: the same bits on every machine, and vectorisable.

Nothing here calls the C library: fp64 arithmetic (+ - * / sqrt, which IEEE 754 defines) on a
polynomial, then one rounding to fp32 and one to the unit's format. Branch-free, so that loops over
arrays compile to vector instructions.

Notes
-----
Largest errors found against correctly rounded results, over all binades of fp32: `exp`, `tanh`,
`erf`, `rsqrt` 0.501 ulp (0.5 is the best possible); `cosine_sine` 0.501 ulp for angles up to 2^20.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.kernels.jit import kernel

Array = NDArray[np.float32]
Format = tuple[int, ...]
FP32: Format = ()
BF16: Format = (0,)
FP16: Format = (0, 0)
"""Formats of vector units. Kernels are compiled per type, so a tuple whose length tells the format
is a constant of the compiled loop, which a number would not be."""

LANES = 16
"""Partial sums of a row: element j is added to that of lane ``j % LANES``."""

LOG2_E = 1.4426950408889634
LN_2 = 0.6931471805599453
NEAREST = 6755399441055744.0
"""1.5 * 2^52: adding it to a small fp64 leaves the nearest integer in its low bits."""
# pi/2 in two parts; the first has 33 bits, so its products with integers of 20 bits are exact.
HALF_PI_HIGH = 1.5707963267341256
HALF_PI_LOW = 6.077100506506192e-11


@kernel
def rounded(x: Any, fmt: Format) -> Any:
    """Return an fp32 value rounded to nearest even into a format: FP32, BF16 or FP16.

    Beyond the largest finite value lies infinity; subnormals of the format are kept.
    """
    if len(fmt) == 0:
        return x
    bits = np.int64(np.float32(x).view(np.uint32))
    size = bits & 0x7FFFFFFF
    if len(fmt) == 1:
        to_nearest = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
    else:
        normal = (size + 0xFFF + ((size >> 13) & 1)) & 0xFFFFE000
        # Below 2^-14 the spacing is 2^-24, that of fp32 in [0.5, 1).
        fixed = np.uint32(size).view(np.float32) + np.float32(0.5)
        subnormal = np.int64(np.float32(fixed - np.float32(0.5)).view(np.uint32))
        # Masks instead of conditions, which would keep callers from being vectorised.
        is_small = (size - 0x38800000) >> 63
        is_large = (0x477FFFFF - normal) >> 63
        finite = (subnormal & is_small) | (normal & ~is_small)
        to_nearest = (0x7F800000 & is_large) | (finite & ~is_large) | (bits & 0x80000000)
    is_nan = (0x7F800000 - size) >> 63
    return np.uint32((bits & is_nan) | (to_nearest & ~is_nan)).view(np.float32)


@kernel
def two_to(nearest: Any) -> Any:
    """Return ``2**k`` from the fp64 sum of k and NEAREST, for k of a normal number."""
    return np.int64((np.float64(nearest).view(np.int64) + 1023) << 52).view(np.float64)


@kernel
def exp(x: Any) -> Any:
    """Return the exponential of an fp32 value; subnormal results are rounded once."""
    wide: Any = np.float64(x)
    wide = -104.0 if wide < -104.0 else wide
    wide = 89.0 if wide > 89.0 else wide
    nearest = wide * LOG2_E + NEAREST
    r = wide - (nearest - NEAREST) * LN_2
    # Taylor; |r| <= ln(2) / 2 leaves a relative error of 2^-42.
    p = r * (1 / 3628800) + 1 / 362880
    p = p * r + 1 / 40320
    p = p * r + 1 / 5040
    p = p * r + 1 / 720
    p = p * r + 1 / 120
    p = p * r + 1 / 24
    p = p * r + 1 / 6
    p = p * r + 0.5
    p = p * r + 1.0
    p = p * r + 1.0
    return np.float32(p * two_to(nearest))


@kernel
def tanh(x: Any) -> Any:
    """Return the hyperbolic tangent of an fp32 value: ``e / (e + 2)`` with ``e = exp(2 x) - 1``."""
    wide: Any = 2 * np.float64(x)
    wide = -40.0 if wide < -40.0 else wide
    wide = 40.0 if wide > 40.0 else wide
    nearest = wide * LOG2_E + NEAREST
    r = wide - (nearest - NEAREST) * LN_2
    p = r * (1 / 39916800) + 1 / 3628800
    p = p * r + 1 / 362880
    p = p * r + 1 / 40320
    p = p * r + 1 / 5040
    p = p * r + 1 / 720
    p = p * r + 1 / 120
    p = p * r + 1 / 24
    p = p * r + 1 / 6
    p = p * r + 0.5
    p = p * r + 1.0
    scale = two_to(nearest)
    e = p * r * scale + (scale - 1.0)
    result = np.float32(e / (e + 2.0))
    return x if x == 0 else result  # keeps the sign of zero


@kernel
def erf(x: Any) -> Any:
    """Return the error function of an fp32 value; 1 from |x| = 4 on.

    Notes
    -----
    ``erf(x) / x`` as a polynomial in ``x**2 / 8 - 1``: its Chebyshev interpolant of 22 nodes,
    computed with 60 digits; relative error 2^-38.
    """
    wide: Any = np.float64(x)
    wide = -4.0 if wide < -4.0 else wide
    wide = 4.0 if wide > 4.0 else wide
    s = wide * wide * 0.125 - 1.0
    p = s * -4.467242670949824e-06 + 1.3246133141674834e-05
    p = p * s - 1.3260380926920112e-05
    p = p * s + 3.11212894080648e-05
    p = p * s - 0.00012508945346589517
    p = p * s + 0.0002990814426379683
    p = p * s - 0.000606629705621115
    p = p * s + 0.0012724411639804154
    p = p * s - 0.0025816672387885308
    p = p * s + 0.004864544485112429
    p = p * s - 0.008605022613664765
    p = p * s + 0.014345773496301898
    p = p * s - 0.022473827344932043
    p = p * s + 0.03306145939747024
    p = p * s - 0.04576507787849921
    p = p * s + 0.0598868010406377
    p = p * s - 0.0747278678383607
    p = p * s + 0.09020900079987182
    p = p * s - 0.10771044247615774
    p = p * s + 0.13167511672717516
    p = p * s - 0.17657623330158756
    p = p * s + 0.35353099564409746
    return np.float32(wide * p)


@kernel
def rsqrt(x: Any) -> Any:
    """Return one over the square root of an fp32 value."""
    return np.float32(1.0 / np.sqrt(np.float64(x)))


@kernel
def cosine_sine(angle: Any) -> tuple[Any, Any]:
    """Return cosine and sine of an fp32 angle within 2^20 of zero [rad]."""
    wide = np.float64(angle)
    nearest = wide / (HALF_PI_HIGH + HALF_PI_LOW) + NEAREST
    turns = nearest - NEAREST
    r = (wide - turns * HALF_PI_HIGH) - turns * HALF_PI_LOW
    t = r * r
    s = t * (1 / 6227020800) - 1 / 39916800
    s = s * t + 1 / 362880
    s = s * t - 1 / 5040
    s = s * t + 1 / 120
    s = s * t - 1 / 6
    s = s * t * r + r
    c = t * (1 / 479001600) - 1 / 3628800
    c = c * t + 1 / 40320
    c = c * t - 1 / 720
    c = c * t + 1 / 24
    c = c * t - 0.5
    c = c * t + 1.0
    quarter = np.float64(nearest).view(np.int64) & 3
    cosine, sine = (s, c) if quarter & 1 else (c, s)
    cosine = -cosine if quarter in {1, 2} else cosine
    sine = -sine if quarter >= 2 else sine
    return np.float32(cosine), np.float32(sine)


@kernel
def lane_sum(fmt: Format, values: Array) -> Any:
    """Return the sum of a row whose elements are of the format.

    Lane ``j % LANES`` adds its elements in ascending order from zero; then the upper half of the
    lanes is added to the lower half until one is left. Every sum is rounded.
    """
    lanes = np.zeros(LANES, np.float32)
    whole = values.size // LANES
    for block in range(whole):
        held = values[block * LANES : (block + 1) * LANES]
        for lane in range(LANES):
            lanes[lane] = rounded(lanes[lane] + held[lane], fmt)
    rest = values[whole * LANES :]
    for lane in range(rest.size):
        lanes[lane] = rounded(lanes[lane] + rest[lane], fmt)
    half = LANES // 2
    while half > 0:
        for lane in range(half):
            lanes[lane] = rounded(lanes[lane] + lanes[lane + half], fmt)
        half //= 2
    return lanes[0]


@kernel
def largest(values: Array) -> Any:
    """Return the largest element, -inf of none; NaN is passed over."""
    lanes = np.full(LANES, -np.inf, np.float32)
    whole = values.size // LANES
    for block in range(whole):
        held = values[block * LANES : (block + 1) * LANES]
        for lane in range(LANES):
            lanes[lane] = held[lane] if held[lane] > lanes[lane] else lanes[lane]
    found = np.float32(-np.inf)
    for lane in range(LANES):
        found = lanes[lane] if lanes[lane] > found else found
    for value in values[whole * LANES :]:
        found = value if value > found else found
    return found
