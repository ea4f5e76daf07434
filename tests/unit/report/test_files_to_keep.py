"""Do the HTML report and the trace hold the whole run, and nothing that could harm?"""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import pytest

from accelsim.report import trace as trace_module
from accelsim.report.event_trace import execution_events
from accelsim.report.html_report import html_report
from accelsim.report.trace import trace_events, write_trace
from accelsim.results.execution import StagePass
from tests.unit.results.executions import collective, prefetching


def test_report_is_one_self_contained_file(result, tmp_path):
    text = html_report(result, tmp_path / "r.html").read_text("utf-8")
    assert text.count("data:image/png;base64,") == 3
    assert 'src="http' not in text
    assert "a datasheet" in text
    assert [p.name for p in tmp_path.iterdir()] == ["r.html"]


def test_report_of_the_event_engine_adds_pictures_and_tables(result, tmp_path):
    seen = replace(result, executions=(StagePass("decode", 1, collective()),))
    text = html_report(seen, tmp_path / "r.html").read_text("utf-8")
    assert text.count("data:image/png;base64,") == 6
    assert "Engines in one pass of 500 ns" in text
    assert "Critical path" in text
    assert "slow toy (3 chips)" in text


def test_report_of_several_stages_tells_them_apart(make, tmp_path):
    passes = (StagePass("prefill", 1, prefetching()), StagePass("decode", 9, collective()))
    seen = replace(make("generate"), executions=passes)
    text = html_report(seen, tmp_path / "r.html").read_text("utf-8")
    assert text.index("One pass of prefill") < text.index("One pass of decode")


def test_report_escapes_names(with_hostile_names, tmp_path):
    path = html_report(with_hostile_names, tmp_path / "r.html")
    assert "<script>" not in path.read_text("utf-8")


def test_trace_covers_the_run_without_gaps(result):
    spans = [e for e in trace_events(result) if e["ph"] == "X" and e["tid"] == 2]
    assert sum(span["dur"] for span in spans) == pytest.approx(result.latency_s * 1e6)
    for before, after in pairwise(spans):
        assert after["ts"] == pytest.approx(before["ts"] + before["dur"], abs=1e-5)


def test_trace_unrolls_layers(result):
    blocks = [e for e in trace_events(result) if e["ph"] == "X" and e["tid"] == 1]
    assert len(blocks) == 32


def test_trace_file_is_json_that_names_the_run(result, tmp_path):
    tree = json.loads(write_trace(result, tmp_path / "t.json").read_text("utf-8"))
    assert "toy decode" in tree["otherData"]["run"]
    assert {event["ph"] for event in tree["traceEvents"]} == {"X", "C", "M"}


def test_trace_of_the_event_engine_is_of_its_executions(result, tmp_path):
    seen = replace(result, executions=(StagePass("decode", 3, collective()),))
    tree = json.loads(write_trace(seen, tmp_path / "t.json").read_text("utf-8"))
    assert tree["traceEvents"] == execution_events(seen.executions)
    again = write_trace(seen, tmp_path / "again.json")
    assert again.read_bytes() == (tmp_path / "t.json").read_bytes()


def test_timeline_and_power_of_the_event_engine_are_of_its_executions(result):
    seen = replace(result, executions=(StagePass("decode", 3, collective()),))
    assert set(seen.timeline["name"]) == {"o", "reduce", "2 more passes"}
    assert seen.power["end_s"].iloc[-1] == pytest.approx(1500e-9)


def test_long_trace_is_cut_and_says_so(result, monkeypatch):
    monkeypatch.setattr(trace_module, "_MAX_OPS", 7)
    last = trace_events(result)[-1]
    assert last["name"] == "trace cut here: 153 more ops"
