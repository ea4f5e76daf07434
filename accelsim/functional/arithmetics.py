"""Arithmetic of a run by name: a plain format, or what a chip does."""

from __future__ import annotations

from accelsim.arch.chip import Chip
from accelsim.arch.loader import load_chip
from accelsim.arithmetic import FP32, Arithmetic, Chain, MatrixArithmetic

PLAIN_FORMATS = ("fp32", "bf16", "fp16")
_PREFERRED = ("bf16", "fp16", "tf32", "fp32", "int8")


def preferred_dtype(chip: Chip) -> str:
    """Return the first dtype that a chip has of bf16, fp16, tf32, fp32, int8; else its first."""
    return next((d for d in _PREFERRED if d in chip.dtypes), chip.dtypes[0])


def plain_arithmetic(fmt: str) -> Arithmetic:
    """Return a machine without peculiarities: operands of a format, fp32 chains, k ascending."""
    if fmt == "fp32":
        return FP32
    matrix = MatrixArithmetic(fmt, Chain("fp32"))
    return Arithmetic(fmt, matrix, matrix, stored=fmt, kv=fmt)


def resolve_arithmetic(
    arithmetic: str | Arithmetic, dtype: str | None = None, *, kv_dtype: str | None = None
) -> Arithmetic:
    """Return an arithmetic by name.

    Parameters
    ----------
    arithmetic : str or Arithmetic
        "fp32", "bf16" or "fp16" (operands of that format, fp32 chains, k ascending); or a chip.
    dtype : str, optional
        Of the chip's matmuls; without one its `preferred_dtype`.
    kv_dtype : str, optional
        Of the KV cache.

    Raises
    ------
    SpecError
        If there is no such chip.
    MappingError
        If the chip lacks the dtype.
    """
    if isinstance(arithmetic, Arithmetic):
        return arithmetic if kv_dtype is None else arithmetic.with_kv(kv_dtype)
    if arithmetic in PLAIN_FORMATS:
        plain = plain_arithmetic(arithmetic)
        return plain if kv_dtype is None else plain.with_kv(kv_dtype)
    chip = load_chip(arithmetic)
    return chip.arithmetic(dtype or preferred_dtype(chip), kv_dtype=kv_dtype)
