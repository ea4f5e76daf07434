"""Is the highest power of a run the same in its table, its picture and its trace?"""

from __future__ import annotations

import re

import pytest

import accelsim
from accelsim.report import style
from accelsim.report.event_figures import utilisation_figure
from accelsim.report.trace import trace_events
from accelsim.report.use_words import mean_over, use_sentence
from accelsim.results.execution_tables import power
from accelsim.units import format_si


@pytest.mark.parametrize("chip", ["h100_sxm", "tpu_v5e"])
def test_highest_power_is_one_number(chip: str, monkeypatch) -> None:
    result = accelsim.run("smollm2-135m", chip, phase="decode", batch=64)
    (one,) = result.executions
    seen = []
    monkeypatch.setattr(style, "save", lambda figure, path: seen.append(figure) or path)
    utilisation_figure(one.execution, "u.png")
    note = seen[0].axes[-1].get_title(loc="right")
    highest = re.search(r"counted: mean .*?, highest ([^;]*)", note)[1]
    found = result.power["power_w"].max()
    assert highest == format_si(found, "W")
    assert found == power(one.execution)["power_w"].max()
    name = f"counted power W, {mean_over([one.execution])}"
    counted = [e["args"]["W"] for e in trace_events(result) if e["name"] == name]
    assert max(counted) == pytest.approx(found, rel=1e-5)
    small = re.sub(r"\s", " ", seen[0].texts[1].get_text())
    assert mean_over([one.execution]) in small


def test_busy_time_and_share_of_peak_are_told_apart() -> None:
    busy = [("vector units", 0.02), ("matrix units", 0.93)]
    assert use_sentence(busy, [("main memory", 0.75), ("links", 0.01)]) == (
        "matrix units are busy 93 % of the time, vector units 2.0 %; "
        "main memory reaches 75 % of peak, links 1.0 %"
    )
    assert use_sentence([], [("links", 0.5), ("main memory", 0.1)]) == (
        "links reach 50 % of peak, main memory 10 %"
    )
    assert use_sentence([], []) == ""
