"""Layers put together: embeddings, blocks of repeated layers, final norm, logits or pooler."""

from __future__ import annotations

from collections.abc import Sequence

from accelsim.workload.attention_block import attention_ops
from accelsim.workload.config import LayerKind, ModelConfig
from accelsim.workload.context import INPUT, BuildContext, prefixed
from accelsim.workload.graph import Block
from accelsim.workload.latent import latent_attention_ops
from accelsim.workload.mlp import mlp_ops, moe_ops
from accelsim.workload.ops import Gather, MatMul, Op, Vector

_LONGEST_PERIOD = 16


def model_blocks(context: BuildContext) -> tuple[Block, ...]:
    """Return the forward pass: embedding, layers in runs of equal ones, head."""
    layers = [
        Block(f"layers.{first}", _period(context, kinds), repeat)
        for first, kinds, repeat in periods(context.config.layer_kinds)
    ]
    embedding = Block("embedding", _embedding_ops(context))
    head = _head_ops(context)
    return (embedding, *layers, Block("head", head)) if head else (embedding, *layers)


def periods(kinds: Sequence[LayerKind]) -> list[tuple[int, tuple[LayerKind, ...], int]]:
    """Cut a stack of layers into (first index, period, repeats), greedily from the bottom.

    Notes
    -----
    At each point the period that covers most layers wins, the shorter on a tie; a period of
    several layers must repeat at least twice. Three dense layers and 58 with experts become two
    entries; five local layers and a global one, five times and a remainder, also two.
    """
    runs = []
    start = 0
    while start < len(kinds):
        best = (1, 1)
        for length in range(1, _LONGEST_PERIOD + 1):
            count = _repeats(kinds, start, length)
            if (count >= 2 or length == 1) and count * length > best[0] * best[1]:
                best = (length, count)
        length, count = best
        runs.append((start, tuple(kinds[start : start + length]), count))
        start += length * count
    return runs


def _repeats(kinds: Sequence[LayerKind], start: int, length: int) -> int:
    pattern = kinds[start : start + length]
    count = 1
    while kinds[start + count * length : start + (count + 1) * length] == pattern:
        count += 1
    return count


def _period(context: BuildContext, kinds: tuple[LayerKind, ...]) -> tuple[Op, ...]:
    """Return the ops of consecutive layers; names get an index when there are several."""
    ops: list[Op] = []
    for index, kind in enumerate(kinds):
        prefix = f"{index}." if len(kinds) > 1 else ""
        ops += prefixed(layer_ops(context, kind), prefix, ops[-1].name if ops else None)
    return tuple(ops)


def layer_ops(context: BuildContext, kind: LayerKind) -> tuple[Op, ...]:
    """Return the ops of one layer; `INPUT` in ``after`` is the layer's input."""
    config = context.config
    window = config.attention.window.size if kind.local and config.attention.window else None
    if config.attention.latent is not None:
        attention = latent_attention_ops(context)
    else:
        attention = attention_ops(context, window)
    if config.parallel_residual:
        return _parallel_layer(context, attention)
    first = _sublayer(context, "attention", attention, INPUT)
    source = "attention.norm" if config.norm.placement == "post" else "mlp.norm"
    feed_forward = _feed_forward(context, kind, source)
    return (*first, *_sublayer(context, "mlp", feed_forward, first[-1].name))


def _feed_forward(context: BuildContext, kind: LayerKind, source: str) -> tuple[Op, ...]:
    config = context.config
    if kind.moe:
        assert config.moe is not None
        return moe_ops(context, config.moe, source)
    assert config.mlp is not None
    return mlp_ops(context, config.mlp)


def _sublayer(context: BuildContext, name: str, ops: tuple[Op, ...], skip: str) -> tuple[Op, ...]:
    """Wrap a sublayer in its norms and the residual sum with the output of `skip`."""
    placement, d_model = context.config.norm.placement, context.config.d_model
    if placement == "post":
        total = context.add(f"{name}.residual", after=(ops[-1].name, skip))
        return (*ops, total, context.norm(f"{name}.norm", d_model))
    wrapped = (context.norm(f"{name}.norm", d_model), *ops)
    if placement == "sandwich":
        wrapped = (*wrapped, context.norm(f"{name}.post_norm", d_model))
    return (*wrapped, context.add(f"{name}.residual", after=(wrapped[-1].name, skip)))


def _parallel_layer(context: BuildContext, attention: tuple[Op, ...]) -> tuple[Op, ...]:
    """Return a layer whose sublayers both read its input; their sum is reduced once."""
    mlp, d_model = context.config.mlp, context.config.d_model
    assert mlp is not None
    return (
        context.norm("attention.norm", d_model),
        *attention,
        context.norm("mlp.norm", d_model, after=(INPUT,)),
        *mlp_ops(context, mlp),
        context.add("parallel.sum", after=("attention.o", "mlp.down"), shard="row"),
        context.add("parallel.residual", after=("parallel.sum", INPUT)),
    )


def _embedding_ops(context: BuildContext) -> tuple[Op, ...]:
    config = context.config
    embedding, position = config.embedding, config.position
    ops: list[Op] = [_gather(context, "embedding.tokens", config.vocab_size)]
    tables = {"positions": position.table_rows, "types": embedding.token_types}
    for name, rows in tables.items():
        if rows:
            before = ops[-1].name
            ops.append(_gather(context, f"embedding.{name}", rows))
            ops.append(context.add(f"embedding.add_{name}", (before, f"embedding.{name}")))
    if embedding.scaled:
        ops.append(context.vector("embedding.scale", "mul_scalar", config.d_model))
    if embedding.norm:
        ops.append(context.norm("embedding.norm", config.d_model))
    return tuple(ops)


def _gather(context: BuildContext, name: str, rows: int) -> Gather:
    return Gather(
        name=name, rows=context.tokens, cols=context.config.d_model, table_rows=rows,
        shard="vocab" if name == "embedding.tokens" else "none",
        after=None if name == "embedding.tokens" else (),
        dtype=context.formats.activation, weight_dtype=context.formats.other,
    )  # fmt: skip


def _head_ops(context: BuildContext) -> tuple[Op, ...]:
    """Return final norm and logits of the last token (of all tokens where nothing is cached)."""
    config, formats = context.config, context.formats
    head, d_model = config.head, config.d_model
    ops: list[Op] = [context.norm("final.norm", d_model)] if config.norm.final else []
    if head.lm_head:
        rows = context.batch if context.cached else context.tokens
        ops.append(
            MatMul(
                name="lm_head", m=rows, n=config.vocab_size, k=d_model, bias=head.bias,
                shard="vocab", owns_parameters=not head.tied, dtype=formats.attention,
                weight_dtype=formats.other, out_dtype=formats.activation,
            )
        )  # fmt: skip
        if head.softcap:
            ops.append(_logit_softcap(config, context, rows))
    if head.pooler:
        ops.append(
            MatMul(
                name="pooler", m=context.batch, n=d_model, k=d_model, bias=True,
                dtype=formats.matmul, weight_dtype=formats.linear,
                out_dtype=formats.activation,
            )
        )  # fmt: skip
        ops.append(context.vector("pooler.tanh", "tanh", d_model, rows=context.batch))
    return tuple(ops)


def _logit_softcap(config: ModelConfig, context: BuildContext, rows: int) -> Vector:
    return context.vector("lm_head.softcap", "softcap", config.vocab_size, rows=rows, shard="vocab")
