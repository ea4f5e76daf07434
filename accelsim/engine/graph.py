"""From a graph to costs: fuse each block once, cost each distinct group once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from accelsim.engine.analytic import AnalyticEngine
from accelsim.engine.core import Engine, Target
from accelsim.engine.roofline import RooflineEngine
from accelsim.mapping.fusion import Group, group_ops
from accelsim.results.costs import OpCost
from accelsim.timing.attention import unfused_ops
from accelsim.workload.graph import Block, Graph
from accelsim.workload.ops import Attention, Op

ENGINES: dict[str, Engine] = {e.name: e for e in (RooflineEngine(), AnalyticEngine())}


@dataclass(frozen=True)
class CostedGroup:
    """One group of one block with its cost; the block runs `repeat` times.

    `alone_s` is its time alone on an idle device where `cost` has what it adds to a run, and what
    held it up there [s].
    """

    block: str
    repeat: int
    group: Group
    cost: OpCost
    alone_s: float | None = None


def cost_graph(
    graph: Graph, engine: Engine, target: Target, *, fused_attention: bool = True
) -> tuple[CostedGroup, ...]:
    """Cost every group of a graph on one device of the target.

    Parameters
    ----------
    graph : Graph
        Already sharded where it runs on several devices.
    engine : Engine
    target : Target
    fused_attention : bool
        False splits attention into scores, softmax and values, each through memory.

    Returns
    -------
    tuple of CostedGroup
        In execution order.
    """
    costed = []
    for block in graph.blocks:
        ops = block.ops if fused_attention else tuple(_split_attention(block))
        for group in group_ops(ops, target.system.chip):
            cost = engine.cost(group, target)
            costed.append(CostedGroup(block.name, block.repeat, group, cost))
    return tuple(costed)


def _split_attention(block: Block) -> Iterable[Op]:
    for op in block.ops:
        if isinstance(op, Attention):
            yield from unfused_ops(op)
        else:
            yield op
