"""Rotary position embedding and its frequencies, in the format of the vector unit."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from math import prod
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from accelsim.errors import WorkloadError, suggest
from accelsim.functional.vector import Float32, float32, format_code
from accelsim.kernels.rope import rope_tables, rotate

RopeStyle = Literal["neox", "interleaved"]
MAX_POSITION = 2**20
MAX_ROTARY = 4096
"""Most elements of a head that are rotated; the widest heads that are known have 576."""
_STYLES = ("neox", "interleaved")


@dataclass(frozen=True)
class RopeScaling:
    """How rotary frequencies are stretched for contexts longer than those of training.

    Attributes
    ----------
    kind : str
        "linear": all divided by `factor`. "llama3": only those whose wavelength is longer than
        ``original_positions / low_freq_factor``; those shorter than ``original_positions /
        high_freq_factor`` stay, and between the two they are mixed.
    factor, low_freq_factor, high_freq_factor : float
    original_positions : int
        Context length of training.
    """

    kind: Literal["linear", "llama3"]
    factor: float
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_positions: int = 8192


@lru_cache(maxsize=64)
def rope_frequencies(size: int, theta: float, scaling: RopeScaling | None = None) -> Float32:
    """Return rotary frequencies ``theta**(-2 j / size)``, j below size / 2 [rad per position].

    Parameters
    ----------
    size : int
        Elements of a head that are rotated, even, from 2 to 4096.
    theta : float
        Base.
    scaling : RopeScaling, optional

    Returns
    -------
    array of float32, shape (size // 2,)
        Read-only. Powers are computed in decimal arithmetic: the same bits on every machine.

    Raises
    ------
    WorkloadError
        If the size is no such number, or a factor not a positive finite number.
    """
    if not 2 <= size <= MAX_ROTARY or size % 2:
        raise WorkloadError(
            f"rotary size is {size}, expected an even number from 2 to {MAX_ROTARY}"
        )
    factors = (scaling.factor, scaling.low_freq_factor, scaling.high_freq_factor) if scaling else ()
    if not all(0 < value < float("inf") for value in (theta, *factors)) or theta < 1:
        raise WorkloadError(
            f"rotary base {theta} and {scaling}: not 1 or more, and positive factors"
        )
    powers = [float(Decimal(theta) ** (Decimal(-2 * j) / size)) for j in range(size // 2)]
    found = np.array([_stretched(power, scaling) for power in powers], np.float32)
    found.flags.writeable = False
    return found


def rope(
    x: ArrayLike,
    positions: ArrayLike,
    inv_freq: ArrayLike,
    fmt: str = "fp32",
    *,
    style: RopeStyle = "neox",
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

    Raises
    ------
    WorkloadError
        If shapes do not fit, or a position, frequency, style or format is none.

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
    tables = np.empty((2, at.size, freq.size), np.float32)
    rope_tables(code, at.astype(np.int64), freq, tables[0], tables[1])
    groups = held.reshape(prod(held.shape[:-2]), *held.shape[-2:])
    out = np.empty_like(groups)
    rotate(code, groups, tables[0], tables[1], style == "interleaved", out)
    return out.reshape(held.shape)


def _stretched(freq: float, scaling: RopeScaling | None) -> float:
    if scaling is None:
        return freq
    if scaling.kind == "linear":
        return freq / scaling.factor
    turns = scaling.original_positions * freq / (2 * np.pi)
    low, high = scaling.low_freq_factor, scaling.high_freq_factor
    if turns > high:
        return freq
    if turns < low:
        return freq / scaling.factor
    kept = (turns - low) / (high - low)
    return (1 - kept) * freq / scaling.factor + kept * freq
