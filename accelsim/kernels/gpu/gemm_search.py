"""The fastest grid for a matmul on a GPU: every tile that libraries offer, both ways round.

A grid is costed only where a lower bound leaves it a chance. What runs for every grid is inlined:
to hand over the record of a processor takes as long as the bound.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

from accelsim.kernels.folds import ceil_div
from accelsim.kernels.gpu.gemm import (
    MOST_LANE_SUMS,
    MOST_SUMS,
    blocks_per_core,
    demand_of,
    grid_cost,
    grid_of,
    least_s,
    step_bytes,
)
from accelsim.kernels.gpu.gemv import MOST_VECTORS, vector_cost
from accelsim.kernels.gpu.grid import BlockCost, BlockTile, Demand
from accelsim.kernels.gpu.processor import Processor
from accelsim.kernels.jit import inlined, kernel, parallel_kernel
from accelsim.kernels.machine import store
from accelsim.kernels.matmul import MatmulCost, Problem, Tiling, problem_at

_SIDES = (16, 32, 64, 128, 256)
_WIDE_SIDES = (64, 128, 192, 256)
_NARROW_SIDES = (16, 32, 64, 96, 128, 160, 192, 224, 256)
_LEAST_LANE_SIDE = 32
_STAGES = (2, 4)
"""Steps of operands in shared memory; two where copies pass through registers."""
_MOST_SPLIT = 64
_LEAST_DEPTH = 128
"""Products of a sum below which k is not split further."""
_MOST_BLOCKS_PER_CORE = 8
"""Blocks per core above which splitting k cannot fill anything."""
_ROUNDING = 1.0 - 1e-9
"""A lower bound and a cost add up in different orders: what they may differ by and be equal."""
_NO_TILE = BlockTile(0, 0, 0, 0)
_NO_COST = BlockCost(np.inf, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


@kernel
def _turned(problem: Problem) -> Problem:
    """The same product with A and B exchanged: C transposed."""
    return Problem(
        problem.batch, problem.n, problem.m, problem.k, problem.b_bytes, problem.a_bytes,
        problem.c_bytes, problem.b_dram, problem.a_dram, problem.c_dram,
    )  # fmt: skip


@kernel
def _next_split(split: int, filling: int) -> int:
    """Powers of two, and between them the split that just fills the cores."""
    power = 1
    while power <= split:
        power *= 2
    return filling if split < filling < power else power


@kernel
def _held(processor: Processor, tile_m: int, tile_n: int) -> tuple[float, float]:
    """Blocks of a tile that a core holds with each of `_STAGES`; 0 for those that nobody builds."""
    shallow = blocks_per_core(processor, BlockTile(tile_m, tile_n, 1, _STAGES[0]))
    if processor.through_registers == 1:
        return shallow, 0.0
    return shallow, blocks_per_core(processor, BlockTile(tile_m, tile_n, 1, _STAGES[1]))


@inlined
def _best_depth(
    processor: Processor,
    problem: Problem,
    demand: Demand,
    tile: BlockTile,
    held: tuple[float, float],
    limit_s: float,
) -> tuple[BlockTile, BlockCost]:
    """Try every depth of the pipeline of one grid that may take no longer than `limit_s`."""
    best, least = _NO_TILE, _NO_COST
    grid = grid_of(processor, problem, demand, tile)
    for depth in range(len(_STAGES)):
        if held[depth] < 1.0:
            continue
        staged = BlockTile(tile.tile_m, tile.tile_n, tile.split_k, _STAGES[depth])
        bound_s = least_s(processor, demand, grid, staged, held[depth])
        if bound_s * _ROUNDING <= min(limit_s, least.latency_s):
            cost = grid_cost(processor, problem, demand, grid, staged, held[depth])
            if cost.latency_s < least.latency_s:
                best, least = staged, cost
    return best, least


@inlined
def _best_split(
    processor: Processor,
    problem: Problem,
    demand: Demand,
    tile_m: int,
    tile_n: int,
    splits: int,
    limit_s: float,
) -> tuple[BlockTile, BlockCost, int]:
    """Try every split of k and depth of the pipeline for one tile.

    Those that are sure to take longer than `limit_s` count as tried and are not costed.
    """
    best, least = _NO_TILE, _NO_COST
    held = _held(processor, tile_m, tile_n)
    depths = (1 if held[0] >= 1.0 else 0) + (1 if held[1] >= 1.0 else 0)
    if depths == 0:
        return best, least, 0
    tried = 0
    tiles = 1.0 * problem.batch * ceil_div(problem.m, tile_m) * ceil_div(problem.n, tile_n)
    filling = min(int(processor.cores / tiles), problem.k // _LEAST_DEPTH)
    split = 1
    while split <= splits:
        deep = problem.k // split >= _LEAST_DEPTH
        if split > 1 and (not deep or tiles * split > processor.cores * _MOST_BLOCKS_PER_CORE):
            break
        tried += depths
        within_s = min(limit_s, least.latency_s)
        plain = BlockTile(tile_m, tile_n, split, _STAGES[0])
        tile, cost = _best_depth(processor, problem, demand, plain, held, within_s)
        if cost.latency_s < least.latency_s:
            best, least = tile, cost
        split = _next_split(split, filling)
    return best, least, tried


@kernel
def _too_wide(side: int, size: int) -> bool:
    """Tell whether half of a tile's side would cover the whole size."""
    return side > 64 and side // 2 >= size


@kernel
def _best_tile(
    processor: Processor, problem: Problem, splits: int, limit_s: float
) -> tuple[BlockTile, BlockCost, int]:
    """Try every tile one way round, `limit_s` as in `_best_split`; of equals the first listed wins.

    The largest come first: they are mostly the fastest, and rule out the others. Batches of fp32
    matrices, and of any that lanes multiply, run in square tiles of one size whatever the size of
    a matrix, without parts of sums.
    """
    demand = demand_of(processor, problem)
    side = processor.batched_side
    if side > 0 and problem.batch > 1:
        return _best_split(processor, problem, demand, side, side, 1, limit_s)
    best, least = _NO_TILE, _NO_COST
    tried = 0
    wide = processor.asynchronous == 1
    most = MOST_LANE_SUMS if processor.lanes == 1 else MOST_SUMS
    rows = len(_WIDE_SIDES) if wide else len(_SIDES)
    cols = len(_NARROW_SIDES) if wide else len(_SIDES)
    for row in range(rows - 1, -1, -1):
        tile_m = _WIDE_SIDES[row] if wide else _SIDES[row]
        if _too_wide(tile_m, problem.m):
            continue
        for col in range(cols - 1, -1, -1):
            tile_n = _NARROW_SIDES[col] if wide else _SIDES[col]
            if _too_wide(tile_n, problem.n):
                continue
            thin = processor.lanes == 1 and min(tile_m, tile_n) < _LEAST_LANE_SIDE
            if thin or tile_m * tile_n > most:
                continue
            within_s = min(limit_s, least.latency_s)
            tile, cost, count = _best_split(
                processor, problem, demand, tile_m, tile_n, splits, within_s
            )
            tried += count
            if count > 0 and cost.latency_s <= least.latency_s:
                best, least = tile, cost
    return best, least, tried


@kernel
def search_blocks(processor: Processor, problem: Problem) -> tuple[Tiling, MatmulCost, int]:
    """Try every tile; return the best as a tiling, its cost and the number of candidates.

    Notes
    -----
    Matmuls of integers and of formats with scales of blocks do not split k: their libraries add
    no parts (SmoothQuant kernels of TensorRT-LLM on A100 run 1,024 steps alone).
    """
    splits = 1 if processor.whole_sums == 1 else _MOST_SPLIT
    tile, cost, tried = _best_tile(processor, problem, splits, np.inf)
    other, turned, more = _best_tile(processor, _turned(problem), splits, cost.latency_s)
    depth = int(step_bytes(processor) / max(problem.a_bytes, problem.b_bytes))
    tiling = Tiling(tile.tile_m, tile.tile_n, depth, 0, tile.split_k)
    if turned.latency_s < cost.latency_s:
        cost = turned
        tiling = Tiling(other.tile_n, other.tile_m, depth, 0, other.split_k)
    tried += more
    vectors = min(problem.m, problem.n)
    if vectors <= (MOST_VECTORS if processor.integers == 1 and problem.batch == 1 else 1):
        plain = vector_cost(processor, problem)
        tried += 1
        if plain.latency_s < cost.latency_s:
            cost = plain
            tiling = Tiling(min(problem.m, vectors), min(problem.n, vectors), problem.k, 0, 1)
    found = MatmulCost(
        cost.latency_s, cost.core_s, cost.shared_s, cost.dram_s, cost.dram_read_bytes,
        cost.dram_write_bytes, cost.shared_bytes, cost.scratch_bytes,
        min(float(processor.cores), math.ceil(cost.blocks)),
    )  # fmt: skip
    return tiling, found, tried


@parallel_kernel
def search_blocks_many(
    processor: Processor,
    sizes: NDArray[np.int64],
    traits: NDArray[np.float64],
    out_tilings: NDArray[np.int64],
    out_costs: NDArray[np.float64],
) -> None:
    """Search for many problems at once; arrays as in `accelsim.kernels.matmul.search_many`."""
    for row in numba.prange(sizes.shape[0]):
        problem = problem_at(sizes, traits, row)
        tiling, cost, tried = search_blocks(processor, problem)
        store(tiling, out_tilings[row])
        out_tilings[row, 5] = tried
        store(cost, out_costs[row])
