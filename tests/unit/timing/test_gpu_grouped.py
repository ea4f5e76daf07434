"""Grouped matmuls of GPUs: finding the experts, and tiles that gate and up share."""

from __future__ import annotations

import pytest

from accelsim.arch.loader import load_chip
from accelsim.mapping.fusion import single
from accelsim.mapping.processor import processor_for
from accelsim.timing.matmul import matmul_times
from accelsim.workload.ops import GroupedMatMul


def experts(groups: int, rows: int = 64, size: int = 1024) -> GroupedMatMul:
    return GroupedMatMul("up", rows=rows, groups=groups, active=8, n=size, k=size)


def test_blocks_find_their_expert_among_32_at_a_time() -> None:
    chip = load_chip("h100_sxm")
    times = {g: matmul_times(single(experts(g)), chip, "bf16")[1] for g in (8, 32, 33, 256)}
    latency_s = chip.calibration.memory_latency_s
    assert times[32] == times[8]
    assert times[33] - times[8] == pytest.approx(latency_s)
    assert times[256] - times[8] == pytest.approx(7 * latency_s)


def test_before_asynchronous_units_experts_have_small_tiles() -> None:
    op = experts(8, rows=8 * 4096, size=4096)
    chip = load_chip("a100_sxm_80gb")
    times, latency_s, _, _ = matmul_times(single(op), chip, "bf16")
    # 32 tiles of 128 columns read all of A, 64 of 64 rows all of B: 8 experts, 2 bytes each.
    expected = 8 * 4096 * 4096 * 2 * (32 + 64) / processor_for(chip, "bf16").shared_bytes_per_s
    assert times["l2"] == pytest.approx(expected)
    assert latency_s > expected
    hopper, _, _, mapping = matmul_times(single(op), load_chip("h100_sxm"), "bf16")
    assert hopper["l2"] == mapping.cost.shared_s


def test_a_chip_without_thread_blocks_is_left_alone() -> None:
    chip = load_chip("tpu_v4")
    times = [matmul_times(single(experts(g)), chip, "bf16")[1] for g in (8, 256)]
    assert times[0] == times[1]
