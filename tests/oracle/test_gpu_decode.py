"""Decode on GPUs against plain steps: programs, parts of the keys, times."""

from __future__ import annotations

import random

import pytest

from accelsim.arch.loader import load_chip
from accelsim.kernels.attention import AttentionProblem
from accelsim.kernels.gpu.attention import SERVING, search_gpu_attention
from accelsim.kernels.gpu.decode import LANES, decode_cost, decode_program, decode_split
from accelsim.mapping.processor import processor_for
from accelsim.timing.attention import attention_problem
from accelsim.workload.ops import Attention
from tests.oracle.naive_gpu_decode import matrix_s, program_and_parts

CHIPS = ("h100_sxm", "l40s", "b200_sxm")


def problems(count: int) -> list[AttentionProblem]:
    """Few and many sequences, short and long, heads that share and heads that do not."""
    draw = random.Random(11)
    found = []
    for _ in range(count):
        kv_heads, share = draw.choice((1, 2, 8, 24)), draw.choice((1, 2, 7, 8, 12, 32, 64))
        width = draw.choice((64, 128, 256))
        op = Attention(
            "a", batch=draw.choice((1, 3, 16, 130, 700)), heads=kv_heads * share,
            kv_heads=kv_heads, q_len=1, kv_len=draw.choice((2, 100, 128, 255, 1000, 9000, 70000)),
            head_dim=width, v_head_dim=width, kv_dtype=draw.choice(("bf16", "fp8")),
        )  # fmt: skip
        found.append(attention_problem(op, draw.random() < 0.5))
    return found


@pytest.mark.parametrize("chip", CHIPS)
def test_programs_parts_and_times(chip: str) -> None:
    p = processor_for(load_chip(chip), "bf16")
    on_matrix = 0
    for q in problems(150):
        name, parts = program_and_parts(p, q, p.cores)
        program = decode_program(p, q, float(p.cores))
        assert (program == LANES) == (name == "lanes"), q
        assert decode_split(p, q, program, float(p.cores)) == parts, q
        if name == "matrix":
            on_matrix += 1
            cost = decode_cost(p, q, float(p.cores), program, parts)
            assert cost.latency_s == pytest.approx(matrix_s(p, q, p.cores, parts), rel=1e-9), q
    assert on_matrix > 30


@pytest.mark.parametrize("chip", ["a100_sxm_80gb", "h100_sxm", "h200_sxm", "b200_sxm", "gb200"])
def test_a_large_cache_streams_at_the_rate_of_the_memory(chip: str) -> None:
    p = processor_for(load_chip(chip), "bf16")
    op = Attention("a", batch=64, heads=64, kv_heads=8, q_len=1, kv_len=16384, head_dim=128,
                   v_head_dim=128)  # fmt: skip
    q = attention_problem(op, True)
    _, cost, _ = search_gpu_attention(SERVING, p, q)
    kv = q.tasks * q.kv_len * q.kv_elements * q.kv_bytes
    assert 0.85 * p.dram_bytes_per_s <= kv / cost.latency_s <= p.dram_bytes_per_s
