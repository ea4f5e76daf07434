"""A run as a trace in the Chrome trace event format, for Perfetto or chrome://tracing.

References
----------
.. [1] "Trace Event Format", Google, 2016: complete events ("X"), counters ("C") and metadata
   ("M"), times in microseconds.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from accelsim.files import write_text
from accelsim.report.event_trace import execution_events
from accelsim.report.words import detail
from accelsim.results.run_result import OpRow, RunResult
from accelsim.results.together import TogetherResult

_LAYERS, _OPS = 1, 2
_MAX_OPS = 200_000


def trace_events(result: RunResult | TogetherResult) -> list[dict[str, Any]]:
    """Return the events of a run.

    Parameters
    ----------
    result : RunResult or TogetherResult
        The executions of the event engine become a process per chip with a thread per engine.
        Without them its timeline becomes two tracks of one device, blocks and ops, and a counter
        of power.

    Notes
    -----
    A timeline of more than 200,000 ops is cut there, and the last event says so.
    """
    if isinstance(result, TogetherResult) or result.executions:
        return execution_events(result.executions)
    return _timeline_events(result)


def _timeline_events(result: RunResult) -> list[dict[str, Any]]:
    timeline = result.timeline
    rows = {(f"{row.stage}/{row.block}", row.name): row for row in result.rows}
    blocks: list[dict[str, Any]] = []
    ops: list[dict[str, Any]] = []
    sizes = Counter(f"{row.stage}/{row.block}" for row in result.rows)
    left = 0
    columns = ["name", "block", "start_s", "end_s"]
    shown = timeline.head(_MAX_OPS)[columns].assign(power_w=result.power["power_w"])
    for name, block, start_s, end_s, power_w in shown.itertuples(index=False):
        if left == 0:
            blocks.append(_span(block, _LAYERS, start_s, end_s))
            left = sizes[block]
        left -= 1
        blocks[-1]["dur"] = round(_us(end_s) - blocks[-1]["ts"], 6)
        ops.append(_span(name, _OPS, start_s, end_s, _arguments(rows.get((block, name)))))
        counter = {"name": "power", "ph": "C", "pid": 0, "ts": _us(start_s)}
        ops.append({**counter, "args": {"W": round(power_w, 3)}})
    if len(timeline) > _MAX_OPS:
        text = f"trace cut here: {len(timeline) - _MAX_OPS} more ops"
        last_us = ops[-1]["ts"]
        ops.append({"name": text, "ph": "i", "pid": 0, "tid": _OPS, "ts": last_us, "s": "g"})
    return [*_names(result), *blocks, *ops]


def write_trace(result: RunResult | TogetherResult, path: str | Path) -> Path:
    """Write the trace of a run as JSON.

    Parameters
    ----------
    result : RunResult or TogetherResult
        What to trace.
    path : str or Path
        The file; open it at ui.perfetto.dev.
    """
    tree = {
        "displayTimeUnit": "ns",
        "otherData": {"run": detail(result)},
        "traceEvents": trace_events(result),
    }
    write_text(path, json.dumps(tree, allow_nan=False, separators=(",", ":")) + "\n")
    return Path(path)


def _us(seconds: float) -> float:
    return round(seconds * 1e6, 6)  # a picosecond is the finest time of the engines


def _span(
    name: str, track: int, start_s: float, end_s: float, arguments: dict[str, Any] | None = None
) -> dict[str, Any]:
    start_us = _us(start_s)
    return {
        "name": name, "ph": "X", "pid": 0, "tid": track, "ts": start_us,
        "dur": round(_us(end_s) - start_us, 6), "args": arguments or {},
    }  # fmt: skip


def _arguments(row: OpRow | None) -> dict[str, Any]:
    if row is None:
        return {}
    return {
        "bound": row.bound, "flop": row.flop, "bytes": row.bytes, "mapping": row.mapping,
        "energy_j": row.energy_j,
    }  # fmt: skip


def _names(result: RunResult) -> list[dict[str, Any]]:
    def named(kind: str, track: int, name: str) -> dict[str, Any]:
        return {"name": kind, "ph": "M", "pid": 0, "tid": track, "args": {"name": name}}

    device = result.chip if result.devices == 1 else f"{result.chip} (one of {result.devices})"
    return [
        named("process_name", 0, device),
        named("thread_name", _LAYERS, "blocks"),
        named("thread_name", _OPS, "ops"),
    ]
