"""Counts equal formulas, energy equals counts times prices, same input gives the same bytes."""

from __future__ import annotations

from dataclasses import fields

import pandas as pd
import pytest
from hypothesis import given, settings

from accelsim.arch.action_energy import energy_per_action
from accelsim.energy.price import dynamic_j
from accelsim.engine.graph import ENGINES
from accelsim.mapping.fusion import group_ops, single
from accelsim.results.costs import Activity
from accelsim.scenarios.predict import predict
from accelsim.workload.ops import MatMul, Op, Vector
from tests.cross.random_ops import CHIPS, chip_of, chips_and_ops, target


@pytest.mark.parametrize("engine", ["roofline", "analytic"])
@given(case=chips_and_ops())
@settings(max_examples=150)
def test_activity_counts_are_those_of_the_op(engine: str, case: tuple[str, Op]) -> None:
    chip, op = case
    cost = ENGINES[engine].cost(single(op), target(chip))
    assert cost.flop == op.flop
    assert 2 * sum(cost.activity.macs.values()) == op.flop
    assert cost.activity.vector_flop == op.vector_flop
    assert cost.activity.special == op.special
    assert cost.activity.link_bytes == 0


@given(case=chips_and_ops())
@settings(max_examples=100)
def test_energy_is_the_sum_of_counts_times_prices(case: tuple[str, Op]) -> None:
    chip, op = case
    activity = ENGINES["analytic"].cost(single(op), target(chip)).activity
    price = energy_per_action(chip_of(chip))
    by_hand = sum(count * price.mac_j[name] for name, count in activity.macs.items())
    by_hand += activity.vector_flop * price.vector_flop_j + activity.special * price.special_j
    by_hand += activity.scratchpad_bytes * price.scratchpad_j_per_byte
    by_hand += activity.shared_bytes * price.shared_j_per_byte
    by_hand += activity.dram_read_bytes * price.dram_read_j_per_byte
    by_hand += activity.dram_write_bytes * price.dram_write_j_per_byte
    assert dynamic_j(price, activity) == pytest.approx(by_hand, rel=1e-12)
    assert dynamic_j(price, activity) > 0


@pytest.mark.parametrize("chip", CHIPS)
def test_every_price_is_positive_and_links_cost_what_the_table_says(chip: str) -> None:
    price = energy_per_action(chip_of(chip))
    assert min(price.mac_j.values()) > 0
    single_prices = [getattr(price, f.name) for f in fields(price) if f.name != "mac_j"]
    buffer = price.shared_j_per_byte
    assert all(value > 0 for value in single_prices if value is not buffer)
    assert (buffer > 0) == (chip_of(chip).spec.shared is not None)
    assert dynamic_j(price, Activity(link_bytes=3.0)) == 3 * price.link_j_per_byte


_ROWS = [
    {"op": "matmul", "m": 300, "n": 500, "k": 700, "dtype": "bf16"},
    {"op": "attention", "q_len": 1, "kv_len": 2000, "heads": 32, "kv_heads": 8, "head_dim": 128,
     "batch": 4, "dtype": "bf16"},
    {"op": "rmsnorm", "rows": 100, "cols": 4096, "dtype": "bf16"},
    {"op": "moe", "tokens": 64, "hidden": 256, "inter": 512, "experts": 8, "topk": 2},
]  # fmt: skip


@pytest.mark.parametrize("chip", ["h100_sxm", "tpu_v5e", "wse3", "xeon_8480"])
def test_predict_of_a_row_is_the_engine_on_the_same_op(chip: str) -> None:
    dtype = chip_of(chip).dtypes[0]
    frame = pd.DataFrame([row | {"dtype": dtype} for row in _ROWS])
    answer = predict(frame, chip)
    wide = "bf16" if dtype in ("int8", "fp8") else None
    op = MatMul("x", m=300, n=500, k=700, dtype=dtype, weight_dtype=dtype, out_dtype=wide)
    norm = Vector("y", fn="rmsnorm", rows=100, cols=4096, dtype=dtype)
    price = energy_per_action(chip_of(chip))
    for index, ours in ((0, op), (2, norm)):
        (group,) = group_ops([ours], chip_of(chip))
        cost = ENGINES["analytic"].cost(group, target(chip))
        row = answer.iloc[index]
        assert row.latency_s == cost.latency_s
        assert row.flop == cost.flop
        assert row.dram_bytes == cost.activity.dram_bytes
        joules = dynamic_j(price, cost.activity) + price.idle_w * cost.latency_s
        assert row.energy_j == pytest.approx(joules, rel=1e-12)
        assert row.bound == cost.bound


def test_rows_do_not_depend_on_their_company() -> None:
    frame = pd.DataFrame([row | {"dtype": "bf16"} for row in _ROWS])
    together = predict(frame, "a100_sxm_80gb")
    for index in range(len(frame)):
        alone = predict(frame.iloc[[index]], "a100_sxm_80gb")
        assert alone.iloc[0].latency_s == together.iloc[index].latency_s
        assert alone.iloc[0].energy_j == together.iloc[index].energy_j


def test_the_same_input_twice_gives_the_same_bytes() -> None:
    frame = pd.DataFrame([row | {"dtype": "bf16"} for row in _ROWS])
    first, second = (predict(frame, "tpu_v4").to_csv() for _ in range(2))
    assert first == second
