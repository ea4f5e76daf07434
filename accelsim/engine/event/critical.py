"""The critical path: from the last end back through what each piece of work had to wait for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from accelsim.engine.event.journal import END_PS, NOTHING, SPENT_ON, Journal
from accelsim.results.execution import PathShare

_WORD = {"ports": "shared", "link": "network"}
_NAMES = tuple(_WORD.get(name, name) for name in SPENT_ON)
"""Resources by the codes of the journal: bandwidths of a chip by their names in results."""
_BOUNDS = {
    "matrix": "compute", "shared": "l2", "launch": "overhead",
    "memory_latency": "latency", "gaps": "overhead",
    "others": "network",
}  # fmt: skip


Spent = dict[int, dict[str, int]]
"""By op (its place in the journal), what its part of the path is spent on [ps]."""


def path_by_op(journal: Journal, last: int, weights: Mapping[int, int], began_ps: int = 0) -> Spent:
    """Walk the critical path.

    Parameters
    ----------
    journal : Journal
    last : int
        The piece of work that ends last.
    weights : mapping of int to int
        Op (place in the journal) to how many executions it stands for; 1 if it is not there.
    began_ps : int
        Where the path begins [ps].

    Notes
    -----
    Between a piece and its cause nothing of the path is worked on; that time counts as ``gaps``.
    """
    spent: Spent = defaultdict(lambda: defaultdict(int))
    pieces = journal.pieces
    piece = last
    while piece != NOTHING:
        op, _, start_ps, ended_ps, _, _, cause, code = pieces[piece]
        weight, of_op = weights.get(op, 1), spent[op]
        before_ps = pieces[cause][END_PS] if cause != NOTHING else began_ps
        of_op[_NAMES[code]] += weight * (ended_ps - start_ps)
        if start_ps > before_ps:
            of_op["gaps"] += weight * (start_ps - before_ps)
        piece = cause
    return spent


def critical_path(spent: Spent, end_ps: int) -> tuple[PathShare, ...]:
    """Add up what the critical path spends on each resource.

    Parameters
    ----------
    spent : mapping
        From `path_by_op`.
    end_ps : int
        Of the whole run [ps].

    Notes
    -----
    A path through repeats that stand for others counts as often; what rounding and overlaps at
    the borders of repeats leave is spread in proportion, so that the shares add up to the end.
    """
    by_resource: dict[str, int] = defaultdict(int)
    for of_op in spent.values():
        for name, time in of_op.items():
            by_resource[name] += time
    total = sum(by_resource.values())
    scale = end_ps / total if total else 0.0
    shares = [PathShare(name, round(time * scale)) for name, time in by_resource.items() if time]
    return tuple(sorted(shares, key=lambda share: (-share.path_ps, share.resource)))


def limits_by_op(journal: Journal, spent: Spent) -> dict[tuple[int, int], str]:
    """Name what holds up each op that is on the path, by block and place in the block.

    The names are those of `accelsim.results.costs.BOUNDS`.
    """
    by_op: dict[tuple[int, int], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for op, of_op in spent.items():
        where = journal.ops[op].where
        for name, time in of_op.items():
            by_op[where.block, where.place][_BOUNDS.get(name, name)] += time
    return {
        key: max(times, key=times.__getitem__)
        for key, times in by_op.items()
        if any(times.values())
    }
