"""Names and shapes of the tensors that a model executes with."""

from __future__ import annotations

import math

import pytest

from accelsim.functional.transformer.names import hf_name, tensor_shapes
from accelsim.workload.models import load_model
from tests.unit.functional.transformer.tiny_models import BERT, CONFIGS


@pytest.mark.parametrize("name", [*CONFIGS, "bert"])
def test_every_parameter_is_in_one_tensor(name: str) -> None:
    config = BERT if name == "bert" else CONFIGS[name]
    assert sum(map(math.prod, tensor_shapes(config).values())) == config.parameters


@pytest.mark.parametrize(
    "name", ["smollm2-135m", "gpt2", "llama3.1-8b", "qwen3-8b", "mixtral-8x7b"]
)
def test_packaged_models_have_all_their_parameters(name: str) -> None:
    config = load_model(name)
    assert sum(map(math.prod, tensor_shapes(config).values())) == config.parameters


def test_shapes_are_rows_by_columns() -> None:
    shapes = tensor_shapes(CONFIGS["experts"])
    assert shapes["blk.1.attn_k.weight"] == (12, 24)
    assert shapes["blk.0.ffn_gate_exps.weight"] == (5, 16, 24)
    assert shapes["blk.0.ffn_gate_inp.weight"] == (5, 24)
    assert "blk.0.ffn_up.weight" not in shapes
    assert tensor_shapes(CONFIGS["opt"])["position_embd.weight"] == (34, 24)
    assert "output.weight" not in tensor_shapes(CONFIGS["tied"])


@pytest.mark.parametrize(
    ("canonical", "family", "name"),
    [
        ("token_embd.weight", "llama", "model.embed_tokens.weight"),
        ("output_norm.weight", "qwen3", "model.norm.weight"),
        ("output.weight", "llama", "lm_head.weight"),
        ("blk.3.attn_q.bias", "qwen2", "model.layers.3.self_attn.q_proj.bias"),
        ("blk.0.ffn_norm.weight", "llama", "model.layers.0.post_attention_layernorm.weight"),
        ("blk.11.attn_q_norm.weight", "qwen3", "model.layers.11.self_attn.q_norm.weight"),
        ("token_types.weight", "bert", "embeddings.token_type_embeddings.weight"),
        ("blk.2.ffn_down.bias", "bert", "encoder.layer.2.output.dense.bias"),
        ("blk.2.layer_output_norm.weight", "bert", "encoder.layer.2.output.LayerNorm.weight"),
    ],
)
def test_names_of_the_transformers_library(canonical: str, family: str, name: str) -> None:
    assert hf_name(canonical, family) == name


def test_no_two_tensors_share_a_name() -> None:
    for config, family in ((CONFIGS["normed heads"], "llama"), (BERT, "bert")):
        names = [hf_name(name, family) for name in tensor_shapes(config)]
        assert len(set(names)) == len(names)
