"""Names of tensors: one canonical set, and how the files of each family call them.

The canonical names are those of GGUF, the shortest that say what a tensor is.
"""

from __future__ import annotations

from collections.abc import Iterator

from accelsim.workload.attention_config import LatentConfig
from accelsim.workload.config import ModelConfig
from accelsim.workload.layer_config import MlpConfig

Shape = tuple[int, ...]

LLAMA_LAYER = {
    "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm",
    "ffn_norm": "post_attention_layernorm", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}  # fmt: skip
_DEEPSEEK_LAYER = {
    "attn_q_a": "self_attn.q_a_proj", "attn_q_a_norm": "self_attn.q_a_layernorm",
    "attn_q_b": "self_attn.q_b_proj", "attn_kv_a_mqa": "self_attn.kv_a_proj_with_mqa",
    "attn_kv_a_norm": "self_attn.kv_a_layernorm", "attn_kv_b": "self_attn.kv_b_proj",
    "ffn_gate_shexp": "mlp.shared_experts.gate_proj",
    "ffn_up_shexp": "mlp.shared_experts.up_proj",
    "ffn_down_shexp": "mlp.shared_experts.down_proj",
}  # fmt: skip
_CORRECTION = "exp_probs_b.bias"
BERT_LAYER = {
    "attn_q": "attention.self.query", "attn_k": "attention.self.key",
    "attn_v": "attention.self.value", "attn_output": "attention.output.dense",
    "attn_output_norm": "attention.output.LayerNorm", "ffn_up": "intermediate.dense",
    "ffn_down": "output.dense", "layer_output_norm": "output.LayerNorm",
}  # fmt: skip
_MIXTRAL_EXPERT = {"ffn_gate": "w1", "ffn_up": "w3", "ffn_down": "w2"}
_LLAMA_OUTSIDE = {
    "token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head",
}  # fmt: skip
_BERT_OUTSIDE = {
    "token_embd": "embeddings.word_embeddings", "position_embd": "embeddings.position_embeddings",
    "token_types": "embeddings.token_type_embeddings", "token_embd_norm": "embeddings.LayerNorm",
}  # fmt: skip


def tensor_shapes(config: ModelConfig) -> dict[str, Shape]:
    """Return every tensor that a model executes with, by canonical name."""
    return dict(_outside(config)) | {
        f"blk.{i}.{name}": shape
        for i in range(config.n_layers)
        for name, shape in _layer(config, config.layer_kinds[i].moe)
    }


def _norm(config: ModelConfig, name: str, width: int) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", (width,)
    if config.norm.bias:
        yield f"{name}.bias", (width,)


def _dense(name: str, out: int, width: int, bias: bool) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", (out, width)
    if bias:
        yield f"{name}.bias", (out,)


def _outside(config: ModelConfig) -> Iterator[tuple[str, Shape]]:
    d_model, embedding = config.d_model, config.embedding
    yield "token_embd.weight", (embedding.vocab_size, d_model)
    if config.position.kind == "learned":
        yield "position_embd.weight", (config.position.table_rows, d_model)
    if embedding.token_types:
        yield "token_types.weight", (embedding.token_types, d_model)
    if embedding.norm:
        yield from _norm(config, "token_embd_norm", d_model)
    if config.norm.final:
        yield from _norm(config, "output_norm", d_model)
    if config.head.lm_head and not config.head.tied:
        yield from _dense("output", embedding.vocab_size, d_model, config.head.bias)


def _layer(config: ModelConfig, moe: bool) -> Iterator[tuple[str, Shape]]:
    d_model, attention = config.d_model, config.attention
    first, second = ("attn_norm", "ffn_norm")
    if config.norm.placement == "post":
        first, second = "attn_output_norm", "layer_output_norm"
    yield from _norm(config, first, d_model)
    if not (config.parallel_residual and config.norm.per_layer == 1):
        yield from _norm(config, second, d_model)
    if attention.latent is not None:
        yield from _latent(attention.latent, config)
    else:
        yield from _heads(config)
    yield from _dense(
        "attn_output", d_model, attention.n_heads * attention.v_head_dim, attention.o_bias
    )
    if attention.sinks:
        yield "attn_sinks.weight", (attention.n_heads,)
    if moe:
        yield from _experts(config)
    else:
        assert config.mlp is not None
        yield from _mlp(config.mlp, d_model)


def _heads(config: ModelConfig) -> Iterator[tuple[str, Shape]]:
    attention = config.attention
    q, kv = attention.n_heads * attention.head_dim, attention.n_kv_heads * attention.head_dim
    values = attention.n_kv_heads * attention.v_head_dim
    for name, width in (("attn_q", q), ("attn_k", kv), ("attn_v", values)):
        yield from _dense(name, width, config.d_model, attention.qkv_bias)
    if config.norm.qk:
        yield "attn_q_norm.weight", (attention.head_dim,)
        yield "attn_k_norm.weight", (attention.head_dim,)


def _latent(latent: LatentConfig, config: ModelConfig) -> Iterator[tuple[str, Shape]]:
    attention, d_model = config.attention, config.d_model
    q = attention.n_heads * attention.head_dim
    if latent.q_rank is None:
        yield from _dense("attn_q", q, d_model, False)
    else:
        yield from _dense("attn_q_a", latent.q_rank, d_model, False)
        yield "attn_q_a_norm.weight", (latent.q_rank,)
        yield from _dense("attn_q_b", q, latent.q_rank, False)
    yield from _dense("attn_kv_a_mqa", latent.cache_width, d_model, False)
    yield "attn_kv_a_norm.weight", (latent.kv_rank,)
    per_head = latent.nope_dim + attention.v_head_dim
    yield from _dense("attn_kv_b", attention.n_heads * per_head, latent.kv_rank, False)


def _mlp(mlp: MlpConfig, d_model: int) -> Iterator[tuple[str, Shape]]:
    if mlp.gated:
        yield from _dense("ffn_gate", mlp.d_ff, d_model, mlp.bias)
    yield from _dense("ffn_up", mlp.d_ff, d_model, mlp.bias)
    yield from _dense("ffn_down", d_model, mlp.d_ff, mlp.bias)


def _experts(config: ModelConfig) -> Iterator[tuple[str, Shape]]:
    moe, d_model = config.moe, config.d_model
    assert moe is not None
    corrected = moe.routing.corrected
    yield from _dense("ffn_gate_inp", moe.n_experts, d_model, moe.router_bias and not corrected)
    if corrected:
        yield _CORRECTION, (moe.n_experts,)
    for name, shape in _mlp(moe.expert, d_model):
        part, kind = name.split(".")
        yield f"{part}_exps.{kind}", (moe.n_experts, *shape)
    if moe.shared is not None:
        for name, shape in _mlp(moe.shared, d_model):
            yield name.replace(".", "_shexp."), shape


def is_stacked(canonical: str) -> bool:
    """Whether a tensor holds the same weights of all experts."""
    return "_exps." in canonical


def expert_name(canonical: str, expert: int) -> str:
    """Name of one expert's part of a stacked tensor: "blk.0.ffn_up.3.weight"."""
    return canonical.replace("_exps.", f".{expert}.")


def hf_name(canonical: str, family: str) -> str:
    """Name of a canonical tensor, or of one expert's, in files of the transformers library."""
    bert = family == "bert"
    if not canonical.startswith("blk."):
        part, kind = canonical.rsplit(".", 1)
        return f"{(_BERT_OUTSIDE if bert else _LLAMA_OUTSIDE).get(part, part)}.{kind}"
    _, layer, rest = canonical.split(".", 2)
    if rest == _CORRECTION:
        return f"model.layers.{layer}.mlp.gate.e_score_correction_bias"
    part, kind = rest.rsplit(".", 1)
    if bert:
        return f"encoder.layer.{layer}.{BERT_LAYER.get(part, part)}.{kind}"
    return f"model.layers.{layer}.{_in_decoder(part, family)}.{kind}"


def _in_decoder(part: str, family: str) -> str:
    mixtral = family == "mixtral"
    if part == "ffn_gate_inp":
        return "block_sparse_moe.gate" if mixtral else "mlp.gate"
    part, _, expert = part.partition(".")
    if not expert:
        return LLAMA_LAYER.get(part, _DEEPSEEK_LAYER.get(part, part))
    if mixtral:
        return f"block_sparse_moe.experts.{expert}.{_MIXTRAL_EXPERT[part]}"
    return f"mlp.experts.{expert}.{LLAMA_LAYER[part].removeprefix('mlp.')}"
