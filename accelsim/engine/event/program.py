"""From a costed graph to a program: every group of ops lowered, with what it waits for."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from accelsim.engine.event.lower import Lowering, Shape, lower
from accelsim.engine.event.plan import ALL, ENTRY, PlanBlock, Program
from accelsim.engine.graph import CostedGroup
from accelsim.workload.graph import producers
from accelsim.workload.ops import OptimizerStep


def program_of(
    name: str, costed: Sequence[CostedGroup], how: Lowering, shapes: Sequence[Shape]
) -> Program:
    """Lower the groups of a graph, block by block.

    Parameters
    ----------
    name : str
    costed : sequence of CostedGroup
        Of one graph, in execution order; costs of launches from a captured graph.
    how : Lowering
    shapes : sequence of Shape
        Of each group, see `accelsim.engine.event.alone.shape_of`.
    """
    blocks = []
    left = iter(shapes)
    for block, groups in groupby(costed, key=lambda item: item.block):
        items = list(groups)
        after = _dependencies(items)
        ops = tuple(
            lower(item.group, item.cost, needs, how, next(left))
            for item, needs in zip(items, after, strict=True)
        )
        blocks.append(PlanBlock(block, ops, items[0].repeat))
    return Program(name, tuple(blocks))


def _dependencies(items: Sequence[CostedGroup]) -> list[tuple[int, ...]]:
    """Places of the groups whose results each group of a block reads.

    What reads nothing made in the block reads its input. An optimizer's step reads gradients of the
    whole model.
    """
    owner = {op.name: place for place, item in enumerate(items) for op in item.group.ops}
    reads = producers([op for item in items for op in item.group.ops])
    found: list[tuple[int, ...]] = []
    for place, item in enumerate(items):
        if isinstance(item.group.head, OptimizerStep):
            found.append((ALL,))
            continue
        needs = {owner[name] for op in item.group.ops for name in reads[op.name]} - {place}
        found.append(tuple(sorted(needs)) or (ENTRY,))
    return found
