"""Do the HTML report and the trace hold the whole run, and nothing that could harm?"""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from accelsim.report import trace as trace_module
from accelsim.report.html_report import html_report
from accelsim.report.trace import trace_events, write_trace


def test_report_is_one_self_contained_file(result, tmp_path):
    text = html_report(result, tmp_path / "r.html").read_text("utf-8")
    assert text.count("data:image/png;base64,") == 3
    assert 'src="http' not in text
    assert "a datasheet" in text
    assert [p.name for p in tmp_path.iterdir()] == ["r.html"]


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


def test_long_trace_is_cut_and_says_so(result, monkeypatch):
    monkeypatch.setattr(trace_module, "_MAX_OPS", 7)
    last = trace_events(result)[-1]
    assert last["name"] == "trace cut here: 153 more ops"
