"""Routing against a twin in plain Python, and as the models' papers say it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from accelsim.errors import WorkloadError
from accelsim.functional.formats import round_to
from accelsim.functional.transformer.routing import choose_experts
from accelsim.workload.layer_config import MlpConfig, MoeConfig
from accelsim.workload.models import load_model
from accelsim.workload.routing_config import RoutingConfig
from tests.unit.functional.transformer.naive_routing import routed

MLP = MlpConfig(4)
ROUTINGS = {
    "qwen3": MoeConfig(12, 4, MLP),
    "qwen3 not normalised": MoeConfig(12, 4, MLP, routing=RoutingConfig(normalised=False)),
    "gpt-oss": MoeConfig(12, 4, MLP, routing=RoutingConfig("softmax_topk")),
    "sigmoid": MoeConfig(12, 4, MLP, routing=RoutingConfig("sigmoid", normalised=False)),
    "deepseek": MoeConfig(
        12, 4, MLP, router_bias=True,
        routing=RoutingConfig("sigmoid", True, 2.5, True, n_groups=4, topk_groups=2),
    ),
    "groups alone": MoeConfig(12, 4, MLP, routing=RoutingConfig(n_groups=3, topk_groups=2)),
}  # fmt: skip


@pytest.mark.parametrize("name", list(ROUTINGS))
def test_experts_and_gates_are_those_of_the_twin(name: str) -> None:
    moe, rng = ROUTINGS[name], np.random.default_rng(5)
    scores = (3 * rng.standard_normal((200, 12))).astype(np.float32)
    correction = rng.standard_normal(12).astype(np.float32) if moe.router_bias else None
    chosen, gates = choose_experts(scores, moe, correction=correction)
    for row, found, own in zip(scores.tolist(), chosen.tolist(), gates, strict=True):
        wanted = routed(row, moe, None if correction is None else correction.tolist())
        assert found == [expert for expert, _ in wanted]
        assert np.abs(own - [gate for _, gate in wanted]).max() < 1e-6


def test_a_choice_by_hand() -> None:
    # Pairs of experts; sums of the two best: 0.9, 1.1, 0.8. Experts 2 and 3 and one of 0 and 1.
    gates = np.array([[0.8, 0.1, 0.5, 0.6, 0.4, 0.4]])
    scores = np.log(gates / (1 - gates)).astype(np.float32)
    routing = RoutingConfig("sigmoid", scale=2.0, corrected=True, n_groups=3, topk_groups=2)
    moe = MoeConfig(6, 2, MLP, router_bias=True, routing=routing)
    chosen, shares = choose_experts(scores, moe, correction=np.zeros(6, np.float32))
    assert chosen.tolist() == [[0, 3]]
    assert shares.tolist() == [pytest.approx([2 * 0.8 / 1.4, 2 * 0.6 / 1.4])]
    # The correction decides who is chosen, and not how much a chosen one counts.
    raised = np.array([0, 0, 0, 0, 1, 1], np.float32)
    chosen, shares = choose_experts(scores, moe, correction=raised)
    assert chosen.tolist() == [[4, 5]]
    assert shares.tolist() == [[1.0, 1.0]]


def test_equal_scores_choose_the_first_experts() -> None:
    chosen, gates = choose_experts(np.zeros((2, 12), np.float32), ROUTINGS["deepseek"],
                                   correction=np.zeros(12, np.float32))  # fmt: skip
    assert chosen.tolist() == [[0, 1, 2, 3]] * 2
    assert gates.tolist() == [[0.625] * 4] * 2


@pytest.mark.parametrize("name", list(ROUTINGS))
@pytest.mark.parametrize("fmt", ["bf16", "fp16"])
def test_gates_are_of_the_vector_units_format(name: str, fmt: str) -> None:
    moe = ROUTINGS[name]
    scores = np.random.default_rng(5).standard_normal((50, 12)).astype(np.float32)
    correction = np.zeros(12, np.float32) if moe.router_bias else None
    _, gates = choose_experts(scores, moe, fmt, correction=correction)
    _, exact = choose_experts(scores, moe, correction=correction)
    assert np.array_equal(gates, round_to(gates, fmt))
    assert not np.array_equal(gates, exact)


def test_extreme_scores_have_finite_gates() -> None:
    scores = np.float32([[-1e38, -200, 200, 1e38] * 3, [-300] * 12])
    for moe in ROUTINGS.values():
        correction = np.zeros(12, np.float32) if moe.router_bias else None
        for fmt in ("fp32", "bf16"):
            _, gates = choose_experts(scores, moe, fmt, correction=correction)
            assert np.isfinite(gates).all()


def test_packaged_models_have_the_routing_of_their_papers() -> None:
    found = {}
    for name in ("deepseek-v3", "mixtral-8x7b", "gpt-oss-120b"):
        moe = load_model(name).moe
        assert moe is not None
        found[name] = moe.routing
    assert found["deepseek-v3"] == RoutingConfig("sigmoid", True, 2.5, True, 8, 4)
    assert found["mixtral-8x7b"] == RoutingConfig("softmax", True)
    assert found["gpt-oss-120b"] == RoutingConfig("softmax_topk")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"scores": "softmaxx"}, "RoutingConfig.scores is 'softmaxx'"),
        ({"normalised": 1}, "RoutingConfig.normalised is 1"),
        ({"scale": 0}, "scale is 0, expected a number above 0"),
        ({"scale": float("nan")}, "scale is nan"),
        ({"scale": "2"}, "scale is '2'"),
        ({"n_groups": 0}, "n_groups is 0"),
        ({"n_groups": 2, "topk_groups": 3}, "top 3 of only 2 groups"),
    ],
)
def test_routing_that_does_not_exist_is_refused(change: dict[str, Any], told: str) -> None:
    with pytest.raises(WorkloadError, match=told):
        RoutingConfig(**change)


@pytest.mark.parametrize(
    ("moe", "told"),
    [
        ({"n_groups": 5, "topk_groups": 5}, "12 experts do not lie in 5 groups"),
        ({"n_groups": 12, "topk_groups": 12}, "at least two experts each"),
        ({"n_groups": 6, "topk_groups": 1}, "top 4 of the 2 experts that lie in 1 of 6 groups"),
        ({"corrected": True}, "a corrected choice needs the router's bias"),
    ],
)
def test_groups_that_experts_do_not_fill_are_refused(moe: dict[str, Any], told: str) -> None:
    with pytest.raises(WorkloadError, match=told):
        replace(ROUTINGS["qwen3"], routing=RoutingConfig(**moe))
