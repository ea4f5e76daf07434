"""The compiled search against a plain enumeration of every candidate, costed in Python."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from accelsim.kernels.attention import (
    AttentionProblem,
    AttentionTiling,
    attention_cost,
    attention_fits,
    search_attention,
)
from accelsim.kernels.machine import TENSOR_CORE, Machine
from accelsim.kernels.matmul import Problem, Tiling, fits, matmul_cost, search
from tests.oracle.machines import STYLES, problem, systolic_machine, tensor_core_machine


def doubled(quantum: int, limit: int) -> list[int]:
    """Quantum times powers of two below the size rounded up, then that size."""
    whole = -(-limit // quantum) * quantum
    sizes = []
    while quantum < whole:
        sizes.append(quantum)
        quantum *= 2
    return [*sizes, whole]


def matmul_candidates(machine: Machine, p: Problem) -> Iterator[Tiling]:
    tensor_core = machine.style == 0
    orders = range(1) if tensor_core else range(3)
    step_k = 4 * machine.tile_k if tensor_core else machine.tile_k
    splits = [1]
    if tensor_core and p.m * p.n < 8 * machine.cores * 32 * machine.tile_m * machine.tile_n:
        splits = [s for s in (1, 2, 4, 8, 16, 32) if s == 1 or (s - 1) * step_k < p.k]
    for split in splits:
        depth = -(-p.k // split)
        tiles = itertools.product(
            doubled(machine.tile_m, p.m), doubled(machine.tile_n, p.n), doubled(step_k, depth)
        )
        for tile, kept in itertools.product(tiles, orders):
            yield Tiling(*tile, kept, split)


_MACHINES = {
    "tensor cores": tensor_core_machine(),
    "tensor cores, tight": tensor_core_machine(scratch_bytes=6000, accumulator_bytes=0, cores=9),
    **{f"systolic {style}": systolic_machine(style=style, scratch_bytes=3000) for style in STYLES},
}
_SHAPES = [(1, 1, 1), (16, 8, 8), (33, 70, 129), (1, 500, 300), (250, 3, 64), (64, 64, 1)]


@pytest.mark.parametrize("name", _MACHINES)
@pytest.mark.parametrize("shape", _SHAPES, ids=lambda s: "x".join(map(str, s)))
def test_matmul_search_finds_the_best_of_all_candidates(
    name: str, shape: tuple[int, int, int]
) -> None:
    machine, p = _MACHINES[name], problem(*shape)
    legal = [t for t in matmul_candidates(machine, p) if fits.py_func(machine, p, t)]
    assert legal, "the case must have a legal tiling"
    costs = {t: matmul_cost(machine, p, t) for t in legal}
    least = min(cost.latency_s for cost in costs.values())
    tiling, cost, tried = search(machine, p)
    assert tried == len(legal)
    assert Tiling(*tiling) in costs
    assert cost.latency_s == pytest.approx(least, rel=1e-8)
    assert tuple(cost) == tuple(costs[Tiling(*tiling)])
    ties = [c for c in costs.values() if c.latency_s <= least * (1 + 1e-12)]
    moved = min(c.dram_read_bytes + c.dram_write_bytes for c in ties)
    assert cost.dram_read_bytes + cost.dram_write_bytes <= moved * (1 + 1e-12)


def test_no_legal_tile_is_reported_as_none_tried() -> None:
    assert search(tensor_core_machine(scratch_bytes=100), problem(64, 64, 64))[2] == 0


_ATTENTION = AttentionProblem(
    tasks=2, rows=40, kv_len=200, density=0.6, masked=1, share=4, span=200, head_dim=32,
    v_head_dim=32, q_bytes=2.0, kv_bytes=2.0, o_bytes=2.0, kv_elements=64,
    activations_dram=1.0, kv_dram_share=1.0, decode=0,
)  # fmt: skip


_ROOMY = {"tensor cores": tensor_core_machine(), "systolic": systolic_machine(scratch_bytes=60000)}


@pytest.mark.parametrize("machine", _ROOMY.values(), ids=_ROOMY)
@pytest.mark.parametrize("rows", [1, 40])
def test_attention_search_finds_the_best_of_all_candidates(machine: Machine, rows: int) -> None:
    masked = int(rows > 1)
    p = _ATTENTION._replace(rows=rows, masked=masked, density=0.6 if masked else 1.0, share=1)
    splits = [s for s in (1, 2, 4, 8, 16, 32, 64, 128) if s <= p.kv_len]
    if p.tasks * -(-rows // machine.tile_m) >= 4 * machine.cores:
        splits = [1]
    # Half an instruction's rows may be all that wide heads leave room for.
    first_q = machine.tile_m // (2 if machine.style == TENSOR_CORE else 1)
    legal = []
    for split in splits:
        for tile_q in doubled(first_q, rows):
            for tile_kv in doubled(8, -(-p.kv_len // split)):
                tiling = AttentionTiling(tile_q, tile_kv, split)
                if attention_fits.py_func(machine, p, tiling):
                    legal.append(tiling)
    least = min(attention_cost(machine, p, t).latency_s for t in legal)
    tiling, cost, tried = search_attention(machine, p)
    assert tried == len(legal)
    assert cost.latency_s == pytest.approx(least, rel=1e-8)
