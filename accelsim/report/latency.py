"""Where the time goes: one bar per op, coloured by what limits it."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes

from accelsim.report import style
from accelsim.report.words import bottleneck_sentence, detail, percent, short_name
from accelsim.results.run_result import RunResult
from accelsim.units import format_si

_BARS = 12
_PREFIXES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


def time_unit(longest_s: float) -> tuple[float, str]:
    """Return the scale [s] and name of the unit in which a time reads best."""
    return next(((s, name) for s, name in _PREFIXES if longest_s >= s), _PREFIXES[-1])


def latency_figure(result: RunResult, path: str | Path) -> Path:
    """Draw the time of the ops, longest first, stacked by limiting resource.

    Parameters
    ----------
    result : RunResult
        What to draw; an op that occurs in several blocks or stages is one bar.
    path : str or Path
        Picture file.
    """
    bars = _bars(result)
    figure = style.new_figure(9.0, 1.9 + 0.33 * len(bars))
    style.headline(figure, _message(result, bars), detail(result))
    axes = figure.add_subplot()
    unit_s, unit = time_unit(max(sum(parts.values()) for _, parts in bars))
    total_s = sum(sum(parts.values()) for _, parts in bars) or 1.0
    for position, (_, parts) in enumerate(bars):
        left = 0.0
        for bound, seconds in parts.items():
            axes.barh(
                position, seconds / unit_s, left=left / unit_s, height=0.72, zorder=3,
                color=style.bound_colour(bound), edgecolor="white", linewidth=0.6,
            )  # fmt: skip
            left += seconds
        _write_value(axes, left / unit_s, position, left, total_s)
    axes.set_yticks(range(len(bars)), [name for name, _ in bars])
    axes.invert_yaxis()
    axes.set_xlabel(f"time in the whole run [{unit}]")
    axes.set_xlim(0, axes.get_xlim()[1] * 1.16)  # room for the values at the bars' ends
    style.tidy(axes, "x")
    bounds = [bound for _, parts in bars for bound in parts]
    style.legend_of_bounds(axes, bounds, "limited by")
    return style.save(figure, path)


def _bars(result: RunResult) -> list[tuple[str, dict[str, float]]]:
    """Time by op name and bound, longest op first; the tail is one bar."""
    several = len({row.stage for row in result.rows}) > 1
    grouped: dict[str, dict[str, float]] = {}
    for row in result.rows:
        name = f"{row.stage}: {short_name(row.name)}" if several else short_name(row.name)
        parts = grouped.setdefault(name, {})
        parts[row.bound] = parts.get(row.bound, 0.0) + row.latency_s * row.count
    ordered = sorted(grouped.items(), key=lambda item: -sum(item[1].values()))
    if len(ordered) <= _BARS:
        return ordered
    rest: dict[str, float] = {}
    for _, parts in ordered[_BARS - 1 :]:
        for bound, seconds in parts.items():
            rest[bound] = rest.get(bound, 0.0) + seconds
    return [*ordered[: _BARS - 1], (f"{len(ordered) - _BARS + 1} more ops", rest)]


def _message(result: RunResult, bars: list[tuple[str, dict[str, float]]]) -> str:
    limit = bottleneck_sentence(result).split(":")[0]
    name, parts = bars[0]
    share = sum(parts.values()) / (sum(sum(p.values()) for _, p in bars) or 1.0)
    return f"{limit[0].upper()}{limit[1:]}; {name} alone takes {percent(share)}"


def _write_value(axes: Axes, x: float, y: float, seconds: float, total_s: float) -> None:
    axes.annotate(
        f"{format_si(seconds, 's')}  {percent(seconds / total_s)}", (x, y), xytext=(5, 0),
        textcoords="offset points", va="center", fontsize=9, color=style.INK,
    )  # fmt: skip
