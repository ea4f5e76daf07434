"""Pieces of work made fit to be drawn: fewer of them, and none over another."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accelsim.results.execution import Work

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Pieces:
    """Spans to draw, and how many pieces of work each stands for, int64[n]."""

    work: Work
    counts: Ints


def separate(work: Work) -> Pieces:
    """Return every piece of work as it is."""
    return Pieces(work, np.ones(len(work), np.int64))


def touching_joined(work: Work) -> Pieces:
    """Join pieces of one op on one track that touch or overlap."""
    return _joined(work, across_gaps=False)


def one_per_op(work: Work) -> Pieces:
    """Join all pieces of one op on one track, the gaps between them too."""
    return _joined(work, across_gaps=True)


def at_most(work: Work, limit: int) -> Pieces:
    """Join no more than needed to stay below a number of spans, where joining can do it."""
    if len(work) <= limit:
        return separate(work)
    pieces = touching_joined(work)
    return pieces if len(pieces.counts) <= limit else one_per_op(work)


def lanes(start: Ints, end: Ints) -> NDArray[np.intp]:
    """Give every span the lowest lane on which it overlaps no other.

    Parameters
    ----------
    start, end : int64[n]
        In any order.

    Returns
    -------
    intp[n]
        Lane, from 0.
    """
    found = np.zeros(len(start), np.intp)
    free: list[int] = []
    busy: list[tuple[int, int]] = []
    used = 0
    starts, ends = start.tolist(), end.tolist()
    for place in np.lexsort((end, start)).tolist():
        while busy and busy[0][0] <= starts[place]:
            heapq.heappush(free, heapq.heappop(busy)[1])
        if free:
            lane = heapq.heappop(free)
        else:
            lane, used = used, used + 1
        found[place] = lane
        heapq.heappush(busy, (ends[place], lane))
    return found


def _joined(work: Work, *, across_gaps: bool) -> Pieces:
    if not len(work):
        return separate(work)
    rows = work.where(np.lexsort((work.end_ps, work.start_ps, work.op, work.track)))
    fresh = np.append(True, (np.diff(rows.op) != 0) | (np.diff(rows.track) != 0))
    if not across_gaps:
        reach = _reach(rows, fresh)
        fresh[1:] |= rows.start_ps[1:] > reach[:-1]
    at = np.flatnonzero(fresh)
    joined = Work(
        rows.op[at], rows.track[at], rows.start_ps[at], np.maximum.reduceat(rows.end_ps, at),
        np.add.reduceat(rows.amount, at), np.add.reduceat(rows.energy_j, at),
    )  # fmt: skip
    return Pieces(joined, np.diff(np.append(at, len(rows))))


def _reach(rows: Work, fresh: NDArray[np.bool_]) -> Ints:
    """Latest end so far within each group that begins where `fresh` is set."""
    group = np.cumsum(fresh) - 1
    origin = rows.start_ps[np.flatnonzero(fresh)][group]
    relative = rows.end_ps - origin
    # Each group above all of the one before, so that one running maximum serves them all.
    height = group * (int(relative.max()) + 1)
    reach: Ints = np.maximum.accumulate(relative + height) - height + origin
    return reach
