"""Grids of blocks, splits and tiles of GPU attention against plain loops, and without the JIT."""

from __future__ import annotations

import heapq
import math

import pytest

from accelsim.arch.loader import load_chip
from accelsim.kernels.attention import AttentionProblem
from accelsim.kernels.gpu.attention import FLASH, SERVING, search_gpu_attention
from accelsim.kernels.gpu.attention_blocks import Lives, grid_s
from accelsim.kernels.gpu.flash import flash2_split, flash_cost
from accelsim.mapping.processor import processor_for
from accelsim.timing.attention import attention_problem
from accelsim.workload.ops import Attention
from tests.oracle.without_jit import printed

A100 = processor_for(load_chip("a100_sxm_80gb"), "bf16")
H100 = processor_for(load_chip("h100_sxm"), "bf16")


def problem(q_len: int, kv_len: int, **changes: int) -> AttentionProblem:
    sizes = {"batch": 2, "heads": 8, "kv_heads": 2, "head_dim": 128, "v_head_dim": 128} | changes
    return attention_problem(Attention("a", q_len=q_len, kv_len=kv_len, **sizes), False)  # type: ignore[arg-type]


def ends_s(lives: list[float], cores: int) -> float:
    """Give each core its next block when it is free; when the last one ends."""
    free = [0.0] * cores
    for life in lives:
        heapq.heapreplace(free, free[0] + life)
    return max(free)


@pytest.mark.parametrize("blocks", [1, 4, 5, 8, 13, 27])
def test_equal_blocks_alone_on_their_cores_run_in_whole_waves(blocks: int) -> None:
    lives = Lives(3.0, 3.0, 3.0, 3.0)
    assert grid_s(blocks / 4, 1.0, lives, 0) == pytest.approx(ends_s([3.0] * blocks, 4))


@pytest.mark.parametrize("blocks", [1, 3, 4, 5, 9, 12, 22])
def test_equal_blocks_that_share_a_core(blocks: int) -> None:
    """One core holds four; a block lives 2 s alone and 5 s among three others."""
    left, seconds = blocks, 0.0
    while left > 0:
        crowd = min(4, left)
        seconds += 2.0 + (5.0 - 2.0) * (crowd - 1) / 3
        left -= crowd
    lives = Lives(2.0, 5.0, 2.0, 5.0)
    assert grid_s(float(blocks), 4.0, lives, 0) == pytest.approx(seconds)


@pytest.mark.parametrize("blocks", [6, 17, 40, 100])
def test_unequal_blocks_end_between_perfect_balance_and_one_block_more(blocks: int) -> None:
    lengths = [1.0 + i % 4 for i in range(blocks)]
    mean, most = sum(lengths) / blocks, max(lengths)
    modelled = grid_s(blocks / 5, 1.0, Lives(mean, mean, most, most), 1)
    assert max(most, sum(lengths) / 5) <= modelled <= sum(lengths) / 5 + most + 1e-9
    assert ends_s(lengths, 5) <= modelled + 1e-9


@pytest.mark.parametrize("tasks", [1, 3, 16, 100, 171, 173])
@pytest.mark.parametrize("kv_len", [1, 128, 1000, 5000, 40000])
def test_split_is_the_least_that_fills_the_cores_as_well_as_most(tasks: int, kv_len: int) -> None:
    shape = problem(1, kv_len, batch=tasks, kv_heads=1)
    tiles, slots = math.ceil(kv_len / 128), 2 * A100.cores
    if tasks >= 0.8 * slots:
        expected = 1
    else:
        filled = {
            parts: tasks * parts / slots / math.ceil(tasks * parts / slots)
            for parts in range(1, min(128, slots, tiles) + 1)
        }
        even = {
            p: f
            for p, f in filled.items()
            if p == 1 or math.ceil(tiles / p) != math.ceil(tiles / (p - 1))
        }
        expected = min(p for p, f in even.items() if f >= 0.85 * max(even.values()))
    assert flash2_split(shape, float(A100.cores)) == expected


@pytest.mark.parametrize("q_len", [128, 256, 1024])
def test_a_causal_prompt_computes_every_tile_that_holds_a_visible_pair(q_len: int) -> None:
    tiles = sum(
        1
        for row in range(0, q_len, 64)
        for key in range(0, q_len, 128)
        if key <= min(row + 63, q_len - 1)
    )
    cost = flash_cost(A100, problem(q_len, q_len), float(A100.cores), 0, 1)
    # Two short products in turn run the matrix units at 0.88 of their rate in long ones.
    matrix_s = 4.0 * 64 * 128 * 128 / (0.88 * A100.flop_per_cycle) / A100.clock_hz
    assert cost.blocks == 16 * q_len / 64
    # Counting pairs, the diagonal itself is half a key per row more.
    assert cost.compute_s == pytest.approx(16 * tiles * matrix_s / A100.cores, rel=0.01)


def test_packed_decode_reads_the_cache_once() -> None:
    shape = problem(1, 4096)
    cost = flash_cost(A100, shape, float(A100.cores), 1, 1)
    q = 2 * 8 * 128 * 2
    assert cost.reads == 2 * 2 * 4096 * 256 * 2 + q
    assert cost.pulled == pytest.approx(cost.reads + q)
    assert cost.blocks == 4


def test_wide_heads_take_smaller_tiles() -> None:
    narrow, _, _ = search_gpu_attention(FLASH, A100, problem(256, 256, head_dim=64, v_head_dim=64))
    wide, _, tried = search_gpu_attention(FLASH, A100, problem(256, 256, head_dim=512,
                                                               v_head_dim=512))  # fmt: skip
    assert narrow.tile_kv > wide.tile_kv
    assert tried > 0
    *_, none = search_gpu_attention(FLASH, A100, problem(256, 256, head_dim=1 << 16))
    assert none == 0


_SCRIPT = """
import json
from tests.oracle.test_gpu_attention import answers
print(json.dumps(answers()))
"""


def answers() -> list[list[float]]:
    """Tilings and costs of a prompt and of decode by each library."""
    found = []
    for q_len, kv_len, kv_heads in ((200, 200, 2), (1, 3000, 2), (1, 700, 8)):
        shape = problem(q_len, kv_len, kv_heads=kv_heads)
        for library, processor in ((FLASH, A100), (SERVING, H100)):
            tiling, cost, tried = search_gpu_attention(library, processor, shape)
            found.append([*map(float, tiling), *map(float, cost), float(tried)])
    return found


def test_the_same_without_the_compiler() -> None:
    for plain, compiled in zip(printed(_SCRIPT), answers(), strict=True):
        assert plain == pytest.approx(compiled, rel=1e-12)
