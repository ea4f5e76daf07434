"""An execution as a Gantt picture: a row for every engine, time to the right."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.legend_handler import HandlerPatch
from matplotlib.patches import Patch, Rectangle

from accelsim.report import style
from accelsim.report.gantt_rows import MOST_CHIPS, Bar, Look, Row, gantt_rows
from accelsim.report.gantt_window import Window, default_window
from accelsim.report.latency import time_unit
from accelsim.report.use_words import use_sentence
from accelsim.results.execution import Execution
from accelsim.results.execution_tables import used_shares
from accelsim.results.transfers import MEMORY
from accelsim.units import PS_PER_S, format_si

_WIDTH_IN, _ROW_IN = 12.0, 0.3
_AXES_SHARE = 0.86
_LETTER_IN = 0.061
_GAP, _BETWEEN = 0.7, 0.2
_MOST_EDGES = 160
_LEAST_TOLD = 0.005
_DARK = (style.BLUE, style.VERMILLION, style.GREEN)
_BUSY = (("matrix", "matrix units"), ("vector", "vector units"))


@dataclass(frozen=True)
class _Scale:
    """From time in the pass to the axis of the picture."""

    window: Window
    unit_s: float

    def at(self, time_ps: float) -> float:
        return (time_ps - self.window.first_ps) / PS_PER_S / self.unit_s


def gantt_figure(
    execution: Execution, path: str | Path, *, detail: str = "", window: Window | None = None
) -> Path:
    """Draw what every engine did in a stretch of an execution.

    Parameters
    ----------
    execution : Execution
    path : str or Path
        Picture file, ``.png`` or ``.svg``.
    detail : str
        What was run, for the small print.
    window : Window, optional
        The time to show; one steady repeat of the longest block and a little around it if left
        out.
    """
    window = window or default_window(execution)
    rows = gantt_rows(execution, window)
    places = _places(rows)
    figure = style.new_figure(_WIDTH_IN, 2.15 + _ROW_IN * places[-1])
    style.headline(figure, _message(execution, window), _small_print(execution, window, detail))
    axes = figure.add_subplot()
    style.tidy(axes, "x")
    unit_s, unit = time_unit((window.last_ps - window.first_ps) / PS_PER_S)
    scale = _Scale(window, unit_s)
    for row, place in zip(rows, places, strict=True):
        _draw_row(axes, row, place, scale)
    _name_rows(axes, rows, places)
    axes.set_xlim(0, scale.at(window.last_ps))
    several = rows[0].group != rows[-1].group
    axes.set_ylim(places[-1] + rows[-1].height / 2 + _BETWEEN, -0.4 if several else 0.0)
    begin = format_si(window.first_ps / PS_PER_S, "s", 4)
    axes.set_xlabel(f"time{f', from {begin} into the pass' if window.first_ps else ''} [{unit}]")
    figure.legend(
        handles=_legend(rows), loc="outside lower center", ncols=8, fontsize=9, frameon=False,
        handlelength=1.4, columnspacing=1.6,
        handler_map={_LowPatch: HandlerPatch(patch_func=_low_swatch)},
    )  # fmt: skip
    return style.save(figure, path)


def _places(rows: list[Row]) -> list[float]:
    """Middles of the rows, counted downwards, with gaps between chips."""
    places, below = [], 0.0
    for i, row in enumerate(rows):
        if i and row.group != rows[i - 1].group:
            below += _GAP
        below += _BETWEEN + row.height
        places.append(below - row.height / 2)
    return places


def _message(execution: Execution, window: Window) -> str:
    """Say how busy units are in the window, and how much memory and links move of their peaks."""
    edges = np.array([window.first_ps, window.last_ps], np.int64)
    used = used_shares(execution, edges)[:, 0]
    chips = len(execution.chips)
    kinds = [
        (track.engine, float(share)) for track, share in zip(execution.tracks, used, strict=True)
    ]
    moved = [
        ("main memory", sum(s for e, s in kinds if e in MEMORY) / chips),
        ("links", sum(s for e, s in kinds if e == "network") / chips),
    ]
    busy = []
    for engine, words in _BUSY:
        found = [share for other, share in kinds if other == engine]
        if found:
            busy.append((words, sum(found) / len(found)))
    busy, moved = (
        [(words, min(share, 1.0)) for words, share in parts if share > _LEAST_TOLD]
        for parts in (busy, moved)
    )
    if not busy + moved:
        return "Nothing works in this stretch of time"
    return f"In this stretch {use_sentence(busy, moved)}"


def _small_print(execution: Execution, window: Window, detail: str) -> str:
    whole = format_si(execution.end_ps / PS_PER_S, "s")
    shown = format_si((window.last_ps - window.first_ps) / PS_PER_S, "s")
    what = f": {window.words}" if window.words else ""
    parts = [detail, f"{shown} of a pass of {whole}{what}"]
    if len(execution.chips) > MOST_CHIPS:
        parts.append(f"the first {MOST_CHIPS} of {len(execution.chips)} chips")
    return "; ".join(part for part in parts if part)


def _draw_row(axes: Axes, row: Row, place: float, scale: _Scale) -> None:
    edge = 0.5 if len(row.bars) <= _MOST_EDGES else 0.0
    groups: dict[tuple[Look, int, int, float], list[tuple[float, float]]] = {}
    for bar in row.bars:
        first, last = scale.at(bar.first_ps), scale.at(bar.last_ps)
        key = (bar.look, bar.slot, bar.slots, bar.filled)
        groups.setdefault(key, []).append((first, last - first))
    for (look, slot, slots, filled), spans in groups.items():
        lane = row.height / slots
        bottom = place - row.height / 2 + (slot + 1) * lane
        axes.broken_barh(
            spans, (bottom - filled * lane, filled * lane), facecolor=_fill(look),
            edgecolor="white", linewidth=edge if filled == 1 else 0.0,
            hatch="////" if look.copied else None, zorder=3,
        )  # fmt: skip
    written: dict[int, float] = {}
    for text in sorted(row.texts, key=lambda bar: bar.first_ps):
        until = _write(axes, text, (place, row.height), scale, written.get(text.slot, 0.0))
        written[text.slot] = until


def _fill(look: Look) -> str:
    return style.paler(look.colour, 0.35) if look.faint else look.colour


def _write(axes: Axes, bar: Bar, line: tuple[float, float], scale: _Scale, after: float) -> float:
    """Write a name into a bar with room for it, right of other texts; return where it ends."""
    first = max(scale.at(max(bar.first_ps, scale.window.first_ps)), after)
    last = scale.at(min(bar.last_ps, scale.window.last_ps))
    per_inch = scale.at(scale.window.last_ps) / (_WIDTH_IN * _AXES_SHARE)
    room = int(((last - first) / per_inch - 0.04) / _LETTER_IN)
    fitting = [text for text in bar.texts if len(text) <= room]
    if not fitting:
        return after
    place, height = line
    lane = height / bar.slots
    light = bar.look.faint or bar.look.copied or bar.look.colour not in _DARK
    middle = (first + last) / 2
    axes.text(
        middle, place - height / 2 + (bar.slot + 0.5) * lane, fitting[0], ha="center",
        va="center_baseline", fontsize=7.5, color=style.INK if light else "white", zorder=5,
        # The lines between tiles and lanes must not cross the letters.
        bbox={
            "boxstyle": "round,pad=0.12", "ec": "none",
            "fc": "white" if bar.look.copied else _fill(bar.look),
        },
    )  # fmt: skip
    return middle + (0.5 * len(fitting[0]) * _LETTER_IN + 0.06) * per_inch


def _name_rows(axes: Axes, rows: list[Row], places: list[float]) -> None:
    axes.set_yticks(places, [row.name for row in rows], fontsize=9)
    axes.tick_params(axis="y", length=0)
    if len({row.group for row in rows}) < 2:
        return
    for i, row in enumerate(rows):
        if not i or row.group != rows[i - 1].group:
            axes.annotate(
                row.title, (0, places[i] - row.height / 2), xycoords=("axes fraction", "data"),
                xytext=(4, 3), textcoords="offset points", ha="left", va="bottom", fontsize=9,
                color=style.FAINT, bbox={"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none"},
            )  # fmt: skip


def _legend(rows: list[Row]) -> list[Patch]:
    kinds = {bar.kind for row in rows for bar in row.bars if bar.kind}
    ordered = [k for k in style.KIND_COLOURS if k in kinds]
    ordered += sorted(kinds - set(ordered))
    handles = [Patch(color=style.kind_colour(k), label=k.replace("_", " ")) for k in ordered]
    looks = {bar.look for row in rows for bar in row.bars}
    if any(look.faint for look in looks):
        pale = _fill(Look(style.GREY, faint=True))
        handles.append(Patch(color=pale, label="before its inputs are ready (prefetch)"))
    if any(look.copied for look in looks):
        handles.append(
            Patch(facecolor=style.GREY, hatch="////", edgecolor="white", label="copied repeat")
        )
    if any(bar.filled < 1 for row in rows for bar in row.bars):
        low = "low bars: busy for this part of the time"
        handles.append(_LowPatch(color=style.GREY, label=low))
    return handles


class _LowPatch(Patch):
    """A swatch of the legend that is as low as a bar that is busy for a part of the time."""


def _low_swatch(**more: Any) -> Rectangle:
    """Draw the lower half of a swatch, where `HandlerPatch` draws all of it."""
    low = (-more["xdescent"], -more["ydescent"])
    return Rectangle(low, more["width"], 0.45 * more["height"])
