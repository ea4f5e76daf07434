"""Large models cut to what memory holds: what goes first, and what stays as it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from accelsim.errors import CapacityError, WorkloadError
from accelsim.functional.transformer.capped import (
    FEW_TOKENS,
    capped_config,
    weight_bytes,
    with_layers,
)
from accelsim.functional.transformer.decoder import DecoderModel
from accelsim.functional.transformer.names import tensor_shapes
from accelsim.functional.transformer.sources import MEMORY_LIMIT_BYTES, RandomWeights
from accelsim.functional.transformer.spec import Spec
from accelsim.workload.config import LayerKind, ModelConfig
from accelsim.workload.layer_config import EmbeddingConfig, MlpConfig, MoeConfig
from accelsim.workload.models import load_model
from tests.unit.functional.transformer.tiny_models import CONFIGS, LLAMA

LARGE = ("llama2-70b", "llama3.1-405b", "gpt3-175b", "qwen3-235b-a22b", "mixtral-8x7b",
         "deepseek-v3", "gpt-oss-120b")  # fmt: skip
VOCABULARY = replace(LLAMA, embedding=EmbeddingConfig(5000), n_layers=4)
MIXED = replace(
    CONFIGS["like deepseek"], n_layers=6, embedding=EmbeddingConfig(5000),
    moe=replace(CONFIGS["like deepseek"].moe, dense_layers=(0, 1)),  # type: ignore[type-var]
)  # fmt: skip
LOCAL = replace(
    CONFIGS["like gpt-oss"], n_layers=6,
    attention=replace(CONFIGS["sinks"].attention,
                      window=replace(CONFIGS["window"].attention.window,  # type: ignore[type-var]
                                     layers=(0, 2, 4))),
)  # fmt: skip


@pytest.mark.parametrize("name", LARGE)
def test_every_packaged_model_fits_with_its_kinds_of_layers(name: str) -> None:
    whole = load_model(name)
    small = capped_config(whole, MEMORY_LIMIT_BYTES)
    assert weight_bytes(small) <= MEMORY_LIMIT_BYTES < weight_bytes(whole)
    assert set(small.layer_kinds) == set(whole.layer_kinds)
    assert (small.d_model, small.vocab_size) == (whole.d_model, FEW_TOKENS)
    changed = ("n_heads", "n_kv_heads", "head_dim", "v_head_dim", "latent", "sinks")
    for part in changed:
        assert getattr(small.attention, part) == getattr(whole.attention, part)
    assert small.name.startswith(f"{whole.name} (4,096 of {whole.vocab_size:,} tokens")
    assert RandomWeights(small).shapes == tensor_shapes(small)
    Spec(small)


def test_what_fits_is_left_alone() -> None:
    assert capped_config(LLAMA, weight_bytes(LLAMA)) is LLAMA
    assert weight_bytes(LLAMA) == 4 * LLAMA.parameters


@pytest.mark.parametrize(
    ("config", "limit", "name"),
    [
        (VOCABULARY, -1, "tiny-llama (4,096 of 5,000 tokens)"),
        (VOCABULARY, -200_000, "tiny-llama (4,096 of 5,000 tokens, 2 of 4 layers)"),
        (MIXED, -1, "tiny-llama (4,096 of 5,000 tokens)"),
        (MIXED, -180_000, "tiny-llama (4,096 of 5,000 tokens, 2 of 5 experts)"),
        (MIXED, -280_000, "tiny-llama (4,096 of 5,000 tokens, 2 of 5 experts, 3 of 6 layers)"),
    ],
    ids=["vocabulary", "layers", "vocabulary first", "then experts", "then layers"],
)
def test_the_name_says_what_was_cut_in_which_order(
    config: ModelConfig, limit: int, name: str
) -> None:
    small = capped_config(config, weight_bytes(config) + limit)
    assert small.name == name
    assert weight_bytes(small) <= weight_bytes(config) + limit


def test_as_many_layers_stay_as_fit() -> None:
    deep = replace(LLAMA, n_layers=9)
    layer = (weight_bytes(deep) - weight_bytes(LLAMA)) // 7
    for count in range(1, 9):
        small = capped_config(deep, weight_bytes(deep) - (9 - count) * layer)
        assert (small.n_layers, small.name) == (count, f"tiny-llama ({count} of 9 layers)")


def test_the_first_layers_stay_and_one_of_every_other_kind() -> None:
    dense, experts = LayerKind(False, False), LayerKind(False, True)
    assert MIXED.layer_kinds == (dense,) * 2 + (experts,) * 4
    few = replace(MIXED, embedding=EmbeddingConfig(37), moe=MoeConfig(2, 2, MlpConfig(16)))
    few = with_layers(few, list(MIXED.layer_kinds))
    for kinds in ((dense, dense, experts, experts), (dense, dense, experts), (dense, experts)):
        small = capped_config(few, weight_bytes(with_layers(few, list(kinds))))
        assert small.layer_kinds == kinds
    assert with_layers(few, [experts, experts]).layer_kinds == (experts, experts)


def test_windows_and_dense_layers_move_with_their_layers() -> None:
    local, far = LOCAL.layer_kinds[:2]
    assert (local.local, far.local) == (True, False)
    moved = with_layers(LOCAL, [far, local, local])
    assert moved.attention.window is not None
    assert moved.attention.window.layers == (1, 2)
    assert with_layers(LOCAL, [far]).attention.window is None
    with pytest.raises(WorkloadError, match="needs at least one layer"):
        with_layers(LOCAL, [])


def test_feed_forward_networks_are_halved_last() -> None:
    one = replace(LLAMA, n_layers=1)
    small = capped_config(one, weight_bytes(one) - 4 * 24 * 3 * 25)
    assert small.mlp is not None
    assert (small.mlp.d_ff, small.name) == (10, "tiny-llama (d_ff 10 of 40)")


def test_a_layer_that_fits_nowhere_is_refused() -> None:
    with pytest.raises(CapacityError, match=r"one layer of each kind of tiny-llama takes .* GB"):
        capped_config(LLAMA, 4 * 24 * 37)
    with pytest.raises(CapacityError, match="one layer of each kind"):
        capped_config(CONFIGS["experts"], 4 * 24 * 37)


@pytest.mark.parametrize("config", [MIXED, LOCAL], ids=["mixed", "local"])
def test_cut_models_run(config: ModelConfig) -> None:
    small = capped_config(config, weight_bytes(config) * 5 // 6)
    model = DecoderModel(small.name, Spec(small), RandomWeights(small, 3))
    logits = model.logits([1, 2, 3])
    assert logits.shape == (3, small.vocab_size)
    assert np.isfinite(logits).all()
    assert logits.std() > 0
    assert small.name != config.name


def test_experts_that_are_left_lie_in_one_group() -> None:
    config = CONFIGS["groups of experts"]
    small = capped_config(config, weight_bytes(config) - 1)
    assert config.moe is not None
    assert small.moe is not None
    assert (small.moe.n_experts, small.moe.topk) == (3, 3)
    assert small.moe.routing == replace(config.moe.routing, n_groups=1, topk_groups=1)
