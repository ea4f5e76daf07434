"""Encode, decode and round arrays in any scalar number format, bit for bit.

Values travel as float32, which holds every value of every format but fp64 and int32; those two
travel as float64.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accelsim.errors import WorkloadError, suggest
from accelsim.formats import FORMATS, BlockFormat, Format, find_format
from accelsim.kernels.formats import (
    NEAREST_EVEN,
    STOCHASTIC,
    TOWARD_ZERO,
    Codes,
    Rounding,
    count_special,
    decode_many,
    encode_many,
    round_many,
    round_nearest,
    shorten,
    shorten_many,
)

ROUNDINGS: dict[str, int] = {
    "nearest_even": NEAREST_EVEN,
    "toward_zero": TOWARD_ZERO,
    "stochastic": STOCHASTIC,
}
_MOST_SEEDS = 2**32
_EXACT_IN_FP64 = 2**53
_FP64_BIAS = 1023
_WORTH_THREADS = 32768
_SIGN = -(2**63)
_FP32 = FORMATS["fp32"]
_AS_THEY_ARE: dict[str, Any] = {"fp32": np.float32, "fp64": np.float64}


class NonFinite(NamedTuple):
    """How many values are NaN, and how many infinite."""

    nan: int
    inf: int


def encode(
    x: ArrayLike,
    fmt: str | Format,
    *,
    rounding: str = "nearest_even",
    saturate: bool = False,
    seed: int | None = None,
) -> NDArray[Any]:
    """Round values to a format and return their codes.

    Parameters
    ----------
    x : array
        Real numbers of any shape; float64 is rounded once, straight to the format.
    fmt : str or Format
        A scalar format.
    rounding, saturate, seed
        As in `round_to`.

    Returns
    -------
    array of the same shape
        uint8, 16, 32 or 64, as wide as the format; sub-byte codes one per byte (`pack` them),
        tf32 in the upper bits of uint32. Of integer formats int8 (int4 too), int16, int32.

    Raises
    ------
    WorkloadError
        As `round_to` does.
    """
    known = scalar_format(fmt)
    values = round_to(x, known, rounding=rounding, saturate=saturate, seed=seed)
    if known.kind == "int":
        return values.astype(code_dtype(known))
    if known.name in _AS_THEY_ARE:
        return values.view(code_dtype(known)).copy()
    codes = np.empty(values.shape, code_dtype(known))
    encode_many(values.reshape(-1), code_layout(known), codes.reshape(-1))
    return codes


def decode(codes: ArrayLike, fmt: str | Format) -> NDArray[Any]:
    """Return the values of codes: float32, or float64 of fp64 and int32.

    Parameters
    ----------
    codes : array of int
        As `encode` returns them. The padding of tf32 (low 13 bits) and ue4m3 (top bit) is ignored.
    fmt : str or Format
        A scalar format.

    Raises
    ------
    WorkloadError
        If the format is unknown or a block format, or codes are no integers that fit it.
    """
    known = scalar_format(fmt)
    stored = np.asarray(codes)
    if stored.dtype.kind not in "iu":
        raise WorkloadError(f"codes are of type {stored.dtype}, expected integers of {known.name}")
    _check_range(stored, known)
    stored = np.asarray(stored, dtype=code_dtype(known), order="C")
    if known.kind == "int":
        return stored.astype(carrier(known))
    if known.name in _AS_THEY_ARE:
        return np.array(stored.view(_AS_THEY_ARE[known.name]))
    values = np.empty(stored.shape, np.float32)
    decode_many(stored.reshape(-1), code_layout(known), values.reshape(-1))
    return values


def round_to(
    x: ArrayLike,
    fmt: str | Format,
    *,
    rounding: str = "nearest_even",
    saturate: bool = False,
    seed: int | None = None,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Return the values of a format next to `x`.

    Parameters
    ----------
    x : array
        Real numbers of any shape; float64 is rounded once, straight to the format.
    fmt : str or Format
        A scalar format.
    rounding : str, optional
        ``nearest_even`` (ties to the even code), ``toward_zero`` (finite values stay finite), or
        ``stochastic`` (up or down with the probabilities that keep the mean; exact values stay).
    saturate : bool, optional
        Overflow and infinities become the largest finite value. Otherwise they become Inf, or NaN
        where the format has none. Formats without either, and integers, always saturate.
    seed : int, optional
        Of stochastic rounding, from 0 to 2^32 - 1. Element i of the flat array draws the i-th
        number of the seed, whatever the number of threads.
    out : array, optional
        Where to write; contiguous, of the same shape and the dtype of the result; may be `x`.

    Returns
    -------
    array of the same shape
        float32, or float64 of fp64 and int32; `x` itself where it is such an array and no value
        can change.

    Raises
    ------
    WorkloadError
        If the format or rounding is unknown, `x` holds no real numbers, the seed is missing, out
        of range or without use, or `out` does not fit.

    Notes
    -----
    NaN stays NaN; as in ml_dtypes it becomes zero, of the opposite sign, in fp6 and fp4, and 0 in
    integers. Of unsigned formats (ue8m0, ue4m3) values below 0 become NaN, saturating the smallest
    value; ue8m0 has no zero, and 0 counts as below; positive values below 2^-127 become that.
    """
    known = scalar_format(fmt)
    mode = rounding_mode(rounding, seed)
    given = real_array(x)
    if out is not None and (out.shape != given.shape or out.dtype != carrier(known)):
        raise WorkloadError(
            f"out is {out.dtype} of shape {out.shape}, expected {carrier(known)} of {given.shape}"
        )
    if out is not None and not out.flags.c_contiguous:
        raise WorkloadError("out is not contiguous: give a whole array, not a slice of columns")
    if known.name in _AS_THEY_ARE and given.dtype.itemsize <= carrier(known).itemsize:
        return _unrounded(given, known, saturate, out)
    values = np.empty(given.shape, carrier(known)) if out is None else out
    flat, out_flat = given.reshape(-1), values.reshape(-1)
    rule, many = rounding_rule(known, saturate), given.size >= _WORTH_THREADS
    if mode == NEAREST_EVEN and given.dtype == np.float32 and _shortens_fp32(known, saturate):
        dropped = _FP32.fraction_bits - known.fraction_bits
        run = shorten_many if many else shorten
        run(flat.view(np.uint32), dropped, out_flat.view(np.uint32))
    elif mode == NEAREST_EVEN and many:
        round_nearest(flat, rule, out_flat)
    else:
        round_many(flat, rule, mode, seed or 0, out_flat)
    return values


@lru_cache(maxsize=256)
def _shortens_fp32(fmt: Format, saturate: bool) -> bool:
    """Whether words of a format are those of fp32 with fewer fraction bits (bf16, tf32)."""
    alike = replace(fmt, name="fp32", fraction_bits=_FP32.fraction_bits, padding_bits=0) == _FP32
    return alike and not saturate and fmt.fraction_bits < _FP32.fraction_bits


def count_nonfinite(x: ArrayLike) -> NonFinite:
    """Count NaN and infinite values.

    Raises
    ------
    WorkloadError
        If `x` holds no real numbers.
    """
    nans, infinities = count_special(real_array(x).reshape(-1))
    return NonFinite(int(nans), int(infinities))


def scalar_format(fmt: str | Format) -> Format:
    """Return the scalar format of this name; a block format is an error that says what to call."""
    known = find_format(fmt) if isinstance(fmt, str) else fmt
    if isinstance(known, BlockFormat):
        raise WorkloadError(
            f"{known.name} shares a scale between {known.block} values: use quantize_blocks of "
            f"accelsim.functional.block_formats, or its elements alone, '{known.element.name}'"
        )
    if not isinstance(known, Format):
        raise WorkloadError(f"format is {fmt!r}, expected a name such as 'bf16' or a Format")
    return known


def rounding_mode(rounding: str, seed: int | None) -> int:
    """Return the kernels' number of a rounding, after a look at the seed that it needs."""
    if rounding not in ROUNDINGS:
        raise WorkloadError(f"unknown rounding '{rounding}': {suggest(str(rounding), ROUNDINGS)}")
    if (rounding == "stochastic") != (seed is not None):
        wrong = "needs a seed: give seed=0" if seed is None else "uses no seed: leave it out"
        raise WorkloadError(f"rounding '{rounding}' {wrong}")
    if seed is not None and (
        isinstance(seed, bool)
        or not isinstance(seed, int | np.integer)
        or not 0 <= seed < _MOST_SEEDS
    ):
        raise WorkloadError(f"seed is {seed!r}, expected a whole number from 0 to 2^32 - 1")
    return ROUNDINGS[rounding]


def real_array(x: ArrayLike) -> NDArray[Any]:
    """Return real numbers as a contiguous array of float32 or float64 that holds them exactly.

    Raises
    ------
    WorkloadError
        If they are no numbers, complex, wider than float64, or integers beyond 2^53.
    """
    try:
        given = np.asarray(x)
    except ValueError as error:
        raise WorkloadError(f"values must be numbers or an array of them: {error}") from None
    kind, size = given.dtype.kind, given.dtype.itemsize
    if kind == "f" and size <= 8:  # float64
        wanted = np.float64 if size == 8 else np.float32
        # Not ascontiguousarray, which turns a scalar into an array of one.
        return np.asarray(given, dtype=wanted, order="C")
    if kind not in "iub":
        raise WorkloadError(
            f"values are of type {given.dtype}, expected real numbers of up to 64 bits: convert "
            "with .astype(np.float32)"
        )
    exact = np.asarray(given, dtype=np.float64, order="C")
    if kind in "iu" and size == 8 and exact.size and np.abs(exact).max() > _EXACT_IN_FP64:
        raise WorkloadError("integers beyond 2^53 are not exact in float64: convert them first")
    return exact


def carrier(fmt: Format) -> np.dtype[Any]:
    """Return the dtype in which values of a format travel."""
    return np.dtype(np.float64 if fmt.name in ("fp64", "int32") else np.float32)


def code_dtype(fmt: Format) -> np.dtype[Any]:
    """Return the dtype of codes: the narrowest of 8, 16, 32 and 64 bits, signed for integers."""
    width = next(w for w in (8, 16, 32, 64) if w >= fmt.stored_bits)
    return np.dtype(f"{'int' if fmt.kind == 'int' else 'uint'}{width}")


@lru_cache(maxsize=256)
def rounding_rule(fmt: Format, saturate: bool) -> Rounding:
    """Return a format of at most 32 bits as the rounding kernels know it."""
    is_int = fmt.kind == "int"
    clamps = saturate or is_int or fmt.specials == "finite"
    over = fmt.max if clamps else (np.inf if fmt.has_inf else np.nan)
    below = fmt.min if clamps else (-over if fmt.signed else np.nan)
    return Rounding(
        # Integers count in ones: the exponent is that of 1.0, whatever the value.
        fraction_bits=0 if is_int else fmt.fraction_bits,
        low_exponent=_FP64_BIAS + fmt.min_exponent,
        high_exponent=_FP64_BIAS + (0 if is_int else fmt.max_exponent + 2),
        highest=fmt.max,
        lowest=fmt.min,
        over_high=float(over),
        over_low=float(below),
        least=max(fmt.min, 0.0),
        zero=-0.0 if fmt.has_negative_zero else 0.0,
        nan_keep=-1 if fmt.has_nan else (_SIGN if fmt.has_negative_zero else 0),
        nan_flip=0 if fmt.has_nan else (_SIGN if fmt.has_negative_zero else 0),
    )


@lru_cache(maxsize=256)
def code_layout(fmt: Format) -> Codes:
    """Return a float format of at most 32 bits as the coding kernels know it."""
    return Codes(
        fraction_bits=fmt.fraction_bits,
        low_exponent=_FP64_BIAS + fmt.min_exponent,
        first=0 if fmt.has_zero else 1,
        magnitude_bits=fmt.exponent_bits + fmt.fraction_bits,
        signed=int(fmt.signed),
        max_code=fmt.max_code,
        inf_code=-1 if fmt.inf_code is None else fmt.inf_code,
        # The NaN of fnuz formats has the sign bit in its code; the sign of a NaN adds nothing.
        nan_code=-1 if fmt.nan_code is None else fmt.nan_code,
        nan_is_negative_zero=int(fmt.specials == "fnuz"),
        # Padding lies below a whole word (tf32), but above a narrow code (ue4m3).
        shift=fmt.padding_bits if fmt.signed else 0,
    )


def _unrounded(
    given: NDArray[Any], fmt: Format, saturate: bool, out: NDArray[Any] | None
) -> NDArray[Any]:
    """Return values that the format holds anyway, in its dtype."""
    values = given.astype(carrier(fmt), copy=False)
    if saturate:
        return np.clip(values, fmt.min, fmt.max, out=out)
    if out is None:
        return values
    np.copyto(out, values)
    return out


def _check_range(codes: NDArray[Any], fmt: Format) -> None:
    """Refuse codes that have more bits than the format."""
    if codes.dtype == code_dtype(fmt) and codes.dtype.itemsize * 8 == fmt.stored_bits:
        return
    half = 1 << (fmt.stored_bits - 1)
    low, high = (-half, half - 1) if fmt.kind == "int" else (0, 2 * half - 1)
    if codes.size and not (low <= int(codes.min()) and int(codes.max()) <= high):
        worst = codes.min() if codes.min() < low else codes.max()
        raise WorkloadError(f"a code is {worst}, but those of {fmt.name} go from {low} to {high}")
