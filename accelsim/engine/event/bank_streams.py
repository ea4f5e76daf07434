"""From an op and its mapping to the tiles that it moves to and from the main memory.

Layouts, row-major unless said otherwise:

- A is [m, k], C is [m, n]. Weights B are [n, k], k contiguous: PyTorch keeps the weight of
  ``nn.Linear`` as [out_features, in_features], and so do checkpoints of Hugging Face and GGUF,
  whatever chip they run on. (Flax has [in, out]; XLA stores both in blocks of 8 x 128 on TPUs,
  which is not modelled.) A step along k of a tile is a short piece of many rows.
- Keys and values are [batch, position, KV head, head_dim], as FlashAttention takes them and vLLM
  keeps them in blocks; Q and O are [batch, position, head, head_dim]. A tile of one head is a
  short piece of many positions.
- Vector ops read and write contiguous pieces, one per core; tables are looked up row by row.

Cores at work at the same time cover a near-square patch of output tiles, as the mapping has it; a
tile that several cores share is read once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from accelsim.arch.chip import Chip
from accelsim.dtypes import dtype as find_dtype
from accelsim.engine.event.bank_walks import LINE_BYTES, Step, Walk
from accelsim.mapping.attention import AttentionMapping
from accelsim.mapping.fusion import Group
from accelsim.mapping.matmul import MatmulMapping
from accelsim.results.costs import OpCost
from accelsim.timing.dram.tiles import Tile
from accelsim.timing.gpu_vector import BYTES_PER_CORE
from accelsim.workload.ops import Attention, Conv, Gather, Op, OptimizerStep, Vector

_FETCH_BYTES = 256
"""Least that a step along k brings of each row to the banks: some steps of a kernel [B]. Matmuls of
8 to 64 tokens on A40 (GDDR6, Vidur) so come out 4 % above the measured time (median; with the fluid
memory 2 % below); with 128 B, which open a row for four bursts, they would take twice as long."""
_STATE_BYTES = 4.0
"""Of one number of an optimizer's state [B]."""


def walks_of(group: Group, cost: OpCost, chip: Chip) -> tuple[Walk, ...]:
    """State the loads and stores of a costed op as tiles.

    Parameters
    ----------
    group : Group
    cost : OpCost
        Of the group; its activity says how many bytes are read and written.
    chip : Chip

    Returns
    -------
    tuple of Walk
        One per operand that crosses the main memory; none where nothing does.

    Notes
    -----
    Bytes read beyond once per operand (sweeps over the output) go to the operands by their sizes.
    Inputs of a convolution count as contiguous; biases are left out.
    """
    placed, head = cost.placed, group.head
    if isinstance(placed, MatmulMapping) and not isinstance(head, Conv):
        walks = _matmul(group, placed)
    elif isinstance(placed, AttentionMapping) and isinstance(head, Attention):
        walks = _attention(group, head, placed)
    else:
        walks = _plain(group, chip)
    moved = cost.activity
    reads = _scaled((w for w in walks if not w.tile.is_write), moved.dram_read_bytes)
    writes = _scaled((w for w in walks if w.tile.is_write), moved.dram_write_bytes)
    return (*reads, *writes)


def _scaled(walks: Iterable[Walk], total_bytes: float) -> tuple[Walk, ...]:
    """Give walks the bytes that the op moves; where all stay on the chip, each its own."""
    found = list(walks)
    if total_bytes <= 0.0 or not found:
        return ()
    stated = math.fsum(walk.moved_bytes for walk in found)
    if stated <= 0.0:
        share = total_bytes / len(found)
        return tuple(replace(walk, moved_bytes=share) for walk in found)
    return tuple(
        replace(walk, moved_bytes=walk.moved_bytes * total_bytes / stated)
        for walk in found
        if walk.moved_bytes > 0.0
    )


def _tile(rows: int, row_bytes: int, pitch_bytes: int, *, is_write: bool = False) -> Tile:
    """A tile at address 0; whole rows of a matrix are one piece."""
    if row_bytes >= pitch_bytes:
        return Tile(0, 1, rows * pitch_bytes, rows * pitch_bytes, is_write)
    return Tile(0, rows, row_bytes, pitch_bytes, is_write)


class _Patch(NamedTuple):
    """Tiles at work at the same time: matrices of a batch, tiles along m and n, parts of k."""

    matrices: int
    along_m: int
    along_n: int
    parts: int


def _patch(mapping: MatmulMapping) -> _Patch:
    problem, tiling = mapping.problem, mapping.tiling
    tiles_m = math.ceil(problem.m / tiling.tile_m)
    tiles_n = math.ceil(problem.n / tiling.tile_n)
    outputs = max(1, int(mapping.cost.active_cores) // tiling.split_k)
    matrices = max(1, min(problem.batch, outputs // (tiles_m * tiles_n)))
    each = min(outputs // matrices, tiles_m * tiles_n)
    square = math.sqrt(each * tiling.tile_n / tiling.tile_m)
    along_m = max(1, min(tiles_m, round(square), each))
    along_n = max(1, min(tiles_n, each // along_m))
    return _Patch(matrices, min(tiles_m, each // along_n), along_n, tiling.split_k)


def _matmul(group: Group, mapping: MatmulMapping) -> list[Walk]:
    """A and B step by step along k, C and what its epilogue reads tile by tile."""
    problem, tiling, patch = mapping.problem, mapping.tiling, _patch(mapping)
    copies = float(problem.batch) * problem.k
    a_bytes = copies * problem.m * problem.a_bytes * problem.a_dram
    b_bytes = copies * problem.n * problem.b_bytes * problem.b_dram
    extra = max(0.0, group.traffic.inputs - group.head.traffic.inputs)
    return [
        _operand(problem.m, tiling.tile_m, problem.a_bytes, patch.along_m, mapping, patch, a_bytes),
        _operand(problem.n, tiling.tile_n, problem.b_bytes, patch.along_n, mapping, patch, b_bytes),
        _result(mapping, patch, 0.0 if group.input_on_chip else extra, is_write=False),
        _result(mapping, patch, 1.0, is_write=True),
    ]


def _operand(  # noqa: PLR0917  (one call for A, one for B)
    rows: int,
    tile_rows: int,
    element_bytes: float,
    along: int,
    mapping: MatmulMapping,
    patch: _Patch,
    moved_bytes: float,
) -> Walk:
    """Tiles of [rows, k]: a step along k in turn, then the next rows."""
    pitch = math.ceil(mapping.problem.k * element_bytes)
    part = math.ceil(pitch / patch.parts)
    step = min(part, max(_FETCH_BYTES, round(mapping.tiling.tile_k * element_bytes)))
    tile_rows = min(tile_rows, rows)
    onward = patch.matrices * rows if patch.matrices > 1 else along * tile_rows
    return Walk(
        _tile(tile_rows, step, pitch),
        (Step(patch.matrices, rows * pitch), Step(along, tile_rows * pitch),
         Step(patch.parts, part)),
        (Step(1, onward * pitch), Step(math.ceil(part / step), step)),
        moved_bytes,
    )  # fmt: skip


def _result(mapping: MatmulMapping, patch: _Patch, moved_bytes: float, *, is_write: bool) -> Walk:
    """Tiles of [m, n]: patch by patch along n, then along m."""
    problem, tiling = mapping.problem, mapping.tiling
    pitch = max(1, math.ceil(problem.n * problem.c_bytes))
    width = min(pitch, max(1, round(min(tiling.tile_n, problem.n) * problem.c_bytes)))
    rows = min(tiling.tile_m, problem.m)
    sweeps = math.ceil(problem.n / (patch.along_n * tiling.tile_n))
    onward = problem.m * patch.matrices if patch.matrices > 1 else patch.along_m * rows
    return Walk(
        _tile(rows, width, pitch, is_write=is_write),
        (Step(patch.matrices, problem.m * pitch), Step(patch.along_m, rows * pitch),
         Step(patch.along_n, width)),
        (Step(1, onward * pitch), Step(sweeps, patch.along_n * width)),
        moved_bytes,
    )  # fmt: skip


class _Heads(NamedTuple):
    """A tensor [batch, position, head, width] and how its tiles are shared out.

    `packed` heads lie in one tile; `parts` are ranges of positions that are walked side by side.
    """

    batch: int
    positions: int
    heads: int
    width_bytes: float
    tile_positions: int
    packed: int
    parts: int


def _attention(group: Group, op: Attention, mapping: AttentionMapping) -> list[Walk]:
    """K and V of every KV head position by position; Q and O of the heads that share one."""
    problem, tiling = mapping.problem, mapping.tiling
    traffic, active = group.traffic, int(mapping.cost.active_cores)
    share = op.heads // op.kv_heads
    fresh = 0.0 if group.input_on_chip else traffic.inputs
    q_bytes = find_dtype(op.dtype).bytes
    q_whole = op.batch * op.q_len * op.heads * op.head_dim * q_bytes
    q_moved = min(fresh, q_whole)
    kv_moved = traffic.cache_read + fresh - q_moved
    v_width = 0 if op.latent_kv else op.v_head_dim
    k_share = op.head_dim / (op.head_dim + v_width)
    keys = _Heads(
        op.batch, op.visible_kv_len, op.kv_heads, op.head_dim * problem.kv_bytes,
        tiling.tile_kv, 1, tiling.split_kv,
    )  # fmt: skip
    values = keys._replace(width_bytes=max(1.0, v_width * problem.kv_bytes))
    tile_q = max(1, tiling.tile_q // share)
    q = _Heads(op.batch, op.q_len, op.heads, op.head_dim * q_bytes, tile_q, share, 1)
    out = q._replace(width_bytes=op.v_head_dim * q_bytes)
    return [
        _by_head(keys, active, kv_moved * k_share),
        _by_head(values, active, kv_moved * (1.0 - k_share)),
        _by_head(q, active, q_moved),
        _by_head(out, active, 0.0 if group.output_on_chip else traffic.outputs, is_write=True),
        _pieces(traffic.cache_write, BYTES_PER_CORE, active, is_write=True),
    ]


def _by_head(t: _Heads, active: int, moved_bytes: float, *, is_write: bool = False) -> Walk:
    """Tiles of one head: heads, parts and sequences side by side as far as there are cores."""
    pitch = math.ceil(t.heads * t.width_bytes)
    width = min(pitch, max(1, round(t.packed * t.width_bytes)))
    parts = max(1, min(t.parts, t.positions))
    heads = max(1, min(t.heads // t.packed, active // parts))
    sequences = max(1, min(t.batch, active // (parts * heads)))
    span = math.ceil(t.positions / parts)
    rows = min(t.tile_positions, span)
    return Walk(
        _tile(rows, width, pitch, is_write=is_write),
        (Step(sequences, t.positions * pitch), Step(parts, span * pitch), Step(heads, width)),
        (
            Step(1, sequences * t.positions * pitch),
            Step(max(1, t.heads // (t.packed * heads)), heads * width),
            Step(math.ceil(span / rows), rows * pitch),
        ),
        moved_bytes,
    )


def _plain(group: Group, chip: Chip) -> list[Walk]:
    """Contiguous pieces of every tensor, one per core; rows of a table where they are looked up."""
    traffic, head, cores = group.traffic, group.head, chip.spec.cores
    piece = _piece_bytes(group.ops)
    reads, writes = _tensors(group)
    if isinstance(head, Gather):
        weights = [_lookup(head, cores, traffic.weights)]
    else:
        weights = _pieces_of(traffic.weights, reads[0], piece, cores)
    inputs = 0.0 if group.input_on_chip else traffic.inputs
    outputs = 0.0 if group.output_on_chip else traffic.outputs
    return [
        *weights,
        *_pieces_of(inputs, reads[1], piece, cores),
        _pieces(traffic.cache_read, piece, cores),
        *_pieces_of(traffic.weights_written, writes[0], piece, cores, is_write=True),
        *_pieces_of(outputs, writes[1], piece, cores, is_write=True),
        _pieces(traffic.cache_write, piece, cores, is_write=True),
    ]


def _tensors(group: Group) -> tuple[tuple[int, int], tuple[int, int]]:
    """Tensors of parameters and of activations that are read, and that are written."""
    head = group.head
    if isinstance(head, OptimizerStep):
        states = [max(1, round(b / _STATE_BYTES)) for b in (head.read_bytes, head.write_bytes)]
        return (states[0], 1), (states[1], 1)
    if not isinstance(head, Vector):
        return (1, 1), (1, 1)
    size = head.elements * find_dtype(head.dtype).bytes
    inputs, outputs = (round(b / size) for b in (group.traffic.inputs, group.traffic.outputs))
    return (1, max(1, inputs)), (1, max(1, outputs))


def _piece_bytes(ops: Sequence[Op]) -> float:
    """What a core takes at a time: a row where rows are reduced, else some lines [B]."""
    rows = (
        op.cols * find_dtype(op.dtype).bytes
        for op in ops
        if isinstance(op, Vector) and op.function.reductions
    )
    return max(BYTES_PER_CORE, *rows, 0.0)


def _pieces_of(
    moved_bytes: float, tensors: int, piece_bytes: float, cores: int, *, is_write: bool = False
) -> list[Walk]:
    """Contiguous pieces of equal tensors."""
    each = moved_bytes / tensors
    return [_pieces(each, piece_bytes, cores, is_write=is_write) for _ in range(tensors)]


def _pieces(moved_bytes: float, piece_bytes: float, cores: int, *, is_write: bool = False) -> Walk:
    """Contiguous pieces, one per core, then the next."""
    size = math.ceil(piece_bytes / LINE_BYTES) * LINE_BYTES
    side = max(1, min(cores, math.ceil(moved_bytes / size)))
    tile = Tile(0, 1, size, size, is_write)
    return Walk(tile, (Step(side, size),), (Step(1, side * size),), moved_bytes)


def _lookup(op: Gather, cores: int, moved_bytes: float) -> Walk:
    """Rows of a table, at places that a hash draws."""
    row = max(1, math.ceil(op.cols * find_dtype(op.weight_dtype).bytes))
    tile, side = Tile(0, 1, row, row), max(1, min(cores, op.rows))
    return Walk(tile, (Step(side, 0),), (Step(1, 0),), moved_bytes, places=op.table_rows)
