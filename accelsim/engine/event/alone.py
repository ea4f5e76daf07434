"""The shape of an op's pipeline, found by simulating the op alone."""

from __future__ import annotations

from dataclasses import replace

from accelsim.arch.chip import Chip
from accelsim.engine.event.lower import MOST_PIECES, Lowering, Shape, first_shape, lower
from accelsim.engine.event.plan import DOUBLE, ENTRY, OpPlan, PlanBlock, Program
from accelsim.engine.event.simulate import Placement, simulate
from accelsim.mapping.fusion import Group
from accelsim.results.costs import OpCost
from accelsim.units import PS_PER_S
from accelsim.workload.ops import Collective

_ROUNDS = 5
_CLOSE = 0.002
"""Relative difference at which the pipeline alone takes as long as the op."""


def shape_of(group: Group, cost: OpCost, how: Lowering) -> Shape:
    """Find the shape with which an op alone takes the time of its cost.

    Parameters
    ----------
    group : Group
    cost : OpCost
        Launched from a captured graph.
    how : Lowering
        Its ideal resources are left aside, and operands are double-buffered, as costs assume.

    Notes
    -----
    What the pipeline lacks is contention inside the op, and lengthens its longest resource; where
    it takes too long without any, it is cut into more pieces. Differences that rounds do not remove
    are left: a few per cent of ops that do next to nothing.
    """
    if isinstance(group.head, Collective):
        return Shape(1, 0.0)
    target = replace(how.target, launch="graph")
    whole = replace(how, target=target, ideal=frozenset(), buffers=DOUBLE)
    shape = first_shape(group, cost, whole)
    best, least_s = shape, float("inf")
    for _ in range(_ROUNDS):
        took_s = alone_s(lower(group, cost, (ENTRY,), whole, shape), how.chip)
        missing_s = cost.latency_s - took_s
        if abs(missing_s) < least_s:
            best, least_s = shape, abs(missing_s)
        if abs(missing_s) <= _CLOSE * cost.latency_s:
            break
        if missing_s < 0.0 and shape.contention_s == 0.0:
            if how.pieces is not None or shape.pieces >= MOST_PIECES:
                break
            shape = Shape(min(2 * shape.pieces, MOST_PIECES), 0.0)
        else:
            shape = Shape(shape.pieces, max(0.0, shape.contention_s + missing_s))
    return best


def alone_s(plan: OpPlan, chip: Chip) -> float:
    """Time that one op takes on an idle chip [s]."""
    program = Program(plan.name, (PlanBlock(plan.name, (plan,)),))
    journal = simulate([chip], [Placement(program)]).journal
    return max(record.end_ps for record in journal.ops) / PS_PER_S
