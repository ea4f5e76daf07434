"""Grids of GEMMs on GPUs against plain loops: every tile, the search, and without the JIT."""

from __future__ import annotations

import random

import pytest

from accelsim.kernels.gpu.gemm import block_cost
from accelsim.kernels.gpu.gemm_search import search_blocks
from accelsim.kernels.gpu.gemv import vector_cost
from accelsim.kernels.gpu.grid import BlockTile
from accelsim.kernels.gpu.processor import Processor
from accelsim.kernels.matmul import Problem
from tests.oracle.naive_gpu_gemm import PROCESSORS, best_s, small_processor, tile_s, vectors_s
from tests.oracle.without_jit import printed

_CLOSE = 1e-12


def problems(p: Processor, count: int) -> list[Problem]:
    """Small and large, square and thin, operands in memory and on chip."""
    draw = random.Random(5)
    sides = (1, 2, 3, 4, 16, 63, 64, 65, 100, 128, 257, 300, 512, 1000)
    widths = (1.0,) if p.integers else (4.0,) if p.lanes else (2.0, 2.0, 1.0)
    return [
        Problem(
            draw.choice((1, 1, 2, 9)), draw.choice(sides), draw.choice(sides),
            draw.choice((1, 32, 100, 256, 1024, 2048, 5000)), draw.choice(widths),
            draw.choice(widths), draw.choice((1.0, 2.0, 4.0)), draw.choice((0.0, 1.0)),
            draw.choice((0.0, 1.0, 1.0)), draw.choice((0.0, 1.0)),
        )
        for _ in range(count)
    ]  # fmt: skip


@pytest.mark.parametrize("name", PROCESSORS)
def test_one_tile(name: str) -> None:
    p = PROCESSORS[name]
    sides = (64, 128, 192) if p.asynchronous else (16, 32, 64, 128)
    draw = random.Random(7)
    for q in problems(p, 60):
        split, stages = draw.choice((1, 1, 3, 8)), draw.choice((2, 4))
        tile = BlockTile(draw.choice(sides), draw.choice(sides), split, stages)
        naive, cost = tile_s(p, q, tile), block_cost(p, q, tile)
        if naive is None:
            assert cost.blocks == 0
        else:
            assert cost._asdict() == pytest.approx(naive, rel=_CLOSE, abs=0), (q, tile)


@pytest.mark.parametrize("name", PROCESSORS)
def test_vectors(name: str) -> None:
    p = PROCESSORS[name]
    for q in problems(p, 60):
        few = q._replace(m=min(q.m, 4)) if q.k % 3 else q._replace(n=min(q.n, 4))
        assert vector_cost(p, few)._asdict() == pytest.approx(vectors_s(p, few), rel=_CLOSE, abs=0)


@pytest.mark.parametrize("name", PROCESSORS)
def test_search_finds_the_fastest_of_all(name: str) -> None:
    p = PROCESSORS[name]
    for q in problems(p, 25):
        naive, candidates = best_s(p, q)
        _, cost, tried = search_blocks(p, q)
        assert (cost.latency_s, tried) == (
            pytest.approx(naive["latency_s"], rel=_CLOSE),
            candidates,
        )
        assert cost.active_cores == min(p.cores, naive["blocks"])


def test_nothing_fits_a_core_without_room() -> None:
    q = Problem(1, 64, 64, 64, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0)
    assert search_blocks(small_processor(scratch_bytes=100), q)[2] == 0


_SCRIPT = """
import json
from tests.oracle.test_gpu_gemm import answers
print(json.dumps(answers()))
"""


def answers() -> list[list[float]]:
    """Tilings and costs of a few problems on every processor."""
    found = []
    for p in PROCESSORS.values():
        for q in problems(p, 4):
            tiling, cost, tried = search_blocks(p, q)
            found.append([*map(float, tiling), *map(float, cost), float(tried)])
    return found


def test_the_same_without_the_compiler() -> None:
    for plain, compiled in zip(printed(_SCRIPT), answers(), strict=True):
        assert plain == pytest.approx(compiled, rel=_CLOSE)
