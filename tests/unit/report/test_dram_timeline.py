"""Do lanes and bars say what the commands of a trace did?"""

from __future__ import annotations

from itertools import pairwise

import pandas as pd
import pytest

from accelsim.arch.dram_timing import resolved_cycles
from accelsim.arch.loader import load_memory
from accelsim.errors import SimulationError
from accelsim.report.dram_timeline import MOST_BANKS, Bar, timeline_of, window_about
from accelsim.scenarios.dram_study import DramSetting, DramStudy
from accelsim.timing.dram.controller import Controller
from accelsim.timing.dram.patterns import Traffic

DDR4 = load_memory("ddr4")
N = resolved_cycles(DDR4)
NS = 1 / 1.6  # one clock
_COLUMNS = ("tick", "command", "channel", "rank", "stack", "group", "bank", "row", "column")


def trace_of(*commands: tuple[int, str, int, int]) -> pd.DataFrame:
    """Commands as (tick, command, bank, row) of group 0; bank -1 for all."""
    rows = [
        (tick, command, 0, 0, min(bank, 0), min(bank, 0), bank, row, 0)
        for tick, command, bank, row in commands
    ]
    return pd.DataFrame(rows, columns=_COLUMNS)


def bars_of(timeline, lane: str, kind: str) -> list[Bar]:
    return [b for b in timeline.bars if timeline.lanes[b.lane].name == lane and b.kind == kind]


CONFLICT = trace_of(
    (10, "ACT", 0, 7), (10 + N["nRCDRD"], "RD", 0, 7), (70, "PRE", 0, 8),
    (70 + N["nRP"], "ACT", 0, 8), (70 + N["nRP"] + N["nRCDRD"], "RD", 0, 8),
)  # fmt: skip


def test_a_row_conflict_closes_one_row_and_opens_another() -> None:
    timeline = timeline_of(CONFLICT, DDR4, 1, 200)
    rows = bars_of(timeline, "bank 0", "row")
    assert [bar.text for bar in rows] == ["row 7", "row 8"]
    assert [bar.begin_ns / NS for bar in rows] == pytest.approx([10, 70 + N["nRP"]])
    assert [bar.end_ns / NS for bar in rows] == pytest.approx([70, 200])
    (closing,) = bars_of(timeline, "bank 0", "precharge")
    assert (closing.end_ns - closing.begin_ns) / NS == pytest.approx(N["nRP"])
    opening = bars_of(timeline, "bank 0", "activate")
    assert [(b.end_ns - b.begin_ns) / NS for b in opening] == pytest.approx([N["nRCDRD"]] * 2)
    assert timeline.conflicts == 1
    assert timeline.commands == 5


def test_data_follow_their_command_by_the_latency() -> None:
    timeline = timeline_of(CONFLICT, DDR4, 1, 200)
    first, second = bars_of(timeline, "data", "read")
    assert first.begin_ns / NS == pytest.approx(10 + N["nRCDRD"] + N["nCL"])
    assert (first.end_ns - first.begin_ns) / NS == pytest.approx(N["nBL"])
    assert timeline.data_share == pytest.approx(2 * N["nBL"] / 199)
    assert second.begin_ns > first.end_ns


def test_a_write_that_comes_before_a_read_could_ends_the_activate() -> None:
    trace = trace_of((10, "ACT", 1, 3), (15, "WR", 1, 3))
    timeline = timeline_of(trace, DDR4, 1, 100)
    (opening,) = bars_of(timeline, "bank 1", "activate")
    assert opening.end_ns / NS == pytest.approx(15)
    (data,) = bars_of(timeline, "data", "write")
    assert data.begin_ns / NS == pytest.approx(15 + N["nCWL"])


def test_an_auto_precharge_closes_the_row_by_itself() -> None:
    trace = trace_of((10, "ACT", 0, 7), (60, "RDA", 0, 7))
    (closing,) = bars_of(timeline_of(trace, DDR4, 1, 200), "bank 0", "precharge")
    assert closing.begin_ns / NS == pytest.approx(60 + N["nRTP"])
    assert closing.end_ns / NS == pytest.approx(60 + N["nRTP"] + N["nRP"])


def test_a_refresh_of_all_banks_shows_on_every_bank_used_so_far() -> None:
    trace = trace_of(
        (10, "ACT", 0, 7), (12, "ACT", 1, 7), (60, "PREA", -1, -1), (90, "REFab", -1, -1)
    )
    timeline = timeline_of(trace, DDR4, 50, 2000)
    for lane in ("bank 0", "bank 1"):
        (refresh,) = bars_of(timeline, lane, "refresh")
        assert (refresh.end_ns - refresh.begin_ns) / NS == pytest.approx(N["nRFC"])
        assert bars_of(timeline, lane, "row")[0].begin_ns / NS == pytest.approx(50)  # cut
    assert timeline.conflicts == 0


def test_hbm_has_two_command_buses_and_a_data_bus_per_pseudo_channel() -> None:
    setting = DramSetting(load_memory("hbm3"))
    study = DramStudy(setting, Traffic("random", accesses=3000).addresses(setting.capacity_bytes))
    trace = study.traced(6000).trace
    assert trace is not None
    timeline = timeline_of(trace, setting.memory, 1000, 1600)
    names = [lane.name for lane in timeline.lanes[:4]]
    assert names == ["row commands", "column commands", "data 0", "data 1"]
    assert len(timeline.lanes) <= 4 + MOST_BANKS
    for lane in range(4):  # nothing holds a bus twice at a time
        ends = sorted((b.begin_ns, b.end_ns) for b in timeline.bars if b.lane == lane)
        assert all(a[1] <= b[0] + 1e-9 for a, b in pairwise(ends))
    assert 0.3 < timeline.data_share < 0.9
    kinds = [b.kind for b in timeline.bars if b.lane == 0]
    assert len(kinds) + len([b for b in timeline.bars if b.lane == 1]) >= timeline.commands


def test_a_window_is_about_a_conflict_away_from_refresh() -> None:
    setting = DramSetting(load_memory("hbm2"), pseudo_channels=1)
    study = DramStudy(setting, Traffic("random", accesses=5000).addresses(setting.capacity_bytes))
    trace = study.traced(20_000).trace
    assert trace is not None
    begin, end = window_about(trace, setting.memory) or (0, 0)
    shown = trace[(trace["tick"] >= begin) & (trace["tick"] < end)]["command"].tolist()
    assert "PRE" in shown
    assert not {"PREA", "REFab"} & set(shown)
    about = window_about(trace, setting.memory, about="REFab")
    assert about is not None
    refreshed = trace[trace["tick"].between(*about)]["command"].tolist()
    assert "REFab" in refreshed
    first, past = window_about(trace, setting.memory, span_s=50e-9) or (0, 0)
    assert past - first == 50
    assert window_about(trace, setting.memory, about="REFpb") is None


def test_a_refresh_of_single_banks_shows_on_its_bank() -> None:
    setting = DramSetting(load_memory("lpddr5"), Controller(refresh="per-bank"))
    study = DramStudy(setting, Traffic(accesses=5000).addresses(setting.capacity_bytes))
    trace = study.traced(20_000).trace
    assert trace is not None
    window = window_about(trace, setting.memory, about="REFpb")
    assert window is not None
    timeline = timeline_of(trace, setting.memory, *window)
    banks = [timeline.lanes[b.lane].group for b in timeline.bars if b.text == "refresh"]
    assert len(banks) >= 1


def test_what_was_opened_long_ago_is_still_open() -> None:
    """Commands long before a window are left out, but for the last of each bank."""
    old = (
        (10, "ACT", 0, 7), (12, "ACT", 1, 5), (20, "ACT", 2, 1), (60, "PREA", -1, -1),
        (100, "ACT", 0, 7), (120, "RD", 0, 7), (130, "ACT", 1, 5), (170, "PRE", 1, 6),
    )  # fmt: skip
    trace = trace_of(*old, (50_000, "RD", 0, 7), (50_010, "ACT", 1, 6), (50_020, "ACT", 2, 2))
    timeline = timeline_of(trace, DDR4, 49_900, 50_030)
    rows = {timeline.lanes[b.lane].name: b for b in timeline.bars if b.kind == "row"}
    assert {name: bar.text for name, bar in rows.items()} == {
        "bank 0": "row 7", "bank 1": "row 6", "bank 2": "row 2",
    }  # fmt: skip
    assert rows["bank 0"].begin_ns == timeline.begin_ns


def test_a_window_without_commands_is_refused() -> None:
    with pytest.raises(SimulationError, match="the trace holds 6 to 71 ns"):
        timeline_of(CONFLICT, DDR4, 10_000, 20_000)
