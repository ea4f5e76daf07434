"""Weights of 4 bits in blocks with a scale, as files of language models hold them: to fp32."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.kernels.jit import parallel_kernel, prange


@parallel_kernel
def scaled_nibbles(
    codes: NDArray[np.uint8], zero: int, scales: NDArray[np.float32], out: NDArray[Any]
) -> None:
    """Write ``(q - zero) scale``: the low halves of a block's bytes, then the high ones.

    Parameters
    ----------
    codes : array of uint8, [blocks, b]
    zero : int
    scales : array of float32, [blocks]
    out : array of float32, [blocks, 2 b]
    """
    size = codes.shape[1]
    for block in prange(codes.shape[0]):
        scale = scales[block]
        for i in range(size):
            out[block, i] = np.float32(np.int32(codes[block, i] & 15) - zero) * scale
            out[block, size + i] = np.float32(np.int32(codes[block, i] >> 4) - zero) * scale


@parallel_kernel
def shifted_nibbles(
    codes: NDArray[np.uint8],
    scales: NDArray[np.float32],
    minima: NDArray[np.float32],
    out: NDArray[Any],
) -> None:
    """Write ``q scale + minimum``, each step rounded; arrays as of `scaled_nibbles`."""
    size = codes.shape[1]
    for block in prange(codes.shape[0]):
        scale, minimum = scales[block], minima[block]
        for i in range(size):
            low, high = np.int32(codes[block, i] & 15), np.int32(codes[block, i] >> 4)
            out[block, i] = np.float32(np.float32(low) * scale) + minimum
            out[block, size + i] = np.float32(np.float32(high) * scale) + minimum
