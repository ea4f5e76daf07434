"""The commands of a memory as a picture: a lane for every bank and bus, time to the right."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.patches import Patch

from accelsim.report import style
from accelsim.report.dram_tables import share
from accelsim.report.dram_timeline import Bar, Timeline

KIND_COLOURS = {
    "row": "#d6e2ec", "activate": style.GREEN, "precharge": style.PURPLE, "read": style.BLUE,
    "write": style.VERMILLION, "refresh": style.YELLOW,
}  # fmt: skip
_KIND_WORDS = {
    "row": "row open", "activate": "activate: the row opens (tRCD)",
    "precharge": "precharge: the row closes (tRP)", "read": "read", "write": "write",
    "refresh": "refresh (tRFC)",
}  # fmt: skip
_WIDTH_IN, _LANE_IN = 12.0, 0.235
_AXES_SHARE = 0.82
_LETTER_IN = 0.068
_HEIGHTS = {"row": 0.84, "activate": 0.84, "precharge": 0.84, "refresh": 0.84}
_BUS_HEIGHT, _BURST_HEIGHT = 0.7, 0.5
_GAP = 0.45
_LIGHT = ("row", "refresh")


def timeline_figure(timeline: Timeline, path: str | Path, *, detail: str = "") -> Path:
    """Draw what every bank and bus did, in lanes.

    Parameters
    ----------
    timeline : Timeline
    path : str or Path
        Picture file, ``.png`` or ``.svg``.
    detail : str
        What was simulated, for the small print.
    """
    places = _lane_places(timeline)
    height_in = 1.75 + _LANE_IN * (places[-1] + 1)
    figure = style.new_figure(_WIDTH_IN, height_in)
    style.headline(figure, _message(timeline), _small_print(timeline, detail))
    axes = figure.add_subplot()
    style.tidy(axes, "x")
    for kind in KIND_COLOURS:
        _draw_bars(axes, timeline, kind, places)
    _write_texts(axes, timeline, places)
    _name_lanes(axes, timeline, places)
    axes.set_xlim(timeline.begin_ns, timeline.end_ns)
    axes.set_ylim(places[-1] + 0.6, -0.6)
    axes.set_xlabel("time [ns]")
    used = [kind for kind in KIND_COLOURS if any(bar.kind == kind for bar in timeline.bars)]
    handles = [Patch(color=KIND_COLOURS[kind], label=_KIND_WORDS[kind]) for kind in used]
    figure.legend(
        handles=handles, loc="outside lower center", ncols=len(handles), fontsize=9, frameon=False,
        handlelength=1.3, columnspacing=1.6,
    )  # fmt: skip
    return style.save(figure, path)


def _lane_places(timeline: Timeline) -> list[float]:
    """Heights of the lanes, counted downwards, with gaps between groups."""
    places, at = [], 0.0
    for i, lane in enumerate(timeline.lanes):
        if i:
            at += 1.0 if lane.group == timeline.lanes[i - 1].group else 1.0 + _GAP
        places.append(at)
    return places


def _message(timeline: Timeline) -> str:
    opened = sum(bar.kind == "activate" and bar.text == "ACT" for bar in timeline.bars)
    refreshed = sum(bar.kind == "refresh" and bar.text != "refresh" for bar in timeline.bars)
    found = [_counted(opened, "row opened", "rows opened")]
    found.append(_counted(timeline.conflicts, "row conflict", "row conflicts"))
    if refreshed:
        found.append(_counted(refreshed, "refresh", "refreshes"))
    length = timeline.end_ns - timeline.begin_ns
    busy = share(timeline.data_share)
    return f"Data buses busy {busy} of these {length:,.0f} ns: {', '.join(found)}"


def _counted(count: int, one: str, more: str) -> str:
    return f"{count or 'no'} {one if count == 1 else more}"


def _small_print(timeline: Timeline, detail: str) -> str:
    hidden = timeline.hidden_banks
    parts = [
        detail or timeline.memory,
        f"{timeline.commands} commands of channel\N{NO-BREAK SPACE}{timeline.channel}",
    ]
    if hidden:
        parts.append(f"{hidden} more banks at work are not shown")
    return "; ".join(parts)


def _is_bus(timeline: Timeline, bar: Bar) -> bool:
    return timeline.lanes[bar.lane].group == "buses"


def _draw_bars(axes: Axes, timeline: Timeline, kind: str, places: list[float]) -> None:
    for lane, place in enumerate(places):
        bars = [bar for bar in timeline.bars if bar.kind == kind and bar.lane == lane]
        if not bars:
            continue
        height = _HEIGHTS.get(kind, _BURST_HEIGHT)
        if timeline.lanes[lane].group == "buses":
            height = _BUS_HEIGHT
        axes.broken_barh(
            [(bar.begin_ns, bar.end_ns - bar.begin_ns) for bar in bars],
            (place - height / 2, height), facecolor=KIND_COLOURS[kind],
            edgecolor="white" if kind != "row" else style.GRID, linewidth=0.4,
            zorder=2 if kind == "row" else 3,
        )  # fmt: skip


def _write_texts(axes: Axes, timeline: Timeline, places: list[float]) -> None:
    """Write rows and refreshes into bars with room, right of what covers their beginning."""
    per_ns = _WIDTH_IN * _AXES_SHARE / (timeline.end_ns - timeline.begin_ns)
    for bar in timeline.bars:
        if _is_bus(timeline, bar) or not bar.text or bar.kind not in _LIGHT:
            continue
        covers = [
            (other.begin_ns, other.end_ns) for other in timeline.bars
            if other.lane == bar.lane and other.kind != "row" and other is not bar
            and other.begin_ns < bar.end_ns and other.end_ns > bar.begin_ns
        ]  # fmt: skip
        needed = (len(bar.text) * _LETTER_IN + 0.06) / per_ns
        at = _first_gap(bar, sorted(covers), needed)
        if at is not None:
            axes.text(
                at + 0.03 / per_ns, places[bar.lane], bar.text, ha="left", va="center_baseline",
                fontsize=7.5, color=style.INK, zorder=5,
            )  # fmt: skip


def _first_gap(bar: Bar, covers: list[tuple[float, float]], needed: float) -> float | None:
    """Find where so many ns of a bar are uncovered first."""
    at = bar.begin_ns
    for begin, end in covers:
        if begin - at >= needed:
            return at
        at = max(at, end)
    return at if bar.end_ns - at >= needed else None


def _name_lanes(axes: Axes, timeline: Timeline, places: list[float]) -> None:
    """Name every lane, and every group beside its lanes."""
    axes.set_yticks(places, [lane.name for lane in timeline.lanes], fontsize=8.5)
    axes.tick_params(axis="y", length=0)
    groups: dict[str, list[float]] = {}
    for lane, place in zip(timeline.lanes, places, strict=True):
        groups.setdefault(lane.group, []).append(place)
    longest = max(len(lane.name) for lane in timeline.lanes)
    for group, members in groups.items():
        if group == "buses":
            continue
        middle = (members[0] + members[-1]) / 2
        words = group.replace("pseudo-channel ", "PC ").replace("stack id ", "SID ")
        axes.annotate(
            words, (0, middle), xycoords=("axes fraction", "data"),
            xytext=(-8 - 5.2 * min(longest, 8), 0), textcoords="offset points", ha="right",
            va="center", fontsize=8.5, color=style.FAINT,
        )  # fmt: skip
        axes.axhline(members[0] - 0.5 - _GAP / 2, color=style.GRID, linewidth=0.8, zorder=1)
