"""Cost of one tiling of fused attention (online softmax), and the search over all legal ones.

A task is a tile of query rows of one KV head; it loops over tiles of keys and values and keeps
its output on the core. The query heads that share a KV head are packed into the rows (GQA), and
a short query over a long cache may split the keys among cores and combine afterwards.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from accelsim.kernels.folds import WEIGHT_STATIONARY, ceil_div
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

_SUM_BYTES = 4.0
_MAX_SPLIT = 128
# Share of the shorter of matmul and softmax that the pipeline between them leaves exposed: an
# estimate between none (two tiles in flight, as FlashAttention-3) and all (one tile).
_EXPOSED = 0.3


class AttentionProblem(NamedTuple):
    """Shape of one attention op.

    Attributes
    ----------
    tasks : int
        batch x KV heads.
    rows : int
        Query rows per KV head: q_len x (heads / kv_heads).
    kv_len : int
        Positions that at least one query sees.
    density : float
        Visible query-key pairs over rows x kv_len; 1 without mask.
    masked : int
        1 when tiles on the diagonal are computed whole and then masked.
    share : int
        Rows of one query position: query heads that share a KV head.
    span : int
        Most keys that one query sees: the window, or kv_len.
    head_dim, v_head_dim : int
        Width of K and of V.
    q_bytes, kv_bytes, o_bytes : float
        Per element.
    kv_elements : int
        Elements per cached position and KV head (head_dim when V is part of K).
    activations_dram : float
        1.0 when Q and O move to and from main memory, 0.0 when they stay on chip.
    kv_dram_share : float
        Share of K and V that comes from main memory (the cache), the rest being fresh.
    decode : int
        1 when one query per sequence reads earlier keys, 0 for a prompt, however short.
    """

    tasks: int
    rows: int
    kv_len: int
    density: float
    masked: int
    share: int
    span: int
    head_dim: int
    v_head_dim: int
    q_bytes: float
    kv_bytes: float
    o_bytes: float
    kv_elements: int
    activations_dram: float
    kv_dram_share: float
    decode: int


class AttentionTiling(NamedTuple):
    """Query rows and keys per tile, and parts into which the keys are split."""

    tile_q: int
    tile_kv: int
    split_kv: int


class AttentionCost(NamedTuple):
    """Times each resource needs [s], traffic [B], and how many cores work."""

    latency_s: float
    compute_s: float
    special_s: float
    shared_s: float
    dram_s: float
    dram_read_bytes: float
    dram_write_bytes: float
    shared_bytes: float
    scratch_bytes: float
    active_cores: float


@kernel
def attention_fits(machine: Machine, problem: AttentionProblem, tiling: AttentionTiling) -> bool:
    """Tell whether Q, two K/V tiles, the scores and the running output fit the core."""
    q = tiling.tile_q * problem.head_dim * problem.q_bytes
    kv = 2.0 * tiling.tile_kv * problem.kv_elements * problem.kv_bytes
    sums = _SUM_BYTES * tiling.tile_q * (tiling.tile_kv + problem.v_head_dim)
    if machine.accumulator_bytes > 0.0:
        return sums <= machine.accumulator_bytes and q + kv <= machine.scratch_bytes
    return q + kv + sums <= machine.scratch_bytes


@kernel
def _core_tasks(problem: AttentionProblem, tiling: AttentionTiling) -> float:
    """Independent pieces of work: a tile of query rows against its part of the keys."""
    return float(problem.tasks) * ceil_div(problem.rows, tiling.tile_q) * tiling.split_kv


@kernel
def key_tiles(problem: AttentionProblem, tiling: AttentionTiling) -> tuple[float, float]:
    """Key tiles that a task visits: in the mean, and at most.

    A masked query tile sees as far as its last query, and tiles on an edge of the mask are
    computed whole: half a tile more per edge, of queries or of keys, whichever is larger.
    """
    keys = float(problem.kv_len)
    if problem.masked == 1:
        positions = ceil_div(tiling.tile_q, problem.share)
        edges = 2.0 if problem.span < problem.kv_len else 1.0
        longest = min(keys, float(problem.span + positions - 1))
        mean = keys * problem.density + 0.5 * edges * max(positions, tiling.tile_kv)
    else:
        mean = longest = keys
    most = math.ceil(longest / tiling.split_kv / tiling.tile_kv)
    if problem.masked == 0:
        return float(most), float(most)
    return min(float(most), max(1.0, mean / tiling.split_kv / tiling.tile_kv)), float(most)


@kernel
def _core_seconds(
    machine: Machine, problem: AttentionProblem, tiling: AttentionTiling
) -> tuple[float, float, float]:
    """Matmul, softmax and combined time of the busiest core [s]."""
    tasks = _core_tasks(problem, tiling)
    mean, longest = key_tiles(problem, tiling)
    if tasks <= machine.cores:
        steps = longest  # of the query tile that sees most keys
    elif problem.masked == 1:
        # Long tasks start first; no core ends before the longest has run.
        steps = max(longest, mean * tasks / machine.cores + 0.5 * (longest - mean))
    else:
        steps = mean * np.ceil(tasks / machine.cores)
    per_step = tile_cycles(machine, tiling.tile_q, tiling.tile_kv, problem.head_dim)
    per_step += tile_cycles(machine, tiling.tile_q, problem.v_head_dim, tiling.tile_kv)
    pairs = steps * tiling.tile_q * tiling.tile_kv
    rescale = 2.0 * steps * tiling.tile_q * problem.v_head_dim
    vector = (4.0 * pairs + rescale) / machine.vector_flop_per_cycle
    softmax = (pairs / machine.special_per_cycle + vector) / machine.clock_hz
    matmul = (steps * per_step + 2.0 * fill_cycles(machine)) / machine.clock_hz
    return matmul, softmax, max(matmul, softmax) + _EXPOSED * min(matmul, softmax)


@kernel
def attention_cost(
    machine: Machine, problem: AttentionProblem, tiling: AttentionTiling
) -> AttentionCost:
    """Cost one legal tiling.

    Notes
    -----
    K and V are read from main memory once if one head's fit the shared buffer (or if there is a
    single tile of queries), else once per wave of query tiles; each tile of queries pulls them
    into its core.
    """
    matmul_s, softmax_s, core_s = _core_seconds(machine, problem, tiling)
    tiles_q = ceil_div(problem.rows, tiling.tile_q)
    active = min(float(machine.cores), _core_tasks(problem, tiling))
    head_kv = float(problem.kv_len) * problem.kv_elements * problem.kv_bytes
    q = float(problem.tasks) * problem.rows * problem.head_dim * problem.q_bytes
    o = float(problem.tasks) * problem.rows * problem.v_head_dim * problem.o_bytes
    partial = 0.0
    if tiling.split_kv > 1:
        partial = 2.0 * _SUM_BYTES * problem.tasks * problem.rows * problem.v_head_dim
        partial *= tiling.split_kv
    # A masked query tile needs only the keys before it.
    reach = problem.density + (1.0 - problem.density) / tiles_q
    pulled = float(problem.tasks) * tiles_q * head_kv * reach
    into_cores = pulled + q + o + partial
    whole_kv = problem.tasks * head_kv
    if machine.shared_bytes > 0.0:
        sweeps = 1
        if head_kv > SHARED_USABLE * machine.shared_bytes:
            sweeps = ceil_div(tiles_q, machine.cores)
        reads = whole_kv * max(1.0, sweeps * reach)
        spilled = 0.0 if partial <= machine.shared_bytes else partial
        rate = min(machine.shared_bytes_per_s, active * machine.port_bytes_per_s)
        shared_bytes = into_cores
    else:
        reads = pulled
        spilled = partial
        rate = active * machine.port_bytes_per_s
        shared_bytes = 0.0
    shared_s = into_cores / rate
    reads = reads * problem.kv_dram_share + q * problem.activations_dram + 0.5 * spilled
    writes = o * problem.activations_dram + 0.5 * spilled
    dram_s = transfer_s(machine, reads, writes)
    scratch = 2.0 * pulled + q + o
    latency_s = machine.latency_s * (2.0 if tiling.split_kv > 1 else 1.0)
    latency_s += overlapped_s(core_s, shared_s, dram_s)
    return AttentionCost(
        latency_s, matmul_s, softmax_s, shared_s, dram_s, reads, writes, shared_bytes, scratch,
        active,
    )  # fmt: skip


@kernel
def _first_tile_kv(machine: Machine) -> int:
    """Smallest key tile worth trying: one fold of an array, or 8 keys (fits 32 KiB)."""
    if machine.style == WEIGHT_STATIONARY:
        return max(8, min(machine.rows, 128))
    return 8


@kernel
def _first_tile_q(machine: Machine) -> int:
    """Smallest query tile worth trying: half an instruction's rows (wide heads), or a stream."""
    if machine.style == TENSOR_CORE:
        return max(1, machine.tile_m // 2)
    return machine.tile_m


@kernel
def search_attention(
    machine: Machine, problem: AttentionProblem
) -> tuple[AttentionTiling, AttentionCost, int]:
    """Try every legal tiling; return the fastest, its cost and how many were tried (0: none)."""
    best = AttentionTiling(0, 0, 0)
    best_cost = AttentionCost(np.inf, 0.0, 0.0, 0.0, 0.0, np.inf, 0.0, 0.0, 0.0, 0.0)
    tried = 0
    first_kv = _first_tile_kv(machine)
    smallest = _first_tile_q(machine)
    split = 1
    while split <= min(_MAX_SPLIT, problem.kv_len):
        tile_q = next_tile(0, smallest, problem.rows)
        while tile_q > 0:
            tile_kv = next_tile(0, first_kv, ceil_div(problem.kv_len, split))
            while tile_kv > 0:
                tiling = AttentionTiling(tile_q, tile_kv, split)
                if attention_fits(machine, problem, tiling):
                    tried += 1
                    cost = attention_cost(machine, problem, tiling)
                    if cost.latency_s < best_cost.latency_s * (1.0 - 1e-9):
                        best, best_cost = tiling, cost
                tile_kv = next_tile(tile_kv, first_kv, ceil_div(problem.kv_len, split))
            tile_q = next_tile(tile_q, smallest, problem.rows)
        split *= 2
        if 1.0 * problem.tasks * ceil_div(problem.rows, machine.tile_m) >= 4 * machine.cores:
            break  # enough tasks without splitting the keys
    return best, best_cost, tried


@kernel
def attention_problem_at(
    sizes: NDArray[np.int64], traits: NDArray[np.float64], row: int
) -> AttentionProblem:
    """Read one problem from the arrays of `search_attention_many`."""
    return AttentionProblem(
        sizes[row, 0], sizes[row, 1], sizes[row, 2], traits[row, 0], sizes[row, 3],
        sizes[row, 4], sizes[row, 5], sizes[row, 6], sizes[row, 7],
        traits[row, 1], traits[row, 2], traits[row, 3],
        sizes[row, 8], traits[row, 4], traits[row, 5], sizes[row, 9],
    )  # fmt: skip


@parallel_kernel
def search_attention_many(
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
    sizes : int64 [problems, 10]
        tasks, rows, kv_len, masked, share, span, head_dim, v_head_dim, kv_elements, decode.
    traits : float64 [problems, 6]
        density, q_bytes, kv_bytes, o_bytes, activations_dram, kv_dram_share.
    out_tilings : int64 [problems, 4]
        The fields of AttentionTiling and the number of candidates tried.
    out_costs : float64 [problems, 10]
        The fields of AttentionCost.
    """
    for row in numba.prange(sizes.shape[0]):
        problem = attention_problem_at(sizes, traits, row)
        tiling, cost, tried = search_attention(machine, problem)
        store(tiling, out_tilings[row])
        out_tilings[row, 3] = tried
        store(cost, out_costs[row])
