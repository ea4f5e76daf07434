"""An execution as trace events: a process per chip, a thread per engine, counters.

References
----------
.. [1] "Trace Event Format", Google, 2016: complete events ("X") of a thread nest or do not overlap;
   counters ("C"), flows ("s", "f") and metadata ("M"); times in microseconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.report.event_spans import Pieces, at_most, lanes
from accelsim.report.use_words import mean_over
from accelsim.results.execution import ENGINES, Execution, StagePass, Work
from accelsim.results.execution_tables import moved_bytes_per_s
from accelsim.results.op_facts import op_energies_j
from accelsim.results.over_time import bin_edges
from accelsim.results.transfers import MEMORY
from accelsim.results.unrolled import (
    UnrolledOp,
    unrolled_ops,
    unrolled_rows,
    unrolled_work,
    work_parts,
)
from accelsim.results.watts import Watts, watts

MAX_PIECES = 200_000
_MAX_ARROWS = 5_000
_PS_PER_US = 1_000_000
_OPS = "ops"
_COMPUTE = ("matrix", "vector")

Event = dict[str, Any]
_Series = dict[str, tuple[NDArray[np.float64], float]]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class _Threads:
    """Numbers of the threads used so far, by process, place in the picture and name."""

    numbers: dict[tuple[int, int, str], int] = field(default_factory=dict)

    def number(self, process: int, place: int, name: str) -> int:
        return self.numbers.setdefault((process, place, name), len(self.numbers) + 1)

    def names(self) -> Iterator[Event]:
        """Name and order the threads of each process."""
        for order, ((process, _, name), tid) in enumerate(sorted(self.numbers.items())):
            yield _meta("thread_name", process, {"name": name}, tid)
            yield _meta("thread_sort_index", process, {"sort_index": order}, tid)


@dataclass(frozen=True)
class _Pass:
    """A pass to draw, from `shift_ps` of the trace on."""

    execution: Execution
    ops: tuple[UnrolledOp, ...]
    threads: _Threads
    shift_ps: int
    prefix: str
    mean_over: str

    def us(self, time_ps: int) -> float:
        """Place in the trace; the nearest float is written with all digits of the picosecond."""
        return (time_ps + self.shift_ps) / _PS_PER_US

    def span(self, name: str, at: tuple[int, int], when: tuple[int, int], more: Event) -> Event:
        """Make a complete event of a process and thread from one time to another [ps]."""
        return {
            "name": name, "ph": "X", "pid": at[0], "tid": at[1], "ts": self.us(when[0]),
            "dur": (when[1] - when[0]) / _PS_PER_US, "args": more,
        }  # fmt: skip


def execution_events(passes: Sequence[StagePass], max_pieces: int = MAX_PIECES) -> list[Event]:
    """Return the events of the passes, one after the other.

    Parameters
    ----------
    passes : sequence of StagePass
        Of a stage with several, the first is drawn, and a span stands for the others.
    max_pieces : int
        Pieces of work of folded copies are drawn if there are fewer in all; pieces of one op are
        joined if there are more even so.
    """
    threads = _Threads()
    events: list[Event] = []
    shift_ps = 0
    mean = mean_over([one.execution for one in passes])
    for stage, times, execution, _ in passes:
        prefix = f"{stage}/" if len(passes) > 1 else ""
        drawn = _Pass(execution, unrolled_ops(execution), threads, shift_ps, prefix, mean)
        events += _op_events(drawn)
        events += _work_events(drawn, max_pieces // len(passes))
        events += _counters(drawn, times)
        last_ps = round(execution.end_ps * max(1.0, times))
        if times > 1:
            events += _other_passes(drawn, f"{times - 1:,.6g} more passes like this one", last_ps)
        shift_ps += last_ps
    return [*_processes(passes), *threads.names(), *events]


def _op_events(drawn: _Pass) -> Iterator[Event]:
    """Draw ops, copies too; an op whose transfers begin early lies beside the one before it."""
    moved, joules = _totals(drawn.execution)
    for chip in range(len(drawn.execution.chips)):
        own = [op for op in drawn.ops if op.span.chip == chip]
        starts = np.array([op.span.start_ps for op in own], np.int64)
        ends = np.array([op.span.end_ps for op in own], np.int64)
        for (span, copied, source), lane in zip(own, lanes(starts, ends).tolist(), strict=True):
            tid = _lane(drawn, chip, 0, _OPS, lane)
            more = {
                "kind": span.kind, "block": drawn.prefix + span.block, "repeat": span.repeat + 1,
                "ready_us": drawn.us(span.ready_ps), "bytes": moved[source],
                "energy_j": joules[source], "copied": copied,
            }  # fmt: skip
            yield drawn.span(span.name, (chip + 1, tid), (span.start_ps, span.end_ps), more)


def _totals(execution: Execution) -> tuple[list[float], list[float]]:
    """Main-memory bytes and energy of each simulated op."""
    work, count = execution.work, len(execution.ops)
    memory = np.array([track.engine in MEMORY for track in execution.tracks], np.bool_)
    moved = np.bincount(work.op, np.where(memory[work.track], work.amount, 0.0), count)
    return moved.tolist(), op_energies_j(execution).tolist()


def _work_events(drawn: _Pass, limit: int) -> Iterator[Event]:
    """Draw pieces of work on the threads of their engines, copies if they are not too many."""
    execution = drawn.execution
    few = unrolled_rows(execution) < limit
    work = unrolled_work(execution) if few else next(work_parts(execution))
    pieces = at_most(work, limit)
    tids = _piece_threads(drawn, pieces.work)
    unit = {"matrix": "flop", "vector": "flop"}
    columns = (
        pieces.work.op, pieces.work.track, pieces.work.start_ps, pieces.work.end_ps,
        pieces.work.amount, pieces.work.energy_j, pieces.counts, tids,
    )  # fmt: skip
    for row in zip(*(column.tolist() for column in columns), strict=True):
        place, track, start, end, amount, joules, count, tid = row
        span, copied, _ = drawn.ops[place]
        engine = execution.tracks[track].engine
        more = {
            "block": drawn.prefix + span.block, "repeat": span.repeat + 1,
            unit.get(engine, "bytes"): amount, "energy_j": joules,
        }  # fmt: skip
        if engine == "launch":
            del more["bytes"]
        if count > 1:
            more["pieces"] = count
        if copied:
            more["copied"] = True
        yield drawn.span(span.name, (span.chip + 1, tid), (start, end), more)
    yield from _arrows(drawn, pieces, tids)


def _piece_threads(drawn: _Pass, work: Work) -> Ints:
    """Thread of each piece; those that overlap on a shared track get lanes beside each other."""
    tids = np.zeros(len(work), np.int64)
    for place, track in enumerate(drawn.execution.tracks):
        rows = np.flatnonzero(work.track == place)
        if not len(rows):
            continue  # no empty thread for it
        on_lane = lanes(work.start_ps[rows], work.end_ps[rows])
        order = 1 + ENGINES.index(track.engine) if track.engine in ENGINES else 1 + len(ENGINES)
        name = f"{track.engine} ({track.unit})" if track.unit else track.engine
        for lane in range(int(on_lane.max()) + 1):
            tids[rows[on_lane == lane]] = _lane(drawn, track.chip, order, name, lane)
    return tids


def _lane(drawn: _Pass, chip: int, order: int, name: str, lane: int) -> int:
    # Place in the order of threads: lanes of a track stay together up to 1,000 of them.
    full = f"{name} {lane + 1}" if lane else name
    return drawn.threads.number(chip + 1, order * 1_000 + min(lane, 999), full)


def _arrows(drawn: _Pass, pieces: Pieces, tids: Ints) -> Iterator[Event]:
    """Join the first early load of an op to its first computation."""
    work = pieces.work
    engines = np.array([track.engine for track in drawn.execution.tracks])[work.track]
    early = np.array([op.span.start_ps < op.span.ready_ps for op in drawn.ops], np.bool_)[work.op]
    loads = _first_of_op(work, early & (engines == "load"))
    computes = _first_of_op(work, early & np.isin(engines, _COMPUTE))
    found = [(place, row) for place, row in loads.items() if place in computes]
    for number, (place, row) in enumerate(found[:_MAX_ARROWS]):
        span = drawn.ops[place].span
        other = computes[place]
        if not work.start_ps[row] < span.ready_ps <= work.start_ps[other]:
            continue
        name = f"{drawn.shift_ps}.{number}"
        shared = {"name": "prefetch", "cat": "prefetch", "id": name, "pid": span.chip + 1}
        at = (drawn.us(int(work.start_ps[row])), drawn.us(int(work.start_ps[other])))
        yield {**shared, "ph": "s", "tid": int(tids[row]), "ts": at[0]}
        yield {**shared, "ph": "f", "bp": "e", "tid": int(tids[other]), "ts": at[1]}


def _first_of_op(work: Work, chosen: NDArray[np.bool_]) -> dict[int, int]:
    rows = np.flatnonzero(chosen)
    rows = rows[np.lexsort((work.start_ps[rows], work.op[rows]))]
    ops, first = np.unique(work.op[rows], return_index=True)
    return dict(zip(ops.tolist(), rows[first].tolist(), strict=True))


def _counters(drawn: _Pass, times: float) -> Iterator[Event]:
    """Bandwidth and power of each process over time; for several equal chips, of one of them."""
    execution = drawn.execution
    if execution.end_ps < 1:
        return
    edges = bin_edges(execution)
    names, rates = moved_bytes_per_s(execution, edges)
    moved = {name: row / 1e9 for name, row in zip(names, rates, strict=True)}
    for chip in range(len(execution.chips)):
        for kind in ("memory", "network"):
            rate = moved.get(f"chip{chip}/{kind}")
            if rate is not None and rate.any():
                series = {"GB/s": (rate, 0.0)}
                name = f"{kind} GB/s, {drawn.mean_over}"
                yield from _counter(drawn, (chip, name), series, edges, times)
        powers = _power_series(drawn, watts(execution, edges, chip))
        for name, series in powers.items():
            yield from _counter(drawn, (chip, name), series, edges, times)


def _power_series(drawn: _Pass, found: Watts) -> dict[str, _Series]:
    """Counters of power: their values in the bins, and after the last."""
    end = f", {drawn.mean_over}"
    counters: dict[str, _Series] = {f"counted power W{end}": {"W": (found.counted, found.idle)}}
    if found.engines:
        by_engine = {name: (row, 0.0) for name, row in found.engines.items()}
        counters[f"counted dynamic power W{end}"] = by_engine
    if drawn.execution.board_over_counted > 1:
        counters[f"board power W{end}"] = {"W": (found.board, found.idle)}
    if math.isfinite(found.limit):
        flat = np.full(len(found.counted), found.limit)
        counters["board power limit W"] = {"W": (flat, found.limit)}
    return counters


def _counter(
    drawn: _Pass, at: tuple[int, str], series: _Series, edges_ps: Ints, times: float
) -> Iterator[Event]:
    """Write a counter of a chip where it changes; passes that are not drawn have its mean."""
    chip, name = at
    columns = []
    for values, after in series.values():
        last = after
        if times > 1:
            last = float((values * np.diff(edges_ps)).sum() / drawn.execution.end_ps)
        columns.append([float(f"{value:.6g}") for value in (*values.tolist(), last)])
    before = None
    for time_ps, row in zip(edges_ps.tolist(), zip(*columns, strict=True), strict=True):
        if row != before:
            yield {
                "name": name, "ph": "C", "pid": chip + 1, "ts": drawn.us(time_ps),
                "args": dict(zip(series, row, strict=True)),
            }  # fmt: skip
        before = row


def _other_passes(drawn: _Pass, text: str, last_ps: int) -> Iterator[Event]:
    for chip in range(len(drawn.execution.chips)):
        tid = _lane(drawn, chip, 0, _OPS, 0)
        yield drawn.span(text, (chip + 1, tid), (drawn.execution.end_ps, last_ps), {})


def _processes(passes: Sequence[StagePass]) -> Iterator[Event]:
    names: dict[int, str] = {}
    for stage in passes:
        for chip, name in enumerate(stage.execution.chips):
            several = len(stage.execution.chips) > 1
            names.setdefault(chip, f"chip {chip}: {name}" if several else name)
    for chip, name in names.items():
        yield _meta("process_name", chip + 1, {"name": name})
        yield _meta("process_sort_index", chip + 1, {"sort_index": chip})


def _meta(kind: str, process: int, args: Event, tid: int = 0) -> Event:
    return {"name": kind, "ph": "M", "pid": process, "tid": tid, "args": args}
