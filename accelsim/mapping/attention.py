"""Fused attention onto a chip: query and key tiles, found by exhaustive search and remembered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from accelsim.arch.chip import Chip
from accelsim.errors import MappingError
from accelsim.kernels.attention import (
    AttentionCost,
    AttentionProblem,
    AttentionTiling,
    search_attention,
    search_attention_many,
)
from accelsim.kernels.gpu.attention import (
    FLASH,
    SERVING,
    search_gpu_attention,
    search_gpu_attention_many,
)
from accelsim.mapping.machine import machine_for
from accelsim.mapping.memo import Found, Memo, search_each
from accelsim.mapping.processor import processor_for, runs_thread_blocks


@dataclass(frozen=True)
class AttentionMapping:
    """One attention op on one chip: its problem, tiling, cost and the candidates compared."""

    problem: AttentionProblem
    tiling: AttentionTiling
    cost: AttentionCost
    candidates: int

    def describe(self) -> str:
        """Say the tiling in words, for tables."""
        t = self.tiling
        split = f", keys split {t.split_kv}" if t.split_kv > 1 else ""
        cores = f", {self.cost.active_cores:.0f} cores" if self.cost.active_cores > 1 else ""
        return f"tile q{t.tile_q} kv{t.tile_kv}{split}{cores}"


def map_attentions(
    chip: Chip, dtype: str, problems: Sequence[AttentionProblem]
) -> tuple[AttentionMapping, ...]:
    """Find the fastest legal tiling of every fused attention problem.

    Raises
    ------
    MappingError
        If not even the smallest tile fits a core.
    """
    if runs_thread_blocks(chip):
        library = attention_library(chip)
        found = search_each(
            processor_for(chip, dtype),
            problems,
            partial(search_gpu_attention, library),
            partial(_search_bulk, partial(search_gpu_attention_many, library)),
        )
    else:
        found = search_each(
            machine_for(chip, dtype),
            problems,
            search_attention,
            partial(_search_bulk, search_attention_many),
        )
    if any(tried == 0 for _, _, tried in found):
        wide = max(p.head_dim for p in problems)
        raise MappingError(
            f"{chip.name}: no tile of fused {dtype} attention with head_dim {wide} fits a core, "
            f"whose scratchpad holds {chip.spec.core.scratchpad.capacity_bytes:.0f} B; "
            "try --attention unfused"
        )
    return tuple(
        AttentionMapping(p, AttentionTiling._make(tiling), AttentionCost._make(cost), tried)
        for p, (tiling, cost, tried) in zip(problems, found, strict=True)
    )


def attention_library(chip: Chip) -> int:
    """Say which library's kernels a GPU runs, `FLASH` or `SERVING`: its spec states it."""
    return SERVING if chip.spec.attention_library == "serving" else FLASH


def _search_bulk(
    search_many: Callable[..., None], machine: Any, problems: Sequence[AttentionProblem]
) -> list[Found]:
    """Search on all threads."""
    sizes = np.array(
        [
            (p.tasks, p.rows, p.kv_len, p.masked, p.share, p.span, p.head_dim, p.v_head_dim,
             p.kv_elements, p.decode)
            for p in problems
        ],
        dtype=np.int64,
    )  # fmt: skip
    traits = np.array(
        [
            (p.density, p.q_bytes, p.kv_bytes, p.o_bytes, p.activations_dram, p.kv_dram_share)
            for p in problems
        ],
        dtype=np.float64,
    )
    tilings = np.empty((len(problems), 4), dtype=np.int64)
    costs = np.empty((len(problems), 10), dtype=np.float64)
    search_many(machine, sizes, traits, tilings, costs)
    return [
        (tile[:3], cost, tile[3])
        for tile, cost in zip(tilings.tolist(), costs.tolist(), strict=True)
    ]


_memo: Memo[AttentionMapping] = Memo()


def map_attention(chip: Chip, dtype: str, problem: AttentionProblem) -> AttentionMapping:
    """Map one fused attention; remembered, since layers repeat."""
    return map_attentions_remembered(chip, dtype, [problem])[0]


def map_attentions_remembered(
    chip: Chip, dtype: str, problems: Sequence[AttentionProblem]
) -> tuple[AttentionMapping, ...]:
    """Map many at once and remember them; known ones are not searched again."""
    return _memo.fetch(chip, dtype, problems, map_attentions)
