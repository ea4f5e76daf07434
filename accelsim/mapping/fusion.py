"""Which ops run as one kernel, and which activations never leave the chip.

Both are statements about the mapping and both engines obey them, so that the roofline stays a
lower bound of the mapped time.

Fusion: an elementwise op joins the matmul or convolution whose output it transforms (epilogue),
or the vector op before it (chain); a chain may end in one reduction (norm, softmax), which needs
whole rows. A pooling window joins a convolution where sums leave through an accumulator memory,
as in a TPU: its rows pass the pooling hardware on their way out.
Residency: an activation stays in the shared buffer (or, without one, the scratchpads) until its
consumer has read it if it fills at most half of them; weights and KV cache always come from the
main memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from accelsim.arch.chip import Chip
from accelsim.kernels.machine import SHARED_USABLE
from accelsim.workload.graph import producers
from accelsim.workload.ops import Conv, MatMul, Op, Pool, Traffic, Vector


class Group(NamedTuple):
    """Ops executed as one kernel.

    Attributes
    ----------
    ops : tuple of Op
        The first is the one that gives the group its kind; the others are fused into it.
    traffic : Traffic
        Bytes of the group: intermediates between its ops have gone.
    input_on_chip, output_on_chip : bool
        The activations read and written stay on the chip.
    """

    ops: tuple[Op, ...]
    traffic: Traffic
    input_on_chip: bool = False
    output_on_chip: bool = False

    @property
    def head(self) -> Op:
        """The op that gives the group its kind."""
        return self.ops[0]

    @property
    def name(self) -> str:
        """Names of the fused ops."""
        return "+".join(op.name for op in self.ops)

    @property
    def flop(self) -> float:
        """Matrix FLOP."""
        return sum(op.flop for op in self.ops)

    @property
    def model_flop(self) -> float:
        """Matrix FLOP that the model asks for: without what is computed a second time."""
        return sum(op.flop * op.useful for op in self.ops)

    @property
    def vector_flop(self) -> float:
        """Elementwise FLOP."""
        return sum(op.vector_flop for op in self.ops)

    @property
    def special(self) -> float:
        """Special-function results."""
        return sum(op.special for op in self.ops)

    @property
    def dram_read_bytes(self) -> float:
        """Least main-memory reads [B]."""
        inputs = 0.0 if self.input_on_chip else self.traffic.inputs
        return self.traffic.weights + self.traffic.cache_read + inputs

    @property
    def dram_write_bytes(self) -> float:
        """Least main-memory writes [B]."""
        outputs = 0.0 if self.output_on_chip else self.traffic.outputs
        return self.traffic.cache_write + self.traffic.weights_written + outputs


def group_ops(ops: Sequence[Op], chip: Chip) -> tuple[Group, ...]:
    """Fuse the ops of one block and decide which activations stay on `chip`.

    Parameters
    ----------
    ops : sequence of Op
        In execution order.
    chip : Chip

    Returns
    -------
    tuple of Group
        In execution order; every op is in exactly one group.
    """
    if len(ops) == 1:
        return (_alone(ops[0], chip),)
    reads = producers(ops)
    needed_by = Counter(name for op in ops[1:] for name in reads[op.name])
    pools = bool(chip.spec.core.scratchpad.accumulator_bytes)
    groups: list[list[Op]] = []
    for op in ops:
        if groups and _joins(groups[-1], op, needed_by, pools):
            groups[-1].append(op)
        else:
            groups.append([op])
    limit = SHARED_USABLE * _buffer_bytes(chip)
    traffics = [_merged_traffic(group, needed_by) for group in groups]
    fits = [traffic.outputs <= limit for traffic in traffics]
    left = {op.name: found for group, found in zip(groups, fits, strict=True) for op in group}
    made = []
    for group, traffic, found in zip(groups, traffics, fits, strict=True):
        arrives = traffic.inputs <= limit and not any(op.recalled for op in group)
        outside = {name for op in group for name in reads[op.name]} - {op.name for op in group}
        arrives = arrives and all(left.get(name, True) for name in outside)
        stays = found and not any(op.kept for op in group)
        made.append(Group(tuple(group), traffic, input_on_chip=arrives, output_on_chip=stays))
    return tuple(made)


def _alone(op: Op, chip: Chip) -> Group:
    """Decide for an op without neighbours, as for a group of one."""
    limit = SHARED_USABLE * _buffer_bytes(chip)
    traffic = op.traffic
    return Group(
        (op,),
        traffic,
        input_on_chip=traffic.inputs <= limit and not op.recalled,
        output_on_chip=traffic.outputs <= limit and not op.kept,
    )


def single(op: Op, on_chip: bool = False) -> Group:
    """Wrap one op, not fused, with its activations in main memory unless told otherwise."""
    return Group((op,), op.traffic, on_chip, on_chip)


def _buffer_bytes(chip: Chip) -> float:
    if chip.spec.shared is not None:
        return chip.spec.shared.capacity_bytes
    return chip.spec.cores * chip.spec.core.scratchpad.capacity_bytes


def _joins(group: list[Op], op: Op, needed_by: Mapping[str, int], pools: bool) -> bool:
    """Tell whether `op` can be computed by the kernel of `group`, on the fly."""
    last = group[-1]
    follows = op.after is None or last.name in op.after
    if not follows:
        return False
    alone = needed_by.get(last.name, 0) <= 1
    if isinstance(op, Pool):
        return pools and alone and isinstance(group[0], Conv)
    if not isinstance(op, Vector):
        return False
    if isinstance(group[0], MatMul | Conv):
        # An epilogue sees one tile of the output: no reductions, same shape, no other reader.
        same_shape = op.elements == _produced(last) and op.function.reductions == 0
        return same_shape and alone
    if not isinstance(last, Vector) or not isinstance(group[0], Vector):
        return False
    # Rows are processed whole; what others read as well is simply also written.
    hands_on = last.function.reductions == 0 and last.function.outputs > 0
    return op.rows == last.rows and hands_on


def _produced(op: Op) -> float:
    """Elements of the result of a matmul, a convolution or what is fused into one."""
    match op:
        case MatMul():
            return float(op.batch) * op.m * op.n
        case Conv() | Pool():
            return float(op.shape.output_elements)
        case Vector():
            return op.elements
    return 0.0


def _merged_traffic(group: list[Op], needed_by: Mapping[str, int]) -> Traffic:
    """Traffic of a fused group: each link between neighbours saves one read and one write.

    A result that other ops read as well (a residual sum), or that is kept, is still written.
    """
    total = group[0].traffic
    for before, op in pairwise(group):
        saved = min(before.traffic.outputs, op.traffic.inputs)
        once = needed_by.get(before.name, 0) <= 1 and not before.kept
        dropped = before.traffic.outputs if once else 0.0
        total = Traffic(
            weights=total.weights + op.traffic.weights,
            inputs=total.inputs + op.traffic.inputs - saved,
            outputs=total.outputs - dropped + op.traffic.outputs,
            cache_read=total.cache_read + op.traffic.cache_read,
            cache_write=total.cache_write + op.traffic.cache_write,
            weights_written=total.weights_written + op.traffic.weights_written,
        )
    return total
