"""Element by element operations of a vector unit, each step rounded to its format.

Loops hold their formula themselves: a formula in a function of its own is too long for the
compiler to inline, and then the loop is not vectorised.
"""

from __future__ import annotations

import numpy as np

from accelsim.kernels.jit import kernel, parallel_kernel, prange
from accelsim.kernels.vector_math import Array, Format, erf, exp, rounded, tanh

SILU, SILU_MUL, GELU_TANH, GELU_ERF, RELU, RELU2, ADD, MUL, SOFTCAP = range(9)
"""Codes of the operations."""

SQRT_2_OVER_PI = np.float32(0.7978845608028654)
GELU_CUBIC = np.float32(0.044715)
SQRT_HALF = np.float32(0.7071067811865476)
ONE = np.float32(1)
HALF = np.float32(0.5)


@kernel
def silu(fmt: Format, x: Array, out: Array) -> None:
    """Write ``x / (1 + exp(-x))``."""
    for i in range(out.size):
        held = rounded(x[i], fmt)
        grown = rounded(ONE + rounded(exp(-held), fmt), fmt)
        out[i] = rounded(held / grown, fmt)


@kernel
def silu_mul(fmt: Format, x: Array, y: Array, out: Array) -> None:
    """Write ``x / (1 + exp(-x)) * y``."""
    for i in range(out.size):
        held = rounded(x[i], fmt)
        grown = rounded(ONE + rounded(exp(-held), fmt), fmt)
        out[i] = rounded(rounded(held / grown, fmt) * rounded(y[i], fmt), fmt)


@kernel
def gelu_tanh(fmt: Format, x: Array, out: Array) -> None:
    """Write ``(x / 2) (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))``."""
    cubic, slope = rounded(GELU_CUBIC, fmt), rounded(SQRT_2_OVER_PI, fmt)
    for i in range(out.size):
        held = rounded(x[i], fmt)
        cube = rounded(rounded(held * held, fmt) * held, fmt)
        inner = rounded(held + rounded(cubic * cube, fmt), fmt)
        gate = rounded(tanh(rounded(slope * inner, fmt)), fmt)
        out[i] = rounded(rounded(HALF * held, fmt) * rounded(ONE + gate, fmt), fmt)


@kernel
def gelu_erf(fmt: Format, x: Array, out: Array) -> None:
    """Write ``(x / 2) (1 + erf(x / sqrt(2)))``."""
    slope = rounded(SQRT_HALF, fmt)
    for i in range(out.size):
        held = rounded(x[i], fmt)
        gate = rounded(erf(rounded(slope * held, fmt)), fmt)
        out[i] = rounded(rounded(HALF * held, fmt) * rounded(ONE + gate, fmt), fmt)


@kernel
def relu(fmt: Format, squared: bool, x: Array, out: Array) -> None:
    """Write ``max(x, 0)`` or its square; NaN stays."""
    for i in range(out.size):
        held = rounded(x[i], fmt)
        positive = np.float32(0) if held < 0 else held
        out[i] = rounded(positive * positive, fmt) if squared else positive


@kernel
def add(fmt: Format, x: Array, y: Array, out: Array) -> None:
    """Write ``x + y``."""
    for i in range(out.size):
        out[i] = rounded(rounded(x[i], fmt) + rounded(y[i], fmt), fmt)


@kernel
def mul(fmt: Format, x: Array, y: Array, out: Array) -> None:
    """Write ``x y``."""
    for i in range(out.size):
        out[i] = rounded(rounded(x[i], fmt) * rounded(y[i], fmt), fmt)


@kernel
def softcap(fmt: Format, x: Array, y: Array, out: Array) -> None:
    """Write ``y tanh(x / y)``."""
    for i in range(out.size):
        held, cap = rounded(x[i], fmt), rounded(y[i], fmt)
        out[i] = rounded(cap * rounded(tanh(rounded(held / cap, fmt)), fmt), fmt)


@kernel
def activate(op: int, fmt: Format, x: Array, y: Array, out: Array) -> None:
    """Apply one operation to flat fp32 arrays of equal size.

    Parameters
    ----------
    op : int
        Code of the operation.
    fmt : tuple
        Format, of `accelsim.kernels.vector_math`.
    x, y, out : array of float32
        `y` is the second operand of SILU_MUL, ADD, MUL and SOFTCAP; others do not read it.
    """
    if op == SILU:
        silu(fmt, x, out)
    elif op == SILU_MUL:
        silu_mul(fmt, x, y, out)
    elif op == GELU_TANH:
        gelu_tanh(fmt, x, out)
    elif op == GELU_ERF:
        gelu_erf(fmt, x, out)
    elif op in {RELU, RELU2}:
        relu(fmt, op == RELU2, x, out)
    elif op == ADD:
        add(fmt, x, y, out)
    elif op == MUL:
        mul(fmt, x, y, out)
    else:
        softcap(fmt, x, y, out)


@parallel_kernel
def activate_many(op: int, fmt: Format, x: Array, y: Array, out: Array, piece: int) -> None:
    """Do as `activate`, pieces of that many elements on all threads."""
    for part in prange((out.size + piece - 1) // piece):
        first = part * piece
        last = min(out.size, first + piece)
        activate(op, fmt, x[first:last], y[first:last], out[first:last])
