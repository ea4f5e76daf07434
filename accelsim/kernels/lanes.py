"""Vector code written out: what micro-kernels need of LLVM, and the tile a processor holds.

A micro-kernel keeps a tile of sums in vector registers, which no compiler does reliably for loops
over arrays. So its instructions are emitted here one by one, as LLVM vectors of any width: every
processor runs them, and the widths below only make them fast. Bits do not depend on widths.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import llvmlite.binding
from llvmlite import ir

F32, F64 = ir.FloatType(), ir.DoubleType()
I16, I32, I64 = ir.IntType(16), ir.IntType(32), ir.IntType(64)


class Tile(NamedTuple):
    """Rows and columns of the tile that registers hold, and fp32 lanes of one register."""

    rows: int
    cols: int
    lanes: int


def _host_tile() -> Tile:
    """Choose the tile that fills the registers of this processor without spilling."""
    features = llvmlite.binding.get_host_cpu_features()
    if features.get("avx512f"):
        return Tile(12, 32, 16)  # 24 of 32 registers of 512 bits hold sums
    if features.get("avx"):
        return Tile(6, 16, 8)  # 12 of 16 registers of 256 bits
    return Tile(8, 12, 4)  # 24 of 32 registers of 128 bits


TILE = _host_tile()
PANEL = TILE.cols
"""Columns of one panel of a packed right operand."""


class Emitter:
    """Emits vector instructions of one lane count into a function that numba is compiling."""

    def __init__(self, context: Any, builder: Any, lanes: int) -> None:
        self.context, self.builder, self.lanes = context, builder, lanes

    def vector(self, element: ir.Type) -> ir.VectorType:
        """Type of a vector of `element`."""
        return ir.VectorType(element, self.lanes)

    def pointer(self, array_type: Any, array: Any, offset: Any) -> Any:
        """Address of element `offset` of a contiguous array."""
        data = self.context.make_array(array_type)(self.context, self.builder, array).data
        return self.builder.gep(data, [offset])

    def at(self, pointer: Any, index: Any) -> Any:
        """Address `index` elements further."""
        return self.builder.gep(pointer, [I64(index) if isinstance(index, int) else index])

    def load(self, pointer: Any, element: ir.Type) -> Any:
        """Load consecutive elements."""
        wide = self.builder.bitcast(pointer, self.vector(element).as_pointer())
        value = self.builder.load(wide)
        value.align = 4
        return value

    def load_values(self, pointer: Any) -> Any:
        """Load consecutive fp32 values, or upper halves of them (see `halves`), as fp32."""
        if pointer.type.pointee == F32:
            return self.load(pointer, F32)
        builder = self.builder
        half = builder.load(builder.bitcast(pointer, self.vector(I16).as_pointer()))
        half.align = 2
        sixteen = ir.Constant(self.vector(I32), [I32(16)] * self.lanes)
        words = builder.shl(builder.zext(half, self.vector(I32)), sixteen)
        return builder.bitcast(words, self.vector(F32))

    def store(self, value: Any, pointer: Any) -> None:
        """Store consecutive elements."""
        wide = self.builder.bitcast(pointer, value.type.as_pointer())
        self.builder.store(value, wide).align = 4

    def splat(self, scalar: Any) -> Any:
        """Repeat a scalar in every lane."""
        kind = self.vector(scalar.type)
        blank = ir.Constant(kind, ir.Undefined)
        first = self.builder.insert_element(blank, scalar, I32(0))
        return self.builder.shuffle_vector(first, blank, ir.Constant(self.vector(I32), None))

    def constant(self, element: ir.Type, value: float) -> Any:
        """Repeat a constant in every lane."""
        return ir.Constant(self.vector(element), [element(value)] * self.lanes)

    def call(self, name: str, *values: Any) -> Any:
        """Call an LLVM intrinsic of vectors, for example ``fma``."""
        kind = values[0].type
        bits = {F32: "f32", F64: "f64", I32: "i32", I64: "i64"}[kind.element]
        signature = ir.FunctionType(kind, [v.type for v in values])
        full = f"llvm.{name}.v{self.lanes}{bits}"
        function = self.builder.module.globals.get(full)
        if function is None:
            function = ir.Function(self.builder.module, signature, full)
        return self.builder.call(function, values)

    def loop(
        self,
        count: Any,
        carried: Sequence[Any],
        body: Callable[[Any, list[Any]], list[Any]],
    ) -> list[Any]:
        """Emit ``for k in range(count): carried = body(k, carried)`` and return the last values."""
        builder = self.builder
        before = builder.block
        inside, after = builder.append_basic_block("lanes"), builder.append_basic_block("after")
        builder.cbranch(builder.icmp_signed(">", count, I64(0)), inside, after)
        builder.position_at_end(inside)
        k = builder.phi(I64)
        k.add_incoming(I64(0), before)
        values = []
        for start in carried:
            phi = builder.phi(start.type)
            phi.add_incoming(start, before)
            values.append(phi)
        results = body(k, values)
        following = builder.add(k, I64(1))
        last = builder.block
        k.add_incoming(following, last)
        for phi, result in zip(values, results, strict=True):
            phi.add_incoming(result, last)
        builder.cbranch(builder.icmp_signed("<", following, count), inside, after)
        builder.position_at_end(after)
        ends = []
        for start, result in zip(carried, results, strict=True):
            phi = builder.phi(start.type)
            phi.add_incoming(start, before)
            phi.add_incoming(result, last)
            ends.append(phi)
        return ends
