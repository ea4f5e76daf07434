"""IEEE fused multiply-add of scalars: one rounding, for compiled and for plain Python kernels.

The compiled form is the processor's own instruction (or the C library's function where there is
none); both are exact by definition, so results do not depend on the machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any, cast

import numpy as np
from numba import types
from numba.extending import intrinsic

from accelsim.kernels.jit import COMPILED, kernel


def _rounded64(x: float, y: float, z: float) -> float:
    """Round x y + z once, by exact fractions."""
    if not (math.isfinite(x) and math.isfinite(y) and math.isfinite(z)):
        # An overflowing product of finite factors is no infinity here.
        with np.errstate(all="ignore"):
            product = np.float64(x) * y if not (math.isfinite(x) and math.isfinite(y)) else 0.0
            return float(product + z)
    exact = Fraction(x) * Fraction(y) + Fraction(z)
    if exact == 0:
        with np.errstate(all="ignore"):
            return float(np.float64(x) * y + z)
    try:
        return float(exact)
    except OverflowError:
        return math.copysign(math.inf, exact)


@intrinsic
def _instruction(typing_context: Any, x: Any, y: Any, z: Any) -> Any:
    """x y + z by the processor, rounded once to the type of x."""
    kind = types.float32 if x == types.float32 else types.float64
    signature = kind(kind, kind, kind)

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return signature, generate


def _rounded32(x: np.float32, y: np.float32, z: np.float32) -> np.float32:
    return np.float32(fma32(float(x), float(y), float(z)))


fma64: Callable[[float, float, float], float] = cast(Any, _instruction if COMPILED else _rounded64)
lane_fma32: Callable[[np.float32, np.float32, np.float32], np.float32] = cast(
    Any, _instruction if COMPILED else _rounded32
)
"""x y + z of fp32 values by one instruction, which loops over arrays turn into lanes."""


@kernel
def odd_sum(x: float, y: float) -> float:
    """x + y in fp64, its last bit odd where it is not exact.

    A second rounding, to fewer than half the bits, then decides as if there was none before.
    """
    total = x + y
    if not math.isfinite(total):
        return total
    back = total - x
    error = (x - (total - back)) + (y - back)
    if error != 0.0:
        half, exponent = math.frexp(total)
        units = np.int64(math.ldexp(half, 53))
        if units % 2 == 0:  # toward the error: the odd neighbour on its side
            units += 1 if error > 0.0 else -1
        total = math.ldexp(float(units), exponent - 53)
    return total


@kernel
def fma32(x: float, y: float, z: float) -> float:
    """x y + z for fp32 values, rounded once to fp32; their product is exact in fp64."""
    return float(np.float32(odd_sum(x * y, z)))
