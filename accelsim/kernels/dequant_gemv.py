"""Few rows times narrow weights: codes become operands inside the loop and never lie in memory.

Codes lie in panels like those of `accelsim.kernels.gemm_chain`: int8 [panels, k, PANEL], or two
4-bit codes per byte [panels, ceil(k / 2), PANEL], that of the even k in the low half. Scales and
zero points are float32 [panels, groups, PANEL], a group being `group` consecutive k.

Notes
-----
A weight is ``(code - zero) * scale`` in fp32, rounded to the operand of the matrix unit, and enters
the sum of its column by one IEEE fma, k ascending: the bits are those of a matmul with weights
that were dequantised beforehand.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from accelsim.kernels.jit import COMPILED, kernel, parallel_kernel, prange
from accelsim.kernels.lanes import PANEL
from accelsim.kernels.scalar_fma import fma32

_DEPTH = 64
"""k of one block: dequantised, it stays in the first cache."""


class Cut(NamedTuple):
    """How an fp32 word is rounded to a 16-bit or wider operand, by its bits.

    Attributes
    ----------
    shift : int
        Fraction bits that fp32 has more.
    half : int
        Just below half a unit of the last place; 0 cuts toward zero.
    odd : int
        1: ties go to the even neighbour; 0 where bits are cut.
    mask : int
        Of the bits that stay.
    least : float
        Values below are rounded by adding and taking away `anchor`: subnormal ones of fp16.
    anchor : float
        Its unit in the last place is the smallest value of the operand.
    """

    shift: int
    half: int
    odd: int
    mask: int
    least: float
    anchor: float


def _plain_fma(x: float, y: float, z: float) -> Any:
    return np.float32(fma32(float(x), float(y), float(z)))


if COMPILED:

    @intrinsic
    def _fma(typing_context: Any, x: Any, y: Any, z: Any) -> Any:
        """x y + z, rounded once to fp32."""
        signature = types.float32(types.float32, types.float32, types.float32)

        def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
            return builder.fma(*arguments)

        return signature, generate

else:
    _fma = _plain_fma


@kernel
def _cut_row(cut: Cut, row: NDArray[np.float32]) -> None:
    """Round fp32 values to the operand."""
    half, odd, mask = np.int32(cut.half), np.int32(cut.odd), np.int32(cut.mask)
    shift = np.int32(cut.shift)
    words = row.view(np.int32)
    if cut.least == 0.0:
        for j in range(PANEL):
            words[j] = np.int32((words[j] + half + ((words[j] >> shift) & odd)) & mask)
        return
    least, anchor = np.float32(cut.least), np.float32(cut.anchor)
    for j in range(PANEL):
        value = row[j]
        small = np.copysign((abs(value) + anchor) - anchor, value)
        words[j] = np.int32((words[j] + half + ((words[j] >> shift) & odd)) & mask)
        row[j] = small if abs(value) < least else row[j]


@kernel
def dequantise_block(
    codes: NDArray[np.int8],
    scales: NDArray[np.float32],
    zeros: NDArray[np.float32],
    group: int,
    bits: int,
    cut: Cut,
    ks: tuple[int, int],
    out: NDArray[np.float32],
) -> None:
    """Write the operands of ``ks[0] <= k < ks[1]`` of one panel to rows 0, 1, ... of `out`."""
    for k in range(ks[0], ks[1]):
        row = out[k - ks[0]]
        scale, zero = scales[k // group], zeros[k // group]
        if bits == 8:
            for j in range(PANEL):
                row[j] = (np.float32(codes[k, j]) - zero[j]) * scale[j]
        elif k % 2 == 0:
            for j in range(PANEL):
                low = np.int8(np.int8(codes[k // 2, j] << 4) >> 4)
                row[j] = (np.float32(low) - zero[j]) * scale[j]
        else:
            for j in range(PANEL):
                row[j] = (np.float32(codes[k // 2, j] >> 4) - zero[j]) * scale[j]
        if cut.shift > 0:
            _cut_row(cut, row)


@kernel
def _add_products(
    x: NDArray[np.float32], weights: NDArray[np.float32], sums: NDArray[np.float32]
) -> None:
    """Add the products of a row of activations with a block of operands, k ascending."""
    depth = x.size
    whole = depth - depth % 8
    for k in range(0, whole, 8):
        x0, x1, x2, x3 = x[k], x[k + 1], x[k + 2], x[k + 3]
        x4, x5, x6, x7 = x[k + 4], x[k + 5], x[k + 6], x[k + 7]
        for j in range(PANEL):
            total = _fma(x0, weights[k, j], sums[j])
            total = _fma(x1, weights[k + 1, j], total)
            total = _fma(x2, weights[k + 2, j], total)
            total = _fma(x3, weights[k + 3, j], total)
            total = _fma(x4, weights[k + 4, j], total)
            total = _fma(x5, weights[k + 5, j], total)
            total = _fma(x6, weights[k + 6, j], total)
            sums[j] = _fma(x7, weights[k + 7, j], total)
    for k in range(whole, depth):
        for j in range(PANEL):
            sums[j] = _fma(x[k], weights[k, j], sums[j])


@parallel_kernel
def dequant_matvec(
    a: NDArray[np.float32],
    codes: NDArray[np.int8],
    scales: NDArray[np.float32],
    zeros: NDArray[np.float32],
    group: int,
    bits: int,
    cut: Cut,
    ks: tuple[int, int],
    fold: int,
    out: NDArray[np.float32],
) -> None:
    """Write the sums of ``a w`` over ``ks[0] <= k < ks[1]`` to `out` ([m, n]); `a` [m, k] rounded.

    `fold` 0: one chain from zero. Otherwise `fold` products at a time are summed from zero, and
    their sums added.
    """
    m, n = out.shape
    for panel in prange(codes.shape[0]):
        block = np.zeros((_DEPTH, PANEL), dtype=np.float32)
        totals = np.zeros((m, PANEL), dtype=np.float32)
        parts = np.zeros((m, PANEL), dtype=np.float32)
        step = fold if fold > 0 else max(ks[1] - ks[0], 1)
        for first in range(ks[0], ks[1], step):
            last = min(first + step, ks[1])
            parts[:, :] = np.float32(0.0)
            for k0 in range(first, last, _DEPTH):
                k1 = min(k0 + _DEPTH, last)
                dequantise_block(
                    codes[panel], scales[panel], zeros[panel], group, bits, cut, (k0, k1), block
                )
                for i in range(m):
                    _add_products(a[i, k0:k1], block, parts[i])
            for i in range(m):
                for j in range(PANEL):
                    totals[i, j] = totals[i, j] + parts[i, j] if fold > 0 else parts[i, j]
        col = panel * PANEL
        for i in range(m):
            for j in range(min(PANEL, n - col)):
                out[i, col + j] = totals[i, j]


@parallel_kernel
def dequantise_panels(
    codes: NDArray[np.int8],
    scales: NDArray[np.float32],
    zeros: NDArray[np.float32],
    group: int,
    bits: int,
    cut: Cut,
    out: NDArray[np.float32],
) -> None:
    """Write all operands to panels [panels, k, PANEL], for matmuls of many rows."""
    for panel in prange(out.shape[0]):
        dequantise_block(
            codes[panel], scales[panel], zeros[panel], group, bits, cut, (0, out.shape[1]),
            out[panel],
        )  # fmt: skip


@parallel_kernel
def pack_codes(codes: NDArray[np.int8], bits: int, out: NDArray[np.int8]) -> None:
    """Lay codes [n, k] out as panels; `out` starts as zeros."""
    n, depth = codes.shape
    for panel in prange(out.shape[0]):
        col = panel * PANEL
        for j in range(min(PANEL, n - col)):
            for k in range(depth):
                code = codes[col + j, k]
                if bits == 8:
                    out[panel, k, j] = code
                elif k % 2 == 0:
                    out[panel, k // 2, j] = np.int8(code & 15)
                else:
                    both = (np.int32(code) << 4) | np.int32(out[panel, k // 2, j])
                    out[panel, k // 2, j] = np.int8(both)


@parallel_kernel
def unpack_codes(packed: NDArray[np.int8], bits: int, out_codes: NDArray[np.int8]) -> None:
    """Take codes [n, k] out of panels."""
    n, depth = out_codes.shape
    for panel in prange(packed.shape[0]):
        col = panel * PANEL
        for j in range(min(PANEL, n - col)):
            for k in range(depth):
                if bits == 8:
                    out_codes[col + j, k] = packed[panel, k, j]
                elif k % 2 == 0:
                    out_codes[col + j, k] = ((packed[panel, k // 2, j] & 15) ^ 8) - 8
                else:
                    out_codes[col + j, k] = packed[panel, k // 2, j] >> 4
