"""Constants of a model that can be executed, and in which words others are refused."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from accelsim.errors import WorkloadError
from accelsim.functional.rope_frequencies import RopeScaling, rope_frequencies
from accelsim.functional.transformer.spec import Constants, Spec
from accelsim.workload.config import ModelConfig
from accelsim.workload.layer_config import MlpConfig, MoeConfig, PositionConfig
from tests.unit.functional.transformer.tiny_models import CONFIGS, LLAMA

_HEADS = LLAMA.attention
_GATELESS = MlpConfig(16, gated=False, activation="swiglu_oai")


@pytest.mark.parametrize(
    "config",
    [
        replace(LLAMA, mlp=_GATELESS),
        replace(LLAMA, mlp=None, moe=MoeConfig(4, 2, _GATELESS)),
        replace(LLAMA, mlp=None, moe=MoeConfig(4, 2, MlpConfig(16), shared=_GATELESS)),
    ],
)
def test_a_clamp_without_a_gate_is_not_executed(config: ModelConfig) -> None:
    with pytest.raises(WorkloadError, match=r"tiny-llama can be timed, not .* without a gate"):
        Spec(config)


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize(
    ("name", "told"),
    [("query_size", "query_size"), ("swiglu_limit", "swiglu_limit"), ("score_cap", "a cap of"),
     ("logit_cap", "a cap of"), ("attention_factor", "attention_factor"),
     ("local_rope_theta", "rotary base")],
)  # fmt: skip
def test_constants_that_no_model_has_are_refused(name: str, told: str, value: float) -> None:
    with pytest.raises(WorkloadError, match=f"tiny-llama: .*{told}"):
        Spec(LLAMA, replace(Constants(), **{name: value}))


def test_local_layers_have_a_base_of_their_own_and_are_not_stretched() -> None:
    stretched = RopeScaling("linear", 8.0)
    spec = Spec(LLAMA, Constants(rope_scaling=stretched, local_rope_theta=100.0))
    assert np.array_equal(spec.frequencies(local=True), rope_frequencies(6, 100.0))
    assert np.array_equal(spec.frequencies(local=False), rope_frequencies(6, 1e4, stretched))
    same = Spec(LLAMA, Constants(rope_scaling=stretched))
    assert np.array_equal(same.frequencies(local=True), same.frequencies(local=False))


def test_rotated_sizes() -> None:
    sizes = {name: Spec(config).rotary_size for name, config in CONFIGS.items()}
    assert (sizes["llama"], sizes["half rotated"], sizes["gpt2"]) == (6, 4, 0)
    assert (sizes["latent"], sizes["wide values"]) == (4, 6)


@pytest.mark.parametrize("size", [1, 3, 8, 10**6])
def test_more_than_a_head_is_not_rotated(size: int) -> None:
    wide = PositionConfig("rope", 32, rotary_dim=size)
    with pytest.raises(WorkloadError, match=f"{size} elements of every head of 6 .* from 2 to 6"):
        Spec(replace(LLAMA, position=wide))


def test_heads_beyond_all_known_ones_are_not_rotated() -> None:
    wide = replace(_HEADS, head_dim=10**6)
    with pytest.raises(WorkloadError, match=r"head of 1000000 .* from 2 to 4096"):
        Spec(replace(LLAMA, attention=wide))


def test_gelu_is_by_tanh_unless_told_otherwise() -> None:
    assert Spec(LLAMA).activation("gelu") == "gelu_tanh"
    assert Spec(LLAMA, Constants(gelu_erf=True)).activation("gelu") == "gelu_erf"
    assert Spec(LLAMA, Constants(gelu_erf=True)).activation("silu") == "silu"
