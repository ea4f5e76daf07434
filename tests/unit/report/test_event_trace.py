"""Is the trace of an execution valid, exact to the picosecond, and not too large?"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from itertools import groupby, pairwise

import pytest

from accelsim.report.event_trace import execution_events
from accelsim.results.execution import ENGINES, StagePass, Track
from accelsim.results.over_time import BINS, bin_edges
from tests.unit.results.executions import LAYER, collective, folded, layered, prefetching

MAKERS = {
    "prefetching": prefetching, "collective": collective, "layered": lambda: layered(5, 2),
    "folded": lambda: folded(9, 3, 2),
}  # fmt: skip


def exact(events: list[dict]) -> list[dict]:
    """The events as a reader of the file sees them, numbers as they are written."""
    return json.loads(json.dumps(events, allow_nan=False), parse_float=Decimal)


def complaints(events: list[dict]) -> list[str]:
    """What Perfetto would refuse or draw wrongly."""
    found = []
    named = {(e["pid"], e["tid"]) for e in events if e["name"] == "thread_name"}
    sorted_by = {(e["pid"], e["tid"]) for e in events if e["name"] == "thread_sort_index"}
    complete = [e for e in events if e["ph"] == "X"]
    known = processes(events)
    found += [f"no name: {e}" for e in complete if (e["pid"], e["tid"]) not in named & sorted_by]
    found += [f"negative: {e}" for e in complete if e["dur"] < 0 or e["ts"] < 0]
    found += [f"unnamed process: {e}" for e in complete if e["pid"] not in known]

    def thread(event: dict) -> tuple[int, int]:
        return event["pid"], event["tid"]

    for key, group in groupby(sorted(complete, key=thread), key=thread):
        ordered = sorted(group, key=lambda e: (e["ts"], e["ts"] + e["dur"]))
        found += [
            f"overlap on {key}: {before} {after}" for before, after in pairwise(ordered)
            if after["ts"] < before["ts"] + before["dur"]
        ]  # fmt: skip
    flows = {kind: [e for e in events if e["ph"] == kind] for kind in "sf"}
    found += [f"flow twice: {e}" for kind in "sf" for e in twice(flows[kind])]
    ends = {e["id"]: e for e in flows["f"]}
    starts = {(e["pid"], e["tid"], e["ts"]) for e in complete}
    for begin in flows["s"]:
        end = ends.pop(begin["id"])
        found += [f"flow back: {begin}"] * (end["ts"] < begin["ts"])
        found += [f"flow of nothing: {e}" for e in (begin, end) if place(e) not in starts]
    return found + [f"flow without begin: {e}" for e in ends.values()]


def twice(flows: list[dict]) -> list[str]:
    return [name for name, count in Counter(e["id"] for e in flows).items() if count > 1]


def place(flow: dict) -> tuple:
    """Where a flow begins or ends: a span must begin there."""
    return flow["pid"], flow["tid"], flow["ts"]


def counter(event: dict) -> str:
    """Name of a counter without the width of its bins; empty for other events."""
    return event["name"].partition(", mean over")[0] if event["ph"] == "C" else ""


def processes(events: list[dict]) -> dict[int, str]:
    return {e["pid"]: e["args"]["name"] for e in events if e["name"] == "process_name"}


def threads(events: list[dict], pid: int) -> list[str]:
    """Names of threads in the order of the picture."""
    of = [e for e in events if e["pid"] == pid]
    order = {e["tid"]: e["args"]["sort_index"] for e in of if e["name"] == "thread_sort_index"}
    names = {e["tid"]: e["args"]["name"] for e in of if e["name"] == "thread_name"}
    return [names[tid] for tid in sorted(order, key=order.__getitem__)]


@pytest.mark.parametrize("times", [1, 2.5, 128])
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_trace_is_valid(make, times: float) -> None:
    passes = [StagePass("prefill", 1, make()), StagePass("decode", times, make())]
    assert complaints(exact(execution_events(passes))) == []
    assert complaints(exact(execution_events(passes, max_pieces=40))) == []


def test_checks_of_this_module_find_what_is_wrong() -> None:
    events = execution_events([StagePass("decode", 1, prefetching())])
    span = next(e for e in events if e["ph"] == "X")
    assert complaints([*events, {**span, "ts": span["ts"] + 0.1}])
    assert complaints([*events, {**span, "tid": 99}])
    arrow = next(e for e in events if e["ph"] == "f")
    assert complaints([*events, {**arrow, "id": "other"}])


def test_spans_by_hand() -> None:
    events = exact(execution_events([StagePass("decode", 1, prefetching())]))
    assert threads(events, 1) == [
        "ops", "ops 2", "launch (cores)", "load (hbm)", "matrix (cores)", "vector (cores)",
        "store (hbm)",
    ]  # fmt: skip
    load = next(e["tid"] for e in events if e["args"].get("name") == "load (hbm)")
    found = [(e["name"], e["ts"], e["dur"]) for e in events if e["ph"] == "X" and e["tid"] == load]
    assert found == [
        ("up", Decimal("0.05"), Decimal("0.35")), ("down", Decimal("0.5"), Decimal("0.4"))
    ]  # fmt: skip
    op = next(e for e in events if e["ph"] == "X" and e["name"] == "down")
    assert op["args"]["bytes"] == 500_000
    assert op["args"]["repeat"] == 1  # as in the Gantt picture
    assert float(op["args"]["energy_j"]) == pytest.approx(12e-6)


def test_an_arrow_leads_from_the_early_load_to_its_computation() -> None:
    events = execution_events([StagePass("decode", 1, prefetching())])
    arrows = [(e["ph"], e["ts"]) for e in events if e["name"] == "prefetch"]
    assert arrows == [("s", 0.5), ("f", 0.9)]


def test_transfers_at_the_same_time_get_lanes() -> None:
    events = execution_events([StagePass("decode", 1, collective())])
    assert threads(events, 2) == [
        "ops", "matrix (cores)", "network (links)", "network (links) 2"
    ]  # fmt: skip
    assert processes(events) == {1: "chip 0: toy", 2: "chip 1: slow toy (3 chips)"}


def test_tracks_are_in_the_order_of_engines() -> None:
    names = threads(execution_events([StagePass("decode", 1, layered(3))]), 1)
    engines = [name.split()[0] for name in names if not name.startswith("ops")]
    assert [e for e, _ in groupby(engines)] == list(ENGINES)


def test_counters_are_exact_and_of_one_chip() -> None:
    events = execution_events([StagePass("decode", 1, collective())])
    watts = [(e["ts"], e["args"]["W"]) for e in events if counter(e) == "counted power W"]
    # Chip 0 and then chip 1, which stands for three: idle 10 W, matmul 10 W, links 10 W more.
    assert watts == [
        (0.0, 20.0), (0.1, 10.0), (0.3, 20.0), (0.5, 10.0), (0.0, 20.0), (0.5, 10.0)
    ]  # fmt: skip
    rates = [e["args"]["GB/s"] for e in events if e["ph"] == "C" and "network" in e["name"]]
    assert rates == [0.0, 80.0, 0.0] * 2


def test_counters_of_power_say_which_power_they_are() -> None:
    board = replace(collective(), board_over_counted=1.5, limit_w=30.0)
    events = execution_events([StagePass("decode", 1, board)])
    first = {counter(e): e["args"] for e in events if e["ph"] == "C" and e["ts"] == 0}
    assert first["counted power W"] == {"W": 20.0}
    assert first["board power W"] == {"W": 25.0}
    assert first["board power limit W"] == {"W": 30.0}
    by_engine = [
        (e["ts"], e["args"]) for e in events
        if counter(e) == "counted dynamic power W" and e["pid"] == 1
    ]  # fmt: skip
    assert by_engine == [
        (0.0, {"matrix": 10.0, "network": 0.0}), (0.1, {"matrix": 0.0, "network": 0.0}),
        (0.3, {"matrix": 0.0, "network": 10.0}), (0.5, {"matrix": 0.0, "network": 0.0}),
    ]  # fmt: skip
    plain = {counter(e) for e in execution_events([StagePass("decode", 1, collective())])}
    assert not {"board power W", "board power limit W"} & plain


def test_other_passes_are_one_span_at_mean_power() -> None:
    passes = [StagePass("prefill", 1, prefetching()), StagePass("decode", 11, collective())]
    events = execution_events(passes)
    (first, second) = [e for e in events if e["name"] == "10 more passes like this one"]
    assert (first["pid"], second["pid"]) == (1, 2)
    assert first["ts"] == pytest.approx(1.4 + 0.5)
    assert first["dur"] == pytest.approx(5.0)
    last = [e for e in events if counter(e) == "counted power W" and e["pid"] == 1][-1]
    assert last["ts"] == pytest.approx(1.9)
    assert last["args"]["W"] == pytest.approx(10 + 3e-6 / 500e-9)
    assert {e["args"]["block"] for e in events if "kind" in e.get("args", {})} == {
        "prefill/layers", "decode/layers",
    }  # fmt: skip


def test_copies_are_drawn_as_ops_and_as_work_while_there_is_room() -> None:
    short = folded(9, 3)
    few = execution_events([StagePass("decode", 1, short)], max_pieces=10**6)
    many = execution_events([StagePass("decode", 1, short)], max_pieces=len(short.work))
    whole = execution_events([StagePass("decode", 1, layered(9))], max_pieces=10**6)

    def ops(events: list[dict]) -> list[dict]:
        return [e for e in events if "kind" in e.get("args", {})]

    assert len(ops(few)) == len(ops(many)) == len(ops(whole)) == 2 + 9 * len(LAYER)
    assert sum(e["args"]["copied"] for e in ops(many)) == 6 * len(LAYER)
    spans = [sum(e["ph"] == "X" for e in events) for events in (few, many, whole)]
    assert spans[0] == spans[2] > spans[1]
    assert spans[1] == len(ops(many)) + len(short.work)


@pytest.mark.parametrize("limit", [100, 300])
def test_too_many_pieces_are_joined(limit: int) -> None:
    whole = layered(3)
    events = execution_events([StagePass("decode", 1, whole)], max_pieces=limit)
    joined = [e for e in events if "pieces" in e.get("args", {})]
    assert joined
    pieces = [e for e in events if e["ph"] == "X" and "kind" not in e["args"]]
    assert len(pieces) <= limit
    assert sum(e["args"].get("pieces", 1) for e in pieces) == len(whole.work)


def test_counters_of_a_long_execution_are_binned() -> None:
    events = execution_events([StagePass("decode", 1, folded(80, 4))])
    watts = [e["ts"] for e in events if counter(e) == "counted power W"]
    assert set(watts) <= {edge / 1e6 for edge in bin_edges(folded(80, 4)).tolist()}
    assert len(watts) > BINS / 2
    names = {e["name"] for e in events if e["ph"] == "C"}
    assert "counted power W, mean over 1.8 µs" in names


def test_counters_of_several_stages_name_the_range_of_their_bins() -> None:
    passes = [StagePass("prefill", 1, prefetching()), StagePass("decode", 3, collective())]
    names = {e["name"] for e in execution_events(passes) if counter(e) == "counted power W"}
    assert names == {"counted power W, mean over 2.1 ns to 5.8 ns"}


def test_links_that_do_nothing_have_no_track() -> None:
    links = replace(prefetching(), tracks=(*prefetching().tracks, Track(0, "links", "network")))
    events = execution_events([StagePass("decode", 1, links)])
    assert not any("network" in name for name in threads(events, 1))
    assert not any("network" in e["name"] for e in events if e["ph"] == "C")
