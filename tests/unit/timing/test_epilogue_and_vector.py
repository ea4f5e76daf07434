"""Bytes that the tiling does not see, and cores that a reduction can use."""

from __future__ import annotations

import pytest

from accelsim.arch.loader import load_chip
from accelsim.mapping.fusion import group_ops, single
from accelsim.timing.matmul import matmul_times
from accelsim.timing.vector import vector_times
from accelsim.workload.ops import MatMul, Vector

CHIP = load_chip("a100_sxm_80gb")


def test_a_bias_is_read_from_memory() -> None:
    plain = MatMul("mm", m=1, n=4096, k=8, weight_dtype="bf16")
    biased = MatMul("mm", m=1, n=4096, k=8, weight_dtype="bf16", bias=True)
    reads = [matmul_times(single(op), CHIP, "bf16")[2].dram_read_bytes for op in (plain, biased)]
    assert reads[1] - reads[0] == 4096 * 2


def test_the_epilogue_decides_what_is_written() -> None:
    ops = [
        MatMul("mm", m=8192, n=8192, k=64, weight_dtype="bf16"),
        Vector("cast", fn="copy", rows=8192, cols=8192, dtype="fp32"),
    ]
    (group,) = group_ops(ops, CHIP)
    assert matmul_times(group, CHIP, "bf16")[2].dram_write_bytes == 8192 * 8192 * 4


@pytest.mark.parametrize(("rows", "share"), [(1, 1 / 108), (54, 0.5), (108, 1.0), (5000, 1.0)])
def test_a_reduction_uses_one_core_per_row(rows: int, share: float) -> None:
    op = Vector("s", fn="softmax", rows=rows, cols=1 << 16)
    times, _, _ = vector_times(single(op), CHIP)
    whole = op.special / (CHIP.special_per_s * CHIP.calibration.vector_efficiency)
    assert times["special"] == pytest.approx(whole / share, rel=1e-9)
