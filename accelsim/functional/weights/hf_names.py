"""How files of the transformers library call the tensors of each family."""

from __future__ import annotations

from dataclasses import dataclass, field

_PROJECTIONS = {
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}  # fmt: skip
_LLAMA = _PROJECTIONS | {
    "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
    "ffn_gate_inp": "mlp.gate",
}  # fmt: skip
_GEMMA = _PROJECTIONS | {
    "attn_norm": "input_layernorm", "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm", "post_ffw_norm": "post_feedforward_layernorm",
}  # fmt: skip
_DEEPSEEK = _LLAMA | {
    "attn_q_a": "self_attn.q_a_proj", "attn_q_a_norm": "self_attn.q_a_layernorm",
    "attn_q_b": "self_attn.q_b_proj", "attn_kv_a_mqa": "self_attn.kv_a_proj_with_mqa",
    "attn_kv_a_norm": "self_attn.kv_a_layernorm", "attn_kv_b": "self_attn.kv_b_proj",
    "ffn_gate_shexp": "mlp.shared_experts.gate_proj",
    "ffn_up_shexp": "mlp.shared_experts.up_proj",
    "ffn_down_shexp": "mlp.shared_experts.down_proj",
    "exp_probs_b.bias": "mlp.gate.e_score_correction_bias",
}  # fmt: skip
_PHI3 = _LLAMA | dict.fromkeys(("attn_q", "attn_k", "attn_v"), "self_attn.qkv_proj")
_PHI3 |= dict.fromkeys(("ffn_gate", "ffn_up"), "mlp.gate_up_proj")
_GPT2 = dict.fromkeys(("attn_q", "attn_k", "attn_v"), "attn.c_attn") | {
    "attn_norm": "ln_1", "attn_output": "attn.c_proj", "ffn_norm": "ln_2", "ffn_up": "mlp.c_fc",
    "ffn_down": "mlp.c_proj",
}  # fmt: skip
_GPT_OSS = _LLAMA | {
    "ffn_gate_inp": "mlp.router", "attn_sinks.weight": "self_attn.sinks",
    "ffn_gate_exps.weight": "mlp.experts.gate_up_proj",
    "ffn_gate_exps.bias": "mlp.experts.gate_up_proj_bias",
    "ffn_up_exps.weight": "mlp.experts.gate_up_proj",
    "ffn_up_exps.bias": "mlp.experts.gate_up_proj_bias",
    "ffn_down_exps.weight": "mlp.experts.down_proj",
    "ffn_down_exps.bias": "mlp.experts.down_proj_bias",
}  # fmt: skip
_NEOX = dict.fromkeys(("attn_q", "attn_k", "attn_v"), "attention.query_key_value") | {
    "attn_norm": "input_layernorm", "attn_output": "attention.dense",
    "ffn_norm": "post_attention_layernorm", "ffn_up": "mlp.dense_h_to_4h",
    "ffn_down": "mlp.dense_4h_to_h",
}  # fmt: skip
_OPT = _PROJECTIONS | {
    "attn_norm": "self_attn_layer_norm", "attn_output": "self_attn.out_proj",
    "ffn_norm": "final_layer_norm", "ffn_up": "fc1", "ffn_down": "fc2",
    "attn_output_norm": "self_attn_layer_norm", "layer_output_norm": "final_layer_norm",
}  # fmt: skip
_BERT = {
    "attn_q": "attention.self.query", "attn_k": "attention.self.key",
    "attn_v": "attention.self.value", "attn_output": "attention.output.dense",
    "attn_output_norm": "attention.output.LayerNorm", "ffn_up": "intermediate.dense",
    "ffn_down": "output.dense", "layer_output_norm": "output.LayerNorm",
}  # fmt: skip


_OUTSIDE = {
    "token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head",
}  # fmt: skip
_EXPERT = {"ffn_gate": "gate_proj", "ffn_up": "up_proj", "ffn_down": "down_proj"}
_OUTSIDE_BERT = {
    "token_embd": "embeddings.word_embeddings", "position_embd": "embeddings.position_embeddings",
    "token_types": "embeddings.token_type_embeddings", "token_embd_norm": "embeddings.LayerNorm",
}  # fmt: skip
_OUTSIDE_GPT2 = {
    "token_embd": "transformer.wte", "position_embd": "transformer.wpe",
    "output_norm": "transformer.ln_f", "output": "lm_head",
}  # fmt: skip


_OUTSIDE_NEOX = {
    "token_embd": "gpt_neox.embed_in", "output_norm": "gpt_neox.final_layer_norm",
    "output": "embed_out",
}  # fmt: skip
_OUTSIDE_OPT = {
    "token_embd": "model.decoder.embed_tokens", "position_embd": "model.decoder.embed_positions",
    "output_norm": "model.decoder.final_layer_norm", "output": "lm_head",
}  # fmt: skip


@dataclass(frozen=True)
class HfNames:
    """Names of one family.

    Attributes
    ----------
    layer : dict
        Within a layer, by the canonical name with or without its ".weight" or ".bias".
    outside : dict
        Of the other tensors.
    layers : str
        Before the number of a layer.
    experts : str
        Before the number of an expert in a layer.
    expert : dict
        Within an expert; empty: experts always lie in one tensor.
    """

    layer: dict[str, str]
    outside: dict[str, str] = field(default_factory=lambda: _OUTSIDE)
    layers: str = "model.layers."
    experts: str = "mlp.experts."
    expert: dict[str, str] = field(default_factory=lambda: _EXPERT)


HF_NAMES: dict[str, HfNames] = {
    "llama": HfNames(_LLAMA),
    "mistral": HfNames(_LLAMA),
    "mixtral": HfNames(
        _LLAMA | {"ffn_gate_inp": "block_sparse_moe.gate"},
        experts="block_sparse_moe.experts.",
        expert={"ffn_gate": "w1", "ffn_up": "w3", "ffn_down": "w2"},
    ),
    "qwen2": HfNames(_LLAMA),
    "qwen3": HfNames(_LLAMA),
    "qwen3_moe": HfNames(_LLAMA),
    "deepseek_v3": HfNames(_DEEPSEEK),
    "gemma2": HfNames(_GEMMA),
    "gemma3_text": HfNames(_GEMMA),
    "phi3": HfNames(_PHI3),
    "gpt2": HfNames(_GPT2, _OUTSIDE_GPT2, layers="transformer.h."),
    "gpt_neox": HfNames(_NEOX, _OUTSIDE_NEOX, layers="gpt_neox.layers."),
    "opt": HfNames(_OPT, _OUTSIDE_OPT, layers="model.decoder.layers."),
    "gpt_oss": HfNames(_GPT_OSS, expert={}),
    "bert": HfNames(_BERT, _OUTSIDE_BERT, layers="encoder.layer."),
}
"""Model types whose safetensors are understood."""


def hf_name(canonical: str, family: str) -> str:
    """Name of a canonical tensor, or of one expert's, in files of the transformers library."""
    names = HF_NAMES[family]
    if not canonical.startswith("blk."):
        part, kind = canonical.rsplit(".", 1)
        return f"{names.outside.get(part, part)}.{kind}"
    _, layer, rest = canonical.split(".", 2)
    at = f"{names.layers}{layer}."
    if rest in names.layer:
        return at + names.layer[rest]
    part, kind = rest.rsplit(".", 1)
    part, _, expert = part.partition(".")
    if expert and not names.expert:
        return at + names.layer[f"{part}_exps.{kind}"]
    if expert:
        return f"{at}{names.experts}{expert}.{names.expert[part]}.{kind}"
    return f"{at}{names.layer.get(part, part)}.{kind}"
