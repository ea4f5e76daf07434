"""Is a model description valid on construction, or not constructed?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from accelsim.errors import WorkloadError
from accelsim.workload.attention_config import AttentionConfig, LatentConfig, WindowConfig
from accelsim.workload.config import ModelConfig
from accelsim.workload.layer_config import (
    EmbeddingConfig,
    HeadConfig,
    MlpConfig,
    MoeConfig,
    NormConfig,
    PositionConfig,
    PrecisionConfig,
)
from accelsim.workload.phases import PhaseOptions, build_graph

SMALL = ModelConfig(
    name="small", family="test", n_layers=2, d_model=8, embedding=EmbeddingConfig(10),
    position=PositionConfig("rope", 32), attention=AttentionConfig(2, 1, 4, 4),
    mlp=MlpConfig(16),
)  # fmt: skip
EXPERTS = MoeConfig(4, 2, MlpConfig(6))


def test_parameters_by_hand() -> None:
    # Tables 2 x 10 x 8; layer: q 8 x 8, k v 2 x 8 x 4, o 8 x 8, network 3 x 8 x 16, norms 16.
    assert SMALL.parameters == 160 + 2 * (64 + 64 + 64 + 384 + 16) + 8
    assert SMALL.active_parameters == SMALL.parameters
    assert SMALL.cache_bytes_per_token("bf16") == 2 * (4 + 4) * 2


def test_every_bias_norm_and_sink_by_hand() -> None:
    attention = AttentionConfig(2, 2, 4, 4, qkv_bias=True, o_bias=True, sinks=True)
    config = replace(
        SMALL, attention=attention, mlp=MlpConfig(16, gated=False, activation="gelu", bias=True),
        norm=NormConfig("layernorm", bias=True, qk=True), head=HeadConfig(bias=True),
    )  # fmt: skip
    projections = 8 * 24 + 24 + 8 * 8 + 8
    network = 2 * 8 * 16 + 16 + 8
    sinks, head_gains, norms = 2, 2 * 4, 2 * 2 * 8  # the norms of heads have no bias
    layer = projections + network + sinks + head_gains + norms
    assert config.parameters == 2 * 80 + 10 + 2 * layer + 2 * 8
    for phase in ("prefill", "decode", "train"):
        assert build_graph(config, PhaseOptions(phase, input_len=4)).parameters == config.parameters


def test_experts_by_hand() -> None:
    config = replace(SMALL, moe=replace(EXPERTS, dense_layers=(0,), shared=MlpConfig(6)))
    expert = 3 * 8 * 6
    dense = SMALL.parameters - 384
    assert config.parameters == dense + 4 * 8 + 5 * expert
    assert config.active_parameters == dense + 4 * 8 + 3 * expert


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: EmbeddingConfig(0), "vocab_size is 0"),
        (lambda: EmbeddingConfig(10, token_types=-1), "token_types is -1"),
        (lambda: PositionConfig("alibi", 10), "alibi"),  # type: ignore[arg-type]
        (lambda: PositionConfig("rope", 10, rotary_dim=0), "rotary_dim is 0"),
        (lambda: NormConfig("batchnorm"), "batchnorm"),  # type: ignore[arg-type]
        (lambda: WindowConfig(0, (1,)), "size is 0"),
        (lambda: AttentionConfig(8, 3, 4, 4), "8 heads are not a multiple of 3"),
        (lambda: AttentionConfig(8, 8, 4.0, 4), "head_dim is 4.0"),  # type: ignore[arg-type]
        (lambda: AttentionConfig(2, 2, 9, 4, latent=LatentConfig(4, 4, 4, 4)), "4 + 4"),
        (lambda: LatentConfig(0, 4, 4, 4), "q_rank is 0"),
        (lambda: MlpConfig(10**8), "10000000"),
        (lambda: MlpConfig(8, activation="mish"), "mish"),  # type: ignore[arg-type]
        (lambda: MlpConfig(8, activation="relu2"), "relu2"),
        (lambda: MoeConfig(4, 5, MlpConfig(8)), "top 5 of only 4"),
        (lambda: HeadConfig(tied=True, bias=True), "tied"),
        (lambda: PrecisionConfig("bf17"), "bf17"),
        (lambda: replace(SMALL, n_layers=0), "n_layers is 0"),
        (lambda: replace(SMALL, mlp=None), "needs an mlp"),
        (lambda: replace(SMALL, moe=replace(EXPERTS, dense_layers=(2,))), "layer 2"),
        (lambda: replace(SMALL, moe=EXPERTS, parallel_residual=True), "parallel residual"),
    ],
)
def test_impossible_descriptions(make: Any, says: str) -> None:
    with pytest.raises(WorkloadError) as caught:
        make()
    assert says in str(caught.value)
