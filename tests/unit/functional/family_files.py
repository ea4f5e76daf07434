"""Tiny models of families whose files fuse, transpose or offset tensors, and what they store."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from accelsim.functional.rope_frequencies import RopeScaling, yarn_attention_factor
from accelsim.functional.transformer.decoder import DecoderModel
from accelsim.workload.config import ModelConfig
from accelsim.workload.layer_config import HeadConfig, MlpConfig, PositionConfig
from tests.unit.functional.model_files import LLAMA_JSON, Held
from tests.unit.functional.transformer.tiny_models import CONFIGS, LLAMA, Table, tiny

_GEMMA_JSON = LLAMA_JSON | {
    "hidden_activation": "gelu_pytorch_tanh", "sliding_window": 3, "query_pre_attn_scalar": 10,
    "layer_types": ["sliding_attention", "full_attention"], "tie_word_embeddings": True,
}  # fmt: skip
_PLAIN_JSON = {key: value for key, value in LLAMA_JSON.items() if key not in (
    "num_key_value_heads", "rms_norm_eps", "rope_theta", "head_dim",
)}  # fmt: skip
_GPT2_JSON = {
    "model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_embd": 24, "n_layer": 2,
    "n_head": 4, "n_positions": 32, "n_inner": 40, "vocab_size": 37, "n_ctx": 32,
    "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5, "scale_attn_weights": True,
}  # fmt: skip
YARN = {"rope_type": "yarn", "factor": 4.0, "truncate": False, "beta_fast": 4.0,
         "original_max_position_embeddings": 8}  # fmt: skip


@dataclass(frozen=True)
class Family:
    """A tiny model of a family, and how its files say so."""

    config: ModelConfig
    json: dict[str, Any]
    constants: dict[str, Any] = field(default_factory=dict)
    gguf: dict[str, Any] | None = None


FAMILIES = {
    "gemma2": Family(
        CONFIGS["like gemma 2"],
        _GEMMA_JSON | {
            "model_type": "gemma2", "attn_logit_softcapping": 0.7, "final_logit_softcapping": 3.0,
        },
        {"query_size": 10.0, "score_cap": 0.7, "logit_cap": 3.0},
        {"attn_logit_softcapping": ("f32", 0.75), "final_logit_softcapping": ("f32", 3.0),
         "attention.sliding_window": ("u32", 3)},
    ),
    "gemma3_text": Family(
        CONFIGS["like gemma 3"],
        _GEMMA_JSON | {
            "model_type": "gemma3_text", "rope_theta": 3e4, "rope_local_base_freq": 5e3,
            "rope_scaling": {"rope_type": "linear", "factor": 8.0},
        },
        {"query_size": 10.0, "rope_theta": 3e4, "local_rope_theta": 5e3,
         "rope_scaling": RopeScaling("linear", 8.0)},
        {"attention.sliding_window": ("u32", 3), "rope.freq_base_swa": ("f32", 5e3)},
    ),
    "phi3": Family(
        replace(LLAMA, position=PositionConfig("rope", 32, rotary_dim=4)),
        LLAMA_JSON | {"model_type": "phi3", "partial_rotary_factor": 0.7, "sliding_window": None},
        gguf={"rope.dimension_count": ("u32", 4)},
    ),
    "gpt2": Family(
        CONFIGS["gpt2"], _GPT2_JSON, gguf={"attention.layer_norm_epsilon": ("f32", 1e-5),
                                           "attention.head_count_kv": ("u32", 4)},
    ),
    "gpt_neox": Family(
        replace(
            CONFIGS["parallel"], position=PositionConfig("rope", 32, rotary_dim=4),
            attention=CONFIGS["gpt2"].attention,
            mlp=MlpConfig(40, gated=False, activation="gelu", bias=True),
        ),
        _PLAIN_JSON | {
            "model_type": "gpt_neox", "architectures": ["GPTNeoXForCausalLM"], "rotary_pct": 0.7,
            "rotary_emb_base": 5e3, "hidden_act": "gelu",
        },
        {"rope_theta": 5e3, "gelu_erf": True},
    ),
    "opt": Family(
        replace(CONFIGS["opt"], attention=CONFIGS["gpt2"].attention, head=HeadConfig(tied=True)),
        {
            "model_type": "opt", "architectures": ["OPTForCausalLM"], "hidden_size": 24,
            "num_hidden_layers": 2, "num_attention_heads": 4, "ffn_dim": 40, "vocab_size": 37,
            "max_position_embeddings": 32, "activation_function": "relu",
            "word_embed_proj_dim": 24, "do_layer_norm_before": True,
        },
    ),
    "gpt_oss": Family(
        replace(
            CONFIGS["like gpt-oss"],
            attention=replace(CONFIGS["like gpt-oss"].attention, qkv_bias=True, o_bias=True),
        ),
        LLAMA_JSON | {
            "model_type": "gpt_oss", "sliding_window": 3, "num_local_experts": 5,
            "num_experts_per_tok": 2, "intermediate_size": 16, "rope_scaling": YARN,
            "layer_types": ["full_attention", "sliding_attention"], "swiglu_limit": 0.5,
            "swiglu_alpha": 1.5,
        },
        {"swiglu_limit": 0.5, "swiglu_alpha": 1.5, "rope_scaling": RopeScaling(
            "yarn", 4.0, 1.0, 4.0, 8, yarn_attention_factor(4.0), whole_pairs=False,
        )},
        {"expert_count": ("u32", 5), "expert_used_count": ("u32", 2),
         "expert_feed_forward_length": ("u32", 16), "attention.sliding_window": ("u32", 3)},
    ),
}  # fmt: skip
_GEMMA_NAMES = {
    "attn_norm": "input_layernorm", "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm", "post_ffw_norm": "post_feedforward_layernorm",
    "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm",
}  # fmt: skip


def wanted_model(name: str, **constants: Any) -> DecoderModel:
    """The model; Gemma's norms are such that one less than them is a number of fp32."""
    model = tiny(FAMILIES[name].config, **(FAMILIES[name].constants | constants))
    assert isinstance(model.weights, Table)
    for tensor, values in model.weights.held.items():
        if "norm" in tensor:
            model.weights.held[tensor] = np.float32(1) + (values - np.float32(1))
    return model


def held_arrays(name: str) -> Held:
    weights = wanted_model(name).weights
    assert isinstance(weights, Table)
    return dict(weights.held)


def hf_arrays(name: str) -> Held:
    """Tensors as the transformers library stores them."""
    held = held_arrays(name)
    for layer in range(2):
        at = f"blk.{layer}"
        if name.startswith("gemma"):
            for norm, own in _GEMMA_NAMES.items():
                if f"{at}.{norm}.weight" in held:
                    values = held.pop(f"{at}.{norm}.weight") - np.float32(1)
                    held[f"model.layers.{layer}.{own}.weight"] = values
        elif name == "phi3":
            heads = [held.pop(f"{at}.attn_{part}.weight") for part in "qkv"]
            held[f"model.layers.{layer}.self_attn.qkv_proj.weight"] = np.concatenate(heads)
            halves = [held.pop(f"{at}.ffn_{part}.weight") for part in ("gate", "up")]
            held[f"model.layers.{layer}.mlp.gate_up_proj.weight"] = np.concatenate(halves)
        elif name == "gpt2":
            held |= _conv1d(held, layer)
        elif name == "gpt_neox":
            held |= _head_by_head(held, layer)
        elif name == "gpt_oss":
            held |= _interleaved(held, layer)
    if name.startswith("gemma"):
        held["output_norm.weight"] = held["output_norm.weight"] - np.float32(1)
    return held


def _conv1d(held: Held, layer: int) -> Held:
    at, there = f"blk.{layer}", f"transformer.h.{layer}"
    found = {}
    for kind in ("weight", "bias"):
        heads = [held.pop(f"{at}.attn_{part}.{kind}") for part in "qkv"]
        found[f"{there}.attn.c_attn.{kind}"] = np.ascontiguousarray(np.concatenate(heads).T)
        names = {"attn_output": "attn.c_proj", "ffn_up": "mlp.c_fc", "ffn_down": "mlp.c_proj"}
        for part, own in names.items():
            values = held.pop(f"{at}.{part}.{kind}").T
            found[f"{there}.{own}.{kind}"] = np.ascontiguousarray(values)
    return found


def _head_by_head(held: Held, layer: int) -> Held:
    found = {}
    for kind in ("weight", "bias"):
        parts = [held.pop(f"blk.{layer}.attn_{part}.{kind}") for part in "qkv"]
        heads = [part[6 * h : 6 * h + 6] for h in range(4) for part in parts]
        name = f"gpt_neox.layers.{layer}.attention.query_key_value.{kind}"
        found[name] = np.concatenate(heads)
    return found


def _interleaved(held: Held, layer: int) -> Held:
    at, there = f"blk.{layer}", f"model.layers.{layer}"
    found = {f"{there}.self_attn.sinks": held.pop(f"{at}.attn_sinks.weight")}
    for kind, tail in (("weight", ""), ("bias", "_bias")):
        parts = [held.pop(f"{at}.ffn_{part}_exps.{kind}") for part in ("gate", "up")]
        both = np.stack(parts, axis=2)  # experts, d_ff, gate or up (, d_model)
        both = both.reshape(5, 32, *both.shape[3:])
        down = held.pop(f"{at}.ffn_down_exps.{kind}")
        if kind == "weight":
            both, down = both.swapaxes(1, 2), down.swapaxes(1, 2)
        found[f"{there}.mlp.experts.gate_up_proj{tail}"] = np.ascontiguousarray(both)
        found[f"{there}.mlp.experts.down_proj{tail}"] = np.ascontiguousarray(down)
    for kind in ("weight", "bias"):
        found[f"{there}.mlp.router.{kind}"] = held.pop(f"{at}.ffn_gate_inp.{kind}")
    return found


def gguf_arrays(name: str) -> Held:
    """Tensors as GGUF files of this family have them."""
    held = held_arrays(name)
    for layer in range(2):
        for kind in ("weight", "bias"):
            if name != "gpt_oss" and f"blk.{layer}.attn_q.{kind}" in held:
                heads = [held.pop(f"blk.{layer}.attn_{part}.{kind}") for part in "qkv"]
                held[f"blk.{layer}.attn_qkv.{kind}"] = np.concatenate(heads)
        if name == "gpt_oss":
            norm = held.pop(f"blk.{layer}.ffn_norm.weight")
            held[f"blk.{layer}.post_attention_norm.weight"] = norm
            continue
        if name == "phi3":
            halves = [held.pop(f"blk.{layer}.ffn_{part}.weight") for part in ("gate", "up")]
            held[f"blk.{layer}.ffn_up.weight"] = np.concatenate(halves)
    return held
