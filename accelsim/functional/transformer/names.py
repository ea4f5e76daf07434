"""Names and shapes of the tensors that a model executes with.

Names are those of GGUF, the shortest that say what a tensor is.
"""

from __future__ import annotations

from collections.abc import Iterator

from accelsim.workload.attention_config import LatentConfig
from accelsim.workload.config import ModelConfig
from accelsim.workload.layer_config import MlpConfig

Shape = tuple[int, ...]

_CORRECTION = "exp_probs_b.bias"


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
    if config.norm.placement == "sandwich":
        yield from _norm(config, "post_attention_norm", d_model)
        yield from _norm(config, "post_ffw_norm", d_model)
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
