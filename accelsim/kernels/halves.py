"""Values with few significant bits, kept as the upper halves of their fp32 words: uint16.

Every value of bf16, of narrower floats and of 8-bit integers ends in sixteen zero bits as fp32.
Half the memory is half the time where a matmul waits for weights; no bit of a result changes.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from accelsim.kernels.jit import COMPILED

_UPPER = 1 if sys.byteorder == "little" else 0


def upper_halves(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Return a view of the upper halves of contiguous values."""
    return values.view(np.uint16).reshape(*values.shape, 2)[..., _UPPER]


def whole(values: NDArray[Any]) -> NDArray[np.float32]:
    """Return the fp32 values of halves; fp32 values are returned as they are."""
    if values.dtype != np.uint16:
        return values
    found: NDArray[np.float32] = (values.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return found


@intrinsic
def _widened(typing_context: Any, x: Any) -> Any:
    signature = types.float32(x)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        if signature.args[0] == types.float32:
            return values[0]
        word = builder.shl(builder.zext(values[0], ir.IntType(32)), ir.IntType(32)(16))
        return builder.bitcast(word, ir.FloatType())

    return signature, generate


def _plain_value(x: Any) -> np.float32:
    return np.float32(whole(np.asarray(x).reshape(1))[0])


value: Any = _widened if COMPILED else _plain_value
"""fp32 value of a half, or of an fp32 value, in a kernel."""
