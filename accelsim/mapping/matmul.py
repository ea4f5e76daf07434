"""Matmuls onto a chip: the tiling of each, found by exhaustive search and remembered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from accelsim.arch.chip import Chip
from accelsim.errors import MappingError
from accelsim.kernels.folds import INPUT_STATIONARY, OUTPUT_STATIONARY, WEIGHT_STATIONARY
from accelsim.kernels.gpu.gemm_search import search_blocks, search_blocks_many
from accelsim.kernels.gpu.processor import Processor
from accelsim.kernels.machine import TENSOR_CORE, Machine
from accelsim.kernels.matmul import MatmulCost, Problem, Tiling, search, search_many
from accelsim.mapping.machine import machine_for
from accelsim.mapping.memo import Found, Memo, search_each
from accelsim.mapping.processor import processor_for, runs_thread_blocks

_KEPT = ("output", "A", "B")


class MatmulMapping(NamedTuple):
    """One matmul on one chip.

    Attributes
    ----------
    problem : Problem
        Shape, bytes per element and operand places.
    tiling : Tiling
        Tile of a core, loop order, split of k.
    cost : MatmulCost
        What the search found this tiling to cost.
    candidates : int
        Legal tilings that were compared.
    multiplying : float
        Share of the compute time in which the units multiply; the rest is spent loading the next
        stationary operand into a systolic array, because too few rows stream past it [1].
    """

    problem: Problem
    tiling: Tiling
    cost: MatmulCost
    candidates: int
    multiplying: float = 1.0

    def describe(self) -> str:
        """Say the tiling in words, for tables."""
        t = self.tiling
        split = f", k split {t.split_k}" if t.split_k > 1 else ""
        kept = f", {_KEPT[t.kept]} kept" if t.kept else ""
        cores = f", {self.cost.active_cores:.0f} cores" if self.cost.active_cores > 1 else ""
        return f"tile {t.tile_m}x{t.tile_n}x{t.tile_k}{split}{kept}{cores}"


def map_matmuls(chip: Chip, dtype: str, problems: Sequence[Problem]) -> tuple[MatmulMapping, ...]:
    """Find the fastest legal tiling of every problem.

    Parameters
    ----------
    chip : Chip
    dtype : str
        Native input dtype of the matmul units to use.
    problems : sequence of Problem

    Returns
    -------
    tuple of MatmulMapping
        In the order of `problems`.

    Raises
    ------
    MappingError
        If not even the smallest tile fits a core.
    """
    machine = machine_for(chip, dtype)
    if runs_thread_blocks(chip):
        processor = processor_for(chip, dtype)
        found = search_each(processor, problems, search_blocks, _search_blocks_bulk)
    else:
        found = search_each(machine, problems, search, _search_bulk)
    if any(tried == 0 for _, _, tried in found):
        raise MappingError(
            f"{chip.name}: no {dtype} matmul tile fits a core: the smallest is "
            f"{machine.tile_m}x{machine.tile_n}x{machine.tile_k}, the scratchpad of a core holds "
            f"{machine.scratch_bytes:.0f} B; give core.scratchpad more capacity or a smaller tile"
        )
    return tuple(
        _mapping(machine, p, Tiling._make(tiling), MatmulCost._make(cost), tried)
        for p, (tiling, cost, tried) in zip(problems, found, strict=True)
    )


def _search_bulk(machine: Machine, problems: Sequence[Problem]) -> list[Found]:
    """Search on all threads."""
    return _on_all_threads(search_many, machine, problems)


def _search_blocks_bulk(processor: Processor, problems: Sequence[Problem]) -> list[Found]:
    """Search the grids of a GPU on all threads."""
    return _on_all_threads(search_blocks_many, processor, problems)


def _on_all_threads(
    search_all: Callable[..., None], machine: Machine | Processor, problems: Sequence[Problem]
) -> list[Found]:
    sizes = np.array([p[:4] for p in problems], dtype=np.int64)
    traits = np.array([p[4:] for p in problems], dtype=np.float64)
    tilings = np.empty((len(problems), 6), dtype=np.int64)
    costs = np.empty((len(problems), 9), dtype=np.float64)
    search_all(machine, sizes, traits, tilings, costs)
    return [
        (tile[:5], cost, tile[5])
        for tile, cost in zip(tilings.tolist(), costs.tolist(), strict=True)
    ]


def _mapping(
    machine: Machine, problem: Problem, tiling: Tiling, cost: MatmulCost, tried: int
) -> MatmulMapping:
    if machine.style == TENSOR_CORE or machine.hides_load == 0:
        return MatmulMapping(problem, tiling, cost, tried)
    streamed = {
        WEIGHT_STATIONARY: tiling.tile_m,
        INPUT_STATIONARY: tiling.tile_n,
        OUTPUT_STATIONARY: problem.k // tiling.split_k,
    }[machine.style]
    beats = streamed / machine.macs_per_pe
    return MatmulMapping(problem, tiling, cost, tried, min(1.0, beats / machine.rows))


_memo: Memo[MatmulMapping] = Memo()


def map_matmul(chip: Chip, dtype: str, problem: Problem) -> MatmulMapping:
    """Map one matmul; remembered, since layers repeat."""
    return map_remembered(chip, dtype, [problem])[0]


def map_remembered(
    chip: Chip, dtype: str, problems: Sequence[Problem]
) -> tuple[MatmulMapping, ...]:
    """Map many matmuls at once and remember them; known ones are not searched again."""
    return _memo.fetch(chip, dtype, problems, map_matmuls)
