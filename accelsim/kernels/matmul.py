"""Cost of one tiling of a matmul, and the exhaustive search over all legal ones.

The cost says what the tiling moves and computes and how long each resource needs; the search
keeps the fastest, and among equals the one with the least main-memory traffic.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from accelsim.kernels.folds import INPUT_STATIONARY, OUTPUT_STATIONARY, ceil_div
from accelsim.kernels.jit import kernel, parallel_kernel
from accelsim.kernels.machine import (
    SHARED_USABLE,
    TENSOR_CORE,
    Machine,
    fill_cycles,
    next_tile,
    overlapped_s,
    store,
    tile_cycles,
    transfer_s,
)

ACCUMULATOR_BYTES = 4.0
OUTPUT_KEPT, A_KEPT, B_KEPT = 0, 1, 2
_MAX_SPLIT = 32


class Problem(NamedTuple):
    """``C[m, n] = A[m, k] B[k, n]``, `batch` times; bytes per element and where operands live.

    a_dram, b_dram and c_dram are 1.0 for operands in main memory and 0.0 for operands that stay
    in the shared buffer (or in the scratchpads) between ops.
    """

    batch: int
    m: int
    n: int
    k: int
    a_bytes: float
    b_bytes: float
    c_bytes: float
    a_dram: float
    b_dram: float
    c_dram: float


class Tiling(NamedTuple):
    """Tile of one core, loop order (what is kept while the inner loop runs) and split of k."""

    tile_m: int
    tile_n: int
    tile_k: int
    kept: int
    split_k: int


class MatmulCost(NamedTuple):
    """Times each resource needs [s], traffic [B], and how many cores work."""

    latency_s: float
    compute_s: float
    shared_s: float
    dram_s: float
    dram_read_bytes: float
    dram_write_bytes: float
    shared_bytes: float
    scratch_bytes: float
    active_cores: float


@kernel
def fits(machine: Machine, problem: Problem, tiling: Tiling) -> bool:
    """Tell whether the tiles, double-buffered, fit the core's scratchpad and accumulators."""
    operands = 2.0 * tiling.tile_k * (
        tiling.tile_m * problem.a_bytes + tiling.tile_n * problem.b_bytes
    )  # fmt: skip
    sums = ACCUMULATOR_BYTES * tiling.tile_m * tiling.tile_n
    if machine.accumulator_bytes > 0.0:
        return sums <= machine.accumulator_bytes and operands <= machine.scratch_bytes
    return sums + operands <= machine.scratch_bytes


@kernel
def _core_traffic(problem: Problem, tiling: Tiling, active: float) -> tuple[float, float, float]:
    """Bytes of A, of B and of partial sums that cross into the `active` cores, whole op.

    A kept operand is loaded once by every core that works on its row (or column) of tiles.
    """
    a = float(problem.batch) * problem.m * problem.k * problem.a_bytes
    b = float(problem.batch) * problem.k * problem.n * problem.b_bytes
    tiles_m = ceil_div(problem.m, tiling.tile_m)
    tiles_n = ceil_div(problem.n, tiling.tile_n)
    sums = ACCUMULATOR_BYTES * problem.batch * problem.m * problem.n
    if tiling.kept == OUTPUT_KEPT:
        spilled = 2.0 * tiling.split_k * sums if tiling.split_k > 1 else 0.0
        return a * tiles_n, b * tiles_m, spilled
    spilled = 2.0 * (ceil_div(problem.k, tiling.tile_k) - 1) * sums
    batch = float(problem.batch)
    if tiling.kept == A_KEPT:
        return a * min(float(tiles_n), math.ceil(active / (batch * tiles_m))), b * tiles_m, spilled
    return a * tiles_n, b * min(float(tiles_m), math.ceil(active / (batch * tiles_n))), spilled


@kernel
def _dram_reads(machine: Machine, problem: Problem, tiling: Tiling) -> tuple[float, float]:
    """Times that A and B are read from main memory through the shared buffer.

    Concurrent cores cover a near-square patch of output tiles (swizzled order). An operand is
    read once per row or column of patches, unless it, or the panel it sweeps, stays on chip.
    """
    tiles_m = ceil_div(problem.m, tiling.tile_m)
    tiles_n = ceil_div(problem.n, tiling.tile_n)
    at_once = int(min(float(machine.cores), float(tiles_m) * tiles_n))
    ideal = math.sqrt(at_once * tiling.tile_n / tiling.tile_m)
    patch_m = max(1, min(tiles_m, int(ideal + 0.5)))
    patch_n = max(1, min(tiles_n, at_once // patch_m))
    usable = SHARED_USABLE * machine.shared_bytes
    sweeps_a = ceil_div(tiles_n, patch_n)
    sweeps_b = ceil_div(tiles_m, patch_m)
    a = problem.m * problem.a_bytes
    b = problem.n * problem.b_bytes
    if a * problem.k <= usable:
        sweeps_a = 1
    if b * problem.k <= usable:
        sweeps_b = 1
    panel_a = problem.a_bytes * patch_m * tiling.tile_m * problem.k
    panel_b = problem.b_bytes * patch_n * tiling.tile_n * problem.k
    if panel_b <= usable and (panel_a > usable or a * (sweeps_a - 1) <= b * (sweeps_b - 1)):
        sweeps_b = 1
    elif panel_a <= usable:
        sweeps_a = 1
    return float(sweeps_a), float(sweeps_b)


@kernel
def _multicast(
    machine: Machine, problem: Problem, tiling: Tiling, into_cores: tuple[float, float]
) -> tuple[float, float]:
    """Bytes of A and of B that are read when a cluster of cores shares each read.

    A cluster covers a patch of output tiles; the patch that reads least is taken. Nothing is
    read less than once.
    """
    a, b = into_cores
    whole_a = float(problem.batch) * problem.m * problem.k * problem.a_bytes
    whole_b = float(problem.batch) * problem.k * problem.n * problem.b_bytes
    least_a, least_b = a, b
    along_n = 1
    while along_n <= machine.cluster:
        along_m = machine.cluster // along_n
        share_a = min(along_n, ceil_div(problem.n, tiling.tile_n))
        share_b = min(along_m, ceil_div(problem.m, tiling.tile_m))
        read_a, read_b = max(a / share_a, whole_a), max(b / share_b, whole_b)
        if read_a + read_b < least_a + least_b:
            least_a, least_b = read_a, read_b
        along_n *= 2
    return least_a, least_b


@kernel
def _edge_s(machine: Machine, problem: Problem, tiling: Tiling) -> float:
    """Time of one core's first operand tiles and last output tile, which nothing hides [s].

    What stays on chip comes from the shared buffer; in the scratchpads it is at hand. Weights
    that were fetched ahead are there.
    """
    a = tiling.tile_k * tiling.tile_m * problem.a_bytes
    b = max(0.0, tiling.tile_k * tiling.tile_n * problem.b_bytes - machine.fetched_ahead_bytes)
    c = tiling.tile_m * tiling.tile_n * problem.c_bytes
    reads, writes = a * problem.a_dram + b * problem.b_dram, c * problem.c_dram
    near_s = 0.0
    if machine.shared_bytes_per_s > 0.0:
        near_s = (a + b + c - reads - writes) / machine.shared_bytes_per_s
    return transfer_s(machine, reads, writes) + near_s


@kernel
def matmul_cost(machine: Machine, problem: Problem, tiling: Tiling) -> MatmulCost:
    """Cost one legal tiling.

    Notes
    -----
    Loads are double-buffered, so the op takes the longest of compute (with the first load and
    the last store exposed), shared-buffer traffic and main-memory traffic, after one latency.
    """
    depth = ceil_div(problem.k, tiling.split_k)
    tiles = (
        float(problem.batch) * ceil_div(problem.m, tiling.tile_m)
        * ceil_div(problem.n, tiling.tile_n) * tiling.split_k
    )  # fmt: skip
    active = min(float(machine.cores), tiles)
    waves = np.ceil(tiles / machine.cores)  # a float: the count may exceed 64 bits
    cycles = waves * tile_cycles(machine, tiling.tile_m, tiling.tile_n, depth)
    compute_s = (cycles + fill_cycles(machine)) / machine.clock_hz

    in_a, in_b, sums = _core_traffic(problem, tiling, active)
    out = float(problem.batch) * problem.m * problem.n * problem.c_bytes
    into_cores = in_a + in_b + sums + out
    cast_a, cast_b = _multicast(machine, problem, tiling, (in_a, in_b))
    if machine.shared_bytes > 0.0:
        sweeps_a, sweeps_b = _dram_reads(machine, problem, tiling)
        whole_a = float(problem.batch) * problem.m * problem.k * problem.a_bytes
        whole_b = float(problem.batch) * problem.k * problem.n * problem.b_bytes
        reads = whole_a * sweeps_a * problem.a_dram + whole_b * sweeps_b * problem.b_dram
        spills = 0.0 if sums <= machine.shared_bytes else sums
        shared_bytes = cast_a + cast_b + sums + out
        shared_s = max(
            shared_bytes / machine.shared_bytes_per_s,
            into_cores / (active * machine.port_bytes_per_s),
        )
    else:
        reads = cast_a * problem.a_dram + cast_b * problem.b_dram
        spills = sums
        shared_s = into_cores / (active * machine.port_bytes_per_s)
        shared_bytes = 0.0
    writes = out * problem.c_dram + 0.5 * spills
    reads += 0.5 * spills
    dram_s = transfer_s(machine, reads, writes)

    scratch = in_a + in_b + tile_operand_bytes(machine, problem, tiling, depth) * tiles
    if machine.style == TENSOR_CORE:
        per_core = waves * tile_operand_bytes(machine, problem, tiling, depth)
        compute_s = max(compute_s, per_core / machine.scratch_bytes_per_s)
    exposed = active * _edge_s(machine, problem, tiling)
    latency_s = machine.latency_s * (2.0 if tiling.split_k > 1 else 1.0)
    latency_s += overlapped_s(compute_s + min(exposed, max(dram_s, shared_s)), shared_s, dram_s)
    return MatmulCost(
        latency_s, compute_s, shared_s, dram_s, reads, writes, shared_bytes, scratch, active
    )


@kernel
def tile_operand_bytes(machine: Machine, problem: Problem, tiling: Tiling, depth: int) -> float:
    """Bytes that the matrix units read from the scratchpad for one output tile of a core.

    Tensor cores read both operands of the core's tile once per k step. Systolic arrays read the
    stationary operand once, a moving one once per fold across it, and write and read partial
    sums once per fold along k; output-stationary ones move both operands and no sums.
    """
    a = float(tiling.tile_m) * depth * problem.a_bytes
    b = float(tiling.tile_n) * depth * problem.b_bytes
    if machine.style == TENSOR_CORE:
        return a + b
    sums = 2.0 * ACCUMULATOR_BYTES * tiling.tile_m * tiling.tile_n
    if machine.style == OUTPUT_STATIONARY:
        a *= ceil_div(tiling.tile_n, machine.cols)
        return a + b * ceil_div(tiling.tile_m, machine.rows)
    sums *= ceil_div(depth, machine.rows)
    if machine.style == INPUT_STATIONARY:
        return a + b * ceil_div(tiling.tile_m, machine.cols) + sums
    return a * ceil_div(tiling.tile_n, machine.cols) + b + sums


@kernel
def _loop_orders(machine: Machine) -> int:
    """Tensor cores keep sums in registers; explicit scratchpads can keep any operand."""
    return 1 if machine.style == TENSOR_CORE else 3


@kernel
def _first_step(machine: Machine) -> int:
    """Smallest step along k: a barrier per step makes less than four instructions a waste."""
    return 4 * machine.tile_k if machine.style == TENSOR_CORE else machine.tile_k


@kernel
def _max_split(machine: Machine, problem: Problem) -> int:
    """Splitting k pays only where the output alone cannot occupy the cores."""
    if machine.style != TENSOR_CORE:
        return 1
    tiles = 1.0 * ceil_div(problem.m, machine.tile_m) * ceil_div(problem.n, machine.tile_n)
    if problem.batch * tiles >= 8 * machine.cores * _MAX_SPLIT:
        return 1
    return min(_MAX_SPLIT, ceil_div(problem.k, 4 * machine.tile_k))


@kernel
def is_better(cost: MatmulCost, best: MatmulCost) -> bool:
    """Faster, or as fast with less main-memory traffic."""
    if cost.latency_s < best.latency_s * (1.0 - 1e-9):
        return True
    moved = cost.dram_read_bytes + cost.dram_write_bytes
    least = best.dram_read_bytes + best.dram_write_bytes
    return cost.latency_s <= best.latency_s * (1.0 + 1e-9) and moved < least


@kernel
def _search_depth(
    machine: Machine, problem: Problem, tile_m: int, tile_n: int, split: int
) -> tuple[Tiling, MatmulCost, int]:
    """Try every step along k and every loop order for one output tile and split."""
    best = Tiling(0, 0, 0, 0, 0)
    best_cost = MatmulCost(np.inf, 0.0, 0.0, 0.0, np.inf, 0.0, 0.0, 0.0, 0.0)
    tried = 0
    depth = ceil_div(problem.k, split)
    tile_k = next_tile(0, _first_step(machine), depth)
    while tile_k > 0:
        for kept in range(_loop_orders(machine)):
            tiling = Tiling(tile_m, tile_n, tile_k, kept, split)
            if fits(machine, problem, tiling):
                tried += 1
                cost = matmul_cost(machine, problem, tiling)
                if is_better(cost, best_cost):
                    best, best_cost = tiling, cost
        tile_k = next_tile(tile_k, _first_step(machine), depth)
    return best, best_cost, tried


@kernel
def search(machine: Machine, problem: Problem) -> tuple[Tiling, MatmulCost, int]:
    """Try every legal tiling; return the best, its cost and the number of candidates tried.

    The count is 0 when not even the smallest tile fits.
    """
    best = Tiling(0, 0, 0, 0, 0)
    best_cost = MatmulCost(np.inf, 0.0, 0.0, 0.0, np.inf, 0.0, 0.0, 0.0, 0.0)
    tried = 0
    split = 1
    while split <= _max_split(machine, problem):
        tile_m = next_tile(0, machine.tile_m, problem.m)
        while tile_m > 0:
            tile_n = next_tile(0, machine.tile_n, problem.n)
            while tile_n > 0:
                tiling, cost, count = _search_depth(machine, problem, tile_m, tile_n, split)
                tried += count
                if count > 0 and is_better(cost, best_cost):
                    best, best_cost = tiling, cost
                tile_n = next_tile(tile_n, machine.tile_n, problem.n)
            tile_m = next_tile(tile_m, machine.tile_m, problem.m)
        split *= 2
    return best, best_cost, tried


@kernel
def problem_at(sizes: NDArray[np.int64], traits: NDArray[np.float64], row: int) -> Problem:
    """Read one problem from the arrays of `search_many`."""
    return Problem(
        sizes[row, 0], sizes[row, 1], sizes[row, 2], sizes[row, 3],
        traits[row, 0], traits[row, 1], traits[row, 2],
        traits[row, 3], traits[row, 4], traits[row, 5],
    )  # fmt: skip


@parallel_kernel
def search_many(
    machine: Machine,
    sizes: NDArray[np.int64],
    traits: NDArray[np.float64],
    out_tilings: NDArray[np.int64],
    out_costs: NDArray[np.float64],
) -> None:
    """Search for many problems at once.

    Parameters
    ----------
    machine : Machine
    sizes : int64 [problems, 4]
        batch, m, n, k.
    traits : float64 [problems, 6]
        a_bytes, b_bytes, c_bytes, a_dram, b_dram, c_dram.
    out_tilings : int64 [problems, 6]
        The five fields of Tiling and the number of candidates tried.
    out_costs : float64 [problems, 9]
        The fields of MatmulCost.
    """
    for row in numba.prange(sizes.shape[0]):
        problem = problem_at(sizes, traits, row)
        tiling, cost, tried = search(machine, problem)
        store(tiling, out_tilings[row])
        out_tilings[row, 5] = tried
        store(cost, out_costs[row])
