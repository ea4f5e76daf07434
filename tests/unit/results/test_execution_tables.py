"""Are the tables of an execution what one would find on paper, and the same under folds?"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.errors import SimulationError
from accelsim.results.execution import Track
from accelsim.results.execution_tables import (
    bandwidth,
    critical_path,
    engine_totals,
    moved_bytes_per_s,
    op_table,
    power,
    used_shares,
    utilisation,
)
from accelsim.results.over_time import (
    BINS,
    amounts_over_time,
    bin_edges,
    bin_width_s,
    edges_between,
)
from accelsim.results.unrolled import unrolled_work
from accelsim.results.watts import watts
from tests.unit.results.executions import collective, folded, layered, op, prefetching, work

NS = 1e-9


def test_op_table_tells_waiting_from_prefetch() -> None:
    table = op_table(prefetching()).set_index("name")
    assert table.loc["down", "ahead_s"] == pytest.approx(300 * NS)
    assert table.loc["down", "waited_s"] == 0
    assert table.loc["up", "ahead_s"] == 0
    # 400 kB from 500 to 900, and ready at 800: all of that transfer had to be there.
    assert table["loaded_bytes"].tolist() == [350e3, 400e3]
    assert table["ahead_bytes"].tolist() == [0, 0]
    late = op_table(collective())
    assert late["waited_s"].tolist() == pytest.approx([0, 200 * NS, 0, 0])
    assert late["chip"].tolist() == [0, 0, 1, 1]
    assert op_table(folded(5, 3))["copied"].sum() == 2 * 8


def test_utilisation_is_the_exact_overlap() -> None:
    table = utilisation(prefetching(), bins=7)
    assert (table["time_s"] / NS).tolist() == pytest.approx([0, 200, 400, 600, 800, 1000, 1200])
    matrix = [0, 0, 1, 1, 0.5, 1, 0]
    assert table["chip0/cores/matrix"].tolist() == pytest.approx(matrix)
    # 1,000 B/ns is the peak of loads: the bus is full whenever it works.
    load = [0.75, 1, 0.5, 1, 0.5, 0, 0]
    assert table["chip0/hbm/load"].tolist() == pytest.approx(load)
    assert table["chip0/cores/vector"].iloc[-1] == pytest.approx(0.5)


def test_two_transfers_share_a_link() -> None:
    table = utilisation(collective(), bins=5)
    assert table["chip0/links/network"].tolist() == pytest.approx([0, 0, 0, 0.8, 0.8])
    rates = bandwidth(collective(), bins=5)
    assert list(rates) == ["time_s", "chip0/network", "chip1/network"]
    assert rates["chip1/network"].tolist() == pytest.approx([0, 0, 0, 8e10, 8e10])


def test_loads_and_stores_are_one_memory() -> None:
    rates = bandwidth(prefetching(), bins=14)
    assert list(rates) == ["time_s", "chip0/memory"]
    assert rates["chip0/memory"].sum() * 100 * NS == pytest.approx(850e3)
    assert rates["chip0/memory"].iloc[-1] == pytest.approx(1e12)


@pytest.mark.parametrize("bins", [1, 3, 7, 200, 5000])
@pytest.mark.parametrize("make", [prefetching, collective, lambda: folded(9, 3, 2)])
def test_power_integrates_to_all_energy(make, bins: int) -> None:
    execution = make()
    table = power(execution, bins)
    edges = np.append(table["time_s"], execution.end_ps / 1e12)
    counts = np.array(execution.devices)
    whole = unrolled_work(execution)
    chips = np.array([track.chip for track in execution.tracks])[whole.track]
    dynamic = (whole.energy_j * counts[chips]).sum()
    idle = execution.idle_w * counts.sum() * execution.end_ps / 1e12
    assert (table["power_w"] * np.diff(edges)).sum() == pytest.approx(dynamic + idle, rel=1e-12)
    assert (table["power_w"] >= execution.idle_w * counts.sum()).all()


def test_power_of_one_chip_is_its_part() -> None:
    both = [power(collective(), 5, chip)["power_w"] for chip in (0, 1)]
    assert (both[0] + 3 * both[1]).tolist() == pytest.approx(
        power(collective(), 5)["power_w"].tolist()
    )
    # 10 W idle and 1 uJ in 100 ns.
    assert both[0].iloc[0] == pytest.approx(20.0)


def test_power_of_the_board_is_idle_and_more_than_what_is_counted() -> None:
    board = replace(collective(), board_over_counted=1.5, limit_w=30.0)
    table = power(board, 5)
    counted = table["power_w"]
    assert table["board_w"].tolist() == pytest.approx((40 + 1.5 * (counted - 40)).tolist())
    unknown = power(collective(), 5)
    assert unknown["board_w"].tolist() == unknown["power_w"].tolist()
    found = watts(board, bin_edges(board, 5))
    assert found.limit == 4 * 30.0
    assert sum(found.engines.values()) + found.idle == pytest.approx(found.counted)
    assert list(found.engines) == ["matrix", "network"]
    assert watts(board, bin_edges(board, 5), chip=1).limit == 30.0


def test_the_path_is_a_table_in_seconds() -> None:
    table = critical_path(collective())
    assert table["resource"].tolist() == ["matrix", "network"]
    assert table["path_s"].tolist() == pytest.approx([300 * NS, 200 * NS])
    assert table["share"].tolist() == pytest.approx([0.6, 0.4])
    assert critical_path(replace(collective(), path=())).empty


def test_engine_totals_by_hand() -> None:
    table = engine_totals(collective()).set_index("track")
    assert table["pieces"].tolist() == [1, 2, 1, 2]
    link = table.loc["chip0/links/network"]
    assert link["busy_s"] == pytest.approx(200 * NS)  # two at once, counted once
    assert link["share"] == pytest.approx(0.4)
    assert link["of_peak"] == pytest.approx(0.32)
    assert table.loc["chip1/cores/matrix", "dynamic_j"] == pytest.approx(3e-6)
    order = engine_totals(prefetching())["engine"].tolist()
    assert order == ["launch", "load", "matrix", "vector", "store"]
    assert engine_totals(prefetching())["of_peak"].isna().tolist() == [True] + [False] * 4


def test_ops_know_their_cores_and_their_energy() -> None:
    table = op_table(collective())
    assert table["unit"].tolist() == ["cores"] * 4  # a collective on links alone is the cores' too
    assert table["dynamic_j"].tolist() == pytest.approx([1e-6, 2e-6, 3e-6, 2e-6])
    assert op_table(prefetching())["host_s"].tolist() == [0.0, 0.0]


def test_waits_for_the_host_are_behind_all_ops_before() -> None:
    rows = [
        (0, 0, 0, 100, 0, 0), (0, 0, 100, 110, 0, 0), (0, 2, 110, 200, 1, 1),
        # The host works on the second op from 150, the first ends at 200.
        (1, 0, 150, 260, 0, 0), (1, 0, 260, 270, 0, 0), (1, 2, 270, 300, 1, 1),
        (2, 0, 260, 280, 0, 0), (2, 0, 300, 310, 0, 0), (2, 2, 310, 350, 1, 1),
    ]  # fmt: skip
    ops = (
        op("a", "matmul", (100, 110, 200)), op("b", "matmul", (260, 270, 300)),
        op("c", "matmul", (300, 310, 350)),
    )  # fmt: skip
    execution = replace(prefetching(), ops=ops, work=work(rows), end_ps=350_000)
    table = op_table(execution)
    # The first is launched at 100; the third was launched before it was its turn.
    assert table["host_s"].tolist() == pytest.approx([100 * NS, 60 * NS, 0])
    assert table["waited_s"].tolist() == pytest.approx([10 * NS] * 3)


@pytest.mark.parametrize("table", [op_table, engine_totals])
@pytest.mark.parametrize("chips", [1, 2])
def test_tables_are_the_same_folded_and_not(table, chips: int) -> None:
    whole, short = table(layered(12, chips)), table(folded(12, 4, chips))
    for name in ("copied",):
        whole, short = (frame.drop(columns=name, errors="ignore") for frame in (whole, short))
    pd.testing.assert_frame_equal(whole, short, rtol=1e-12, atol=1e-20)


@pytest.mark.parametrize("chips", [1, 2])
def test_what_happens_over_time_is_the_same_folded_and_not(chips: int) -> None:
    short = folded(12, 4, chips)
    edges = bin_edges(short)
    whole, less = (
        [used_shares(one, edges), moved_bytes_per_s(one, edges)[1], watts(one, edges).counted]
        for one in (layered(12, chips), short)
    )
    for expected, got in zip(whole, less, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("make", [prefetching, collective, lambda: folded(80, 4, 2)])
def test_means_over_time_are_the_totals_of_the_engines(make) -> None:
    execution = make()
    table = utilisation(execution)
    width = np.diff(np.append(table["time_s"], execution.end_ps / 1e12))
    totals = engine_totals(execution).set_index("track")
    for track in execution.tracks:
        # Units: busy time. Transfers: bytes of what the peak could have moved.
        column = "share" if track.exclusive else "of_peak"
        mean = np.average(table[track.name], weights=width)
        assert mean == pytest.approx(totals.loc[track.name, column], rel=1e-9)


def test_an_engine_that_works_all_the_time_is_never_above_one() -> None:
    for execution in (layered(9), folded(9, 3)):
        table = utilisation(execution, 333).drop(columns="time_s")
        assert table.to_numpy().min() >= 0
        assert table.to_numpy().max() <= 1 + 1e-12


def test_work_that_ended_leaves_no_trace_of_rounding() -> None:
    rows = [(0, 0, 0.0, 300.1, 0.1, 0.1), (0, 0, 0.0, 500.3, 0.7, 0.7)]
    execution = replace(prefetching(), work=work(rows), tracks=(Track(0, "", "load", False),))
    table = utilisation(execution, 50)
    assert (table["chip0/load"][table["time_s"] > 510 * NS] == 0.0).all()


def test_instants_give_all_they_carry_to_one_bin() -> None:
    rows = [(0, 0, 0.0, 0.0, 5.0, 1.0), (1, 0, 1400.0, 1400.0, 7.0, 2.0)]
    execution = replace(prefetching(), work=work(rows))
    edges = bin_edges(execution, 4)
    column = np.zeros(len(execution.tracks), np.intp)
    found = amounts_over_time(execution, edges, column, lambda part: part.amount)
    assert found.tolist() == [[5.0, 0.0, 0.0, 7.0]]


spans = st.tuples(st.integers(0, 1400), st.integers(0, 1400), st.integers(0, 100)).map(
    lambda t: (min(t[0], t[1]), max(t[0], t[1]), t[2])
)


@given(st.lists(spans, min_size=1, max_size=8), st.integers(1, 30), st.integers(0, 600))
def test_spreading_agrees_with_fractions(rows, bins: int, first: int) -> None:
    found = [(0, 0, a, b, c, 0.0) for a, b, c in rows if b > a]
    execution = replace(prefetching(), work=work(found))
    edges = edges_between(first * 1000, 1_200_000, bins)
    column = np.full(len(execution.tracks), -1, np.intp)
    column[0] = 0
    got = amounts_over_time(execution, edges, column, lambda part: part.amount)[0]
    for place, (low, high) in enumerate(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)):
        exact = Fraction(0)
        for _, _, start, end, amount, _ in found:
            shared = max(0, min(high, end * 1000) - max(low, start * 1000))
            exact += Fraction(amount * shared, 1000 * (end - start))
        assert got[place] == pytest.approx(float(exact), rel=1e-9, abs=1e-12)


def test_bins_in_step_with_repeats_show_each_repeat_alike() -> None:
    execution = folded(80, 4)
    edges = bin_edges(execution, 240)
    assert edges[0] == 0
    assert edges[-1] == execution.end_ps
    assert (np.diff(edges) > 0).all()
    assert 200 < len(edges) < 300
    used = used_shares(execution, edges)[2]
    fold = execution.folds[0]
    first = max(op.end_ps for op in execution.ops[fold.first_op : fold.last_op])
    begin = np.searchsorted(edges, first)
    inside = used[begin : begin + 3 * 70].reshape(70, 3)
    assert np.ptp(inside, axis=0).max() < 1e-12
    dynamic = (watts(execution, edges).counted - execution.idle_w) * np.diff(edges) / 1e12
    assert dynamic.sum() == pytest.approx(unrolled_work(execution).energy_j.sum(), rel=1e-12)


def test_all_that_is_over_time_has_the_same_bins() -> None:
    execution = folded(80, 4)
    edges_s = bin_edges(execution)[:-1] / 1e12
    for table in (utilisation, power, bandwidth):
        assert table(execution)["time_s"].tolist() == edges_s.tolist()


def test_a_rest_beside_repeats_is_no_narrow_bin() -> None:
    whole = folded(80, 4)
    fold = whole.folds[0]
    first = max(op.end_ps for op in whole.ops[fold.first_op : fold.last_op])
    last = first + fold.copies * fold.period_ps
    execution = replace(whole, end_ps=last + 7)  # 7 ps after the last copy
    widths = np.diff(bin_edges(execution))
    assert widths.sum() == execution.end_ps
    assert widths.min() > 0.5 * execution.end_ps / BINS
    assert widths.max() < 2 * execution.end_ps / BINS
    assert bin_width_s(bin_edges(execution)) == pytest.approx(fold.period_ps / 3 / 1e12, rel=1e-6)


@pytest.mark.parametrize(("layers", "bins"), [(80, 7), (6, 1000), (400, 30)])
def test_bins_in_step_are_about_as_many_as_asked_for(layers: int, bins: int) -> None:
    edges = bin_edges(folded(layers, 4), bins)
    assert bins / 2 <= len(edges) - 1 <= bins * 2
    assert (np.diff(edges) > 0).all()


def test_what_cannot_be_told_is_said() -> None:
    with pytest.raises(SimulationError, match="0 bins asked for; use at least 1"):
        utilisation(prefetching(), 0)
    with pytest.raises(SimulationError, match="limit_w is 0"):
        replace(prefetching(), limit_w=0)
    with pytest.raises(SimulationError, match=r"board_over_counted 0\.5"):
        replace(prefetching(), board_over_counted=0.5)
    with pytest.raises(SimulationError, match="0 ps has nothing over time"):
        power(replace(prefetching(), end_ps=0))


def test_what_is_shared_without_a_peak_counts_while_something_is_under_way() -> None:
    rows = [(0, 4, 0, 200, 9, 1), (0, 4, 100, 300, 9, 1), (1, 0, 500, 650, 0, 0)]
    launches = Track(0, "cores", "launch", False)
    execution = replace(
        prefetching(), work=work(rows), peaks={}, tracks=(launches, *prefetching().tracks[1:])
    )
    table = utilisation(execution, 7)
    assert table["chip0/cores/launch"].tolist() == pytest.approx([0, 0, 0.5, 0.25, 0, 0, 0])
    assert table["chip0/hbm/store"].tolist() == pytest.approx([1, 0.5, 0, 0, 0, 0, 0])
    assert not table["chip0/hbm/load"].any()
