"""Visible query-key pairs and tiles by brute force, against the closed forms."""

from __future__ import annotations

import itertools
import math

import pytest

from accelsim.kernels.attention import AttentionProblem, AttentionTiling, key_tiles
from accelsim.timing.attention import attention_problem
from accelsim.workload.ops import Attention


def attention(q_len: int, kv_len: int, window: int | None = None, **changes: object) -> Attention:
    sizes = {"batch": 1, "heads": 4, "kv_heads": 1, "head_dim": 64, "v_head_dim": 64}
    return Attention("a", q_len=q_len, kv_len=kv_len, window=window, **(sizes | changes))  # type: ignore[arg-type]


def seen(q_len: int, kv_len: int, window: int | None, query: int, key: int) -> bool:
    """Query i stands at position kv_len - q_len + i and sees itself and what is before it."""
    position = kv_len - q_len + query
    return key <= position and (window is None or key > position - window)


_SHAPES = [
    (q, kv, w)
    for q, kv, w in itertools.product((1, 2, 5, 9), (1, 2, 5, 9, 14), (None, 1, 3, 8, 20))
    if q <= kv
]


@pytest.mark.parametrize(("q_len", "kv_len", "window"), _SHAPES)
def test_causal_pairs_and_visible_keys(q_len: int, kv_len: int, window: int | None) -> None:
    op = attention(q_len, kv_len, window)
    mask = [[seen(q_len, kv_len, window, i, j) for j in range(kv_len)] for i in range(q_len)]
    assert op.pairs == sum(map(sum, mask))
    assert op.visible_kv_len == sum(any(column) for column in zip(*mask, strict=True))


def tiles_executed(
    q_len: int, kv_len: int, window: int | None, positions: int, tile_kv: int
) -> list[int]:
    """Key tiles with a visible pair, for every tile of query positions."""
    counts = []
    for start in range(0, q_len, positions):
        queries = range(start, min(start + positions, q_len))
        touched = {
            key // tile_kv
            for query in queries
            for key in range(kv_len)
            if seen(q_len, kv_len, window, query, key)
        }
        counts.append(len(touched))
    return counts


def modelled(op: Attention, positions: int, tile_kv: int) -> tuple[float, float]:
    problem = attention_problem(op, False)
    tiling = AttentionTiling(positions * problem.share, tile_kv, 1)
    return key_tiles(problem, tiling)


@pytest.mark.parametrize("positions", [4, 16, 32])
@pytest.mark.parametrize("tile_kv", [8, 16, 32])
@pytest.mark.parametrize("q_len", [64, 128])
def test_key_tiles_of_a_causal_prefill_are_exact_for_aligned_tiles(
    q_len: int, tile_kv: int, positions: int
) -> None:
    counts = tiles_executed(q_len, q_len, None, positions, tile_kv)
    mean, most = modelled(attention(q_len, q_len), positions, tile_kv)
    assert most == max(counts)
    # pairs count the diagonal itself: half a key more than the tiles' own mean
    assert mean == pytest.approx(sum(counts) / len(counts), abs=0.5 / tile_kv + 1e-9)


@pytest.mark.parametrize("window", [16, 48])
@pytest.mark.parametrize("positions", [8, 32])
def test_key_tiles_of_a_sliding_window_do_not_grow_with_the_sequence(
    window: int, positions: int
) -> None:
    q_len, tile_kv = 192, 16
    counts = tiles_executed(q_len, q_len, window, positions, tile_kv)
    mean, most = modelled(attention(q_len, q_len, window), positions, tile_kv)
    assert max(counts) - 1 <= most <= max(counts)  # an unaligned window touches one more
    assert mean == pytest.approx(sum(counts) / len(counts), rel=0.25)


@pytest.mark.parametrize(("kv_len", "tile_kv", "split"), [(65, 64, 1), (1040, 64, 4), (5, 16, 1)])
def test_decode_visits_whole_key_tiles(kv_len: int, tile_kv: int, split: int) -> None:
    problem = attention_problem(attention(1, kv_len), False)
    mean, most = key_tiles(problem, AttentionTiling(16, tile_kv, split))
    assert mean == most == math.ceil(math.ceil(kv_len / split) / tile_kv)


def test_a_short_masked_prompt_still_costs_a_whole_tile() -> None:
    problem = attention_problem(attention(5, 5), False)
    assert key_tiles(problem, AttentionTiling(32, 64, 1)) == (1.0, 1.0)


@pytest.mark.parametrize("kv_dtype", ["bf16", "fp8"])
@pytest.mark.parametrize(("q_len", "kv_len"), [(8, 8), (1, 100), (16, 100)])
def test_the_problem_moves_exactly_the_bytes_of_the_op(
    kv_dtype: str, q_len: int, kv_len: int
) -> None:
    """Fresh keys in the arithmetic's dtype, cached ones in the cache's; nothing twice."""
    op = attention(q_len, kv_len, kv_dtype=kv_dtype)
    p: AttentionProblem = attention_problem(op, False)
    whole = p.tasks * p.kv_len * p.kv_elements * p.kv_bytes * p.kv_dram_share
    queries = p.tasks * p.rows * p.head_dim * p.q_bytes
    assert whole + queries == pytest.approx(op.traffic.inputs + op.traffic.cache_read, rel=1e-12)
    on_chip = attention_problem(op, True)
    cached = on_chip.tasks * on_chip.kv_len * on_chip.kv_elements * on_chip.kv_bytes
    assert cached * on_chip.kv_dram_share == pytest.approx(op.traffic.cache_read, abs=1e-9)
