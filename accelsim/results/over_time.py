"""What an execution did in each of many equal times: exact overlaps of spans with bins."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import SimulationError
from accelsim.results.execution import Execution, Work
from accelsim.results.unrolled import work_parts
from accelsim.units import PS_PER_S

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
BINS = 240
"""About how many bins a pass has. The highest power depends on their width, so all use the same."""


def edges_between(first_ps: int, last_ps: int, bins: int) -> Ints:
    """Divide a stretch of time into bins, equal but for a picosecond [ps]."""
    count = max(1, min(bins, last_ps - first_ps))
    return first_ps + np.arange(count + 1, dtype=np.int64) * (last_ps - first_ps) // count


def bin_edges(execution: Execution, bins: int = BINS) -> Ints:
    """Divide an execution into the bins that all tables, pictures and traces use.

    Equal bins that are nearly as long as a folded repeat would show a slow beat that is not there;
    here a repeat has a whole number of bins, or a bin a whole number of repeats. Without folds
    bins are equal but for a picosecond.

    Parameters
    ----------
    execution : Execution
    bins : int
        About how many, exactly so many without folds; a shorter execution gets one per
        picosecond.

    Returns
    -------
    int64[n]
        Edges [ps].

    Raises
    ------
    SimulationError
        If there are no bins, or the execution takes no time.
    """
    if bins < 1:
        raise SimulationError(f"{bins} bins asked for; use at least 1")
    if execution.end_ps < 1:
        raise SimulationError("an execution of 0 ps has nothing over time; run an op that works")
    folds = [fold for fold in execution.folds if fold.copies and fold.period_ps]
    if not folds:
        return edges_between(0, execution.end_ps, bins)
    chip = execution.ops[folds[0].first_op].chip
    pieces: list[Ints] = []
    now, width = 0, execution.end_ps / bins
    for fold in folds:
        spans = execution.ops[fold.first_op : fold.last_op]
        first = max(span.end_ps for span in spans)
        if spans[0].chip != chip or first < now:
            continue
        per_repeat = max(1, round(fold.period_ps / width))
        repeats = max(1, round(width / fold.period_ps))
        steps = np.arange(0, fold.copies * per_repeat + 1, repeats, dtype=np.int64)
        within = first + steps * fold.period_ps // per_repeat
        pieces += [edges_between(now, first, max(1, round((first - now) / width))), within]
        now = int(within[-1])
    left = max(1, round((execution.end_ps - now) / width))
    pieces.append(edges_between(now, execution.end_ps, left))
    return _without_narrow(np.unique(np.concatenate(pieces)), width / 2)


def _without_narrow(edges: Ints, least_ps: float) -> Ints:
    """Join rests between repeats to the bin before: a narrow bin would show a peak of its own."""
    narrow = np.flatnonzero(np.diff(edges) < least_ps)
    joined: Ints = np.delete(edges, np.maximum(narrow, 1)) if len(edges) > 2 else edges
    return joined


def bin_width_s(edges_ps: Ints) -> float:
    """Return how long a bin is, the median where they differ a little to keep step [s]."""
    return float(np.median(np.diff(edges_ps))) / PS_PER_S


def amounts_over_time(
    execution: Execution,
    edges_ps: Ints,
    columns: NDArray[np.intp],
    amounts: Callable[[Work], Floats],
) -> Floats:
    """Sum what the pieces of work carry, by column and bin.

    Parameters
    ----------
    execution : Execution
    edges_ps : int64[bins + 1]
    columns : intp[tracks]
        Column of each track; -1 leaves a track out.
    amounts : callable
        Of a part of the work, float64[n]: what each piece carries, evenly over its time.

    Returns
    -------
    float64[columns, bins]
    """
    count = int(columns.max(initial=-1)) + 1
    total = np.zeros((count, len(edges_ps) - 1))
    for part in work_parts(execution):
        column = columns[part.track]
        kept = column >= 0
        if not kept.all():
            part, column = part.where(kept), column[kept]  # noqa: PLW2901
        total += spread(edges_ps, part, column, amounts(part), count)
    return total


def durations(work: Work) -> Floats:
    """Return how long each piece takes [ps]."""
    return (work.end_ps - work.start_ps).astype(np.float64)


def spread(
    edges: Ints, work: Work, column: NDArray[np.intp], amounts: Floats, columns: int
) -> Floats:
    """Spread amounts evenly over their spans.

    Parameters
    ----------
    edges : int64[bins + 1]
        What lies outside is cut off [ps].
    work : Work
        Spans, n of them.
    column : intp[n]
        To which column each adds.
    amounts : float64[n]
    columns : int

    Returns
    -------
    float64[columns, bins]

    Notes
    -----
    A span that lies in one bin gives all of it there, an instant too. A longer one gives its
    share to the first and the last bin, and its rate to the bins between, where the rates of all
    are summed by their differences from bin to bin: O(pieces + bins).
    """
    bins = len(edges) - 1
    begin = np.clip(work.start_ps, edges[0], edges[-1])
    end = np.clip(work.end_ps, edges[0], edges[-1])
    length = np.maximum(work.end_ps - work.start_ps, 1)
    instant = work.end_ps <= work.start_ps
    within = (work.start_ps >= edges[0]) & (work.start_ps <= edges[-1])
    rate = amounts / length
    first = np.clip(np.searchsorted(edges, begin, "right") - 1, 0, bins - 1)
    last = np.maximum(np.clip(np.searchsorted(edges, end, "left") - 1, 0, bins - 1), first)
    single = first == last
    whole = np.where(end - begin == length, amounts, rate * (end - begin))
    whole = np.where(instant, np.where(within, amounts, 0.0), whole)
    head = np.where(single, whole, rate * (edges[first + 1] - begin))
    tail = np.where(single, 0.0, rate * (end - edges[last]))
    size = columns * bins
    place = column * bins
    total = np.bincount(place + first, head, size) + np.bincount(place + last, tail, size)
    row = column * len(edges)  # with a place for what ends with the last bin
    long = ~single
    spans = ((row + first + 1)[long], (row + last)[long])
    filled = _filled_per_ps(spans, rate[long], (columns, len(edges)))[:, :-1]
    found: Floats = total.reshape(columns, bins) + filled * np.diff(edges)
    return found


def _filled_per_ps(
    spans: tuple[NDArray[np.intp], NDArray[np.intp]], rate: Floats, shape: tuple[int, int]
) -> Floats:
    """Sum the rates of spans over the bins that each fills, from one up to another place."""
    size = shape[0] * shape[1]
    begins, ends = spans
    rates = np.bincount(begins, rate, size) - np.bincount(ends, rate, size)
    under_way = np.bincount(begins, minlength=size) - np.bincount(ends, minlength=size)
    summed = rates.reshape(shape).cumsum(axis=1)
    busy = under_way.reshape(shape).cumsum(axis=1) > 0
    # Rounding leaves traces of rates that ended; where nothing is under way there is nothing.
    filled: Floats = np.where(busy, summed, 0.0)
    return filled
