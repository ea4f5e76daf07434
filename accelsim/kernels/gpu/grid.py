"""Records of grids of blocks, and how blocks share cores and operands: waves, patches, clusters."""

from __future__ import annotations

import math
from typing import NamedTuple

from accelsim.kernels.folds import ceil_div
from accelsim.kernels.gpu.processor import Processor
from accelsim.kernels.jit import kernel
from accelsim.kernels.machine import SHARED_USABLE
from accelsim.kernels.matmul import Problem


class BlockTile(NamedTuple):
    """Tile of a block, split of k, and stages of operands in shared memory."""

    tile_m: int
    tile_n: int
    split_k: int
    stages: int


class BlockCost(NamedTuple):
    """Time without launch [s], of each resource [s], and traffic [B]."""

    latency_s: float
    core_s: float
    shared_s: float
    dram_s: float
    dram_read_bytes: float
    dram_write_bytes: float
    shared_bytes: float
    scratch_bytes: float
    blocks: float


class Demand(NamedTuple):
    """What a problem asks of a GPU, whatever its tile.

    Attributes
    ----------
    depth_step : int
        Products along k of one step.
    a_bytes, b_bytes, out_bytes : float
        Operands and result, each counted once [B].
    slowdown : float
        Of the L2, by the stride of its rows.
    once_s : float
        Of the main memory that sees each operand once, ramp included [s].
    """

    depth_step: int
    a_bytes: float
    b_bytes: float
    out_bytes: float
    slowdown: float
    once_s: float


class Grid(NamedTuple):
    """What a tile and a split of k make of a problem, however many stages are in flight.

    Attributes
    ----------
    blocks : float
        Of the whole grid.
    step_cycles, depth : float
        Cycles of a step of a block whose units never wait, and steps of a block.
    ends_cycles : float
        First start and last store.
    shared_s : float
        Of the L2 [s].
    shared_bytes, scratch_bytes : float
        Through the L2 and through shared memory [B].
    spilled_bytes, write_bytes : float
        Partial sums that come back from main memory, and all that is written to it [B].
    """

    blocks: float
    step_cycles: float
    depth: float
    ends_cycles: float
    shared_s: float
    shared_bytes: float
    scratch_bytes: float
    spilled_bytes: float
    write_bytes: float


@kernel
def grid_cycles(share: float, held: float, work: float, alone: float) -> float:
    """Cycles of the fullest core for `share` blocks, at most `held` at a time.

    `work` is what a block keeps the units busy, `alone` the life of a block alone. A wave of h
    blocks takes ``max(h work, alone)``. Blocks drift apart and new ones start as others end, so
    waves are as even as the best h makes them; room for more blocks never costs.
    """
    least = math.ceil(share) * max(work, alone)
    if alone <= work:
        return least
    at_once = 2.0
    while at_once <= min(held, math.ceil(share)):
        waves = math.floor(share / at_once)
        left = math.ceil(share - waves * at_once)
        cycles = waves * max(work * at_once, alone)
        if left > 0:
            cycles += max(work * left, alone)
        least = min(least, cycles)
        at_once += 1.0
    return least


@kernel
def sweeps(
    processor: Processor, problem: Problem, tile_m: int, tile_n: int, at_once: float
) -> tuple[float, float]:
    """Times that A and B come from main memory through the L2, in the order that reads least.

    The `at_once` blocks at work cover a near-square patch of the output (swizzled order). An
    operand is read once per row or column of patches, unless it stays in L2, or the panel of it
    that the patch sweeps does; a patch may be narrower than square so that its panel stays.
    """
    tiles_m = ceil_div(problem.m, tile_m)
    tiles_n = ceil_div(problem.n, tile_n)
    at_once = min(at_once, float(tiles_m) * tiles_n)
    patch_m = math.sqrt(at_once * tile_n / tile_m)
    patch_m = max(at_once / tiles_n, min(patch_m, float(tiles_m)))
    patch_n = at_once / patch_m
    usable = SHARED_USABLE * processor.shared_bytes
    row_a, row_b = problem.k * problem.a_bytes, problem.k * problem.b_bytes
    a, b = problem.m * row_a, problem.n * row_b
    sweeps_a = 1.0 if a <= usable else max(1.0, tiles_n / patch_n)
    sweeps_b = 1.0 if b <= usable else max(1.0, tiles_m / patch_m)
    least_a, least_b = sweeps_a, sweeps_b
    kept_n = min(patch_n, usable / (tile_n * row_b))
    if kept_n >= 1.0:
        over_a = 1.0 if a <= usable else max(1.0, tiles_n / kept_n)
        if a * over_a + b < a * least_a + b * least_b:
            least_a, least_b = over_a, 1.0
    kept_m = min(patch_m, usable / (tile_m * row_a))
    if kept_m >= 1.0:
        over_b = 1.0 if b <= usable else max(1.0, tiles_m / kept_m)
        if a + b * over_b < a * least_a + b * least_b:
            least_a, least_b = 1.0, over_b
    return least_a, least_b


@kernel
def into_cores(
    processor: Processor, a_bytes: float, b_bytes: float, tiles_m: int, tiles_n: int
) -> tuple[float, float]:
    """Bytes of A and B read from the L2 for all blocks, of operands of `a_bytes` and `b_bytes`.

    Cores of a cluster share each read: a patch of them, of the shape that reads least. Nothing is
    read less than once.
    """
    all_a, all_b = a_bytes * tiles_n, b_bytes * tiles_m
    a, b = all_a, all_b
    along_n = 1
    while along_n <= processor.cluster:
        shared_a = max(a_bytes, all_a / along_n)
        shared_b = max(b_bytes, all_b * along_n / processor.cluster)
        if shared_a + shared_b < a + b:
            a, b = shared_a, shared_b
        along_n *= 2
    return a, b
