"""Are edges exact, however many cycles have passed?"""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.des.clock import ClockDomain
from accelsim.errors import SimulationError

SM = ClockDomain("sm", 1_755_000_000)


def test_no_drift_over_a_million_million_cycles() -> None:
    # 1.755 GHz: 351 cycles are exactly 200,000 ps.
    assert SM.edge_ps(351) == 200_000
    assert SM.edge_ps(351 * 10**10) == 200_000 * 10**10
    assert SM.edge_ps(10**12) == floor(Fraction(10**24, 1_755_000_000)) == 569_800_569_800_569
    assert SM.edge_ps(np.int64(10**12)) == 569_800_569_800_569  # type: ignore[arg-type]
    assert SM.cycle_at(569_800_569_800_569) == 10**12
    assert SM.cycle_at(569_800_569_800_568) == 10**12 - 1


def test_first_edges() -> None:
    assert [SM.edge_ps(i) for i in range(4)] == [0, 569, 1139, 1709]
    assert [SM.cycle_at(t) for t in (0, 568, 569, 1138, 1139)] == [0, 0, 1, 1, 2]


def test_a_signal_waits_for_the_next_edge() -> None:
    memory = ClockDomain("memory", 1_600_000_000)
    assert [memory.edge_ps(i) for i in range(4)] == [0, 625, 1250, 1875]
    # An edge of the SM crosses to the memory and back.
    assert memory.next_edge_ps(SM.edge_ps(1)) == 625
    assert SM.next_edge_ps(625) == 1139
    assert memory.next_edge_ps(1250) == 1250


def test_work_begins_at_an_edge() -> None:
    assert SM.span_ps(569, 2) == 1709 - 569
    assert SM.span_ps(570, 2) == SM.edge_ps(4) - 570  # waits for 1139
    assert SM.span_ps(100, 0) == 469  # even nothing waits
    parts, now = 0, 0
    for _ in range(1000):
        step = SM.span_ps(now, 7)
        now, parts = now + step, parts + step
    assert parts == SM.edge_ps(7000)


@given(st.integers(1, 10**12), st.integers(0, 10**15))
def test_cycles_hold_all_of_time(frequency_hz: int, time_ps: int) -> None:
    domain = ClockDomain("any", frequency_hz)
    cycle = domain.cycle_at(time_ps)
    assert domain.edge_ps(cycle) <= time_ps < domain.edge_ps(cycle + 1)
    edge = domain.next_edge_ps(time_ps)
    assert edge >= time_ps
    assert domain.edge_ps(domain.cycle_at(edge)) == edge


@pytest.mark.parametrize("frequency_hz", [0, -1, 10**12 + 1, 1.755e9, True])
def test_bad_frequencies(frequency_hz: object) -> None:
    with pytest.raises(SimulationError, match="expected whole hertz from 1 Hz to 1 THz"):
        ClockDomain("sm", frequency_hz)  # type: ignore[arg-type]
