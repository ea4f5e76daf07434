"""A model in tables and plain data: layers, sizes, parameters, cache."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from accelsim.report.tables import Table, pairs_table
from accelsim.units import format_si
from accelsim.workload.attention_config import AttentionConfig
from accelsim.workload.config import ModelConfig
from accelsim.workload.layer_config import MlpConfig


def model_data(model: ModelConfig) -> dict[str, Any]:
    """Plain data of ``accelsim show MODEL --json``."""
    fields = asdict(model)
    fields["notes"] = list(model.notes)
    return {
        "kind": "model", **fields, "vocab_size": model.vocab_size, "parameters": model.parameters,
        "active_parameters": model.active_parameters,
        "kv_bytes_per_token": model.cache_bytes_per_token(),
    }  # fmt: skip


def model_tables(model: ModelConfig) -> tuple[Table, ...]:
    """Tables of ``accelsim show MODEL``."""
    active = model.active_parameters
    of_token = "" if active == model.parameters else f", {_count(active)} used by one token"
    cache = model.cache_bytes_per_token()
    pairs = [
        ("model", f"{model.family} {'encoder' if model.is_encoder else 'decoder'}"),
        ("parameters", f"{_count(model.parameters)}{of_token}"),
        ("layers", _layers(model)),
        ("d_model", f"{model.d_model:,}"),
        ("attention", _attention(model.attention)),
        ("feed-forward", _feed_forward(model)),
        ("norm", f"{model.norm.kind}, {model.norm.placement}"),
        ("positions", f"{model.position.kind}, up to {model.position.max_positions:,} tokens"),
        ("vocabulary", f"{model.vocab_size:,}{', tied to the head' if model.head.tied else ''}"),
        ("dtype", _dtype(model)),
        (
            "KV cache per token",
            f"{format_si(cache, 'B')} ({cache:,.0f} bytes)" if cache else "none",
        ),
    ]
    pairs += [("note", note) for note in model.notes]
    return (pairs_table(model.name, tuple(pairs)),)


def _count(parameters: int) -> str:
    return f"{format_si(parameters, '', 4).strip()} ({parameters:,})".replace("G (", "B (", 1)


def _layers(model: ModelConfig) -> str:
    kinds = model.layer_kinds
    local, routed = sum(k.local for k in kinds), sum(k.moe for k in kinds)
    parts = [str(model.n_layers)]
    if model.attention.window:
        parts.append(f"{local} with a window of {model.attention.window.size:,} tokens")
    if model.moe:
        parts.append(f"{routed} with experts")
    return ", ".join(parts)


def _attention(attention: AttentionConfig) -> str:
    if attention.latent is not None:
        kind = f"MLA, {attention.latent.cache_width} cached values per token"
    elif attention.n_kv_heads == attention.n_heads:
        kind = "MHA"
    else:
        kind = "MQA" if attention.n_kv_heads == 1 else "GQA"
    return (
        f"{kind}: {attention.n_heads} heads, {attention.n_kv_heads} KV heads "
        f"of {attention.head_dim}"
    )


def _feed_forward(model: ModelConfig) -> str:
    parts = [] if model.mlp is None else [_mlp(model.mlp)]
    if model.moe is not None:
        moe = model.moe
        parts.append(f"{moe.n_experts} experts, top {moe.topk}, each {_mlp(moe.expert)}")
        if moe.shared is not None:
            parts.append(f"shared {_mlp(moe.shared)}")
    return "; ".join(parts)


def _mlp(mlp: MlpConfig) -> str:
    return f"{'gated ' if mlp.gated else ''}{mlp.activation}, d_ff {mlp.d_ff:,}"


def _dtype(model: ModelConfig) -> str:
    precision = model.precision
    if precision.quantized is None:
        return precision.dtype
    scope = "experts" if precision.scope == "experts" else "linear layers"
    return f"{precision.dtype}, {scope} stored in {precision.quantized}"
