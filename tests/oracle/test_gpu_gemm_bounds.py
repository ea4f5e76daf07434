"""What lets the search leave grids out: bounds below every cost, and the same choice with them."""

from __future__ import annotations

import math

import pytest

from accelsim.kernels.gpu.gemm import block_cost, blocks_per_core, demand_of, grid_of, least_s
from accelsim.kernels.gpu.gemm_search import _ROUNDING, search_blocks
from accelsim.kernels.gpu.grid import BlockTile
from accelsim.kernels.matmul import Problem
from tests.oracle.naive_gpu_gemm import PROCESSORS, small_processor, tiles_for, turned
from tests.oracle.test_gpu_gemm import problems


@pytest.mark.parametrize("name", PROCESSORS)
def test_no_bound_exceeds_its_cost(name: str) -> None:
    p = PROCESSORS[name]
    ratios = []
    for q in problems(p, 50):
        demand = demand_of(p, q)
        for tile in tiles_for(p, q):
            held = blocks_per_core(p, tile)
            if held >= 1.0:
                bound_s = least_s(p, demand, grid_of(p, q, demand, tile), tile, held)
                ratios.append(bound_s * _ROUNDING / block_cost(p, q, tile).latency_s)
    assert 0.5 < max(ratios) < 1.0, "bounds are close to some costs, and above none"


def first_of_the_fastest(name: str, q: Problem) -> tuple[float, BlockTile, bool]:
    """The tile that a search without bounds takes, and whether the product is turned."""
    p = PROCESSORS[name]
    best = math.inf, BlockTile(0, 0, 0, 0), False
    for is_turned, way in enumerate((q, turned(q))):
        for tile in tiles_for(p, way):
            cost = block_cost(p, way, tile)
            if cost.blocks > 0 and cost.latency_s < best[0]:
                best = cost.latency_s, tile, bool(is_turned)
    return best


@pytest.mark.parametrize("name", PROCESSORS)
def test_bounds_change_no_choice(name: str) -> None:
    """To the bit, and of equals the first as tiles are listed."""
    p = PROCESSORS[name]
    for q in problems(p, 20):
        if min(q.m, q.n) <= 4:
            continue  # may be a product of vectors
        latency_s, tile, is_turned = first_of_the_fastest(name, q)
        tiling, cost, _ = search_blocks(p, q)
        sides = (tile.tile_n, tile.tile_m) if is_turned else (tile.tile_m, tile.tile_n)
        assert cost.latency_s == latency_s
        assert (*sides, tile.split_k) == (tiling.tile_m, tiling.tile_n, tiling.split_k)


def test_equal_tiles_go_to_the_first() -> None:
    """Nothing but the main memory counts: all tiles and both ways round take as long."""
    endless = 1e18
    p = small_processor(
        flop_per_cycle=endless, scratch_bytes_per_cycle=endless, port_bytes_per_s=endless,
        shared_bytes=endless, shared_bytes_per_s=endless, shared_latency_s=0.0, latency_s=0.0,
        dram_bytes_per_s=1.0,
    )  # fmt: skip
    tiling = search_blocks(p, Problem(1, 512, 512, 512, 2.0, 2.0, 0.0, 1.0, 1.0, 1.0))[0]
    assert (tiling.tile_m, tiling.tile_n, tiling.split_k) == (16, 16, 1)
