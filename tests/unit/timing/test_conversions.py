"""Conversions and indirect copies of GPUs: what they wait for."""

from __future__ import annotations

import pytest

from accelsim.arch.chip import Chip
from accelsim.arch.loader import load_chip
from accelsim.mapping.fusion import single
from accelsim.mapping.processor import processor_for
from accelsim.timing.gpu_vector import gpu_vector_times
from accelsim.timing.matmul import matmul_times
from accelsim.workload.ops import MatMul, Vector

H100 = load_chip("h100_sxm")


def seconds(fn: str, rows: int, *, on_chip: bool, chip: Chip = H100) -> float:
    op = Vector("op", fn=fn, rows=rows, cols=1024)
    return gpu_vector_times(single(op, on_chip), chip)[1]


def test_an_index_is_looked_up_before_its_row() -> None:
    apart = seconds("permute", 1, on_chip=True) - seconds("copy", 1, on_chip=True)
    assert apart == pytest.approx(processor_for(H100, "").latency_s)


def test_single_loads_move_what_is_in_flight_over_the_latency() -> None:
    processor = processor_for(H100, "")
    in_flight_bytes = processor.cores * 2048 * 1.5 * 2
    rows = (2**20, 2**21)
    far = [seconds("amax", n, on_chip=False) for n in rows]
    rate = 2**20 * 1024 * 2 / (far[1] - far[0])
    assert rate == pytest.approx(in_flight_bytes / processor.latency_s)
    assert rate < 0.6 * processor.dram_bytes_per_s
    near = [seconds("amax", n, on_chip=True) for n in (2**11, 2**12)]
    rate = 2**11 * 1024 * 2 / (near[1] - near[0])
    assert rate == pytest.approx(in_flight_bytes / processor.shared_latency_s)


def test_a_conversion_writes_its_own_format() -> None:
    op = Vector("op", fn="quantize", rows=4, cols=1024, out_dtype="nvfp4")
    assert op.traffic.inputs == 4 * 1024 * 2
    assert op.traffic.outputs == 4 * 1024 * 4.5 / 8


def test_partial_sums_are_scaled_on_the_lanes_unless_units_scale_blocks() -> None:
    """DeepSeek-V3's fp8: a multiply-add per 128 products and result."""
    plain = MatMul("mm", m=256, n=512, k=1000, dtype="fp8", weight_dtype="fp8")
    scaled = MatMul("mm", m=256, n=512, k=1000, dtype="fp8", weight_dtype="fp8", scale_block=128)
    assert scaled.vector_flop == 2 * 256 * 512 * 8
    for chip, work in (("h100_sxm", scaled.vector_flop), ("b200_sxm", 0.0)):
        _, _, activity, _ = matmul_times(single(scaled), load_chip(chip), "fp8")
        assert activity.vector_flop == work
    assert plain.vector_flop == 0.0
