"""Elementwise and row-wise kernels of a GPU: what bounds them, and which bytes they move."""

from __future__ import annotations

import pytest

from accelsim.arch.chip import Chip
from accelsim.arch.loader import load_chip
from accelsim.mapping.fusion import group_ops, single
from accelsim.timing.gpu_vector import gpu_vector_times
from accelsim.workload.ops import Gather, OptimizerStep, Vector

A100, V100 = load_chip("a100_pcie_40gb"), load_chip("v100_pcie")


def vector(fn: str, rows: int, cols: int, dtype: str = "fp32") -> Vector:
    return Vector(fn, fn=fn, rows=rows, cols=cols, dtype=dtype)


def seconds(op: Vector, chip: Chip = A100) -> float:
    return gpu_vector_times(single(op), chip)[1]


def test_a_long_sum_takes_its_bytes_over_the_sustained_bandwidth() -> None:
    op = vector("add", 65536, 4096)
    moved_s = A100.transfers.seconds(2.0 * 2**30, 2.0**30)
    assert seconds(op) == pytest.approx(moved_s, rel=1e-3)


def test_a_sum_of_two_tensors_reads_both_and_so_does_a_power() -> None:
    for fn in ("add", "pow"):
        activity = gpu_vector_times(single(vector(fn, 65536, 4096)), A100)[2]
        assert activity.dram_read_bytes == 2 * activity.dram_write_bytes


def test_tensors_that_fit_the_l2_stay_there() -> None:
    small, part, large = (
        gpu_vector_times(group_ops([vector("relu", rows, 1024)], A100)[0], A100)[2].dram_bytes
        for rows in (2048, 3400, 8192)
    )
    assert small == 0
    assert 0 < part < 2 * 4 * 3400 * 1024
    assert large == 2 * 4 * 8192 * 1024


def test_a_long_softmax_reads_its_rows_three_times() -> None:
    op = vector("softmax", 16384, 16384)
    times, _, activity = gpu_vector_times(single(op), V100)
    assert activity.dram_read_bytes == 3 * op.traffic.inputs
    assert activity.dram_write_bytes == op.traffic.outputs
    assert max(times, key=lambda name: times[name]) == "memory"


def test_a_short_softmax_reads_its_rows_once() -> None:
    op = vector("softmax", 65536, 1024)
    assert gpu_vector_times(single(op), V100)[2].dram_read_bytes == op.traffic.inputs


def test_a_power_needs_more_lanes_than_a_sum() -> None:
    wide = load_chip("a100_pcie_40gb", {"memory.bandwidth": "100 TB/s"})
    times = [gpu_vector_times(single(vector(fn, 65536, 4096)), wide)[0] for fn in ("add", "pow")]
    assert times[1]["vector"] > 5 * times[0]["vector"]


def test_what_is_fused_before_a_norm_adds_its_work_and_saves_its_bytes() -> None:
    add, norm = vector("add", 65536, 2048), vector("rmsnorm", 65536, 2048)
    (group,) = group_ops([add, norm], A100)
    fused_s = gpu_vector_times(group, A100)[1]
    assert seconds(norm) < fused_s < seconds(add) + seconds(norm)


@pytest.mark.parametrize(
    "op",
    [
        Gather("lookup", rows=1 << 20, cols=128, table_rows=1 << 24, dtype="fp32"),
        OptimizerStep("adam", elements=1e9, read_bytes=16.0, write_bytes=14.0),
    ],
)
def test_lookups_and_updates_are_bound_by_memory(op: Gather | OptimizerStep) -> None:
    times, latency_s, activity = gpu_vector_times(single(op), A100)
    assert latency_s == pytest.approx(times["memory"] + times["overhead"])
    assert activity.dram_bytes == op.traffic.total


def test_a_scattered_read_takes_longer() -> None:
    group = single(Gather("lookup", rows=1 << 20, cols=128, table_rows=1 << 24))
    plain, scattered = (gpu_vector_times(group, A100, factor)[1] for factor in (1.0, 3.0))
    assert scattered > 1.4 * plain
