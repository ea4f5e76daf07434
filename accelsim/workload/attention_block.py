"""Ops of one attention sublayer with plain K and V: MHA, MQA, GQA, windows, biases, sinks."""

from __future__ import annotations

from accelsim.workload.context import BuildContext
from accelsim.workload.ops import Attention, Op


def attention_ops(context: BuildContext, window: int | None) -> tuple[Op, ...]:
    """Return the ops from the normed input to the output projection.

    Parameters
    ----------
    context : BuildContext
    window : int or None
        Sliding window of this layer.

    Notes
    -----
    q, k and v come from one matmul, as real kernels do it. Shapes per token:
    [d_model] -> [(h + kv) head_dim + kv v_head_dim] -> [h v_head_dim] -> [d_model].
    Parameters without an op of their own (sinks, one logit per head) are read with the rotary
    embedding, so that no kernel is invented for them. The softcap of scores is not counted.
    """
    config = context.config
    attention = config.attention
    ops: list[Op] = [
        context.linear(
            "attention.qkv", attention.qkv_width, config.d_model,
            shard="column", bias=attention.qkv_bias,
        )
    ]  # fmt: skip
    if config.norm.qk:
        ops += _per_head_norms(context)
    ops += _rope(context)
    ops.append(
        Attention(
            name="attention.sdpa", batch=context.batch, shard="heads",
            heads=attention.n_heads, kv_heads=attention.n_kv_heads,
            q_len=context.q_len, kv_len=context.kv_len,
            head_dim=attention.head_dim, v_head_dim=attention.v_head_dim,
            causal=attention.causal, window=window, cached=context.cached,
            dtype=context.formats.attention, kv_dtype=context.formats.cache,
        )
    )  # fmt: skip
    ops.append(
        context.linear(
            "attention.o", config.d_model, attention.o_width, shard="row", bias=attention.o_bias
        )
    )
    return tuple(ops)


def _per_head_norms(context: BuildContext) -> list[Op]:
    """Return the norms of q and k: rows are heads, and all heads share one gain without bias."""
    attention, norm = context.config.attention, context.config.norm
    width = attention.head_dim
    return [
        context.vector(
            f"attention.{which}_norm", norm.kind, width, shard="heads",
            rows=context.tokens * heads, weights=width, after=after,
        )
        for which, heads, after in (
            ("q", attention.n_heads, ("attention.qkv",)),
            ("k", attention.n_kv_heads, ("attention.qkv",)),
        )
    ]  # fmt: skip


def _rope(context: BuildContext) -> list[Op]:
    config = context.config
    attention, position = config.attention, config.position
    if position.kind != "rope":
        return []
    width = position.rotary_dim or attention.head_dim
    after = ("attention.q_norm", "attention.k_norm") if config.norm.qk else None
    return [
        context.vector(
            "attention.rope", "rope", (attention.n_heads + attention.n_kv_heads) * width,
            shard="heads", weights=attention.n_heads if attention.sinks else 0, after=after,
        )
    ]  # fmt: skip
