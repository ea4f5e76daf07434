"""Names and shapes of the tensors that a model executes with."""

from __future__ import annotations

import math

import pytest

from accelsim.functional.transformer.names import tensor_shapes
from accelsim.functional.weights.hf_names import hf_name
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
        ("blk.2.ffn_norm.weight", "gemma2", "model.layers.2.pre_feedforward_layernorm.weight"),
        ("blk.2.attn_k.weight", "phi3", "model.layers.2.self_attn.qkv_proj.weight"),
        ("blk.2.attn_k.bias", "gpt2", "transformer.h.2.attn.c_attn.bias"),
        ("position_embd.weight", "gpt2", "transformer.wpe.weight"),
        ("blk.0.attn_sinks.weight", "gpt_oss", "model.layers.0.self_attn.sinks"),
        ("blk.0.ffn_up_exps.bias", "gpt_oss", "model.layers.0.mlp.experts.gate_up_proj_bias"),
        ("blk.0.ffn_up.4.bias", "gpt_oss", "model.layers.0.mlp.experts.gate_up_proj_bias"),
        ("blk.0.ffn_up.4.weight", "mixtral", "model.layers.0.block_sparse_moe.experts.4.w3.weight"),
        (
            "blk.0.exp_probs_b.bias",
            "deepseek_v3",
            "model.layers.0.mlp.gate.e_score_correction_bias",
        ),
    ],
)
def test_names_of_the_transformers_library(canonical: str, family: str, name: str) -> None:
    assert hf_name(canonical, family) == name


def test_no_two_tensors_share_a_name() -> None:
    for config, family in ((CONFIGS["normed heads"], "llama"), (BERT, "bert")):
        names = [hf_name(name, family) for name in tensor_shapes(config)]
        assert len(set(names)) == len(names)
