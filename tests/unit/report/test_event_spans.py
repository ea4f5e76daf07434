"""Are spans joined and put beside each other so that none overlap?"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.report.event_spans import at_most, lanes, one_per_op, touching_joined
from tests.unit.results.executions import work

ROWS = [
    (0, 0, 0, 10, 1, 1), (0, 0, 10, 20, 2, 1), (0, 0, 25, 30, 3, 1), (1, 0, 20, 25, 4, 1),
    (1, 1, 0, 50, 5, 1), (1, 1, 5, 10, 6, 1), (1, 1, 40, 60, 7, 1), (1, 1, 60, 61, 8, 1),
]  # fmt: skip


def spans(pieces) -> list[tuple]:
    w = pieces.work
    columns = (w.op, w.track, w.start_ps // 1000, w.end_ps // 1000, w.amount, pieces.counts)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def test_touching_pieces_of_one_op_are_joined_and_others_are_not() -> None:
    assert spans(touching_joined(work(ROWS))) == [
        (0, 0, 0, 20, 3.0, 2), (0, 0, 25, 30, 3.0, 1), (1, 0, 20, 25, 4.0, 1),
        (1, 1, 0, 61, 26.0, 4),
    ]  # fmt: skip


def test_joined_across_gaps_there_is_one_per_op_and_track() -> None:
    assert spans(one_per_op(work(ROWS))) == [
        (0, 0, 0, 30, 6.0, 3), (1, 0, 20, 25, 4.0, 1), (1, 1, 0, 61, 26.0, 4),
    ]  # fmt: skip


@pytest.mark.parametrize(("limit", "count"), [(8, 8), (7, 4), (3, 3), (1, 3)])
def test_no_more_is_joined_than_needed(limit: int, count: int) -> None:
    pieces = at_most(work(ROWS), limit)
    assert len(pieces.work) == count
    assert pieces.counts.sum() == 8
    assert pieces.work.amount.sum() == 36


def test_nothing_joins_to_nothing() -> None:
    assert spans(touching_joined(work([]))) == []
    assert lanes(np.array([], np.int64), np.array([], np.int64)).tolist() == []


def test_lanes_by_hand() -> None:
    start, end = np.array([0, 2, 4, 5, 9]), np.array([5, 4, 9, 6, 9])
    assert lanes(start, end).tolist() == [0, 1, 1, 0, 0]


span = st.tuples(st.integers(0, 50), st.integers(0, 10))


@given(st.lists(span, max_size=25))
def test_spans_of_a_lane_never_overlap_and_no_lane_is_wasted(found) -> None:
    start = np.array([s for s, _ in found], np.int64)
    end = start + np.array([length for _, length in found], np.int64)
    lane = lanes(start, end)
    for number in range(int(lane.max(initial=-1)) + 1):
        rows = np.flatnonzero(lane == number)
        ordered = rows[np.lexsort((end[rows], start[rows]))]
        assert (start[ordered][1:] >= end[ordered][:-1]).all()
    most = max((((start <= t) & (end > t)).sum() for t in start.tolist()), default=0)
    assert int(lane.max(initial=0)) + 1 <= max(1, most)
