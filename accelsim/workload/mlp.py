"""Ops of the feed-forward sublayer: plain or gated, one network or a mixture of experts."""

from __future__ import annotations

from accelsim.workload.context import BuildContext
from accelsim.workload.experts import sort_kernels, sort_shape
from accelsim.workload.layer_config import MlpConfig, MoeConfig
from accelsim.workload.ops import GroupedMatMul, MatMul, Op, expected_active_experts


def activation_function(mlp: MlpConfig) -> str:
    """Return the name of the vector function between the projections."""
    if mlp.activation == "swiglu_oai":
        return "swiglu_oai"
    return f"{mlp.activation}_mul" if mlp.gated else mlp.activation


def mlp_ops(
    context: BuildContext, mlp: MlpConfig, prefix: str = "mlp", after: tuple[str, ...] | None = None
) -> tuple[Op, ...]:
    """Return projection up (gate and up in one matmul), activation, projection down."""
    d_model = context.config.d_model
    up = f"{prefix}.gate_up" if mlp.gated else f"{prefix}.up"
    return (
        context.linear(up, mlp.up_width, d_model, shard="column", bias=mlp.bias, after=after),
        context.vector(f"{prefix}.activation", activation_function(mlp), mlp.d_ff, shard="column"),
        context.linear(f"{prefix}.down", d_model, mlp.d_ff, shard="row", bias=mlp.bias),
    )


def moe_ops(context: BuildContext, moe: MoeConfig, source: str) -> tuple[Op, ...]:
    """Return router, choice, sorting, expert matmuls, weighted sum, and the shared experts.

    Parameters
    ----------
    context : BuildContext
    moe : MoeConfig
    source : str
        Op whose result enters the experts.

    Notes
    -----
    Every token is copied topk times and meets one expert per copy. Weights are read only of the
    experts that get a token, expected under uniform routing. The results of routed and shared
    experts are summed before tensor parallelism reduces them, so one all-reduce serves both.
    """
    d_model = context.config.d_model
    rows = context.tokens * moe.topk
    router = MatMul(
        name="moe.router", m=context.tokens, n=moe.n_experts, k=d_model, bias=moe.router_bias,
        dtype=context.formats.activation, weight_dtype=context.formats.other, after=(source,),
    )  # fmt: skip
    topk = context.vector("moe.topk", "topk", moe.n_experts)
    blocks, choices = sort_shape(context.tokens, moe.topk)
    sort = [context.vector(name, "sort", choices, rows=blocks)
            for name in sort_kernels(context.tokens)]  # fmt: skip
    permute = context.vector(
        "moe.permute", "permute", d_model, rows=rows, shard="experts",
        after=(sort[-1].name, source),
    )  # fmt: skip
    expert = moe.expert
    up = "moe.gate_up" if expert.gated else "moe.up"
    activation = context.vector(
        "moe.activation", activation_function(expert), expert.d_ff, rows=rows, shard="experts"
    )
    routed = (
        router,
        topk,
        *sort,
        permute,
        _expert_matmul(context, moe, up, expert.up_width, d_model),
        activation,
        _expert_matmul(context, moe, "moe.down", d_model, expert.d_ff),
        context.vector(
            "moe.combine", "weighted_sum", d_model, rows=rows, shard="experts", fan_in=moe.topk
        ),
    )
    if moe.shared is None:
        return routed
    shared = mlp_ops(context, moe.shared, "shared", after=(source,))
    total = context.add("moe.sum", after=("moe.combine", "shared.down"), shard="row")
    return (*routed, *shared, total)


def _expert_matmul(
    context: BuildContext, moe: MoeConfig, name: str, n: int, k: int
) -> GroupedMatMul:
    return GroupedMatMul(
        name=name, rows=context.tokens * moe.topk, groups=moe.n_experts,
        active=expected_active_experts(context.tokens, moe.n_experts, moe.topk),
        n=n, k=k, bias=moe.expert.bias, shard="experts",
        dtype=context.formats.matmul, weight_dtype=context.formats.experts,
        out_dtype=context.formats.activation,
    )  # fmt: skip
