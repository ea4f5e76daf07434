"""Micro-kernels of aligned sums: a few rows by one vector of columns, many sums at once.

The same arithmetic as `accelsim.kernels.sums`, in float64 lanes: a term scaled by a power of two
is cut to an integer by the processor's own rounding, and sums of such integers are exact. What
lanes do not treat is reported: results beyond fp32, and products that might be.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from accelsim.kernels.halves import whole
from accelsim.kernels.jit import COMPILED
from accelsim.kernels.lanes import F32, F64, I32, I64, PANEL, TILE, Emitter
from accelsim.kernels.sums import FUSED, TWO_STAGE, SumRule, dot

ROWS = 4
_FAR = -(2**20)


class _Block:
    """Emits one block of products: alignment exponents, cut terms, their sum."""

    def __init__(self, emit: Emitter, rows: int, places: dict[str, Any]) -> None:
        self.emit, self.rows, self.places = emit, rows, places
        self.narrow = places["eb"].type.pointee

    def left(self, name: str, k: Any, i: int) -> Any:
        """Element of row i of A (or of its exponents) in every lane."""
        emit, builder = self.emit, self.emit.builder
        index = builder.add(builder.mul(k, I64(self.rows)), I64(i))
        return emit.splat(builder.load(emit.at(self.places[name], index)))

    def column_exponents(self, k: Any) -> Any:
        """Exponents of row k of the panel of B."""
        emit, builder = self.emit, self.emit.builder
        place = emit.at(self.places["eb"], builder.mul(k, I64(PANEL)))
        return builder.sext(emit.load(place, self.narrow), emit.vector(I32))

    def columns(self, k: Any) -> Any:
        """Row k of the panel of B, in float64."""
        emit, builder = self.emit, self.emit.builder
        place = emit.at(self.places["b"], builder.mul(k, I64(PANEL)))
        return builder.fpext(emit.load_values(place), emit.vector(F64))

    def largest(self, start: list[Any], first: Any, count: Any, step: int) -> list[Any]:
        """Largest exponent of `count` products from `first` on, and of `start`, by row."""
        emit, builder = self.emit, self.emit.builder

        def body(k: Any, found: list[Any]) -> list[Any]:
            at = builder.add(first, builder.mul(k, I64(step)))
            column = self.column_exponents(at)
            sums = [builder.add(self.left("ea", at, i), column) for i in range(self.rows)]
            return [emit.call("smax", old, new) for old, new in zip(found, sums, strict=True)]

        return emit.loop(count, start, body)

    def power(self, exponents: Any, negative: bool, bits: Any) -> Any:
        """2**(exponent - bits), or its inverse, in float64 lanes."""
        emit, builder = self.emit, self.emit.builder
        wide = builder.sub(builder.sext(exponents, emit.vector(I64)), bits)
        bias = emit.constant(I64, 1023)
        field = builder.sub(bias, wide) if negative else builder.add(bias, wide)
        return builder.bitcast(builder.shl(field, emit.constant(I64, 52)), emit.vector(F64))

    def cut_sum(
        self, scales: list[Any], start: list[Any], first: Any, count: Any, step: int
    ) -> list[Any]:
        """Products scaled and cut toward zero, added to `start`."""
        emit, builder = self.emit, self.emit.builder

        def body(k: Any, totals: list[Any]) -> list[Any]:
            at = builder.add(first, builder.mul(k, I64(step)))
            column = self.columns(at)
            results = []
            for i, (scale, total) in enumerate(zip(scales, totals, strict=True)):
                term = builder.fmul(builder.fmul(self.left("a", at, i), column), scale)
                results.append(builder.fadd(total, emit.call("trunc", term)))
            return results

        return emit.loop(count, start, body)

    def cut_groups(
        self, scales: list[Any], start: list[Any], first: Any, depth: Any, group: Any
    ) -> list[Any]:
        """Exact sums of `group` products scaled and cut toward zero, added to `start`."""
        emit, builder = self.emit, self.emit.builder
        zero = emit.constant(F64, 0.0)

        def products(begin: Any, size: Any) -> list[Any]:
            def body(k: Any, sums: list[Any]) -> list[Any]:
                at = builder.add(begin, k)
                column = self.columns(at)
                return [
                    emit.call("fma", self.left("a", at, i), column, total)
                    for i, total in enumerate(sums)
                ]

            return emit.loop(size, [zero] * self.rows, body)

        def one_group(g: Any, totals: list[Any]) -> list[Any]:
            done = builder.mul(g, group)
            size = smaller(builder, group, builder.sub(depth, done))
            terms = products(builder.add(first, done), size)
            return [
                builder.fadd(total, emit.call("trunc", builder.fmul(term, scale)))
                for term, scale, total in zip(terms, scales, totals, strict=True)
            ]

        groups = builder.sdiv(builder.add(depth, builder.sub(group, I64(1))), group)
        return emit.loop(groups, start, one_group)


def smaller(builder: Any, x: Any, y: Any) -> Any:
    """Emit the smaller of two integers."""
    return builder.select(builder.icmp_signed("<", x, y), x, y)


def _own_exponents(emit: Emitter, values: Any) -> Any:
    """Exponents of fp32 values held in float64 lanes."""
    builder = emit.builder
    bits = builder.bitcast(values, emit.vector(I64))
    field = builder.and_(builder.lshr(bits, emit.constant(I64, 52)), emit.constant(I64, 2047))
    narrow = builder.trunc(field, emit.vector(I32))
    exponent = builder.sub(narrow, emit.constant(I32, 1023))
    return emit.call("smax", exponent, emit.constant(I32, -126))


def _cut_fp32(emit: Emitter, values: Any, out_bits: Any) -> Any:
    """Float64 lanes toward zero into fp32 with `out_bits` of fraction; zeros become +0."""
    builder = emit.builder
    one = emit.constant(I64, 1)
    dropped = builder.sub(builder.shl(one, builder.sub(emit.constant(I64, 52), out_bits)), one)
    bits = builder.and_(builder.bitcast(values, emit.vector(I64)), builder.not_(dropped))
    normal = builder.bitcast(bits, emit.vector(F64))
    unit_field = builder.add(emit.constant(I64, 1023 + 126), out_bits)
    shift = emit.constant(I64, 52)
    unit = builder.bitcast(builder.shl(unit_field, shift), emit.vector(F64))
    inverse_field = builder.sub(emit.constant(I64, 1023 - 126), out_bits)
    inverse = builder.bitcast(builder.shl(inverse_field, shift), emit.vector(F64))
    tiny = builder.fmul(emit.call("trunc", builder.fmul(values, unit)), inverse)
    below = builder.fcmp_ordered("<", emit.call("fabs", values), emit.constant(F64, 2.0**-126))
    return builder.fadd(builder.select(below, tiny, normal), emit.constant(F64, 0.0))


def _fused_block(
    block: _Block, totals: list[Any], first: Any, depth: Any, p: dict[str, Any]
) -> list[Any]:
    """Emit one aligned sum with the accumulator (`fused_block`)."""
    emit, builder = block.emit, block.emit.builder
    own = [_own_exponents(emit, total) for total in totals]
    largest = block.largest(own, first, depth, 1)
    scales = [block.power(e, True, p["bits"]) for e in largest]
    start = [
        emit.call("trunc", builder.fmul(total, scale))
        for total, scale in zip(totals, scales, strict=True)
    ]
    if p["grouped"]:
        sums = block.cut_groups(scales, start, first, depth, p["group"])
    else:
        sums = block.cut_sum(scales, start, first, depth, 1)
    back = [block.power(e, False, p["bits"]) for e in largest]
    return [
        _cut_fp32(emit, builder.fmul(total, scale), p["out_bits"])
        for total, scale in zip(sums, back, strict=True)
    ]


def _floor_at(block: _Block, values: Any, exponents: Any, bits: Any) -> Any:
    """Multiples of 2**(exponent - bits) in values, toward minus infinity."""
    scale = block.power(exponents, True, bits)
    return block.emit.call("floor", block.emit.builder.fmul(values, scale))


def _one_sum(
    block: _Block, first: Any, depth: Any, step: int, bits: Any
) -> tuple[list[Any], list[Any]]:
    """Cut sums of every `step`-th product as values, and their largest exponents."""
    emit, builder = block.emit, block.emit.builder
    far = [emit.constant(I32, _FAR)] * block.rows
    count = builder.sdiv(builder.add(depth, I64(step - 1)), I64(step))
    largest = block.largest(far, first, count, step)
    scales = [block.power(e, True, bits) for e in largest]
    zeros = [emit.constant(F64, 0.0)] * block.rows
    sums = block.cut_sum(scales, zeros, first, count, step)
    back = [block.power(e, False, bits) for e in largest]
    return [builder.fmul(s, scale) for s, scale in zip(sums, back, strict=True)], largest


def _two_stage_block(
    block: _Block, totals: list[Any], first: Any, depth: Any, p: dict[str, Any]
) -> tuple[list[Any], list[Any]]:
    """Emit products apart, then with the accumulator (`two_stage_block`); and exponents."""
    emit, builder = block.emit, block.emit.builder
    sums, largest = _one_sum(block, first, depth, 2 if p["separate"] else 1, p["bits"])
    if p["separate"]:
        second = builder.add(first, I64(1))
        others, far = _one_sum(block, second, builder.sub(depth, I64(1)), 2, p["bits"])
        largest = [emit.call("smax", x, y) for x, y in zip(largest, far, strict=True)]
        sums = [
            builder.fmul(
                builder.fadd(_floor_at(block, x, e, p["bits"]), _floor_at(block, y, e, p["bits"])),
                block.power(e, False, p["bits"]),
            )
            for x, y, e in zip(sums, others, largest, strict=True)
        ]
    results = []
    for total, summed, e in zip(totals, sums, largest, strict=True):
        own = _own_exponents(emit, total)
        top = emit.call("smax", e, own)
        kept = total
        if p["separate"]:
            limit = builder.sub(top, emit.constant(I32, 25))
            dropped = builder.icmp_signed("<", own, limit)
            kept = builder.select(dropped, emit.constant(F64, 0.0), total)
        # The accumulator is cut coarser: in units of the sum's bits it counts 2**(difference).
        new = _floor_at(block, summed, top, p["sum_bits"])
        old = builder.fmul(
            _floor_at(block, kept, top, p["accumulator_bits"]),
            block.power(
                emit.constant(I32, 0), True, builder.sub(p["sum_bits"], p["accumulator_bits"])
            ),
        )
        value = builder.fmul(builder.fadd(new, old), block.power(top, False, p["sum_bits"]))
        narrow = builder.fptrunc(value, emit.vector(F32))
        zero = emit.constant(F64, 0.0)
        results.append(builder.fadd(builder.fpext(narrow, emit.vector(F64)), zero))
    return results, largest


def _emit_tile(emit: Emitter, signature: Any, values: Any, traits: tuple[int, int, bool]) -> Any:
    """Emit all blocks of a tile; the result tells whether a lane needs the exact form."""
    rows, family, special = traits
    rule, a, ea, a_at, b, eb, b_at, c, c_at, c_stride, depth = values
    builder = emit.builder
    field = {name: builder.extract_value(rule, i) for i, name in enumerate(SumRule._fields)}
    places = {
        "a": emit.pointer(signature.args[1], a, a_at),
        "ea": emit.pointer(signature.args[2], ea, a_at),
        "b": emit.pointer(signature.args[4], b, b_at),
        "eb": emit.pointer(signature.args[5], eb, b_at),
    }
    corner = emit.pointer(signature.args[7], c, c_at)
    outputs = [emit.at(corner, builder.mul(c_stride, I64(i))) for i in range(rows)]
    p: dict[str, Any] = {
        name: emit.splat(field[name])
        for name in ("bits", "sum_bits", "accumulator_bits", "out_bits")
    }
    p |= {"group": field["group"], "grouped": special, "separate": special}
    block = _Block(emit, rows, places)
    start = [builder.fpext(emit.load(place, F32), emit.vector(F64)) for place in outputs]
    quiet = emit.constant(ir.IntType(1), 0)

    def one_block(q: Any, carried: list[Any]) -> list[Any]:
        *totals, odd = carried
        first = builder.mul(q, field["block"])
        size = smaller(builder, field["block"], builder.sub(depth, first))
        if family == FUSED:
            results = _fused_block(block, totals, first, size, p)
        else:
            results, largest = _two_stage_block(block, totals, first, size, p)
            for e in largest:
                odd = builder.or_(odd, builder.icmp_signed(">=", e, emit.constant(I32, 126)))
        limit = emit.constant(F64, 2.0**128)
        for result in results:
            size_of = emit.call("fabs", result)
            odd = builder.or_(odd, builder.fcmp_unordered(">=", size_of, limit))
        return [*results, odd]

    whole = builder.sub(builder.add(depth, field["block"]), I64(1))
    blocks = builder.sdiv(whole, field["block"])
    *totals, odd = emit.loop(blocks, [*start, quiet], one_block)
    for total, place in zip(totals, outputs, strict=True):
        emit.store(builder.fptrunc(total, emit.vector(F32)), place)
    mask = builder.bitcast(odd, ir.IntType(emit.lanes))
    return builder.icmp_unsigned("!=", mask, ir.IntType(emit.lanes)(0))


def _tile_kernel(rows: int, family: int, special: bool) -> Any:
    """Make the micro-kernel of a family; `special`: grouped terms, or even and odd k apart."""

    @intrinsic
    def tile(
        typing_context: Any, rule: Any, a: Any, ea: Any, a_at: Any, b: Any, eb: Any, b_at: Any,
        c: Any, c_at: Any, c_stride: Any, depth: Any,
    ) -> Any:  # fmt: skip
        """Add `depth` products to a tile of sums; true where the exact form is needed."""
        signature = types.boolean(rule, a, ea, a_at, b, eb, b_at, c, c_at, c_stride, depth)

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            emit = Emitter(context, builder, TILE.lanes)
            return _emit_tile(emit, signature, values, (rows, family, special))

        return signature, generate

    return tile


def _plain_tile_kernel(rows: int, family: int, special: bool) -> Any:
    """Make the same in plain Python, for processes that do not compile."""

    def tile(
        rule: SumRule, a: NDArray[np.float64], ea: NDArray[np.int32], a_at: int,
        b: NDArray[Any], eb: NDArray[Any], b_at: int, c: NDArray[np.float32],
        c_at: int, c_stride: int, depth: int,
    ) -> bool:  # fmt: skip
        a, ea, b, eb, c = a.ravel(), ea.ravel(), b.ravel(), eb.ravel(), c.reshape(-1)
        for i in range(rows):
            left = slice(a_at + i, a_at + i + depth * rows, rows)
            for j in range(TILE.lanes):
                right = slice(b_at + j, b_at + j + depth * PANEL, PANEL)
                place = c_at + i * c_stride + j
                columns = whole(b[right]).astype(np.float64)
                aligned_by = ea[left].astype(np.int16)
                c[place] = dot(
                    rule, a[left], aligned_by, columns, eb[right].astype(np.int16), float(c[place])
                )
        return False

    return tile


_make = _tile_kernel if COMPILED else _plain_tile_kernel
fused_tile, fused_row = _make(ROWS, FUSED, False), _make(1, FUSED, False)
grouped_tile, grouped_row = _make(ROWS, FUSED, True), _make(1, FUSED, True)
two_stage_tile, two_stage_row = _make(ROWS, TWO_STAGE, False), _make(1, TWO_STAGE, False)
apart_tile, apart_row = _make(ROWS, TWO_STAGE, True), _make(1, TWO_STAGE, True)
