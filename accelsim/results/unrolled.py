"""Folded repeats written out: the ops and the pieces of work that a fold stands for.

Copies are made in numpy, a piece of at most some rows at a time, so that what is computed from
them needs no more memory for a model of 126 layers than for one of 3.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accelsim.results.execution import Execution, Fold, OpSpan, Work

PART_ROWS = 1_000_000
"""About so many rows of copies are held at a time."""


class UnrolledOp(NamedTuple):
    """An op of an execution with its folds written out.

    Attributes
    ----------
    span : OpSpan
    copied : bool
        It was not simulated.
    source : int
        Place in `Execution.ops` of the op that was.
    """

    span: OpSpan
    copied: bool
    source: int


def unrolled_ops(execution: Execution) -> tuple[UnrolledOp, ...]:
    """Return all ops, by chip and then in program order; `Work.op` of unrolled work counts these.

    Parameters
    ----------
    execution : Execution

    Notes
    -----
    Copy i of a fold of r repeats of a block has `repeat` i r higher.
    """
    found: list[UnrolledOp] = []
    done = 0
    for fold in sorted(execution.folds):
        found += _simulated(execution, done, fold.last_op)
        repeats = _repeats(execution.ops[fold.first_op : fold.last_op])
        for copy in range(1, fold.copies + 1):
            for place in range(fold.first_op, fold.last_op):
                span = execution.ops[place]
                moved = _later(span, copy * fold.period_ps, copy * repeats[span.block])
                found.append(UnrolledOp(moved, True, place))
        done = fold.last_op
    return (*found, *_simulated(execution, done, len(execution.ops)))


def unrolled_work(execution: Execution) -> Work:
    """Return all pieces of work at once, 36 bytes each; see `work_parts` for very many."""
    parts = list(work_parts(execution))
    columns = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("op", "track", "start_ps", "end_ps", "amount", "energy_j")
    )
    return Work(*columns)


def unrolled_rows(execution: Execution) -> int:
    """How many pieces of work there are, copies included."""
    copied = sum(
        fold.copies * int(_of_fold(execution.work, fold).sum()) for fold in execution.folds
    )
    return len(execution.work) + copied


def work_parts(execution: Execution, rows: int = PART_ROWS) -> Iterator[Work]:
    """Yield all pieces of work, the simulated ones first, copies in parts.

    Parameters
    ----------
    execution : Execution
    rows : int
        About how many a part of copies has; a part holds one copy of a fold at least.

    Yields
    ------
    Work
        `op` is the place in `unrolled_ops`.
    """
    places = _places(execution)
    work = execution.work
    yield _moved(work, places[work.op].astype(np.int32), np.zeros(len(work), np.int64))
    for fold in execution.folds:
        one = work.where(_of_fold(work, fold))
        step = max(1, rows // max(1, len(one)))
        for first in range(1, fold.copies + 1, step):
            copies = np.arange(first, min(first + step, fold.copies + 1), dtype=np.int64)
            yield _copies(one, places[one.op], fold, copies)


def _simulated(execution: Execution, first: int, last: int) -> list[UnrolledOp]:
    return [UnrolledOp(execution.ops[i], False, i) for i in range(first, last)]


def _repeats(spans: tuple[OpSpan, ...]) -> dict[str, int]:
    """How many repeats of each block these ops are."""
    of_block: dict[str, list[int]] = {}
    for span in spans:
        of_block.setdefault(span.block, []).append(span.repeat)
    return {block: max(found) - min(found) + 1 for block, found in of_block.items()}


def _later(span: OpSpan, shift_ps: int, repeats: int) -> OpSpan:
    return span._replace(
        repeat=span.repeat + repeats,
        ready_ps=span.ready_ps + shift_ps,
        start_ps=span.start_ps + shift_ps,
        end_ps=span.end_ps + shift_ps,
    )


def _places(execution: Execution) -> NDArray[np.int64]:
    """Where each simulated op stands among the unrolled ones."""
    places = np.arange(len(execution.ops), dtype=np.int64)
    for fold in execution.folds:
        places[fold.last_op :] += fold.copies * (fold.last_op - fold.first_op)
    return places


def _of_fold(work: Work, fold: Fold) -> NDArray[np.bool_]:
    chosen: NDArray[np.bool_] = (work.op >= fold.first_op) & (work.op < fold.last_op)
    return chosen


def _copies(one: Work, places: NDArray[np.int64], fold: Fold, copies: NDArray[np.int64]) -> Work:
    """Write out some copies of the work of a fold, one after the other."""
    rows = len(one)
    size = fold.last_op - fold.first_op
    op = (places[None, :] + copies[:, None] * size).ravel().astype(np.int32)
    repeated = one.where(np.tile(np.arange(rows), len(copies)))
    return _moved(repeated, op, np.repeat(copies * fold.period_ps, rows))


def _moved(work: Work, op: NDArray[np.int32], shift_ps: NDArray[np.int64]) -> Work:
    return Work(
        op, work.track, work.start_ps + shift_ps, work.end_ps + shift_ps, work.amount,
        work.energy_j,
    )  # fmt: skip
