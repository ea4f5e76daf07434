"""The op graph of one phase of a model: blocks of ops, each block repeated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from accelsim.workload.ops import Op


def producers(ops: Sequence[Op]) -> dict[str, tuple[str, ...]]:
    """Map each op of a block to the ops whose results it reads.

    Those that `Op.after` names, else the op before it; the first op reads the block's input.
    """
    read: dict[str, tuple[str, ...]] = {}
    before: tuple[str, ...] = ()
    for op in ops:
        read[op.name] = op.after if op.after is not None else before
        before = (op.name,)
    return read


@dataclass(frozen=True)
class Block:
    """Ops in execution order, executed `repeat` times (a layer, or a period of layers)."""

    name: str
    ops: tuple[Op, ...]
    repeat: int = 1


@dataclass(frozen=True)
class Footprint:
    """What one device must hold while the phase runs [B].

    Attributes
    ----------
    weights, kv_cache, activations, gradients, optimizer : float
        By role; gradients and optimizer state only in training.
    """

    weights: float
    kv_cache: float = 0.0
    activations: float = 0.0
    gradients: float = 0.0
    optimizer: float = 0.0

    @property
    def total(self) -> float:
        """All of it [B]."""
        roles = (self.weights, self.kv_cache, self.activations, self.gradients, self.optimizer)
        return sum(roles)

    def as_dict(self) -> dict[str, float]:
        """Role to bytes, for tables and JSON."""
        return {
            "weights_bytes": self.weights,
            "kv_cache_bytes": self.kv_cache,
            "activations_bytes": self.activations,
            "gradients_bytes": self.gradients,
            "optimizer_bytes": self.optimizer,
        }


@dataclass(frozen=True)
class Graph:
    """One phase of one model on one device.

    Attributes
    ----------
    model, phase : str
        Names for results.
    blocks : tuple of Block
        In execution order.
    batch : int
        Sequences.
    new_tokens : int
        Tokens processed per sequence in this phase (input_len in prefill, 1 in decode).
    footprint : Footprint
        Memory of the device.
    dtype : str
        Arithmetic of the matmuls.
    """

    model: str
    phase: str
    blocks: tuple[Block, ...]
    batch: int
    new_tokens: int
    footprint: Footprint
    dtype: str
    notes: tuple[str, ...] = field(default=())

    def ops(self) -> Iterator[tuple[Block, Op]]:
        """Yield every op once with its block (multiply by ``block.repeat`` for totals)."""
        for block in self.blocks:
            for op in block.ops:
                yield block, op

    @property
    def flop(self) -> float:
        """Matrix FLOP of the phase."""
        return sum(block.repeat * op.flop for block, op in self.ops())

    @property
    def model_flop(self) -> float:
        """Matrix FLOP that the model asks for: without what is computed a second time."""
        return sum(block.repeat * op.flop * op.useful for block, op in self.ops())

    @property
    def parameters(self) -> float:
        """Parameters owned by the ops."""
        return sum(block.repeat * op.parameters for block, op in self.ops())

    def with_blocks(self, blocks: tuple[Block, ...], footprint: Footprint) -> Graph:
        """Return the same phase with other blocks (sharded, for example)."""
        return replace(self, blocks=blocks, footprint=footprint)
