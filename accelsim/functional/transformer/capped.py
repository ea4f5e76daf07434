"""Smaller versions of large models, to try their shapes out: fewer layers, experts and tokens."""

from __future__ import annotations

import math
from dataclasses import replace

from accelsim.errors import CapacityError, WorkloadError
from accelsim.functional.transformer.names import tensor_shapes
from accelsim.workload.config import LayerKind, ModelConfig
from accelsim.workload.layer_config import MoeConfig

FEW_TOKENS = 4096
"""Rows that are left of a vocabulary that does not fit."""


def weight_bytes(config: ModelConfig) -> int:
    """Bytes of all weights in fp32."""
    return 4 * sum(math.prod(shape) for shape in tensor_shapes(config).values())


def capped_config(config: ModelConfig, limit_bytes: int) -> ModelConfig:
    """Return a model of such layers that fits: its d_model and heads stay as they are.

    What does not fit is cut in this order: the vocabulary to 4,096 tokens, routed experts to
    those that a token visits, layers to as many as fit (of every kind at least one), feed-forward
    networks to a half, a quarter, ... of their width. The name says what was cut.

    Raises
    ------
    CapacityError
        If not even that fits.
    """
    if weight_bytes(config) <= limit_bytes:
        return config
    small, cuts = config, []
    vocabulary = config.embedding.vocab_size
    if vocabulary > FEW_TOKENS:
        small = replace(small, embedding=replace(small.embedding, vocab_size=FEW_TOKENS))
        cuts.append(f"{FEW_TOKENS:,} of {vocabulary:,} tokens")
    moe = small.moe
    if weight_bytes(small) > limit_bytes and moe is not None and moe.n_experts > moe.topk:
        small = replace(small, moe=_visited(moe))
        cuts.append(f"{moe.topk} of {moe.n_experts} experts")
    if weight_bytes(small) > limit_bytes and small.n_layers > len(set(small.layer_kinds)):
        small = _fewer_layers(small, limit_bytes)
        cuts.append(f"{small.n_layers} of {config.n_layers} layers")
    if weight_bytes(small) > limit_bytes:
        small = _narrower(small, limit_bytes)
        assert small.mlp is not None and config.mlp is not None
        cuts.append(f"d_ff {small.mlp.d_ff:,} of {config.mlp.d_ff:,}")
    return replace(small, name=f"{config.name} ({', '.join(cuts)})")


def _visited(moe: MoeConfig) -> MoeConfig:
    """As many experts as a token visits; all of them in one group."""
    routing = replace(moe.routing, n_groups=1, topk_groups=1)
    return replace(moe, n_experts=moe.topk, routing=routing)


def _fewer_layers(config: ModelConfig, limit_bytes: int) -> ModelConfig:
    kinds = config.layer_kinds
    needed = list(dict.fromkeys(kinds))
    for count in range(config.n_layers - 1, len(needed) - 1, -1):
        small = with_layers(config, _spread(kinds, needed, count))
        if weight_bytes(small) <= limit_bytes:
            return small
    return with_layers(config, needed)


def _narrower(config: ModelConfig, limit_bytes: int) -> ModelConfig:
    """Halve feed-forward networks until the model fits."""
    small = config
    while weight_bytes(small) > limit_bytes:
        if small.mlp is None or small.mlp.d_ff < small.d_model // 4:
            raise CapacityError(
                f"one layer of each kind of {config.name} takes {weight_bytes(config) / 1e9:.1f} "
                f"GB in fp32, at most {limit_bytes / 1e9:.0f} GB of random weights are made"
            )
        small = replace(small, mlp=replace(small.mlp, d_ff=small.mlp.d_ff // 2))
    return small


def _spread(kinds: tuple[LayerKind, ...], needed: list[LayerKind], count: int) -> list[LayerKind]:
    """Keep the first layers, and at the end one of each kind that would be missing."""
    for head in range(count, -1, -1):
        missing = [kind for kind in needed if kind not in kinds[:head]]
        if head + len(missing) == count:
            return [*kinds[:head], *missing]
    return needed


def with_layers(config: ModelConfig, kinds: list[LayerKind]) -> ModelConfig:
    """Return the model with these layers.

    Raises
    ------
    WorkloadError
        If there is none.
    """
    if not kinds:
        raise WorkloadError(f"{config.name} needs at least one layer")
    attention, moe = config.attention, config.moe
    if attention.window is not None:
        local = tuple(i for i, kind in enumerate(kinds) if kind.local)
        window = replace(attention.window, layers=local) if local else None
        attention = replace(attention, window=window)
    if moe is not None:
        moe = replace(moe, dense_layers=tuple(i for i, kind in enumerate(kinds) if not kind.moe))
    return replace(config, n_layers=len(kinds), attention=attention, moe=moe)
