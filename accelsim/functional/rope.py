"""Rotary position embedding, in the format of the vector unit."""

from __future__ import annotations

from math import isfinite, prod
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from accelsim.errors import WorkloadError, suggest
from accelsim.functional.vector import Float32, float32, format_code, mul
from accelsim.kernels.rope import rope_tables, rotate

RopeStyle = Literal["neox", "interleaved"]
MAX_POSITION = 2**20
_STYLES = ("neox", "interleaved")


def rope(
    x: ArrayLike,
    positions: ArrayLike,
    inv_freq: ArrayLike,
    fmt: str = "fp32",
    *,
    style: RopeStyle = "neox",
    factor: float = 1.0,
) -> Float32:
    """Return rows rotated by their positions: rotary position embedding.

    Parameters
    ----------
    x : array of float32, shape (..., tokens, head_dim)
    positions : array of int, shape (tokens,)
        From 0 to 2^20 - 1.
    inv_freq : array of float32, shape (half,)
        Frequencies from 0 to 1, see `rope_frequencies`; ``2 half <= head_dim``, elements beyond
        are copied.
    fmt : str, optional
        Format of the unit. Angles are fp32 products, their cosine and sine of this format.
    style : str, optional
        "neox" rotates elements (j, j + half), "interleaved" (2 j, 2 j + 1).
    factor : float, optional
        Cosines and sines are multiplied by it (`RopeScaling.attention_factor`).

    Raises
    ------
    WorkloadError
        If shapes do not fit, or a position, frequency, style, factor or format is none.

    References
    ----------
    Su et al., RoFormer: Enhanced Transformer with Rotary Position Embedding, 2021,
    arXiv 2104.09864, equation 34.
    """
    code, held = format_code(fmt), float32("x", x)
    at, freq = np.asarray(positions), float32("inv_freq", inv_freq)
    if held.ndim < 2 or at.shape != held.shape[-2:-1] or at.dtype.kind not in "iu":
        raise WorkloadError(
            f"positions of shape {at.shape} and type {at.dtype} for x of shape {held.shape}: "
            "expected one whole number per token, the last axis but one"
        )
    if freq.ndim != 1 or 2 * freq.size > held.shape[-1] or not np.all((freq >= 0) & (freq <= 1)):
        raise WorkloadError(
            f"inv_freq of shape {freq.shape} for heads of {held.shape[-1]}: expected at most half "
            "as many frequencies, from 0 to 1"
        )
    if at.size and not 0 <= at.min() <= at.max() < MAX_POSITION:
        raise WorkloadError(
            f"positions from {at.min()} to {at.max()}, limit 0 to {MAX_POSITION - 1}"
        )
    if style not in _STYLES:
        raise WorkloadError(f"unknown rope style '{style}': {suggest(style, _STYLES)}")
    if not isfinite(factor) or factor <= 0:
        raise WorkloadError(f"a factor of {factor} on cosines, expected a positive number")
    tables = np.empty((2, at.size, freq.size), np.float32)
    rope_tables(code, at.astype(np.int64), freq, tables[0], tables[1])
    if factor != 1.0:
        tables = mul(tables, np.float32(factor), fmt)
    groups = held.reshape(prod(held.shape[:-2]), *held.shape[-2:])
    out = np.empty_like(groups)
    rotate(code, groups, tables[0], tables[1], style == "interleaved", out)
    return out.reshape(held.shape)
