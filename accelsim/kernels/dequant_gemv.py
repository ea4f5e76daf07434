"""Few rows times narrow weights: codes become operands in registers and never lie wide in memory.

Codes lie in panels like those of `accelsim.kernels.gemm_chain`: uint8 [panels, k, PANEL] of 8
bits, in two's complement; [panels, ceil(k / 2), PANEL] of 4 bits, raised by 8, that of the even k
in the low half of the byte. Scales and zero points (those of 4 bits raised by 8 too) are float32
[panels, groups, PANEL], a group being `group` consecutive k.

Notes
-----
A weight is ``w = (code - zero) scale`` in fp32, rounded to the operand of the matrix unit. It
enters the sum of its column by one IEEE fma, k ascending: the bits are those of a matmul with
weights that were dequantised beforehand. With e the power of two at or below |w| and ``m = 1.5 2^d
e``, where the operand has d fraction bits fewer than fp32, ``(w + m) - m`` is w rounded to nearest
even, for the unit in the last place of m is that of the operand at w. Below the smallest normal
value of the operand e stays there. w must be zero or normal in fp32 even when divided by 16, and
far from overflow. Where w rounds to -0 comes +0, which no sum tells apart: fp16 alone has such w,
and its products never underflow in fp32.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from accelsim.kernels.jit import COMPILED, kernel, parallel_kernel, prange
from accelsim.kernels.lanes import F32, I32, I64, PANEL, TILE, Emitter
from accelsim.kernels.scalar_fma import fma32

FEW_ROWS = 4
"""Most rows of `dequant_matvec`."""
_EXPONENT = 0x7F800000
_TWO_23 = 0x4B000000
"""The word of 2^23: with a code in its low bits it is the float 2^23 + code."""
_I8 = ir.IntType(8)


class Cut(NamedTuple):
    """How a weight is rounded to the operand.

    Attributes
    ----------
    lift : float
        ``1.5 2^d`` with d the fraction bits that fp32 has more; 0 where nothing is rounded.
    least : float
        Smallest normal value of the operand; 0 where it is that of fp32.
    """

    lift: float
    least: float


class _Lanes:
    """Turns codes into operands, one register of columns at a time."""

    def __init__(self, emit: Emitter, lift: Any, least: Any) -> None:
        self.emit, self.lift, self.least = emit, emit.splat(lift), emit.splat(least)
        self.drop = emit.builder.fneg(self.lift)

    def _integer(self, value: int) -> Any:
        return ir.Constant(self.emit.vector(I32), [I32(value)] * self.emit.lanes)

    def words(self, pointer: Any, signed: bool) -> Any:
        """Load bytes as 32-bit integers."""
        emit, builder = self.emit, self.emit.builder
        narrow = builder.load(builder.bitcast(pointer, emit.vector(_I8).as_pointer()))
        narrow.align = 1
        widen = builder.sext if signed else builder.zext
        return widen(narrow, emit.vector(I32))

    def code(self, words: Any, part: int, bits: int) -> Any:
        """Return codes as floats; of 4 bits raised by 2^23, those in high halves sixteenfold."""
        builder, floats = self.emit.builder, self.emit.vector(F32)
        if bits == 8:
            return builder.sitofp(words, floats)
        half = builder.and_(words, self._integer(240 if part else 15))
        return builder.bitcast(builder.or_(half, self._integer(_TWO_23)), floats)

    def shifted(self, zero: Any, scale: Any, part: int, bits: int) -> tuple[Any, Any]:
        """Return the zero point and scale that undo what `code` does; all of it is exact."""
        if bits == 8:
            return zero, scale
        builder, constant = self.emit.builder, self.emit.constant
        if part:
            zero = builder.fmul(zero, constant(F32, 16.0))
            scale = builder.fmul(scale, constant(F32, 1 / 16))
        return builder.fadd(zero, constant(F32, 2.0**23)), scale

    def operand(self, code: Any, zero: Any, scale: Any, subnormals: bool) -> Any:
        """Dequantise and round."""
        builder, floats = self.emit.builder, self.emit.vector(F32)
        weight = builder.fmul(builder.fsub(code, zero), scale)
        bits = builder.bitcast(weight, self.emit.vector(I32))
        power = builder.bitcast(builder.and_(bits, self._integer(_EXPONENT)), floats)
        if subnormals:
            above = builder.fcmp_ordered(">", power, self.least)
            power = builder.select(above, power, self.least)
        lifted = self.emit.call("fma", power, self.lift, weight)
        return self.emit.call("fma", power, self.drop, lifted)


def _emit_run(rows: int, bits: int, emit: Emitter, signature: Any, values: Any) -> None:
    """Emit the sums of `rows` rows and one panel over a run of k with the same scales."""
    a, a_at, codes, codes_at, scales, zeros, scales_at, sums, count, lift, least = values
    builder, args, lanes = emit.builder, signature.args, _Lanes(emit, lift, least)
    vectors, halves = range(PANEL // emit.lanes), range(8 // bits)
    left, right = emit.pointer(args[0], a, a_at), emit.pointer(args[2], codes, codes_at)
    corner = emit.pointer(args[7], sums, I64(0))

    def columns(kind: Any, array: Any) -> list[Any]:
        start = emit.pointer(kind, array, scales_at)
        return [emit.load(emit.at(start, v * emit.lanes), F32) for v in vectors]

    pairs = list(zip(columns(args[5], zeros), columns(args[4], scales), strict=True))
    steps = [[lanes.shifted(z, s, half, bits) for z, s in pairs] for half in halves]

    def products(subnormals: bool, index: Any, totals: list[Any]) -> list[Any]:
        line = emit.at(right, builder.mul(index, I64(PANEL)))
        words = [lanes.words(emit.at(line, v * emit.lanes), bits == 8) for v in vectors]
        for half in halves:
            weights = [
                lanes.operand(lanes.code(word, half, bits), *step, subnormals)
                for word, step in zip(words, steps[half], strict=True)
            ]
            k = builder.add(builder.mul(index, I64(8 // bits)), I64(half))
            first = builder.mul(k, I64(rows))
            scalars = [
                emit.splat(builder.load(emit.at(left, builder.add(first, I64(i)))))
                for i in range(rows)
            ]
            factors = [(x, weight) for x in scalars for weight in weights]
            totals = [
                emit.call("fma", *pair, total) for pair, total in zip(factors, totals, strict=True)
            ]
        return totals

    places = [emit.at(corner, i * PANEL + v * emit.lanes) for i in range(rows) for v in vectors]
    start = [emit.load(place, F32) for place in places]
    has_subnormals = builder.fcmp_ordered(">", least, F32(0.0))
    with builder.if_else(has_subnormals) as branches:
        for branch, subnormals in zip(branches, (True, False), strict=True):
            with branch:
                ends = emit.loop(count, start, partial(products, subnormals))
                for place, total in zip(places, ends, strict=True):
                    emit.store(total, place)


def _compiled_run(rows: int, bits: int) -> Any:
    """Make the micro-kernel of `rows` rows."""

    @intrinsic
    def run(
        typing_context: Any, a: Any, a_at: Any, codes: Any, codes_at: Any, scales: Any,
        zeros: Any, scales_at: Any, sums: Any, count: Any, lift: Any, least: Any,
    ) -> Any:  # fmt: skip
        """Add the products of `count` lines of codes to `sums` [rows, PANEL]."""
        signature = types.void(
            a, a_at, codes, codes_at, scales, zeros, scales_at, sums, count, lift, least
        )

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            _emit_run(rows, bits, Emitter(context, builder, TILE.lanes), signature, values)
            return context.get_dummy_value()

        return signature, generate

    return run


def _plain_run(rows: int, bits: int) -> Any:
    """Make the same in plain Python, for processes that do not compile."""

    def run(
        a: NDArray[np.float32], a_at: int, codes: NDArray[np.uint8], codes_at: int,
        scales: NDArray[np.float32], zeros: NDArray[np.float32], scales_at: int,
        sums: NDArray[np.float32], count: int, lift: float, least: float,
    ) -> None:  # fmt: skip
        lines = codes.reshape(-1, PANEL)[codes_at // PANEL :]
        group = scales_at // PANEL
        line = np.zeros(PANEL, dtype=np.float32)
        for k in range(count * 8 // bits):
            dequantise_line(
                lines, scales.reshape(-1, PANEL)[group], zeros.reshape(-1, PANEL)[group], bits, k,
                Cut(lift, least), line,
            )  # fmt: skip
            add_line(a.reshape(-1)[a_at + k * rows : a_at + (k + 1) * rows], line, sums)

    return run


_make = _compiled_run if COMPILED else _plain_run
_one_row_4, _few_rows_4 = _make(1, 4), _make(FEW_ROWS, 4)
_one_row_8, _few_rows_8 = _make(1, 8), _make(FEW_ROWS, 8)


@kernel
def dequantise_line(
    codes: NDArray[np.uint8],
    scale: NDArray[np.float32],
    zero: NDArray[np.float32],
    bits: int,
    k: int,
    cut: Cut,
    out: NDArray[np.float32],
) -> None:
    """Write the operands of one k of one panel; `codes` [lines, PANEL]."""
    lift, least = np.float32(cut.lift), np.float32(cut.least)
    line = codes[k] if bits == 8 else codes[k // 2]
    shift = 4 * (k % 2)
    for j in range(PANEL):
        code = np.int32(line[j])
        code = (code ^ 128) - 128 if bits == 8 else (code >> shift) & 15
        weight = np.float32((np.float32(code) - zero[j]) * scale[j])
        power = np.int32(weight.view(np.int32) & _EXPONENT).view(np.float32)
        anchor = np.float32(max(power, least) * lift)
        out[j] = (weight + anchor) - anchor


@kernel
def add_line(
    x: NDArray[np.float32], weights: NDArray[np.float32], sums: NDArray[np.float32]
) -> None:
    """Add the products of one k with a panel to `sums` [rows, PANEL]."""
    for i in range(x.size):
        for j in range(PANEL):
            sums[i, j] = np.float32(
                fma32(np.float64(x[i]), np.float64(weights[j]), np.float64(sums[i, j]))
            )


@kernel
def _add_run(
    a: NDArray[np.float32], codes: NDArray[np.uint8], scales: NDArray[np.float32],
    zeros: NDArray[np.float32], where: tuple[int, int, int], bits: int, cut: Cut,
    ks: tuple[int, int], line: NDArray[np.float32], sums: NDArray[np.float32],
) -> None:  # fmt: skip
    """Add the products ``ks[0] <= k < ks[1]``, all of one group; `where`: panel, k0, group."""
    panel, origin, group = where
    lift, least = np.float32(cut.lift), np.float32(cut.least)
    rows = sums.shape[0]
    at = (panel * scales.shape[1] + group) * PANEL
    first, last = ks[0], ks[1]
    if bits == 8:
        codes_at = (panel * codes.shape[1] + first) * PANEL
        a_at, count = (first - origin) * rows, last - first
        if rows == 1:
            _one_row_8(a, a_at, codes, codes_at, scales, zeros, at, sums, count, lift, least)
        else:
            _few_rows_8(a, a_at, codes, codes_at, scales, zeros, at, sums, count, lift, least)
        return
    if first % 2 == 1:
        dequantise_line(
            codes[panel], scales[panel, group], zeros[panel, group], bits, first, cut, line
        )
        add_line(a[first - origin], line, sums)
        first += 1
    codes_at = (panel * codes.shape[1] + first // 2) * PANEL
    a_at, count = (first - origin) * rows, max(last - first, 0) // 2
    if rows == 1:
        _one_row_4(a, a_at, codes, codes_at, scales, zeros, at, sums, count, lift, least)
    else:
        _few_rows_4(a, a_at, codes, codes_at, scales, zeros, at, sums, count, lift, least)
    if first + 2 * count < last:
        k = last - 1
        dequantise_line(codes[panel], scales[panel, group], zeros[panel, group], bits, k, cut, line)
        add_line(a[k - origin], line, sums)


@parallel_kernel
def dequant_matvec(
    a: NDArray[np.float32],
    codes: NDArray[np.uint8],
    scales: NDArray[np.float32],
    zeros: NDArray[np.float32],
    group: int,
    bits: int,
    cut: Cut,
    ks: tuple[int, int],
    fold: int,
    out: NDArray[np.float32],
) -> None:
    """Write the sums of ``a w`` over ``ks[0] <= k < ks[1]`` to `out` ([m, n]).

    `a` is [k, rows], rounded to the operand, with 1 or `FEW_ROWS` rows, the last ones zero where m
    is less. `fold` 0: one chain from zero. Otherwise `fold` products at a time are summed from zero
    and their sums added.
    """
    rows = a.shape[1]
    m, n = out.shape
    step = fold if fold > 0 else max(ks[1] - ks[0], 1)
    for panel in prange(codes.shape[0]):
        line = np.zeros(PANEL, dtype=np.float32)
        totals = np.zeros((rows, PANEL), dtype=np.float32)
        sums = np.zeros((rows, PANEL), dtype=np.float32)
        for first in range(ks[0], ks[1], step):
            last = min(first + step, ks[1])
            sums[:, :] = np.float32(0.0)
            k0 = first
            while k0 < last:
                k1 = min((k0 // group + 1) * group, last)
                where = (panel, 0, k0 // group)
                _add_run(a, codes, scales, zeros, where, bits, cut, (k0, k1), line, sums)
                k0 = k1
            for i in range(rows):
                for j in range(PANEL):
                    totals[i, j] = totals[i, j] + sums[i, j] if fold > 0 else sums[i, j]
        col = panel * PANEL
        for i in range(m):
            for j in range(min(PANEL, n - col)):
                out[i, col + j] = totals[i, j]


@parallel_kernel
def dequantise_panels(
    codes: NDArray[np.uint8],
    scales: NDArray[np.float32],
    zeros: NDArray[np.float32],
    group: int,
    bits: int,
    cut: Cut,
    out: NDArray[np.float32],
) -> None:
    """Write all operands to panels [panels, k, PANEL], for matmuls of many rows."""
    for panel in prange(out.shape[0]):
        for k in range(out.shape[1]):
            g = k // group
            dequantise_line(
                codes[panel], scales[panel, g], zeros[panel, g], bits, k, cut, out[panel, k]
            )


@parallel_kernel
def pack_nibbles(codes: NDArray[np.int8], out: NDArray[np.uint8]) -> None:
    """Lay 4-bit codes [n, k] out as panels of two per byte; `out` starts as zeros."""
    n, depth = codes.shape
    for panel in prange(out.shape[0]):
        col = panel * PANEL
        for k in range(depth):
            for j in range(min(PANEL, n - col)):
                raised = np.int32(codes[col + j, k]) + 8
                out[panel, k // 2, j] |= np.uint8(raised << (4 * (k % 2)))
