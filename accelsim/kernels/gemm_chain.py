"""Matmuls whose sums are chains in fp32: blocked, packed, a tile of sums in registers.

Blocking changes the order in which outputs are worked on, never that of the products of one
output: k ascends, and a chain goes on where the block of k before it ended.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from accelsim.kernels.halves import whole
from accelsim.kernels.jit import COMPILED, kernel, parallel_kernel, prange
from accelsim.kernels.lanes import F32, I64, PANEL, TILE, Emitter
from accelsim.kernels.scalar_fma import fma32

ROWS = TILE.rows
_DEPTH = 384
"""k of one block: a panel of B and one of A stay in the first cache."""
_PACKED_DEPTH = 16
_ROW_PANELS = 24
"""Panels of A that one sweep over B panels reuses from the second cache."""


def _emit_tile(rows: int, emit: Emitter, signature: Any, values: Any) -> None:
    """Emit a tile of `rows` x PANEL sums over `depth` products each."""
    a, a_at, b, b_at, c, c_at, c_stride, depth, fold, fused = values
    builder = emit.builder
    left = emit.pointer(signature.args[0], a, a_at)
    right = emit.pointer(signature.args[2], b, b_at)
    corner = emit.pointer(signature.args[4], c, c_at)
    parts = range(PANEL // emit.lanes)
    places = [
        emit.at(corner, builder.add(builder.mul(c_stride, I64(i)), I64(v * emit.lanes)))
        for i in range(rows)
        for v in parts
    ]
    kept = [emit.load(place, F32) for place in places]
    zero = emit.constant(F32, 0.0)
    start = [builder.select(fold, zero, value) for value in kept]

    def products(k: Any, sums: list[Any], add: Any) -> list[Any]:
        row = builder.mul(k, I64(PANEL))
        columns = [
            emit.load_values(emit.at(right, builder.add(row, I64(v * emit.lanes)))) for v in parts
        ]
        first = builder.mul(k, I64(rows))
        scalars = [
            emit.splat(builder.load(emit.at(left, builder.add(first, I64(i))))) for i in range(rows)
        ]
        pairs = [(s, column) for s in scalars for column in columns]
        return [add(s, column, total) for (s, column), total in zip(pairs, sums, strict=True)]

    def one_rounding(x: Any, y: Any, total: Any) -> Any:
        return emit.call("fma", x, y, total)

    def two_roundings(x: Any, y: Any, total: Any) -> Any:
        return builder.fadd(builder.fmul(x, y), total)

    with builder.if_else(fused) as (then, otherwise):
        with then:
            once = emit.loop(depth, start, lambda k, sums: products(k, sums, one_rounding))
            from_once = builder.block
        with otherwise:
            twice = emit.loop(depth, start, lambda k, sums: products(k, sums, two_roundings))
            from_twice = builder.block
    totals = [builder.phi(x.type) for x in once]
    for total, x, y in zip(totals, once, twice, strict=True):
        total.add_incoming(x, from_once)
        total.add_incoming(y, from_twice)
    for place, value, total in zip(places, kept, totals, strict=True):
        emit.store(builder.select(fold, builder.fadd(value, total), total), place)


def _tile_kernel(rows: int) -> Any:
    """Make the micro-kernel of `rows` rows."""

    @intrinsic
    def tile(
        typing_context: Any, a: Any, a_at: Any, b: Any, b_at: Any, c: Any, c_at: Any,
        c_stride: Any, depth: Any, fold: Any, fused: Any,
    ) -> Any:  # fmt: skip
        """Add `depth` products to each of a tile of sums; `fold`: from zero, then to the sum."""
        signature = types.void(a, a_at, b, b_at, c, c_at, c_stride, depth, fold, fused)

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            _emit_tile(rows, Emitter(context, builder, TILE.lanes), signature, values)
            return context.get_dummy_value()

        return signature, generate

    return tile


def _plain_tile_kernel(rows: int) -> Any:
    """Make the same in plain Python, for processes that do not compile."""

    def tile(
        a: NDArray[np.float32], a_at: int, b: NDArray[Any], b_at: int,
        c: NDArray[np.float32], c_at: int, c_stride: int, depth: int, fold: bool, fused: bool,
    ) -> None:  # fmt: skip
        a, b, c = a.reshape(-1), whole(b.reshape(-1)), c.reshape(-1)
        for i in range(rows):
            for j in range(PANEL):
                place = c_at + i * c_stride + j
                total = np.float32(0.0) if fold else c[place]
                for k in range(depth):
                    x, y = a[a_at + k * rows + i], b[b_at + k * PANEL + j]
                    if fused:
                        total = np.float32(fma32(float(x), float(y), float(total)))
                    else:
                        total = x * y + total
                c[place] = c[place] + total if fold else total

    return tile


_make = _tile_kernel if COMPILED else _plain_tile_kernel
_many_rows = _make(ROWS)
_one_row = _make(1)


@parallel_kernel
def pack_k_first(x: NDArray[Any], out: NDArray[Any]) -> None:
    """Lay [t, k, n] out as panels [t, ceil(n / width), k, width], the last padded with zeros."""
    tiles, panels, depth, width = out.shape
    n = x.shape[2]
    if n < panels * width:
        out[:, panels - 1] = 0
    blocks = (depth + _PACKED_DEPTH - 1) // _PACKED_DEPTH
    for job in prange(tiles * blocks):
        t, first = job // blocks, job % blocks * _PACKED_DEPTH
        for p in range(panels):
            wide = min(width, n - p * width)
            for k in range(first, min(first + _PACKED_DEPTH, depth)):
                for j in range(wide):
                    out[t, p, k, j] = x[t, k, p * width + j]


@parallel_kernel
def pack_k_last(x: NDArray[Any], out: NDArray[Any]) -> None:
    """Lay [t, n, k] out as panels [t, ceil(n / width), k, width], the last padded with zeros."""
    tiles, panels, depth, width = out.shape
    n = x.shape[1]
    for job in prange(tiles * panels):
        t, p = job // panels, job % panels
        wide = min(width, n - p * width)
        panel, rows = out[t, p], x[t, p * width : p * width + wide]
        if wide < width:
            panel[:] = 0
        for k in range(depth):
            for i in range(wide):
                panel[k, i] = rows[i, k]


@kernel
def _edge_tile(
    a: NDArray[np.float32], a_at: int, b: NDArray[Any], b_at: int,
    out: NDArray[np.float32], corner: tuple[int, int], depth: int, fold: bool, fused: bool,
) -> None:  # fmt: skip
    """Work on a tile that hangs over the edge of `out`, in a buffer of its own."""
    row, col = corner
    high, wide = min(ROWS, out.shape[0] - row), min(PANEL, out.shape[1] - col)
    buffer = np.zeros((ROWS, PANEL), dtype=np.float32)
    for i in range(high):
        for j in range(wide):
            buffer[i, j] = out[row + i, col + j]
    _many_rows(a, a_at, b, b_at, buffer, 0, PANEL, depth, fold, fused)
    for i in range(high):
        for j in range(wide):
            out[row + i, col + j] = buffer[i, j]


@kernel
def _block(
    a: NDArray[np.float32], b: NDArray[Any], out: NDArray[np.float32],
    rows: tuple[int, int], panel: int, ks: tuple[int, int], fold: bool, fused: bool,
) -> None:  # fmt: skip
    """Add products ``k0 <= k < k1`` to the tiles of one panel of columns."""
    total_depth, n = b.shape[1], out.shape[1]
    k0, depth = ks[0], ks[1] - ks[0]
    b_at = (panel * total_depth + k0) * PANEL
    for p in range(rows[0], rows[1]):
        a_at = (p * total_depth + k0) * ROWS
        corner = (p * ROWS, panel * PANEL)
        if corner[0] + ROWS <= out.shape[0] and corner[1] + PANEL <= n:
            place = corner[0] * n + corner[1]
            _many_rows(a, a_at, b, b_at, out, place, n, depth, fold, fused)
        else:
            _edge_tile(a, a_at, b, b_at, out, corner, depth, fold, fused)


@kernel
def _span(
    a: NDArray[np.float32], b: NDArray[Any], out: NDArray[np.float32],
    panels: tuple[int, int], ks: tuple[int, int], fold: int, fused: bool,
) -> None:  # fmt: skip
    """Work on a span of panels of columns: blocks of k, of rows, then panel by panel."""
    row_panels = a.shape[0]
    step = fold if fold > 0 else _DEPTH
    for r0 in range(0, row_panels, _ROW_PANELS):
        r1 = min(row_panels, r0 + _ROW_PANELS)
        for k0 in range(ks[0], ks[1], step):
            k1 = min(ks[1], k0 + step)
            for panel in range(panels[0], panels[1]):
                _block(a, b, out, (r0, r1), panel, (k0, k1), fold > 0, fused)


@parallel_kernel
def chain_matmul(
    a: NDArray[np.float32],
    b: NDArray[Any],
    ks: tuple[int, int],
    fold: int,
    fused: bool,
    jobs: int,
    out: NDArray[np.float32],
) -> None:
    """Add ``a b`` to `out` ([t, m, n]): `a` packed by `pack_k_last` to ROWS rows, `b` to PANEL
    columns, as fp32 or as halves (see `accelsim.kernels.halves`).

    Only products ``ks[0] <= k < ks[1]`` are added. `fold` 0: one chain that starts from `out`.
    `jobs` spans of columns run side by side.
    """
    tiles, panels = b.shape[0], b.shape[1]
    for job in prange(tiles * jobs):
        t, part = job // jobs, job % jobs
        span = (part * panels // jobs, (part + 1) * panels // jobs)
        _span(a[t], b[t], out[t], span, ks, fold, fused)


@parallel_kernel
def chain_matvec(
    a: NDArray[np.float32],
    b: NDArray[Any],
    ks: tuple[int, int],
    fold: int,
    fused: bool,
    jobs: int,
    out: NDArray[np.float32],
) -> None:
    """Add ``a b`` to `out` ([t, m, n]) row by row, for few rows: `a` [t, m, k] as it is."""
    tiles, panels, depth = b.shape[0], b.shape[1], b.shape[2]
    m, n = out.shape[1], out.shape[2]
    step = fold if fold > 0 else max(ks[1] - ks[0], 1)
    for job in prange(tiles * jobs):
        t, part = job // jobs, job % jobs
        buffer = np.zeros(PANEL, dtype=np.float32)
        for panel in range(part * panels // jobs, (part + 1) * panels // jobs):
            col = panel * PANEL
            wide = min(PANEL, n - col)
            for i in range(m):
                for j in range(wide):
                    buffer[j] = out[t, i, col + j]
                for k0 in range(ks[0], ks[1], step):
                    size = min(step, ks[1] - k0)
                    _one_row(
                        a, (t * m + i) * depth + k0, b, ((t * panels + panel) * depth + k0) * PANEL,
                        buffer, 0, PANEL, size, fold > 0, fused,
                    )  # fmt: skip
                for j in range(wide):
                    out[t, i, col + j] = buffer[j]
