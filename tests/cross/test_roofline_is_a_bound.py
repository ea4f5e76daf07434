"""No mapping beats the roofline, moves less than the compulsory bytes or contradicts itself."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.engine.graph import ENGINES
from accelsim.mapping.fusion import Group, group_ops, single
from accelsim.results.costs import BOUNDS
from accelsim.timing.attention import unfused_ops
from accelsim.workload.conv import ConvShape
from accelsim.workload.ops import Attention, Conv, MatMul, Op, Pool, Vector
from tests.cross.random_ops import CHIPS, chip_of, chips_and_ops, target

_SLACK = 1 - 1e-9


def check(group: Group, chip: str) -> None:
    bound = ENGINES["roofline"].cost(group, target(chip))
    mapped = ENGINES["analytic"].cost(group, target(chip))
    assert mapped.latency_s >= bound.latency_s * _SLACK
    for resource, seconds in bound.times_s.items():
        softmax = mapped.times_s.get("special", 0.0)  # attention times lanes and exponentials once
        assert mapped.times_s.get(resource, softmax) >= seconds * _SLACK, resource
    read, write = group.dram_read_bytes, group.dram_write_bytes
    assert mapped.activity.dram_read_bytes >= read * _SLACK
    assert mapped.activity.dram_write_bytes >= write * _SLACK
    assert mapped.latency_s >= max(mapped.times_s.values()) * _SLACK
    assert math.isfinite(mapped.latency_s)
    assert mapped.latency_s > 0
    assert set(mapped.times_s) <= set(BOUNDS)
    assert mapped.bound == max(mapped.times_s, key=lambda key: mapped.times_s[key])


@given(chips_and_ops(), st.booleans())
@settings(max_examples=500)
def test_one_op_at_a_time(case: tuple[str, Op], on_chip: bool) -> None:
    chip, op = case
    check(single(op, on_chip), chip)


@given(chips_and_ops())
@settings(max_examples=200)
def test_with_the_residency_that_the_mapping_decides(case: tuple[str, Op]) -> None:
    chip, op = case
    for group in group_ops([op], chip_of(chip)):
        check(group, chip)


@given(chips_and_ops())
@settings(max_examples=300)
def test_unfused_attention(case: tuple[str, Op]) -> None:
    chip, op = case
    if isinstance(op, Attention):
        parts = unfused_ops(op)
        for group in group_ops(parts, chip_of(chip)):
            check(group, chip)
        assert sum(part.flop for part in parts) >= op.flop
        cached = sum(part.traffic.weights for part in parts)
        assert cached >= op.traffic.cache_read * _SLACK  # the cache never waits on chip


@given(
    chips_and_ops(),
    st.sampled_from(("gelu", "add", "silu_mul", "mul_scalar")),
    st.sampled_from(("bf16", "fp32", "fp8")),
)
@settings(max_examples=200)
def test_matmul_with_an_epilogue(case: tuple[str, Op], fn: str, out: str) -> None:
    chip, op = case
    if isinstance(op, MatMul):
        rows = op.batch * op.m
        ops = [op, Vector("epilogue", fn=fn, rows=rows, cols=op.n, dtype=out)]
        (group,) = group_ops(ops, chip_of(chip))
        check(group, chip)


@given(chips_and_ops(), st.booleans())
@settings(max_examples=300)
def test_convolution_with_activation_and_pooling(case: tuple[str, Op], normed: bool) -> None:
    chip, op = case
    if isinstance(op, Conv):
        made = op.shape
        rows, cols = made.output_elements // made.out_channels, made.out_channels
        window = ConvShape(
            made.batch, cols, cols, made.out_height, made.out_width, 3, 3, stride=(2, 2),
            padding=(1, 1, 1, 1), groups=cols,
        )  # fmt: skip
        relu = Vector("relu", fn="relu", rows=rows, cols=cols, dtype=op.dtype)
        pool = Pool(name="pool", shape=window, dtype=op.dtype)
        for group in group_ops([replace(op, norm=normed), relu, pool], chip_of(chip)):
            check(group, chip)


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("q_len", [1, 300])
def test_every_chip_runs_fused_attention_of_a_common_shape(chip: str, q_len: int) -> None:
    """Published kernels exist for cores with 48 to 64 KiB (V100, T4, MI300X)."""
    dtype = chip_of(chip).dtypes[0]
    op = Attention("a", batch=2, heads=32, kv_heads=8, q_len=q_len, kv_len=1000, head_dim=128,
                   v_head_dim=128, dtype=dtype, kv_dtype=dtype)  # fmt: skip
    check(single(op), chip)
