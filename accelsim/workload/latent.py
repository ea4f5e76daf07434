"""Ops of multi-head latent attention (MLA): expanded for prefill, absorbed for decode.

References
----------
DeepSeek-V2, arXiv 2405.04434, section 2.1 and appendix C; DeepSeek-V3, arXiv 2412.19437.
"""

from __future__ import annotations

from accelsim.workload.attention_config import LatentConfig
from accelsim.workload.context import BuildContext
from accelsim.workload.ops import Attention, MatMul, Op

CACHE_WRITE = "attention.cache"
"""The op that stores the latent in prefill, where attention itself has no use for the cache."""


def latent_attention_ops(context: BuildContext) -> tuple[Op, ...]:
    """Return the ops from the normed input to the output projection.

    Notes
    -----
    Expanded (prefill, training): the latent is projected up to K and V of every head, and
    attention is ordinary with h KV heads. Absorbed (decode): the projection up is moved to the
    query and to the output, and attention runs on the cached latent itself, one KV head that all
    heads share. Both own the same parameters. The latent is one vector for all heads: tensor
    parallelism replicates it and its cache.
    """
    config = context.config
    attention, latent = config.attention, config.attention.latent
    assert latent is not None
    core = _absorbed(context, latent) if context.absorbed else _expanded(context, latent)
    output = context.linear(
        "attention.o", config.d_model, attention.o_width, shard="row", bias=attention.o_bias
    )
    return (*_projections(context, latent), *core, output)


def _projections(context: BuildContext, latent: LatentConfig) -> list[Op]:
    """Project to the query of every head and to the one latent, rotated and normed."""
    d_model, attention = context.config.d_model, context.config.attention
    q_width = attention.n_heads * attention.head_dim
    ops: list[Op]
    if latent.q_rank is None:
        ops = [
            context.linear("attention.q", q_width, d_model, shard="column"),
            context.linear(
                "attention.kv_a", latent.cache_width, d_model, shard="none",
                after=("attention.norm",),
            ),
            context.norm("attention.kv_norm", latent.kv_rank),
        ]  # fmt: skip
        q_ready, kv_source = "attention.q", "attention.kv_a"
    else:
        down = latent.q_rank + latent.cache_width
        ops = [
            context.linear("attention.qkv_a", down, d_model, shard="none"),
            context.norm("attention.q_norm", latent.q_rank),
            context.norm("attention.kv_norm", latent.kv_rank, after=("attention.qkv_a",)),
            context.linear(
                "attention.q_b", q_width, latent.q_rank, shard="column",
                after=("attention.q_norm",),
            ),
        ]  # fmt: skip
        q_ready, kv_source = "attention.q_b", "attention.qkv_a"
    ops += [
        context.vector(
            "attention.q_rope", "rope", attention.n_heads * latent.rope_dim, shard="heads",
            after=(q_ready,),
        ),
        context.vector("attention.k_rope", "rope", latent.rope_dim, after=(kv_source,)),
    ]  # fmt: skip
    return ops


def _expanded(context: BuildContext, latent: LatentConfig) -> list[Op]:
    attention = context.config.attention
    width = attention.n_heads * (latent.nope_dim + attention.v_head_dim)
    up = context.linear(
        "attention.kv_b", width, latent.kv_rank, shard="column", after=("attention.kv_norm",)
    )
    core = Attention(
        name="attention.sdpa", batch=context.batch, shard="heads",
        heads=attention.n_heads, kv_heads=attention.n_heads,
        q_len=context.q_len, kv_len=context.kv_len,
        head_dim=attention.head_dim, v_head_dim=attention.v_head_dim,
        causal=attention.causal, cached=False,
        dtype=context.formats.attention, kv_dtype=context.formats.cache,
        after=("attention.q_rope", "attention.k_rope", "attention.kv_b"),
    )  # fmt: skip
    if not context.cached:
        return [up, core]
    ready = ("attention.kv_norm", "attention.k_rope")
    return [context.vector(CACHE_WRITE, "copy", latent.cache_width, after=ready), up, core]


def _absorbed(context: BuildContext, latent: LatentConfig) -> list[Op]:
    attention, formats = context.config.attention, context.formats

    def per_head(name: str, n: int, k: int, after: tuple[str, ...] | None = None) -> MatMul:
        return MatMul(
            name=name, batch=attention.n_heads, m=context.tokens, n=n, k=k, shard="heads",
            dtype=formats.matmul, weight_dtype=formats.linear, out_dtype=formats.activation,
            after=after,
        )  # fmt: skip

    query = ("attention.q_b",) if latent.q_rank is not None else ("attention.q",)
    core = Attention(
        name="attention.sdpa", batch=context.batch, shard="heads",
        heads=attention.n_heads, kv_heads=1, q_len=context.q_len, kv_len=context.kv_len,
        head_dim=latent.cache_width, v_head_dim=latent.kv_rank, latent_kv=True,
        dtype=formats.attention, kv_dtype=formats.cache,
        after=("attention.q_absorb", "attention.q_rope", "attention.k_rope", "attention.kv_norm"),
    )  # fmt: skip
    return [
        per_head("attention.q_absorb", latent.kv_rank, latent.nope_dim, query),
        core,
        per_head("attention.v_absorb", attention.v_head_dim, latent.kv_rank),
    ]
