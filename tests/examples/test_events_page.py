"""Does docs/events.md say what the event engine and its trace really are?"""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

import accelsim
from accelsim.cli.main import run_cli
from accelsim.engine.event.lower import FEWEST_PIECES, IDEAL, MOST_PIECES
from accelsim.engine.event.machine import IN_FLIGHT, IN_QUEUE
from accelsim.engine.event.plan import DOUBLE
from accelsim.report.event_trace import MAX_PIECES
from accelsim.results.over_time import BINS
from accelsim.scenarios.options import RunOptions

CHECKOUT = Path(__file__).resolve().parents[2]
PAGE = (CHECKOUT / "docs" / "events.md").read_text("utf-8")
EXAMPLE = (CHECKOUT / "examples" / "event_timeline.out").read_text("utf-8")
SMALL = ("run", "smollm2-135m", "--on", "tpu_v5e", "--phase", "decode")


def test_tables_are_those_of_the_example() -> None:
    marker = "<!-- printed by examples/event_timeline.py -->"
    quoted = re.findall(rf"{marker}\n```\n(.*?)```", PAGE, re.S)
    assert len(quoted) == 3
    assert all(block in EXAMPLE for block in quoted)


def test_short_cuts_cost_what_the_page_says() -> None:
    rows = re.findall(r"^  \w+ +(?:prefill|decode) (.*)$", EXAMPLE, re.M)
    assert len(rows) == 4
    for row in rows:
        usual, unfolded, fine = (float(ms) for ms in re.findall(r"([\d.]+) ms", row))
        assert usual == unfolded
        assert abs(usual / fine - 1) < 0.006


def test_constants_are_those_of_the_engine() -> None:
    assert RunOptions().buffers == DOUBLE == 2
    for words in (
        f"up to {IN_FLIGHT} ops",
        f"up to {IN_QUEUE} launches",
        f"{FEWEST_PIECES} to {MOST_PIECES} ",
    ):
        assert words in PAGE
    assert f"beyond {MAX_PIECES:,} pieces" in PAGE
    assert f"about {BINS} in a pass" in PAGE
    assert len(IDEAL) == 8
    assert "eight more runs" in PAGE
    kinds = {name: accelsim.load_chip(name).software_managed for name in ("tpu_v5e", "vck190")}
    assert all(kinds.values())
    assert not any(accelsim.load_chip(n).software_managed for n in ("h100_sxm", "epyc_9654"))


def test_tracks_and_counters_are_those_of_a_trace(tmp_path: Path) -> None:
    trace = tmp_path / "t.json"
    assert run_cli([*SMALL, "--trace", str(trace)]) == 0
    events = json.loads(trace.read_text("utf-8"))["traceEvents"]
    threads = {e["args"]["name"] for e in events if e["name"] == "thread_name"}
    tracks = {re.sub(r" \d+$", "", name) for name in threads}
    rows = re.findall(r"^\| (`ops.*?|`\w+ \(.*?) \|", PAGE, re.M)
    told = {name for row in rows for name in re.findall(r"`([^`]+)`", row)} - {"ops 2"}
    assert tracks == told - {"network (links)"}  # one chip: no track without work
    counters = {e["name"].partition(", mean over ")[0] for e in events if e["ph"] == "C"}
    assert counters >= {"memory GB/s", "counted power W", "counted dynamic power W"}
    assert all(f"`{name}`" in PAGE for name in counters)
    assert {e["name"] for e in events if e["ph"] == "s"} == {"prefetch"}


@pytest.mark.parametrize("command", re.findall(r"^accelsim (run .*)$", PAGE, re.M))
def test_the_commands_run(command: str, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_cli(shlex.split(command, comments=True)) == 0, capsys.readouterr().err


def test_the_lines_of_python_run(capsys, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    one, several, drawn = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    exec(compile(one, "events.md", "exec"), {})
    assert "PathShare" in capsys.readouterr().out
    names: dict = {}
    exec(compile(several, "events.md", "exec"), names)
    shown = re.findall(r"<!-- printed by the lines above -->\n```\n(.*?)```", PAGE, re.S)
    assert [capsys.readouterr().out] == shown
    exec(compile(drawn, "events.md", "exec"), names)
    assert (tmp_path / "together.json").exists()
    assert len(list((tmp_path / "plots").glob("*.png"))) == 3


def test_files_that_the_page_names_exist() -> None:
    engine = CHECKOUT / "accelsim" / "engine" / "event"
    for name in re.findall(r"`(\w+\.py)`", PAGE):
        assert (engine / name).exists()
    for name in re.findall(r"\]\(([\w./-]+\.(?:md|png|py))", PAGE):
        assert (CHECKOUT / "docs" / name).exists()
