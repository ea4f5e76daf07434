"""One training step: forward, loss, backward with or without recomputation, optimizer.

The backward pass runs the forward ops in reverse order. A weight matmul becomes two (gradient of
the input, ``.dgrad``, and of the weight, ``.wgrad``), attention becomes one op with 5 matmuls
instead of 2 (a fused kernel computes the scores again), or 4 where the scores were kept.

References
----------
Dao, FlashAttention-2, arXiv 2307.08691, section 4.1 (five matmuls); Rajbhandari et al., ZeRO,
arXiv 1910.02054, section 3.1 (16 bytes per parameter); Korthikanti et al., arXiv 2205.05198.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from accelsim.dtypes import dtype as find_dtype
from accelsim.workload.context import BuildContext
from accelsim.workload.graph import Block, producers
from accelsim.workload.ops import (
    Attention,
    Gather,
    GroupedMatMul,
    MatMul,
    Op,
    OptimizerStep,
    Shard,
    Traffic,
    Vector,
    VectorFunction,
)

LINEAR_FUNCTIONS = ("add", "add_scalar", "mul_scalar", "rope", "copy", "permute", "topk")
"""Their gradient needs no input and costs what they cost (topk: its selection is kept)."""


@dataclass(frozen=True, kw_only=True)
class BorrowedExperts(GroupedMatMul):
    """A grouped matmul with the weights (or their gradients) of another op: none of its own."""

    @property
    def parameters(self) -> float:
        """Counted where they are owned."""
        return 0.0


@dataclass(frozen=True, kw_only=True)
class ExpertGradient(BorrowedExperts):
    """The gradient of experts' weights: rows in, weights-sized results out."""

    @property
    def traffic(self) -> Traffic:
        """Both operands as activations in, the gradients of the active experts out."""
        forward = super().traffic
        return Traffic(inputs=forward.inputs + forward.outputs, weights_written=forward.weights)


@dataclass(frozen=True, kw_only=True)
class VectorGradient(Vector):
    """The gradient of a function: reads its inputs and dy, writes one gradient per input."""

    @property
    def function(self) -> VectorFunction:
        """Twice the work: the function's derivative, and its product with dy."""
        forward = super().function
        return replace(
            forward,
            flop=2 * forward.flop,
            inputs=forward.inputs + forward.outputs,
            outputs=forward.inputs,
        )


def gradient_dtype(stored: str) -> str:
    """Return the format of gradients of weights stored as `stored`: 16 bits at least."""
    return stored if find_dtype(stored).bits >= 16 else "bf16"


def optimizer_bytes(stored: str) -> float:
    """Return Adam's state per parameter [B]: two fp32 moments, and an fp32 master copy.

    Notes
    -----
    Weights stored in fp32 are their own master copy.
    """
    return 8.0 if stored == "fp32" else 12.0


def training_blocks(
    context: BuildContext, forward: tuple[Block, ...], recompute: str, keep_scores: bool
) -> tuple[Block, ...]:
    """Return the blocks of one step.

    Parameters
    ----------
    context : BuildContext
    forward : tuple of Block
        Forward pass over all tokens, nothing cached.
    recompute : str
        ``none``, ``selective`` (attention again) or ``full`` (the layers again).
    keep_scores : bool
        The forward pass kept the scores, unless it recomputes.
    """
    forward = tuple(_with_loss(context, block) for block in forward)
    backward: list[Block] = []
    for block in reversed(forward):
        is_layer = block.name.startswith("layers")
        again = _recomputed(block, recompute) if is_layer else ()
        kept = keep_scores and recompute == "none"
        gradients = _backward(context, block, again, kept)
        ops = (*_marked_again(again, recompute), *map(_marked_gradient, gradients))
        if ops:
            backward.append(Block(f"backward.{block.name}", ops, block.repeat))
    saved = tuple(_marked_forward(block, recompute) for block in forward)
    return (*saved, *backward, _optimizer(context, forward))


def _marked_forward(block: Block, recompute: str) -> Block:
    """Mark what the backward pass needs, and the block's result.

    Under full recomputation a layer keeps only its result, the input of the next layer. Where q
    and k are rotated, v reaches attention straight from the matmul: it is not marked, because
    the mark would write q and k twice.
    """
    if recompute == "full" and block.name.startswith("layers"):
        needed = _layer_results(block.ops)
    else:
        needed = {*_needed(block.ops), block.ops[-1].name}
    return replace(block, ops=_kept(block.ops, needed))


def _marked_again(again: tuple[Op, ...], recompute: str) -> tuple[Op, ...]:
    """Mark work done again; what it makes waits in memory until the gradients come to it.

    Attention alone (selective) runs for its scores: it reads q, k and v of the forward pass, and
    its result is there already. Whole layers start from the kept input.
    """
    if recompute == "selective":
        return tuple(replace(op, useful=0.0, recalled=True) for op in again)
    ops = (replace(op, useful=0.0, recalled=index == 0) for index, op in enumerate(again))
    return _kept(tuple(ops), _needed(again))


def _marked_gradient(op: Op) -> Op:
    """Mark gradients of weights as results, and what reads activations of the forward pass.

    An op that reads a kept activation and a fresh gradient counts both as read from memory.
    """
    if op.name.endswith(".wgrad"):
        return replace(op, kept=True, recalled=True)
    return replace(op, recalled=isinstance(op, Attention | VectorGradient))


def _needed(ops: tuple[Op, ...]) -> set[str]:
    """Names of the ops whose results gradients read: inputs of all functions but linear ones."""
    reads = producers(ops)
    return {
        name
        for op in ops[1:]
        if not (isinstance(op, Vector) and op.fn in LINEAR_FUNCTIONS)
        for name in reads[op.name]
    }


def _layer_results(ops: tuple[Op, ...]) -> set[str]:
    """Names of the last op of every layer of a block; several layers have numbered names."""
    last: dict[str, str] = {}
    for op in ops:
        first = op.name.split(".", 1)[0]
        last[first if first.isdigit() else ""] = op.name
    return set(last.values())


def _kept(ops: tuple[Op, ...], names: set[str]) -> tuple[Op, ...]:
    return tuple(replace(op, kept=True) if op.name in names else op for op in ops)


def _with_loss(context: BuildContext, block: Block) -> Block:
    """Append the loss, in fp32, to the block that has the logits."""
    if not context.config.head.lm_head or block.name != "head":
        return block
    loss = Vector(
        name="loss", fn="cross_entropy", rows=context.tokens, cols=context.config.vocab_size,
        dtype="fp32", shard="vocab",
    )  # fmt: skip
    return replace(block, ops=(*block.ops, loss))


def _recomputed(block: Block, recompute: str) -> tuple[Op, ...]:
    if recompute == "none":
        return ()
    chosen: list[Op]
    if recompute == "selective":
        chosen = [replace(op, after=None) for op in block.ops if isinstance(op, Attention)]
    else:
        chosen = list(block.ops)
    return tuple(_without_parameters(op) for op in chosen)


def _without_parameters(op: Op) -> Op:
    """Return `op` as it runs a second time; it reads its weights but owns none."""
    name = f"recompute.{op.name}"
    after = None if op.after is None else tuple(f"recompute.{a}" for a in op.after)
    if isinstance(op, GroupedMatMul):
        shape = {f.name: getattr(op, f.name) for f in fields(GroupedMatMul)}
        return BorrowedExperts(**{**shape, "name": name, "after": after})
    if isinstance(op, MatMul):
        return replace(op, name=name, after=after, owns_parameters=False)
    if isinstance(op, Vector):
        return replace(op, name=name, after=after, weight_elements=0)
    return replace(op, name=name, after=after)


def _backward(
    context: BuildContext, block: Block, again: tuple[Op, ...], keep_scores: bool
) -> tuple[Op, ...]:
    """Return the gradients of the ops in reverse; those of weights hang beside the chain."""
    ops: list[Op] = []
    incoming = again[-1].name if again else None
    for op in reversed(block.ops):
        after = None if incoming is None else (incoming,)
        main, beside = _gradients(context, op, after, keep_scores)
        if main is not None:
            ops.append(main)
            incoming = main.name
        if beside is not None:
            ops.append(beside)
    return tuple(ops)


def _gradients(
    context: BuildContext, op: Op, after: tuple[str, ...] | None, keep_scores: bool
) -> tuple[Op | None, Op | None]:
    """Return the op that continues the chain, and the gradient of the weight."""
    if isinstance(op, GroupedMatMul):
        return _expert_gradients(op, after)
    if isinstance(op, MatMul):
        return _matmul_gradients(op, after)
    if isinstance(op, Attention):
        return _attention_gradient(op, after, keep_scores), None
    if isinstance(op, Vector) and op.fn not in {"cross_entropy", "sort"}:
        return _vector_gradient(op, after), None
    if isinstance(op, Gather):
        return None, _table_gradient(op, after)
    return None, None  # the loss writes the gradient of the logits itself; places have none


def _matmul_gradients(op: MatMul, after: tuple[str, ...] | None) -> tuple[MatMul, MatMul]:
    """dX[m, k] = dY[m, n] W^T; dW[k, n] = X^T dY, or its transpose so that n is what is split."""
    flipped: dict[Shard, Shard] = {"column": "row", "vocab": "row", "row": "column"}
    shard = flipped.get(op.shard, op.shard)
    dgrad = replace(
        op, name=f"{op.name}.dgrad", n=op.k, k=op.n, bias=False, owns_parameters=False,
        after=after, shard=shard,
    )  # fmt: skip
    by_row = op.shard == "row"
    wgrad = replace(
        op, name=f"{op.name}.wgrad", m=op.n if by_row else op.k, n=op.k if by_row else op.n,
        k=op.m, bias=False, weight_dtype=None, owns_parameters=False, after=after,
        out_dtype=gradient_dtype(op.weight_dtype or op.dtype),
        shard="column" if op.shard in {"column", "row", "vocab"} else op.shard,
    )  # fmt: skip
    return dgrad, wgrad


def _expert_gradients(
    op: GroupedMatMul, after: tuple[str, ...] | None
) -> tuple[BorrowedExperts, BorrowedExperts]:
    """Both have the forward op's FLOP; the weight gradient is written where weights are read."""
    shape = {f.name: getattr(op, f.name) for f in fields(GroupedMatMul)}
    shape |= {"bias": False, "after": after}
    dgrad = {**shape, "name": f"{op.name}.dgrad", "n": op.k, "k": op.n}
    return BorrowedExperts(**dgrad), ExpertGradient(**{**shape, "name": f"{op.name}.wgrad"})


def _attention_gradient(
    op: Attention, after: tuple[str, ...] | None, keep_scores: bool
) -> Attention:
    """Express scores (again), dP, dV, dQ and dK as one wider attention over a doubled batch.

    dQ, dK and the scores are as wide as q and k, dP and dV as v: 3 head_dim + 2 v_head_dim, or
    2 + 2 where the scores were kept. The activations that the op then reads and writes stand for
    q, k, v, o and their gradients: exactly with kept scores, a quarter too many without. Useful
    is all but the scores: 4/5 where q and v are equally wide.
    """
    scores = 2 if keep_scores else 3
    asked, done = 2 * (op.head_dim + op.v_head_dim), scores * op.head_dim + 2 * op.v_head_dim
    copies = 2 if scores * op.head_dim % 2 == 0 else 1
    return replace(
        op, name=f"{op.name}.bwd", batch=copies * op.batch, after=after,
        head_dim=scores * op.head_dim // copies, v_head_dim=2 * op.v_head_dim // copies,
        useful=asked / done,
    )  # fmt: skip


def _vector_gradient(op: Vector, after: tuple[str, ...] | None) -> Vector:
    """Return the gradient; it owns no parameters, and linear functions are their own."""
    shape = {f.name: getattr(op, f.name) for f in fields(Vector)}
    # The gradient of a sum of partial results is whole on every device.
    shard: Shard = "none" if op.shard == "row" else op.shard
    shape |= {"name": f"{op.name}.bwd", "weight_elements": 0, "after": after, "shard": shard}
    return Vector(**shape) if op.fn in LINEAR_FUNCTIONS else VectorGradient(**shape)


def _table_gradient(op: Gather, after: tuple[str, ...] | None) -> Vector:
    """Add the gradient of every looked-up row to the table's gradient."""
    return Vector(
        name=f"{op.name}.wgrad", fn="add", rows=op.rows, cols=op.cols, dtype=op.dtype, after=after
    )


def _optimizer(context: BuildContext, forward: tuple[Block, ...]) -> Block:
    """Read gradient, master and moments; write master, moments and the new weights."""
    parameters = sum(block.repeat * op.parameters for block in forward for op in block.ops)
    stored = context.formats.linear
    state = optimizer_bytes(stored)
    step = OptimizerStep(
        name="optimizer.adam", elements=parameters,
        read_bytes=state + find_dtype(gradient_dtype(stored)).bytes
        + (find_dtype(stored).bytes if stored == "fp32" else 0.0),
        write_bytes=state + find_dtype(stored).bytes,
    )  # fmt: skip
    return Block("optimizer", (step,))
