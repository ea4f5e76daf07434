"""Root mean square and layer normalisation of rows, each step rounded to the vector format."""

from __future__ import annotations

from typing import Any

import numpy as np

from accelsim.kernels.jit import kernel, parallel_kernel, prange
from accelsim.kernels.vector_math import Array, Format, lane_sum, rounded, rsqrt


@kernel
def norm_row(fmt: Format, size: Any, eps: Any, out: Array) -> Any:
    """Return ``1 / sqrt(mean(out**2) + eps)``; `out` is left with the squares."""
    for j in range(out.size):
        out[j] = rounded(out[j] * out[j], fmt)
    mean = rounded(lane_sum(fmt, out) / size, fmt)
    return rounded(rsqrt(rounded(mean + eps, fmt)), fmt)


@kernel
def rmsnorm(fmt: Format, x: Array, weight: Array, eps: float, out: Array) -> None:
    """Normalise rows: ``out = x / sqrt(mean(x**2) + eps) * weight``.

    Parameters
    ----------
    fmt : tuple
        Format, of `accelsim.kernels.vector_math`.
    x, out : array of float32, shape (rows, size)
    weight : array of float32, shape (size,)
    eps : float
    """
    size, eps = np.float32(x.shape[1]), rounded(np.float32(eps), fmt)
    for row in range(x.shape[0]):
        held, result = x[row], out[row]
        for j in range(held.size):
            result[j] = rounded(held[j], fmt)
        factor = norm_row(fmt, size, eps, result)
        for j in range(held.size):
            normal = rounded(rounded(held[j], fmt) * factor, fmt)
            result[j] = rounded(normal * rounded(weight[j], fmt), fmt)


@kernel
def layernorm(fmt: Format, x: Array, weight: Array, bias: Array, eps: float, out: Array) -> None:
    """Normalise rows: ``out = (x - mean) / sqrt(mean((x - mean)**2) + eps) * weight + bias``.

    Parameters
    ----------
    fmt : tuple
        Format, of `accelsim.kernels.vector_math`.
    x, out : array of float32, shape (rows, size)
    weight, bias : array of float32, shape (size,)
    eps : float
    """
    size, eps = np.float32(x.shape[1]), rounded(np.float32(eps), fmt)
    for row in range(x.shape[0]):
        held, result = x[row], out[row]
        for j in range(held.size):
            result[j] = rounded(held[j], fmt)
        mean = rounded(lane_sum(fmt, result) / size, fmt)
        for j in range(held.size):
            result[j] = rounded(result[j] - mean, fmt)
        factor = norm_row(fmt, size, eps, result)
        for j in range(held.size):
            centred = rounded(rounded(held[j], fmt) - mean, fmt)
            scaled = rounded(rounded(centred * factor, fmt) * rounded(weight[j], fmt), fmt)
            result[j] = rounded(scaled + rounded(bias[j], fmt), fmt)


@parallel_kernel
def rmsnorm_many(fmt: Format, x: Array, weight: Array, eps: float, out: Array, piece: int) -> None:
    """Do as `rmsnorm`, pieces of that many rows on all threads."""
    for part in prange((x.shape[0] + piece - 1) // piece):
        first = part * piece
        rmsnorm(fmt, x[first : first + piece], weight, eps, out[first : first + piece])


@parallel_kernel
def layernorm_many(
    fmt: Format, x: Array, weight: Array, bias: Array, eps: float, out: Array, piece: int
) -> None:
    """Do as `layernorm`, pieces of that many rows on all threads."""
    for part in prange((x.shape[0] + piece - 1) // piece):
        first = part * piece
        layernorm(fmt, x[first : first + piece], weight, bias, eps, out[first : first + piece])
