"""Are the pictures of a memory drawn, headed by what they show, and always the same?"""

from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import pytest

from accelsim.arch.loader import load_memory
from accelsim.errors import SimulationError
from accelsim.report.dram_curves import latency_bins, latency_figure, loaded_latency, sweep_figure
from accelsim.report.dram_files import dram_figures, write_trace
from accelsim.report.dram_tables import (
    commands_table,
    dram_pairs,
    energy_table,
    sweep_table,
    value_words,
)
from accelsim.scenarios.dram_study import DramSetting, DramStudy, sweep_dram
from accelsim.timing.dram.patterns import Traffic
from tests.unit.report.pictures import plain

HBM2 = DramSetting(load_memory("hbm2"), pseudo_channels=1)
TRAFFIC = Traffic("random", accesses=3000)


@pytest.fixture(scope="module")
def study() -> DramStudy:
    return DramStudy(HBM2, TRAFFIC.addresses(HBM2.capacity_bytes))


@pytest.fixture(scope="module")
def trace(study: DramStudy) -> pd.DataFrame:
    kept = study.traced().trace
    assert kept is not None
    return kept


def headline(figure) -> str:
    return plain(figure.texts[0])


def test_a_run_leaves_three_pictures(study, trace, tmp_path) -> None:
    made = dram_figures(study, trace, tmp_path, detail=str(TRAFFIC))
    assert [path.name for path in made] == ["timeline.png", "refresh.png", "latency.png"]
    first = [path.read_bytes() for path in made]
    again = dram_figures(study, trace, tmp_path / "again", detail=str(TRAFFIC))
    assert [path.read_bytes() for path in again] == first


def test_the_timeline_says_what_happens_in_it(study, trace, drawn) -> None:
    dram_figures(study, trace, "pictures")
    timeline, refresh, _ = drawn
    assert "row conflict" in headline(timeline)
    assert "refresh" in headline(refresh)
    labels = [text.get_text() for text in timeline.axes[0].get_yticklabels()]
    assert labels[:3] == ["row commands", "column commands", "data"]
    assert any(label.startswith("bank") for label in labels)


def test_a_timeline_begins_where_it_is_told(study, trace, drawn) -> None:
    made = dram_figures(study, trace, "pictures", window=(2e-6, 100e-9))
    assert [path.name for path in made] == ["timeline.png", "latency.png"]
    assert drawn[0].axes[0].get_xlim() == pytest.approx((2000, 2100), abs=1)
    with pytest.raises(SimulationError, match="no command of channel 0"):
        dram_figures(study, trace, "pictures", window=(1.0, None))


def test_latencies_are_all_counted(study, drawn) -> None:
    latency_ns = 1e9 * study.result.read_latency_s
    counts, edges = latency_bins(latency_ns)
    assert counts.sum() == latency_ns.size
    assert (np.diff(edges) >= 1).all() and len(counts) < 150
    latency_figure(study.result, HBM2, "latency.png")
    assert headline(drawn[0]).startswith("Half of the reads take")


def test_writes_alone_have_no_latencies(tmp_path) -> None:
    written = DramStudy(HBM2, Traffic(accesses=200, read_share=0.0).addresses(HBM2.capacity_bytes))
    assert latency_figure(written.result, HBM2, tmp_path / "latency.png") is None
    assert not any("latency" in label for label, _ in dram_pairs(written))


@pytest.mark.parametrize("name", ["stride", "streams", "read-share", "queue"])
def test_a_sweep_is_a_curve_under_the_refresh_bound(name, drawn) -> None:
    pattern = {"stride": "strided"}.get(name, "stream")
    swept = sweep_dram(HBM2, Traffic(pattern, accesses=200), name)
    other = sweep_dram(HBM2.with_controller(address_map="bgixp"), Traffic(pattern, accesses=200),
                       name)  # fmt: skip
    sweep_figure([swept, other], "sweep.png")
    (figure,) = drawn
    lines = figure.axes[0].get_lines()
    assert [len(line.get_xdata()) for line in lines[:2]] == [len(swept.values)] * 2
    assert lines[2].get_ydata()[0] == pytest.approx(100 * HBM2.refresh_bound)
    assert "% of the peak at" in headline(figure)


def test_a_loaded_latency_curve_has_mean_and_tail(drawn) -> None:
    swept = sweep_dram(HBM2, Traffic("random", accesses=500), "outstanding")
    sweep_figure([swept], "outstanding.png")
    mean, tail = drawn[0].axes[0].get_lines()[:2]
    assert (tail.get_ydata() >= mean.get_ydata()).all()
    widths, heights = loaded_latency(swept, None)
    assert heights[-1] > heights[0] and widths[-1] > widths[0]
    assert "alone" in headline(drawn[0])


def test_tables_hold_the_run(study) -> None:
    pairs = dict(dram_pairs(study))
    assert "GB/s = " in pairs["bandwidth"]
    assert "points" in pairs["  lost to refresh"]
    assert {row[0] for row in commands_table(study.result).rows} >= {"ACT", "RD", "REFab"}
    energy = energy_table(study.result)
    assert energy.rows[-1][0] == "total"
    swept = sweep_dram(HBM2, Traffic(accesses=200), "read-share")
    assert [row[0] for row in sweep_table([swept]).rows][:2] == ["0 %", "10 %"]
    assert len(sweep_table([swept, swept]).rows) == 2 * len(swept.values)
    assert value_words("stride", 1536) == "1.5 KiB"


def test_a_trace_file_is_the_same_plain_and_compressed(study, trace, tmp_path) -> None:
    plain = write_trace(trace, study.result.tick_s, tmp_path / "t.csv")
    packed = write_trace(trace, study.result.tick_s, tmp_path / "t.csv.gz")
    text = plain.read_bytes()
    assert gzip.decompress(packed.read_bytes()) == text
    assert text.splitlines()[0] == (
        b"tick,time_ns,command,channel,rank,stack,group,bank,row,column"
    )
    assert len(text.splitlines()) == 1 + len(trace)
    once = packed.read_bytes()
    assert write_trace(trace, study.result.tick_s, packed).read_bytes() == once
