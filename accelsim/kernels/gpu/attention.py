"""Fused attention on a GPU: the kernel that a library would launch, its grid and its cost."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from accelsim.kernels.attention import (
    AttentionCost,
    AttentionProblem,
    AttentionTiling,
    attention_problem_at,
)
from accelsim.kernels.gpu.decode import (
    LANES,
    decode_cost,
    decode_program,
    decode_split,
    padded_rows,
)
from accelsim.kernels.gpu.flash import (
    KernelCost,
    fitting_tile,
    flash2_split,
    flash_cost,
    group_rows,
    step_keys,
)
from accelsim.kernels.gpu.processor import Processor
from accelsim.kernels.jit import kernel, parallel_kernel
from accelsim.kernels.machine import store

FLASH, SERVING = 0, 1
"""Libraries: FlashAttention-2 for every phase, or one that adds decode kernels of its own."""
_KEYS_ON_LANES = 64


@kernel
def _is_decode(problem: AttentionProblem, library: int) -> bool:
    """Tell whether a decode kernel runs; FlashAttention packs the heads of any single query."""
    return problem.decode == 1 or (library == FLASH and problem.rows == problem.share)


@kernel
def _is_latent(problem: AttentionProblem) -> bool:
    """Tell whether V is a part of K: all heads share one cache, and are packed."""
    return problem.kv_elements < problem.head_dim + problem.v_head_dim


@kernel
def _plan(
    processor: Processor, problem: AttentionProblem, library: int, cores: float
) -> tuple[int, int]:
    """Program (-1: the tile kernel) and parts of the keys of a grid made for `cores`."""
    if not _is_decode(problem, library):
        return -1, 1
    if library == FLASH or _is_latent(problem):
        return -1, flash2_split(problem, cores)
    program = decode_program(processor, problem, cores)
    return program, decode_split(processor, problem, program, cores)


@kernel
def _cost(
    processor: Processor, problem: AttentionProblem, library: int, plan: tuple[int, int],
    cores: float,
) -> KernelCost:  # fmt: skip
    """Cost what was planned on `cores` cores."""
    program, split = plan
    if program >= 0:
        return decode_cost(processor, problem, cores, program, split)
    return flash_cost(processor, problem, cores, int(_is_decode(problem, library)), split)


@kernel
def _tile(
    processor: Processor, problem: AttentionProblem, library: int, program: int
) -> tuple[int, int]:
    """Rows of all heads that share a KV head, and keys, of one step; (0, 0) where none fits."""
    rows, keys = group_rows(processor), step_keys(processor, problem)
    if program >= 0:
        rows = 1 if program == LANES else padded_rows(problem.share)
        keys = min(keys, _KEYS_ON_LANES)
    rows, keys = fitting_tile(processor, problem, rows, keys)
    if rows > 0 and (program == LANES or not _is_decode(problem, library)):
        rows *= problem.share  # one head per block; the numerics count rows of them all
    return rows, keys


@kernel
def search_gpu_attention(
    library: int, processor: Processor, problem: AttentionProblem
) -> tuple[AttentionTiling, AttentionCost, int]:
    """Launch the library's kernel for all cores, or for fewer.

    Parameters
    ----------
    library : int
        `FLASH` or `SERVING`.
    processor : Processor
    problem : AttentionProblem

    Returns
    -------
    tuple
        Tiling, cost, and how many grids were tried (0: no tile fits a core).

    Notes
    -----
    Libraries size a grid by the number of cores, and more parts of the keys are more to add up:
    a grid for fewer cores is taken where it ends earlier. As every number of cores is tried, one
    more never hurts, and neither does a smaller batch.
    """
    best = AttentionTiling(0, 0, 0)
    none = AttentionCost(np.inf, 0.0, 0.0, 0.0, 0.0, np.inf, 0.0, 0.0, 0.0, 0.0)
    best_cost = none
    tried = 0
    before = (-2, 0)
    for fewer in range(processor.cores):
        cores = float(processor.cores - fewer)
        plan = _plan(processor, problem, library, cores)
        if plan == before:
            continue  # the same on fewer cores
        before = plan
        cost = _cost(processor, problem, library, plan, cores)
        tried += 1
        # Softmax and matrix work of a core pass through its units in any case.
        latency_s = max(cost.latency_s, cost.compute_s, cost.special_s)
        if latency_s < best_cost.latency_s * (1.0 - 1e-9):
            rows, keys = _tile(processor, problem, library, plan[0])
            if rows == 0:
                return best, none, 0
            best = AttentionTiling(rows, keys, plan[1])
            best_cost = AttentionCost(
                latency_s, cost.compute_s, cost.special_s, cost.shared_s, cost.dram_s,
                cost.reads, cost.writes, cost.pulled, 2.0 * cost.pulled, min(cores, cost.blocks),
            )  # fmt: skip
    return best, best_cost, tried


@parallel_kernel
def search_gpu_attention_many(
    library: int,
    processor: Processor,
    sizes: NDArray[np.int64],
    traits: NDArray[np.float64],
    out_tilings: NDArray[np.int64],
    out_costs: NDArray[np.float64],
) -> None:
    """Search for many problems at once; arrays as those of `search_attention_many`."""
    for row in numba.prange(sizes.shape[0]):
        problem = attention_problem_at(sizes, traits, row)
        tiling, cost, tried = search_gpu_attention(library, processor, problem)
        store(tiling, out_tilings[row])
        out_tilings[row, 3] = tried
        store(cost, out_costs[row])
