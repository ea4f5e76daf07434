"""More work is never faster, utilisation stays below one, extreme shapes stay finite."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.arch.action_energy import energy_per_action
from accelsim.energy.price import dynamic_j
from accelsim.engine.graph import ENGINES
from accelsim.mapping.fusion import single
from accelsim.workload.ops import Attention, MatMul, Op, Vector
from tests.cross.random_ops import CHIPS, SIZES, chip_of, chips_and_ops, target

_TOLERANCE = 1 + 1e-9
# Traffic of the cores is averaged over those that work, so one row more, on a core of its own,
# lightens the mean: measured over 4,000 random shapes at most 2.3 % (matmul), 16 % (attention).
_UNEVEN_MATMUL, _UNEVEN_ATTENTION = 1.03, 1.2


def seconds(op: Op, chip: str) -> float:
    return ENGINES["analytic"].cost(single(op), target(chip)).latency_s


@given(
    case=chips_and_ops(),
    axis=st.sampled_from(("m", "n", "k", "batch")),
    factor=st.sampled_from((1, 2, 3)),
    more=st.sampled_from((0, 1, 5, 64)),
)
@settings(max_examples=600)
def test_a_larger_matmul_is_never_faster(
    case: tuple[str, Op], axis: str, factor: int, more: int
) -> None:
    chip, op = case
    if isinstance(op, MatMul):
        larger = dataclasses.replace(op, **{axis: getattr(op, axis) * factor + more})
        assert seconds(larger, chip) >= seconds(op, chip) / _UNEVEN_MATMUL


@given(case=chips_and_ops(), axis=st.sampled_from(("batch", "q_len", "kv_len")),
       more=st.sampled_from((1, 64, 1000)))  # fmt: skip
@settings(max_examples=300)
def test_more_attention_is_never_faster(case: tuple[str, Op], axis: str, more: int) -> None:
    chip, op = case
    if isinstance(op, Attention):
        changes = {axis: getattr(op, axis) + more}
        if axis == "q_len":
            changes["kv_len"] = op.kv_len + more  # a longer prompt after the same history
        slower = seconds(dataclasses.replace(op, **changes), chip)
        assert slower >= seconds(op, chip) / _UNEVEN_ATTENTION


@given(case=chips_and_ops(), axis=st.sampled_from(("rows", "cols")), more=SIZES)
@settings(max_examples=200)
def test_more_elementwise_work_is_never_faster(case: tuple[str, Op], axis: str, more: int) -> None:
    chip, op = case
    if isinstance(op, Vector):
        larger = dataclasses.replace(op, **{axis: getattr(op, axis) + more})
        assert seconds(larger, chip) >= seconds(op, chip) / _TOLERANCE


@given(case=chips_and_ops(), engine=st.sampled_from(("roofline", "analytic")))
@settings(max_examples=300)
def test_utilisation_of_units_and_memory_is_at_most_one(case: tuple[str, Op], engine: str) -> None:
    name, op = case
    chip, cost = chip_of(name), ENGINES[engine].cost(single(op), target(name))
    for dtype, macs in cost.activity.macs.items():
        assert 2 * macs <= cost.latency_s * chip.peak_flop_per_s(dtype) * _TOLERANCE
    moved = cost.activity.dram_bytes
    assert moved <= cost.latency_s * chip.bandwidth_bytes_per_s * _TOLERANCE


_EXTREME = (1, 2**20)


@pytest.mark.parametrize("chip", CHIPS)
def test_extreme_shapes_have_positive_finite_time_and_energy(chip: str) -> None:
    dtype = chip_of(chip).dtypes[0]
    prices = energy_per_action(chip_of(chip))
    shapes = [(m, n, k) for m in _EXTREME for n in _EXTREME for k in _EXTREME]
    ops: list[Op] = [
        MatMul("m", m=m, n=n, k=k, dtype=dtype, weight_dtype=dtype) for m, n, k in shapes
    ]
    ops += [Vector("v", fn="softmax", rows=m, cols=n) for m, n, k in shapes if k == 1]
    ops += [
        Attention("a", batch=1, heads=1, kv_heads=1, q_len=q, kv_len=2**20, head_dim=128,
                  v_head_dim=128, dtype=dtype, kv_dtype=dtype)
        for q in _EXTREME
    ]  # fmt: skip
    for op in ops:
        cost = ENGINES["analytic"].cost(single(op), target(chip))
        joules = dynamic_j(prices, cost.activity) + prices.idle_w * cost.latency_s
        for value in (cost.latency_s, joules):
            assert math.isfinite(value), op
            assert value > 0, op


@pytest.mark.parametrize("chip", ["h100_sxm", "tpu_v3", "wse3"])
def test_sizes_whose_products_overflow_64_bits_stay_physical(chip: str) -> None:
    dtype, size = chip_of(chip).dtypes[0], 2**40
    op = MatMul("m", batch=size, m=size, n=size, k=size, dtype=dtype, weight_dtype=dtype)
    ideal = op.flop / chip_of(chip).peak_flop_per_s(dtype)
    cost = ENGINES["analytic"].cost(single(op), target(chip))
    assert ideal <= cost.latency_s < 1e6 * ideal
    assert cost.activity.dram_read_bytes >= op.traffic.inputs + op.traffic.weights
