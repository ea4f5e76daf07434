"""One layer op by op: stores that round, orders that are asked, faults and observers that see."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from accelsim.arithmetic import Arithmetic, AttentionOrder, Chain, MatrixArithmetic, SumOrder
from accelsim.errors import WorkloadError
from accelsim.functional.arithmetics import plain_arithmetic
from accelsim.functional.formats import round_to
from accelsim.functional.quant.memory import Changes
from accelsim.functional.transformer.layers import Setting, heads_of
from accelsim.functional.transformer.orders import Orders
from tests.unit.functional.transformer.tiny_models import CONFIGS, Table, tiny

Floats = NDArray[np.float32]
TOKENS = [3, 30, 0, 7]


class Asked(Orders):
    """Orders that remember what they were asked."""

    def __init__(self, split_k: int = 1) -> None:
        self.matmuls: set[tuple[str, int, int, int]] = set()
        self.attentions: list[tuple[int, int, int]] = []
        self.split_k = split_k

    def matmul(self, op: str, m: int, n: int, k: int) -> SumOrder:
        self.matmuls.add((op, m, n, k))
        return SumOrder(self.split_k)

    def attention(self, layer: int, q_len: int, kv_len: int) -> AttentionOrder:
        self.attentions.append((layer, q_len, kv_len))
        return AttentionOrder(0, 2 if self.split_k > 1 else 0)


FP32 = plain_arithmetic("fp32")


def test_orders_are_asked_for_every_matmul_of_a_step() -> None:
    asked = Asked()
    session = tiny().session(Setting(FP32, orders=asked))
    session.logits(TOKENS)
    assert asked.matmuls == {
        ("attn_q", 4, 24, 24), ("attn_k", 4, 12, 24), ("attn_v", 4, 12, 24),
        ("attn_output", 4, 24, 24), ("ffn_gate", 4, 40, 24), ("ffn_up", 4, 40, 24),
        ("ffn_down", 4, 24, 40), ("output", 4, 37, 24),
    }  # fmt: skip
    session.logits([1])
    assert asked.attentions == [(0, 4, 4), (1, 4, 4), (0, 1, 5), (1, 1, 5)]
    assert ("ffn_down", 1, 24, 40) in asked.matmuls


def test_another_order_gives_other_bits_and_nearly_the_same_values() -> None:
    runs = [tiny().logits(TOKENS, Setting(FP32, orders=Asked(split))) for split in (1, 2)]
    assert 0 < np.abs(runs[0] - runs[1]).max() < 1e-4


def test_every_op_shows_what_it_stores() -> None:
    seen: dict[str, Floats] = {}
    tiny().logits(TOKENS, Setting(plain_arithmetic("bf16"), observe=seen.__setitem__))
    ops = ("attn_norm", "attn_q", "attn_k", "attn_v", "attn", "attn_output", "attn_add",
           "ffn_norm", "ffn_gate", "ffn_up", "ffn_act", "ffn_down", "ffn_add")  # fmt: skip
    assert set(seen) >= {f"blk.{i}.{op}" for i in (0, 1) for op in ops} | {"output_norm"}
    for name, values in seen.items():
        assert np.array_equal(values, round_to(values, "bf16")), name


class Damage:
    """Every weight of one name doubled, every sum of another zeroed."""

    def __init__(self) -> None:
        self.steps: set[int] = set()

    def weights(
        self, name: str, values: Floats, fmt: str, *, scale: Floats | None = None
    ) -> Floats:
        return 2 * values if name.startswith("blk.0.ffn_up") else values

    def kv(
        self, name: str, values: Floats, fmt: str, step: int, *, scale: Floats | None = None
    ) -> Floats:
        return np.zeros_like(values) if name == "blk.1.v" else values

    def codes(self, place: str, name: str, codes: Any, fmt: str, step: int = 0) -> Any:
        return codes

    def blocks(self, place: str, name: str, held: Any, step: int = 0) -> Any:
        return held

    def accumulators(self, name: str, sums: Any, step: int) -> Any:
        self.steps.add(step)
        return sums

    def table(self, name: str, shape: Any, fmt: str, read: Any) -> Changes:
        return Changes()


def test_faults_reach_weights_cache_and_sums() -> None:
    seen: dict[str, Floats] = {}
    damaged: dict[str, Floats] = {}
    model, faults = tiny(), Damage()
    model.logits(TOKENS, Setting(FP32, observe=seen.__setitem__))
    session = tiny().session(Setting(FP32, faults=faults, observe=damaged.__setitem__))
    session.logits(TOKENS)
    assert np.allclose(damaged["blk.0.ffn_up"], 2 * seen["blk.0.ffn_up"])
    assert not damaged["blk.1.attn"].any()
    session.logits([1])
    assert faults.steps == {0, 4}


def test_the_head_and_routers_run_in_the_wider_format() -> None:
    narrow = MatrixArithmetic("fp8_e4m3", Chain())
    mixed = Arithmetic("mixed", narrow, MatrixArithmetic("fp32", Chain()))
    ops = tiny(CONFIGS["experts"]).ops(Setting(mixed))
    assert ops.linear_of("output").arithmetic.operand == "fp32"
    assert ops.linear_of("blk.0.ffn_gate_inp").arithmetic.operand == "fp32"
    assert ops.linear_of("blk.0.attn_q").arithmetic.operand == "fp8_e4m3"
    assert ops.linear_of("blk.0.ffn_up_exps", 3).arithmetic.operand == "fp8_e4m3"


def test_routers_that_are_not_finite_are_refused() -> None:
    model = tiny(CONFIGS["experts"])
    assert isinstance(model.weights, Table)
    model.weights.held["blk.0.ffn_gate_inp.weight"][2] = np.inf
    with pytest.raises(WorkloadError, match=r"blk\.0: \d+ router scores are not finite"):
        model.logits(TOKENS)


def test_all_experts_of_the_router_are_all_of_them() -> None:
    config = CONFIGS["plain gates"]
    assert config.moe is not None
    every = replace(config, moe=replace(config.moe, topk=config.moe.n_experts))
    few, all_of_them = tiny(config), tiny(every)
    assert np.abs(few.logits(TOKENS) - all_of_them.logits(TOKENS)).max() > 1e-3


def test_heads_are_cut_from_rows() -> None:
    x = np.arange(24, dtype=np.float32).reshape(2, 12)
    assert heads_of(x, 3)[1].tolist() == [[4, 5, 6, 7], [16, 17, 18, 19]]
