"""Rotary position embedding, each step rounded to the vector format."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from accelsim.kernels.jit import kernel
from accelsim.kernels.vector_math import Array, Format, cosine_sine, rounded


@kernel
def rope_tables(
    fmt: Format, positions: NDArray[np.int64], inv_freq: Array, out_cosine: Array, out_sine: Array
) -> None:
    """Write cosine and sine of ``position * inv_freq``, an angle that is rounded to fp32.

    Parameters
    ----------
    fmt : tuple
        Format, of `accelsim.kernels.vector_math`.
    positions : array of int64, shape (tokens,)
        Below 2^20.
    inv_freq : array of float32, shape (half,)
        At most 1 [rad].
    out_cosine, out_sine : array of float32, shape (tokens, half)
    """
    for token in range(positions.size):
        position = np.float32(positions[token])
        for j in range(inv_freq.size):
            cosine, sine = cosine_sine(np.float32(position * inv_freq[j]))
            out_cosine[token, j] = rounded(cosine, fmt)
            out_sine[token, j] = rounded(sine, fmt)


@kernel
def rotate(
    fmt: Format, x: Array, cosine: Array, sine: Array, interleaved: bool, out: Array
) -> None:
    """Rotate pairs of elements; elements beyond the pairs are copied.

    Parameters
    ----------
    fmt : tuple
        Format, of `accelsim.kernels.vector_math`.
    x, out : array of float32, shape (groups, tokens, size)
    cosine, sine : array of float32, shape (tokens, half)
    interleaved : bool
        Pairs are (2 j, 2 j + 1); else (j, j + half).
    """
    half = cosine.shape[1]
    for group in range(x.shape[0]):
        for token in range(x.shape[1]):
            held, result = x[group, token], out[group, token]
            c, s = cosine[token], sine[token]
            if interleaved:
                low, high = held[0 : 2 * half : 2], held[1 : 2 * half : 2]
                out_low, out_high = result[0 : 2 * half : 2], result[1 : 2 * half : 2]
            else:
                low, high = held[0:half:1], held[half : 2 * half : 1]
                out_low, out_high = result[0:half:1], result[half : 2 * half : 1]
            for j in range(half):
                a, b = rounded(low[j], fmt), rounded(high[j], fmt)
                out_low[j] = rounded(rounded(a * c[j], fmt) - rounded(b * s[j], fmt), fmt)
                out_high[j] = rounded(rounded(b * c[j], fmt) + rounded(a * s[j], fmt), fmt)
            for j in range(2 * half, held.size):
                result[j] = rounded(held[j], fmt)
