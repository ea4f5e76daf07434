"""What a vector unit computes: norms, softmax and activations, in its format.

Every function takes fp32 arrays and the name of the unit's format, "fp32", "bf16" or "fp16".
Operands are rounded to the format first, and so is the result of every elementary operation: each
sum, product, quotient, exponential. Nothing is fused and no sum is reordered, so results depend
neither on the machine nor on its number of threads. NaN and infinity travel as in IEEE 754.

Notes
-----
Rows are summed as by a unit of 16 lanes: lane ``j % 16`` adds its elements in ascending order,
then the upper half of the lanes is added to the lower until one is left. Elementary functions are
within 0.501 ulp of fp32 before they are rounded to a narrower format (`kernels.vector_math`).
Divisors that count elements are fp32 numbers.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accelsim.errors import WorkloadError, suggest
from accelsim.kernels import activations, norms
from accelsim.kernels import softmax as softmax_kernels
from accelsim.kernels.vector_math import BF16, FP16, FP32

Float32 = NDArray[np.float32]
_CODES: dict[str, tuple[int, ...]] = {"fp32": FP32, "bf16": BF16, "fp16": FP16}
_PARALLEL_FROM = 65536
_PIECE = 16384
_CAPS = (1e-3, 6e4)


def rmsnorm(x: ArrayLike, weight: ArrayLike, eps: float, fmt: str = "fp32") -> Float32:
    """Return ``x / sqrt(mean(x**2) + eps) * weight`` over the last axis.

    Parameters
    ----------
    x : array of float32, shape (..., size)
    weight : array of float32, shape (size,)
    eps : float
    fmt : str, optional
        Format of the unit.

    Raises
    ------
    WorkloadError
        If shapes do not fit or the format is unknown.
    """
    code, rows, shape = format_code(fmt), *_rows("x", x)
    scale = _along("weight", weight, rows)
    out = np.empty_like(rows)
    if rows.size < _PARALLEL_FROM:
        norms.rmsnorm(code, rows, scale, float(eps), out)
    else:
        norms.rmsnorm_many(code, rows, scale, float(eps), out, piece_of(rows))
    return out.reshape(shape)


def layernorm(
    x: ArrayLike, weight: ArrayLike, bias: ArrayLike, eps: float, fmt: str = "fp32"
) -> Float32:
    """Return ``(x - mean) / sqrt(mean((x - mean)**2) + eps) * weight + bias`` over the last axis.

    Parameters and errors are those of `rmsnorm`; `bias` has the shape of `weight`.
    """
    code, rows, shape = format_code(fmt), *_rows("x", x)
    scale, shift = _along("weight", weight, rows), _along("bias", bias, rows)
    out = np.empty_like(rows)
    if rows.size < _PARALLEL_FROM:
        norms.layernorm(code, rows, scale, shift, float(eps), out)
    else:
        norms.layernorm_many(code, rows, scale, shift, float(eps), out, piece_of(rows))
    return out.reshape(shape)


def softmax(
    x: ArrayLike,
    fmt: str = "fp32",
    *,
    causal: bool = False,
    past: int = 0,
    window: int | None = None,
    scale: float = 1.0,
    cap: float | None = None,
) -> Float32:
    """Return ``exp(s - max(s)) / sum(exp(s - max(s)))`` over the last axis, with ``s = scale x``.

    Parameters
    ----------
    x : array of float32, shape (..., queries, keys) or (keys,)
    fmt : str, optional
        Format of the unit.
    causal : bool, optional
        Query i sees no key behind ``past + i``.
    past : int, optional
        Position of the first query among the keys.
    window : int, optional
        A query sees keys at most ``window - 1`` positions away.
    scale : float, optional
        What scores are multiplied by.
    cap : float, optional
        Scores s become ``cap tanh(s / cap)`` before the largest is found.

    Returns
    -------
    array of float32
        Of the shape of `x`. Keys that a query does not see get zero, and a query that sees none
        gets zeros only. A row of -inf scores alone, or with NaN or +inf, is NaN.
    """
    rows, shape = _rows("x", x)
    queries = shape[-2] if len(shape) > 1 else 1
    where = (queries, *visibility(causal, past, window))
    out = softmax_rows(format_code(fmt), rows, where, float(scale), checked_cap(cap))
    return out.reshape(shape)


def softmax_rows(
    code: tuple[int, ...], rows: Float32, where: tuple[int, ...], scale: float, cap: float = 0.0
) -> Float32:
    """Run the kernel on checked rows, on all threads where they are many."""
    out = np.empty_like(rows)
    if rows.size < _PARALLEL_FROM:
        softmax_kernels.softmax(code, rows, 0, where, scale, cap, out)
    else:
        softmax_kernels.softmax_many(code, rows, where, scale, cap, out, piece_of(rows))
    return out


def silu(x: ArrayLike, fmt: str = "fp32") -> Float32:
    """Return ``x / (1 + exp(-x))``; -inf gives NaN, as the formula does."""
    return _activate(activations.SILU, x, None, fmt)


def silu_mul(gate: ArrayLike, up: ArrayLike, fmt: str = "fp32") -> Float32:
    """Return ``silu(gate) * up``: the gated feed-forward of Llama-like models."""
    return _activate(activations.SILU_MUL, gate, up, fmt)


def gelu_tanh(x: ArrayLike, fmt: str = "fp32") -> Float32:
    """Return ``(x / 2) (1 + tanh(sqrt(2/pi) (x + 0.044715 x**3)))``."""
    return _activate(activations.GELU_TANH, x, None, fmt)


def gelu_erf(x: ArrayLike, fmt: str = "fp32") -> Float32:
    """Return ``(x / 2) (1 + erf(x / sqrt(2)))``."""
    return _activate(activations.GELU_ERF, x, None, fmt)


def relu(x: ArrayLike, fmt: str = "fp32") -> Float32:
    """Return ``max(x, 0)``."""
    return _activate(activations.RELU, x, None, fmt)


def relu2(x: ArrayLike, fmt: str = "fp32") -> Float32:
    """Return ``max(x, 0)**2``."""
    return _activate(activations.RELU2, x, None, fmt)


def add(x: ArrayLike, y: ArrayLike, fmt: str = "fp32") -> Float32:
    """Return ``x + y``; `y` broadcasts to the shape of `x`."""
    return _activate(activations.ADD, x, y, fmt)


def mul(x: ArrayLike, y: ArrayLike, fmt: str = "fp32") -> Float32:
    """Return ``x * y``; `y` broadcasts to the shape of `x`."""
    return _activate(activations.MUL, x, y, fmt)


def softcap(x: ArrayLike, cap: float, fmt: str = "fp32") -> Float32:
    """Return ``cap tanh(x / cap)``, which stays within `cap` of zero (Gemma 2).

    Raises
    ------
    WorkloadError
        If the cap is not from 0.001 to 60000, or the format is unknown.
    """
    return _activate(activations.SOFTCAP, x, np.float32(checked_cap(cap)), fmt)


ACTIVATIONS: dict[str, Callable[[ArrayLike, str], Float32]] = {
    "silu": silu, "gelu_tanh": gelu_tanh, "gelu_erf": gelu_erf, "relu": relu, "relu2": relu2,
}  # fmt: skip
"""Activations of one operand by the name that model configurations map to."""


def format_code(fmt: str) -> tuple[int, ...]:
    """Return what kernels call this format.

    Raises
    ------
    WorkloadError
        If no vector unit computes in it.
    """
    code = _CODES.get(fmt)
    if code is None:
        raise WorkloadError(f"no vector unit computes in '{fmt}': {suggest(fmt, _CODES)}")
    return code


def float32(name: str, x: ArrayLike) -> Float32:
    """Return an array as contiguous float32; integers and other floats are converted."""
    held = np.asarray(x)
    if held.dtype.kind not in "fiu":
        raise WorkloadError(f"{name} is of type {held.dtype}, expected float32")
    return np.asarray(held, np.float32, order="C")


def visibility(causal: bool, past: int, window: int | None) -> tuple[int, int, int, int]:
    """Return a mask as kernels take it: first position, first key, causal, window."""
    if past < 0 or (window is not None and window < 1):
        raise WorkloadError(f"past {past}, window {window}: expected from 0, and from 1 or None")
    return (past, 0, int(causal), window or 0)


def checked_cap(cap: float | None) -> float:
    """Return a cap as kernels take it: 0 is none.

    Raises
    ------
    WorkloadError
        If it is beyond what every format of a vector unit can hold.
    """
    if cap is None:
        return 0.0
    least, most = _CAPS
    if not least <= cap <= most:
        raise WorkloadError(f"a cap of {cap} on scores, expected a number from {least} to {most}")
    return float(cap)


def piece_of(rows: Float32) -> int:
    """Return how many rows one thread takes at a time."""
    keys: int = rows.shape[-1]
    return max(1, _PIECE // max(1, keys))


def _rows(name: str, x: ArrayLike) -> tuple[Float32, tuple[int, ...]]:
    held = float32(name, x)
    if not held.ndim or not held.shape[-1]:
        raise WorkloadError(f"{name} has shape {held.shape}, expected rows of at least one element")
    return held.reshape(-1, held.shape[-1]), held.shape


def _along(name: str, x: ArrayLike, rows: Float32) -> Float32:
    held = float32(name, x)
    if held.shape != rows.shape[1:]:
        raise WorkloadError(
            f"{name} has shape {held.shape}, expected {rows.shape[1:]} as rows of x"
        )
    return held


def _activate(op: int, x: ArrayLike, y: ArrayLike | None, fmt: str) -> Float32:
    code, held = format_code(fmt), float32("x", x)
    other = held if y is None else float32("y", y)
    if other.shape != held.shape:
        try:
            other = np.ascontiguousarray(np.broadcast_to(other, held.shape))
        except ValueError:
            raise WorkloadError(
                f"operands of shapes {held.shape} and {other.shape}: the second does not broadcast"
            ) from None
    out = np.empty_like(held)
    flat = (held.reshape(-1), other.reshape(-1), out.reshape(-1))
    if held.size < _PARALLEL_FROM:
        activations.activate(op, code, *flat)
    else:
        activations.activate_many(op, code, *flat, _PIECE)
    return out
