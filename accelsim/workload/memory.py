"""What a device must hold while a phase runs, derived from the ops it executes.

Because it is derived from the ops, the same function serves the whole model and a shard of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from accelsim.dtypes import dtype as find_dtype
from accelsim.workload.graph import Block, Footprint, Graph
from accelsim.workload.latent import CACHE_WRITE
from accelsim.workload.ops import Attention, Collective, Gather, GroupedMatMul, MatMul, Op, Vector
from accelsim.workload.training import LINEAR_FUNCTIONS


@dataclass(frozen=True)
class MemoryPolicy:
    """How the footprint of a phase follows from its ops.

    Attributes
    ----------
    residual_bytes : float
        The ``[tokens, d_model]`` stream that flows past every sublayer [B].
    cache_dtype : str
        Storage of the KV cache.
    training : TrainingMemory or None
        Kept activations and optimizer state; None in inference.
    """

    residual_bytes: float
    cache_dtype: str
    training: TrainingMemory | None = None

    def footprint(self, blocks: tuple[Block, ...]) -> Footprint:
        """Return what a device that runs `blocks` holds.

        Notes
        -----
        Inference activations are an estimate of the peak: the residual stream, and inputs and
        outputs of the largest op. Real runtimes add workspaces and allocator slack. Scores of
        unfused attention are not in it (the mapping decides about them).
        """
        weights = weight_bytes(blocks)
        if self.training is not None:
            return self.training.footprint(blocks, weights, self.residual_bytes)
        return Footprint(
            weights=weights,
            kv_cache=kv_cache_bytes(blocks, self.cache_dtype),
            activations=self.residual_bytes + largest_op_bytes(blocks),
        )


@dataclass(frozen=True)
class TrainingMemory:
    """Kept activations, gradients and Adam state of one training step.

    Attributes
    ----------
    recompute : str
        ``none`` or ``selective`` (every op's input kept), or ``full`` (each layer's input kept).
    keep_scores : bool
        Unfused attention keeps its scores when `recompute` is ``none``.
    dropout : bool
        Masks of the two residual dropouts are kept, one byte per value.
    gradient_bytes, optimizer_bytes : float
        Per parameter [B].
    layers : int
        Depth of the model.
    """

    recompute: str
    keep_scores: bool
    dropout: bool
    gradient_bytes: float
    optimizer_bytes: float
    layers: int

    def footprint(
        self, blocks: tuple[Block, ...], weights: float, residual_bytes: float
    ) -> Footprint:
        """Return the footprint; see `kept_bytes` for the activations.

        Notes
        -----
        With ``full``, each layer's input is kept and the activations of one layer live while it
        is recomputed: the first term alone is 2 s b h L of Korthikanti et al. (2022), table 2.
        """
        parameters = sum(block.repeat * op.parameters for block in blocks for op in block.ops)
        forward = [b for b in blocks if not b.name.startswith(("backward", "optimizer"))]
        layers = [b for b in forward if b.name.startswith("layers")]
        others = sum(self.kept_bytes(b) for b in forward if b not in layers)
        if self.recompute == "full":
            working = max((self.kept_bytes(b) for b in layers), default=0.0)
            activations = self.layers * residual_bytes + working
        else:
            activations = sum(b.repeat * self.kept_bytes(b) for b in layers)
        return Footprint(
            weights=weights,
            activations=activations + others,
            gradients=parameters * self.gradient_bytes,
            optimizer=parameters * self.optimizer_bytes,
        )

    def kept_bytes(self, block: Block) -> float:
        """Bytes that the forward pass of `block` (once) keeps for the backward pass.

        Notes
        -----
        Every matmul, norm and activation function keeps its input, attention keeps q, k and v;
        an input that two ops share is kept once. For a GPT layer this is the
        ``s b h (34 + 5 a s / h)`` of Korthikanti et al., arXiv 2205.05198, equations 1 and 2:
        2 s b h each for both norms, qkv, o and up, 6 for q k v, 8 for GELU and down, 2 for
        two dropout masks; per score 2 bytes of softmax output and, with dropout, 1 of its
        mask and 2 of its result.
        """
        total = 0.0
        for op in block.ops:
            total += _kept_input_bytes(op)
            if isinstance(op, Attention) and self.keep_scores and self.recompute == "none":
                per_score = find_dtype(op.dtype).bytes * (2 if self.dropout else 1)
                scores = float(op.batch) * op.heads * op.q_len * op.kv_len
                total += scores * (per_score + (1 if self.dropout else 0))
            if self.dropout and op.name.endswith(("attention.residual", "mlp.residual")):
                total += _mask_bytes(op)
        return total


@dataclass(frozen=True)
class PhaseGraph(Graph):
    """A graph that remembers how its footprint follows from its ops.

    Attributes
    ----------
    memory : MemoryPolicy or None
        Used when the graph is sharded.
    """

    memory: MemoryPolicy | None = None


def _mask_bytes(op: Op) -> float:
    return op.elements if isinstance(op, Vector) else 0.0


def _kept_input_bytes(op: Op) -> float:
    if isinstance(op, Gather | Collective):
        return 0.0
    if isinstance(op, Vector) and op.fn in LINEAR_FUNCTIONS:
        return 0.0
    if isinstance(op, MatMul) and op.name.endswith("moe.router"):
        return 0.0  # reads what the experts' permutation reads
    if isinstance(op, MatMul | GroupedMatMul | Attention | Vector):
        return op.traffic.inputs
    return 0.0


def weight_bytes(blocks: Iterable[Block]) -> float:
    """Return the storage of all parameters, each in its own format [B].

    Notes
    -----
    Biases of quantized weights stay in 16 bits, as in the released checkpoints.
    """
    total = 0.0
    for block in blocks:
        for op in block.ops:
            stored = getattr(op, "weight_dtype", None)
            if stored is None or not op.parameters:
                continue
            width = find_dtype(stored).bytes
            biases = _biases(op)
            total += block.repeat * (op.parameters - biases) * width
            total += block.repeat * biases * max(width, 2.0)
    return total


def _biases(op: Op) -> float:
    if isinstance(op, MatMul) and op.bias:
        return float(op.batch * op.n)
    if isinstance(op, GroupedMatMul) and op.bias:
        return float(op.groups * op.n)
    return 0.0


def kv_cache_bytes(blocks: Iterable[Block], cache_dtype: str) -> float:
    """Return the KV cache that the ops read or write; windowed layers keep the window [B]."""
    total = 0.0
    for block in blocks:
        for op in block.ops:
            values = 0.0
            if isinstance(op, Attention) and op.cached:
                kept = op.kv_len if op.window is None else min(op.window, op.kv_len)
                values = float(op.batch) * kept * op.cache_elements_per_position
            elif isinstance(op, Vector) and op.name.endswith(CACHE_WRITE):
                values = op.elements
            total += block.repeat * values * find_dtype(cache_dtype).bytes
    return total


def largest_op_bytes(blocks: Iterable[Block]) -> float:
    """Return the most activation bytes that one op reads and writes [B]."""
    sizes = (op.traffic.inputs + op.traffic.outputs for block in blocks for op in block.ops)
    return max(sizes, default=0.0)
