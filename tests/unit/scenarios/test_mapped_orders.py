"""The order of sums that a mapping makes: by step, by op, for every kind of chip."""

from __future__ import annotations

import pytest

from accelsim import load_chip, load_model
from accelsim.arithmetic import IN_ORDER, UNFUSED, AttentionOrder
from accelsim.scenarios import mapped_orders
from accelsim.scenarios.mapped_orders import MappedOrders, StepOrder
from accelsim.workload.phases import PhaseOptions

LAYER = {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down", "output"}


def _orders(
    model: str = "smollm2-135m", chip: str = "h100_sxm", dtype: str = "bf16"
) -> MappedOrders:
    return MappedOrders(load_model(model), load_chip(chip), PhaseOptions(dtype=dtype))


def test_every_matmul_of_a_decoder_has_an_order() -> None:
    step = _orders().step(64, 64)
    assert set(step.matmuls) == LAYER
    assert all(order.split_k >= 1 for order in step.matmuls.values())
    assert step.attention.tile_kv > 0


def test_ops_that_no_mapping_names_run_in_order() -> None:
    orders = _orders()
    assert orders.matmul("ffn_gate_inp", 64, 8, 576) == IN_ORDER
    assert orders.matmul("ffn_down", 64, 576, 1536) == orders.step(64, 64).matmuls["ffn_down"]
    assert orders.attention(64, 64) == orders.step(64, 64).attention


def test_fused_projections_share_an_order() -> None:
    matmuls = _orders().step(1, 300).matmuls
    assert matmuls["attn_q"] == matmuls["attn_k"] == matmuls["attn_v"]
    assert matmuls["ffn_gate"] == matmuls["ffn_up"]


def test_a_step_is_mapped_once(monkeypatch: pytest.MonkeyPatch) -> None:
    orders = _orders()
    first = orders.step(1, 40)
    monkeypatch.setattr(mapped_orders, "build_graph", lambda *_: pytest.fail("mapped again"))
    assert orders.step(1, 40) is first


def test_two_chips_cut_differently() -> None:
    steps = [_orders(chip=chip).step(64, 64) for chip in ("h100_sxm", "tpu_v5e")]
    assert steps[0] != steps[1]


def test_the_same_question_has_the_same_answer() -> None:
    assert _orders().step(1, 200) == _orders().step(1, 200)


@pytest.mark.parametrize("model", ["bert-base", "gpt2", "mixtral-8x7b"])
def test_other_models_are_mapped_too(model: str) -> None:
    step = _orders(model).step(32, 32)
    assert isinstance(step, StepOrder)
    assert {"attn_q", "attn_output"} <= set(step.matmuls)
    assert step.attention != AttentionOrder(0, 0, 0)


def test_chips_without_the_dtype_run_a_wider_one_when_told() -> None:
    config, chip = load_model("smollm2-135m"), load_chip("v100_sxm")
    orders = MappedOrders(config, chip, PhaseOptions(dtype="bf16"), emulate=True)
    assert set(orders.step(16, 16).matmuls) == LAYER
    assert orders.step(16, 16).attention != UNFUSED
