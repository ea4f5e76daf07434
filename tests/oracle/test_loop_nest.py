"""Traffic into one core equals that of a loop nest executed tile by tile with one-tile buffers."""

from __future__ import annotations

import itertools
import math

import pytest

from accelsim.kernels.matmul import (
    A_KEPT,
    ACCUMULATOR_BYTES,
    B_KEPT,
    OUTPUT_KEPT,
    Problem,
    Tiling,
    _core_traffic,
)
from tests.oracle.machines import problem

_SIZES = (1, 3, 4, 7, 8, 12)
_TILES = (1, 4, 5)
# What the innermost loop leaves in place: the loop order, outermost first.
_ORDER = {OUTPUT_KEPT: "mnk", A_KEPT: "mkn", B_KEPT: "nkm"}


def _extent(size: int, tile: int, index: int) -> int:
    return min(tile, size - index * tile)


def executed(p: Problem, t: Tiling, order: str) -> tuple[float, float, float]:
    """Run the nest; count bytes of A and B loaded, and of sums written out and read back."""
    tiles = {axis: math.ceil(getattr(p, axis) / getattr(t, f"tile_{axis}")) for axis in "mnk"}
    held = {"a": None, "b": None, "c": None}
    moved = {"a": 0.0, "b": 0.0, "sums": 0.0}
    begun: set[tuple[int, int]] = set()
    for indices in itertools.product(*(range(tiles[axis]) for axis in order)):
        at = dict(zip(order, indices, strict=True))
        m, n, k = at["m"], at["n"], at["k"]
        rows, cols = _extent(p.m, t.tile_m, m), _extent(p.n, t.tile_n, n)
        depth = _extent(p.k, t.tile_k, k)
        if held["a"] != (m, k):
            held["a"], moved["a"] = (m, k), moved["a"] + rows * depth * p.a_bytes
        if held["b"] != (k, n):
            held["b"], moved["b"] = (k, n), moved["b"] + depth * cols * p.b_bytes
        if held["c"] != (m, n):
            if (m, n) in begun:  # left unfinished before: it was written, and now comes back
                moved["sums"] += 2 * ACCUMULATOR_BYTES * rows * cols
            begun.add((m, n))
            held["c"] = (m, n)
    return p.batch * moved["a"], p.batch * moved["b"], p.batch * moved["sums"]


def _cases() -> list[tuple[Problem, Tiling]]:
    shapes = itertools.product(_SIZES, _SIZES, _SIZES)
    tiles = list(itertools.product(_TILES, _TILES, _TILES))
    return [
        (problem(m, n, k, batch=1 + m % 2, a_bytes=1.0, b_bytes=2.0), Tiling(*tile, 0, 1))
        for index, (m, n, k) in enumerate(shapes)
        for tile in tiles[index % 4 :: 4]
    ]


@pytest.mark.parametrize("kept", [OUTPUT_KEPT, A_KEPT, B_KEPT])
def test_traffic_of_each_loop_order_is_that_of_the_executed_nest(kept: int) -> None:
    for p, tiling in _cases():
        t = tiling._replace(kept=kept)
        tiles = [math.ceil(getattr(p, x) / getattr(t, f"tile_{x}")) for x in "mnk"]
        counted = _core_traffic.py_func(p, t, 1)
        real = executed(p, t, _ORDER[kept])
        if min(tiles) > 1:
            assert counted == real, (p, t)
        # With a single tile along an axis the nest keeps more than its name says; never less.
        assert all(c >= r for c, r in zip(counted, real, strict=True)), (p, t)


def test_the_best_of_the_three_orders_is_the_best_of_all_six() -> None:
    for p, tiling in _cases():
        ours = min(sum(_core_traffic.py_func(p, tiling._replace(kept=kept), 1)) for kept in _ORDER)
        best = min(sum(executed(p, tiling, "".join(o))) for o in itertools.permutations("mnk"))
        assert ours == best, (p, tiling)


@pytest.mark.parametrize("cores", [2, 3, 8])
def test_a_kept_operand_is_loaded_by_every_core_that_needs_it(cores: int) -> None:
    """Row-major tiles dealt in even runs: A is loaded per (core, row), give or take one."""
    for p, tiling in _cases():
        t = tiling._replace(kept=A_KEPT)
        tiles_m, tiles_n = math.ceil(p.m / t.tile_m), math.ceil(p.n / t.tile_n)
        rows = p.batch * tiles_m
        tiles = rows * tiles_n
        active = min(cores, tiles)
        pairs = len({(tile * active // tiles, tile // tiles_n) for tile in range(tiles)})
        whole_a = float(p.batch) * p.m * p.k * p.a_bytes
        loads = _core_traffic.py_func(p, t, active)[0] / whole_a
        assert abs(loads - pairs / rows) <= 1 + 1e-9, (p, t)
        if rows == 1:
            assert loads == min(active, tiles_n)


def test_splitting_k_writes_and_reads_one_partial_result_per_part() -> None:
    p, t = problem(8, 4, 64), Tiling(8, 4, 8, OUTPUT_KEPT, 4)
    assert _core_traffic.py_func(p, t, 1)[2] == 2 * 4 * (4 * 8 * 4)
