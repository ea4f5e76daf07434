"""Rounding to number formats, and their codes: flat arrays in, flat arrays out.

Notes
-----
A value w is counted in units of the last place u of the format, ``u = 2**(max(e, e_min) - f)`` with
e its exponent, e_min that of the smallest normal value and f the fraction bits. ``k = w / u`` is
exact in fp64, is rounded to an integer once, and ``k u`` is exact again: one formula for normal and
subnormal values. Its code is ``(e - e_min) 2**f + |k|``, where e >= e_min; a carry into the next
exponent comes out right. Integers have u = 1.

References
----------
Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3, SC 2011 (Philox-2x32-10).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from accelsim.kernels.jit import kernel, parallel_kernel

NEAREST_EVEN, TOWARD_ZERO, STOCHASTIC = range(3)

_BIAS = 1023
_FIELD = 0x7FF
_TWICE_BIAS = 2046
_FRACTION = 52
_WORD = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_PHILOX_MULTIPLIER = np.uint64(0xD256D193)
_PHILOX_KEY_STEP = np.uint64(0x9E3779B9)
_LOW_BITS_DROPPED = np.uint64(11)
_HIGH_BITS_RAISED = np.uint64(21)
_QUIET = np.uint32(0x00400000)


class Rounding(NamedTuple):
    """A format as rounding knows it; exponents are fp64's, biased by 1023.

    Attributes
    ----------
    fraction_bits : int
    low_exponent, high_exponent : int
        Of the smallest normal value, and one that is safely above the largest.
    highest, lowest : float
        Finite values.
    over_high, over_low : float
        What rounded values beyond them become.
    least : float
        What positive values below `lowest` become; matters where the latter is positive.
    zero : float
        -0 if the sign of zero is kept, else +0.
    nan_keep, nan_flip : int
        Bits of an fp64 NaN that are kept, and then flipped: (-1, 0) keeps NaN.
    """

    fraction_bits: int
    low_exponent: int
    high_exponent: int
    highest: float
    lowest: float
    over_high: float
    over_low: float
    least: float
    zero: float
    nan_keep: int
    nan_flip: int


class Codes(NamedTuple):
    """A format as encoding and decoding know it.

    Attributes
    ----------
    fraction_bits, low_exponent : int
        As in `Rounding`.
    first : int
        1 where code 0 is a normal value (ue8m0), else 0.
    magnitude_bits, signed : int
        Bits below the sign, and 1 where there is a sign.
    max_code, inf_code, nan_code : int
        Of magnitudes; a code that does not exist is -1.
    nan_is_negative_zero : int
        1 where the code of -0 is the only NaN.
    shift : int
        Unused low bits of a code.
    """

    fraction_bits: int
    low_exponent: int
    first: int
    magnitude_bits: int
    signed: int
    max_code: int
    inf_code: int
    nan_code: int
    nan_is_negative_zero: int
    shift: int


@kernel
def random_unit(key: int, index: int) -> float:
    """Return the `index`-th of the random numbers of a 32-bit key, in [0, 1), in steps of 2^-53."""
    low = np.uint64(index) & _WORD
    high = np.uint64(index) >> _HALF
    bump = np.uint64(key)
    for _ in range(10):
        product = _PHILOX_MULTIPLIER * low
        low = (product >> _HALF) ^ bump ^ high
        high = product & _WORD
        bump = (bump + _PHILOX_KEY_STEP) & _WORD
    bits = (low << _HIGH_BITS_RAISED) | (high >> _LOW_BITS_DROPPED)
    return np.float64(bits) * 2.0**-53


@kernel
def power_of_two(exponent: int) -> float:
    """Return ``2**(exponent - 1023)`` for exponents of normal fp64 values."""
    return np.int64(np.int64(exponent) << _FRACTION).view(np.float64)


@kernel
def exponent_of(value: float) -> Any:
    """Return the biased exponent of an fp64 value."""
    return (np.float64(value).view(np.int64) >> _FRACTION) & _FIELD


@kernel
def in_range(value: float, original: float, rule: Rounding) -> float:
    """Return a rounded value, or what stands for it beyond the range, and for NaN."""
    found = rule.least if value < rule.least and original > 0.0 else value
    found = rule.over_high if value > rule.highest else found
    found = rule.over_low if found < rule.lowest else found
    nan = np.int64((np.float64(original).view(np.int64) & rule.nan_keep) ^ rule.nan_flip)
    found = found if original == original else nan.view(np.float64)  # noqa: PLR0124
    return found + rule.zero


@kernel
def nearest(x: float, rule: Rounding) -> float:
    """Round to the nearest value of the format, ties to even."""
    value = np.float64(x)
    exponent = min(max(exponent_of(value), rule.low_exponent), rule.high_exponent)
    unit = power_of_two(exponent - rule.fraction_bits)
    per_unit = power_of_two(_TWICE_BIAS - exponent + rule.fraction_bits)
    return in_range(np.rint(value * per_unit) * unit, value, rule)


@kernel
def toward_zero(x: float, rule: Rounding) -> float:
    """Cut to the format: finite values stay finite."""
    value = np.float64(x)
    exponent = min(max(exponent_of(value), rule.low_exponent), rule.high_exponent)
    unit = power_of_two(exponent - rule.fraction_bits)
    per_unit = power_of_two(_TWICE_BIAS - exponent + rule.fraction_bits)
    cut = np.trunc(value * per_unit) * unit
    limit = max(rule.highest, -rule.lowest)
    clamped = min(max(cut, -limit), limit)
    return in_range(clamped if abs(value) < np.inf else value, value, rule)


@kernel
def stochastic(x: float, rule: Rounding, key: int, index: int) -> float:
    """Round up or down at random, with the probabilities that keep the mean."""
    value = np.float64(x)
    exponent = min(max(exponent_of(value), rule.low_exponent), rule.high_exponent)
    unit = power_of_two(exponent - rule.fraction_bits)
    per_unit = power_of_two(_TWICE_BIAS - exponent + rule.fraction_bits)
    steps = abs(value) * per_unit
    down = np.floor(steps)
    # Inf - Inf is NaN, which is not above any random number.
    rest = steps - down if steps < np.inf else 0.0
    up = 1.0 if random_unit(key, index) < rest else 0.0
    return in_range(np.copysign((down + up) * unit, value), value, rule)


@kernel
def code_of(value: float, codes: Codes) -> Any:
    """Return the code of a value that the format holds (NaN: the one that is written)."""
    magnitude = abs(np.float64(value))
    finite = magnitude if magnitude < np.inf else 0.0
    exponent = max(exponent_of(finite), codes.low_exponent)
    steps = np.int64(finite * power_of_two(_TWICE_BIAS - exponent + codes.fraction_bits))
    code: Any = ((exponent - codes.low_exponent) << codes.fraction_bits) + steps - codes.first
    code = codes.inf_code if magnitude == np.inf else code
    code = codes.nan_code if value != value else code  # noqa: PLR0124
    negative = np.float64(value).view(np.int64) < 0 and codes.signed == 1
    sign = np.int64(1) << codes.magnitude_bits if negative else np.int64(0)
    return (code | sign) << codes.shift


@kernel
def value_of(code: int, codes: Codes) -> float:
    """Return the value of a code."""
    bits = np.int64(code) >> codes.shift
    magnitude = bits & ((np.int64(1) << codes.magnitude_bits) - 1)
    counted = magnitude + codes.first
    exponent = max(int(counted >> codes.fraction_bits), 1) - 1
    steps = np.float64(counted - (exponent << codes.fraction_bits))
    value: Any = steps * power_of_two(exponent + codes.low_exponent - codes.fraction_bits)
    value = np.nan if magnitude > codes.max_code else value
    value = np.inf if magnitude == codes.inf_code else value
    negative = codes.signed == 1 and (bits >> codes.magnitude_bits) & 1 == 1
    lone_nan = codes.nan_is_negative_zero == 1 and magnitude == 0 and negative
    value = np.nan if lone_nan else value
    return np.float64(-value if negative else value)


@kernel
def shortened(word: Any, dropped: int) -> Any:
    """Round the word of an fp32 value to nearest even, `dropped` bits shorter; NaN becomes quiet.

    Right for formats with the exponents of fp32: carries go on into them, and up to Inf.
    """
    cut = np.uint32(dropped)
    odd = (word >> cut) & np.uint32(1)
    up = word + ((np.uint32(1) << (cut - np.uint32(1))) - np.uint32(1)) + odd
    number = (word & np.uint32(0x7FFFFFFF)) <= np.uint32(0x7F800000)
    return ((up if number else word | _QUIET) >> cut) << cut


@kernel
def shorten(words: NDArray[np.uint32], dropped: int, out_words: NDArray[np.uint32]) -> None:
    """Do `shortened` for a flat array."""
    for i in range(words.size):
        out_words[i] = shortened(words[i], dropped)


@parallel_kernel
def shorten_many(words: NDArray[np.uint32], dropped: int, out_words: NDArray[np.uint32]) -> None:
    """Do `shortened` for a flat array, on all threads."""
    for i in numba.prange(words.size):
        out_words[i] = shortened(words[i], dropped)


@parallel_kernel
def round_nearest(x: NDArray[Any], rule: Rounding, out_values: NDArray[Any]) -> None:
    """Round a flat array of fp32 or fp64 to nearest even, on all threads."""
    for i in numba.prange(x.size):
        out_values[i] = nearest(x[i], rule)


@kernel
def round_many(
    x: NDArray[Any], rule: Rounding, mode: int, key: int, out_values: NDArray[Any]
) -> None:
    """Round a flat array of fp32 or fp64; element i draws the i-th random number of `key`."""
    if mode == NEAREST_EVEN:
        for i in range(x.size):
            out_values[i] = nearest(x[i], rule)
    elif mode == TOWARD_ZERO:
        for i in range(x.size):
            out_values[i] = toward_zero(x[i], rule)
    else:
        for i in range(x.size):
            out_values[i] = stochastic(x[i], rule, key, i)


@kernel
def encode_many(values: NDArray[Any], codes: Codes, out_codes: NDArray[Any]) -> None:
    """Write the codes of a flat array of values that the format holds."""
    for i in range(values.size):
        out_codes[i] = code_of(values[i], codes)


@kernel
def decode_many(stored: NDArray[Any], codes: Codes, out_values: NDArray[Any]) -> None:
    """Write the values of a flat array of codes."""
    for i in range(stored.size):
        out_values[i] = value_of(stored[i], codes)


@kernel
def count_special(x: NDArray[Any]) -> tuple[int, int]:
    """Return how many values of a flat array are NaN, and how many are infinite."""
    nans = 0
    infinities = 0
    for i in range(x.size):
        nans += x[i] != x[i]
        infinities += abs(x[i]) == np.inf
    return nans, infinities


@kernel
def pack_rows(codes: NDArray[Any], bits: int, out_packed: NDArray[np.uint8]) -> None:
    """Put the low bits of codes (rows, n) one after the other into bytes that are zero."""
    for row in range(codes.shape[0]):
        for i in range(codes.shape[1]):
            octet, place = (i * bits) >> 3, (i * bits) & 7
            word = (np.int64(codes[row, i]) & ((1 << bits) - 1)) << place
            out_packed[row, octet] |= np.uint8(word & 255)
            if place + bits > 8:
                out_packed[row, octet + 1] |= np.uint8(word >> 8)


@kernel
def unpack_rows(
    packed: NDArray[np.uint8], bits: int, signed: bool, out_codes: NDArray[Any]
) -> None:
    """Take codes (rows, n) out of bytes; signed ones are in two's complement."""
    half = (1 << (bits - 1)) if signed else 0
    for row in range(out_codes.shape[0]):
        for i in range(out_codes.shape[1]):
            octet, place = (i * bits) >> 3, (i * bits) & 7
            word = np.int64(packed[row, octet])
            if place + bits > 8:
                word |= np.int64(packed[row, octet + 1]) << 8
            out_codes[row, i] = (((word >> place) & ((1 << bits) - 1)) ^ half) - half
