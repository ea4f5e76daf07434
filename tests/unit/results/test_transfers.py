"""Are the bytes of transfers below the peak that they share, all there, and where they can be?"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.results.execution import Fold, Track
from accelsim.results.execution_tables import bandwidth, utilisation
from accelsim.results.over_time import amounts_over_time, bin_edges, edges_between
from accelsim.results.transfers import amounts_moved, below_peak
from tests.unit.results.executions import folded, layered, prefetching, work

TRACKS = (
    Track(0, "cores0", "load", False), Track(0, "cores1", "load", False),
    Track(0, "cores0", "store", False), Track(1, "cores", "load", False),
)  # fmt: skip
PEAK = 1_000  # bytes per ns, as in `executions.PEAKS`


def transfers(rows):
    """An execution of 1,400 ns of these transfers: track, begin, end [ns], bytes."""
    found = [(0, track, first, last, amount, 0.0) for track, first, last, amount in rows]
    return replace(prefetching(), chips=("a", "b"), tracks=TRACKS, work=work(found))


def even(execution, edges):
    columns = np.arange(len(execution.tracks))
    return amounts_over_time(execution, edges, columns, lambda part: part.amount)


@st.composite
def possible(draw):
    """Transfers of a memory that at each time divided at most its peak among some of them."""
    times = sorted(draw(st.sets(st.integers(0, 1400), min_size=3, max_size=9)))
    spans = draw(
        st.lists(
            st.tuples(st.integers(0, len(times) - 1), st.integers(0, len(times) - 1)),
            min_size=1, max_size=9,
        )
    )  # fmt: skip
    spans = [(min(a, b), max(a, b)) for a, b in spans if a != b]
    moved = [0.0] * len(spans)
    for step, (first, last) in enumerate(pairwise(times)):
        under_way = [i for i, (a, b) in enumerate(spans) if a <= step < b]
        parts = [draw(st.floats(0, 1)) for _ in under_way]
        whole = max(1.0, sum(parts))
        for i, part in zip(under_way, parts, strict=True):
            moved[i] += part / whole * PEAK * (last - first)
    tracks = [draw(st.integers(0, 2)) for _ in spans]
    return [
        (track, times[a], times[b], amount)
        for track, (a, b), amount in zip(tracks, spans, moved, strict=True)
    ]


@given(possible(), st.integers(1, 60))
def test_what_a_memory_could_do_is_below_its_peak_and_all_there(rows, bins: int) -> None:
    execution = transfers(rows)
    edges = bin_edges(execution, bins)
    found, spread = amounts_moved(execution, edges), even(execution, edges)
    room = PEAK * np.diff(edges) / 1000
    assert (found[:3].sum(axis=0) <= room * (1 + 1e-8) + 1e-6).all()
    assert found.min() >= 0
    assert found.sum(axis=1) == pytest.approx(spread.sum(axis=1), rel=1e-9, abs=1e-6)
    # Nothing is moved before it has begun, nor left when it has ended.
    done = np.cumsum(found.sum(axis=0))
    for edge, so_far in zip(edges[1:].tolist(), done.tolist(), strict=True):
        begun = sum(amount for _, first, _, amount in rows if first * 1000 < edge)
        ended = sum(amount for _, _, last, amount in rows if last * 1000 <= edge)
        assert ended - 1e-3 <= so_far <= begun + 1e-3


@given(possible(), st.integers(1, 30), st.integers(0, 900))
def test_a_window_shows_no_more_than_the_peak(rows, bins: int, first: int) -> None:
    execution = transfers(rows)
    edges = edges_between(first * 1000, (first + 400) * 1000, bins)
    found = amounts_moved(execution, edges)
    assert found.shape == (4, bins)
    assert (found[:3].sum(axis=0) <= PEAK * np.diff(edges) / 1000 * (1 + 1e-8) + 1e-6).all()


def test_bytes_go_both_ways_to_times_with_room() -> None:
    # From 400 to 600 both need 1,500 bytes per ns together; before and after 250 are free.
    rows = [(0, 0, 600, 450e3), (1, 400, 1000, 450e3)]
    execution = transfers(rows)
    found = amounts_moved(execution, bin_edges(execution, 7))
    assert even(execution, bin_edges(execution, 7)).sum(axis=0)[2] == pytest.approx(300e3)
    assert found.sum(axis=0) / 1e3 == pytest.approx([175, 175, 200, 175, 175, 0, 0])
    assert found.sum(axis=1) / 1e3 == pytest.approx([450, 450, 0, 0])


def test_bytes_go_later_where_nothing_was_under_way_before() -> None:
    rows = [(0, 400, 600, 250e3 - 100e3), (1, 400, 1000, 300e3)]
    execution = transfers(rows)
    found = amounts_moved(execution, bin_edges(execution, 7)).sum(axis=0)
    assert found / 1e3 == pytest.approx([0, 0, 200, 150, 100, 0, 0])


def test_what_is_below_the_peak_keeps_every_digit() -> None:
    rows = [(0, 3, 617, 123_456.7), (1, 100, 900, 234_567.8), (3, 0, 1400, 1e5)]
    execution = transfers(rows)
    edges = bin_edges(execution, 50)
    assert (amounts_moved(execution, edges) == even(execution, edges)).all()


def test_other_chips_have_a_peak_of_their_own() -> None:
    rows = [(0, 0, 1400, 1400e3), (3, 0, 1400, 1400e3)]
    execution = transfers(rows)
    assert bandwidth(execution, 7)["chip1/memory"].tolist() == pytest.approx([1e12] * 7)
    assert utilisation(execution, 7)["chip0/cores0/load"].tolist() == pytest.approx([1.0] * 7)


def test_more_than_the_peak_can_ever_move_is_shown_as_it_is() -> None:
    execution = transfers([(0, 0, 200, 500e3)])
    edges = bin_edges(execution, 7)
    assert (amounts_moved(execution, edges) == even(execution, edges)).all()
    full = np.array([2.0, 0.0])
    assert below_peak(full, full, full, np.ones(2)) is full


def test_instants_stay_where_they_are() -> None:
    execution = transfers([(0, 200, 200, 30e3), (1, 0, 200, 150e3), (1, 100, 400, 200e3)])
    found = amounts_moved(execution, bin_edges(execution, 14))
    assert found[0].sum() == pytest.approx(30e3)
    assert found.sum(axis=0).max() == pytest.approx(100e3)


@pytest.mark.parametrize("bins", [30, 333, 5000])
def test_folded_transfers_are_below_the_peak_too(bins: int) -> None:
    crowded = folded(12, 4)
    peaks = {**crowded.peaks, "load": 7.2e11, "store": 7.2e11}
    assert isinstance(crowded.folds[0], Fold)
    for execution in (crowded, layered(12)):
        tight = replace(execution, peaks=peaks)
        edges = bin_edges(tight, bins)
        found = amounts_moved(tight, edges)
        assert found.sum(axis=1) == pytest.approx(even(tight, edges).sum(axis=1), rel=1e-9)
