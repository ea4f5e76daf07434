"""The rows of a Gantt picture: repeats, ops and engines of each chip with their bars."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from accelsim.report import style
from accelsim.report.event_spans import lanes, separate, touching_joined
from accelsim.report.gantt_window import Window, repeats_of
from accelsim.report.words import short_name
from accelsim.results.execution import Execution, Track, Work
from accelsim.results.execution_tables import track_order
from accelsim.results.over_time import durations, edges_between, spread
from accelsim.results.unrolled import UnrolledOp, unrolled_ops, work_parts

MOST_CHIPS = 4
_MOST_LANES, _MOST_OPS_AT_ONCE = 3, 6
_MOST_PIECES = 400
_SLICES, _STEPS = 400, 8
_REPEAT_COLOURS = ("#d9d9d9", "#ececec")


class Look(NamedTuple):
    """Colour, whether faint (before its inputs are ready), whether hatched (copied)."""

    colour: str
    faint: bool = False
    copied: bool = False


@dataclass(frozen=True)
class Bar:
    """A bar from one time to another [ps].

    Attributes
    ----------
    first_ps, last_ps : int
    look : Look
    kind : str
        Of the op; empty for a repeat.
    texts : tuple of str
        What may be written into it, the best first.
    slot, slots : int
        Which part of the row's height, of how many.
    filled : float
        How much of that part is filled, from below: less than 1 where pieces too short to be
        seen work for this part of the time.
    """

    first_ps: int
    last_ps: int
    look: Look
    kind: str = ""
    texts: tuple[str, ...] = ()
    slot: int = 0
    slots: int = 1
    filled: float = 1.0


@dataclass(frozen=True)
class Row:
    """A row of bars, and of texts over several of them; the group is the chip's number."""

    name: str
    group: int
    title: str
    bars: tuple[Bar, ...]
    texts: tuple[Bar, ...]
    height: float = 0.8


def gantt_rows(execution: Execution, window: Window) -> list[Row]:
    """Return the rows of up to four chips, from the top.

    Parameters
    ----------
    execution : Execution
    window : Window
        Bars outside are left out; so are engines that do nothing in the whole execution.
    """
    ops = _with_short_names(unrolled_ops(execution))
    work = _within(execution, window)
    working = set(np.unique(execution.work.track).tolist())
    rows: list[Row] = []
    for chip, name in enumerate(execution.chips[:MOST_CHIPS]):
        own = [op for op in ops if op.span.chip == chip]
        title = f"chip {chip}: {name}"
        rows += _program_rows(repeats_of(execution, own), (chip, title), window)
        places = [p for p in track_order(execution.tracks) if execution.tracks[p].chip == chip]
        for place in places:
            if place in working:
                label = _label(execution.tracks, place)
                own_work = work.where(work.track == place)
                rows.append(_engine_row((label, chip, title), ops, own_work, window))
    return rows


def _with_short_names(ops: tuple[UnrolledOp, ...]) -> tuple[UnrolledOp, ...]:
    """Give each op the one name it has in all rows: without its group's, if no other is like it."""
    full = {op.span.name: short_name(op.span.name) for op in ops}
    brief = {name: short.removeprefix(_group_of(short)) for name, short in full.items()}
    count = Counter(brief.values())
    named = {name: text if count[text] == 1 else full[name] for name, text in brief.items()}
    return tuple(op._replace(span=op.span._replace(name=named[op.span.name])) for op in ops)


def _group_of(name: str) -> str:
    """``mlp.`` of ``mlp.down+residual``."""
    first = name.partition("+")[0]
    return first[: first.rfind(".") + 1]


def _within(execution: Execution, window: Window) -> Work:
    """Pieces of work that reach into the window, copies too."""
    parts = [
        part.where((part.start_ps < window.last_ps) & (part.end_ps > window.first_ps))
        for part in work_parts(execution)
    ]
    names = ("op", "track", "start_ps", "end_ps", "amount", "energy_j")
    return Work(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _label(tracks: tuple[Track, ...], place: int) -> str:
    """Name of an engine, with its unit where the chip has several of the kind."""
    track = tracks[place]
    same = [t for t in tracks if t.chip == track.chip and t.engine == track.engine]
    return f"{track.engine} {track.unit}" if len(same) > 1 else track.engine


def _program_rows(
    repeats: list[tuple[str, list[UnrolledOp]]], chip: tuple[int, str], window: Window
) -> Iterator[Row]:
    """Repeats and ops of each group of cores: two rows, one where no block repeats."""
    units = list(dict.fromkeys(unit for unit, _ in repeats)) or [""]
    for unit in units:
        end = f" {unit}" if len(units) > 1 else ""
        groups = [group for of_unit, group in repeats if of_unit == unit]
        if len(groups) > 1:
            yield _repeat_row(groups, (f"blocks{end}", *chip), window)
        own = [op for group in groups for op in group]
        yield _op_row(own, (f"ops{end}", *chip), window)


def _repeat_row(groups: list[list[UnrolledOp]], names: tuple[str, int, str], window: Window) -> Row:
    """When the repeats of blocks computed."""
    found: dict[str, set[int]] = {}
    for members in groups:
        found.setdefault(members[0].span.block, set()).add(members[0].span.repeat)
    bars = []
    for order, members in enumerate(groups):
        block, repeat = members[0].span.block, members[0].span.repeat
        first = min(max(op.span.start_ps, op.span.ready_ps) for op in members)
        last = max(op.span.end_ps for op in members)
        if last <= window.first_ps or first >= window.last_ps:
            continue
        total = len(found[block])
        number = f", repeat {repeat + 1} of {total}" if total > 1 else ""
        look = Look(_REPEAT_COLOURS[order % 2], copied=members[0].copied)
        bars.append(Bar(first, last, look, texts=(f"{block}{number}", f"repeat {repeat + 1}")))
    return Row(*names, tuple(bars), tuple(bars), height=0.62)


def _op_row(own: list[UnrolledOp], names: tuple[str, int, str], window: Window) -> Row:
    """When ops worked; what they did before their inputs were ready is faint."""
    seen = [
        op for op in own
        if op.span.start_ps < window.last_ps and op.span.end_ps > window.first_ps
    ]  # fmt: skip
    begins = np.array([max(op.span.start_ps, op.span.ready_ps) for op in seen], np.int64)
    ends = np.array([op.span.end_ps for op in seen], np.int64)
    on_lane = np.minimum(lanes(begins, ends), _MOST_OPS_AT_ONCE - 1)
    slots = int(on_lane.max(initial=0)) + 1
    bars = []
    for op, begin, lane in zip(seen, begins.tolist(), on_lane.tolist(), strict=True):
        look = Look(style.kind_colour(op.span.kind), copied=op.copied)
        texts = (op.span.name,)
        bars.append(Bar(begin, op.span.end_ps, look, op.span.kind, texts, lane, slots))
    # Names of ops at the same time need a line each.
    return Row(*names, tuple(bars), tuple(bars), height=max(0.8, 0.55 * slots))


def _engine_row(
    names: tuple[str, int, str], ops: tuple[UnrolledOp, ...], work: Work, window: Window
) -> Row:
    """Pieces of work, those at the same time below each other, and the names of their ops."""
    joined = touching_joined(work).work
    texts = tuple(_bars(ops, _alone(joined), [0] * len(joined), 1))
    if len(joined) > _MOST_PIECES:
        return Row(*names, tuple(_dense_bars(ops, joined, window)), ())
    pieces = (separate(work) if len(work) <= _MOST_PIECES else touching_joined(work)).work
    on_lane = np.minimum(lanes(pieces.start_ps, pieces.end_ps), _MOST_LANES - 1)
    slots = int(on_lane.max(initial=0)) + 1
    return Row(*names, tuple(_bars(ops, pieces, on_lane.tolist(), slots)), texts)


def _alone(work: Work) -> Work:
    """Pieces that overlap no other: a name written over several would be of none."""
    ordered = work.where(np.argsort(work.start_ps, kind="stable"))
    covered = np.maximum.accumulate(ordered.end_ps)
    over = ordered.start_ps[1:] < covered[:-1]
    overlapping = np.zeros(len(ordered), np.bool_)
    overlapping[1:] |= over
    overlapping[:-1] |= over
    return ordered.where(~overlapping)


def _dense_bars(ops: tuple[UnrolledOp, ...], work: Work, window: Window) -> Iterator[Bar]:
    """Bars of equal slices of time, as high as the share of it in which an op works."""
    edges = edges_between(window.first_ps, window.last_ps, _SLICES)
    places, column = np.unique(work.op, return_inverse=True)
    busy = spread(edges, work, column, durations(work), len(places)) / np.diff(edges)
    steps = np.ceil(np.minimum(busy, 1.0) * _STEPS - 1e-9).astype(np.int64)
    for place, heights in zip(places.tolist(), steps, strict=True):
        span, copied, _ = ops[place]
        look = Look(style.kind_colour(span.kind), copied=copied)
        # Slices of one height beside each other are one bar.
        ends = [*(np.flatnonzero(np.diff(heights)) + 1).tolist(), len(heights)]
        first = 0
        for last in ends:
            if heights[first]:
                first_ps, last_ps = int(edges[first]), int(edges[last])
                drawn = look._replace(faint=last_ps <= span.ready_ps)
                share = float(heights[first]) / _STEPS
                yield Bar(first_ps, last_ps, drawn, span.kind, filled=share)
            first = last


def _bars(ops: tuple[UnrolledOp, ...], work: Work, on_lane: list[int], slots: int) -> Iterator[Bar]:
    columns = (work.op.tolist(), work.start_ps.tolist(), work.end_ps.tolist())
    for place, first, last, lane in zip(*columns, on_lane, strict=False):
        span, copied, _ = ops[place]
        texts = (span.name,)
        ready = span.ready_ps
        look = Look(style.kind_colour(span.kind), copied=copied)
        if first < ready:
            early = look._replace(faint=True)
            yield Bar(first, min(last, ready), early, span.kind, texts, lane, slots)
        if last > ready:
            yield Bar(max(first, ready), last, look, span.kind, texts, lane, slots)
