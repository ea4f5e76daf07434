"""The roofline picture: every op of a run under the roofs of its chip."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.legend import Legend

from accelsim.report import style
from accelsim.report.labels import Dot, place_labels
from accelsim.report.words import bottleneck_sentence, detail, percent, short_name
from accelsim.results.run_result import RunResult
from accelsim.units import format_si

_LABELLED = 7
_FARTHEST_RIDGES = 50.0


@dataclass(frozen=True)
class _Roof:
    """A sloped roof: a memory level and its bandwidth [B/s]."""

    name: str
    bandwidth_bytes_per_s: float


@dataclass(frozen=True)
class _Point:
    name: str
    intensity: float
    rate: float
    share: float
    bound: str

    @property
    def radius_pt(self) -> float:
        """Dot radius; the area grows with the share of time."""
        return math.sqrt((25 + 900 * self.share) / math.pi)


def roofline_figure(result: RunResult, path: str | Path) -> Path:
    """Draw the roofline of a run.

    Parameters
    ----------
    result : RunResult
        What to draw.
    path : str or Path
        Picture file, ``.png`` or ``.svg``.

    Notes
    -----
    Roofs: peak compute, main memory, and the shared buffer where the chip has one.
    Horizontal: matrix FLOP per byte of main memory. Vertical: FLOP/s of the op alone, as in the
    table of ops: what an op adds to a run of the event engine may be less than its transfers take,
    and the dot would lie above the roof. The area of a dot is its share of the time. Intensities
    beyond 50 ridge points (ops that hardly touch main memory) are drawn there. Ops without matrix
    FLOP (norms, gathers) have no place in the plane; the small print says how much time they take.
    """
    points = _points(result)
    figure = style.new_figure(9.0, 6.0)
    unseen = 1 - sum(point.share for point in points)
    note = f" Ops without matrix FLOP, {percent(unseen)} of the time, have no dot."
    small = detail(result) + (f".{note}" if unseen > 5e-4 else "")
    style.headline(figure, _message(result), small)
    axes = figure.add_subplot()
    axes.set_xscale("log")
    axes.set_yscale("log")
    _set_limits(axes, result, points)
    axes.scatter(
        [p.intensity for p in points], [p.rate for p in points],
        s=[4 * p.radius_pt**2 for p in points], c=[style.bound_colour(p.bound) for p in points],
        alpha=0.8, edgecolors="white", linewidths=0.8, zorder=5,
    )  # fmt: skip
    axes.set_xlabel("arithmetic intensity [FLOP per byte of main memory]")
    alone = " of the op alone" if result.executions else ""
    axes.set_ylabel(f"speed{alone} on one device [FLOP/s]")
    axes.yaxis.set_major_formatter(lambda value, _: format_si(value, "FLOP/s", 1))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    style.tidy(axes)
    obstacles = _draw_roofs(axes, result, points)
    bounds = [p.bound for p in points]
    if bounds:
        style.legend_of_bounds(axes, bounds, "limited by (area = share of time)")
    obstacles.extend(axes.findobj(Legend))
    ordered = sorted(points, key=lambda p: -p.share)
    dots = [Dot(p.intensity, p.rate, f"{p.name} {percent(p.share)}", p.radius_pt) for p in ordered]
    place_labels(axes, dots, min(_LABELLED, sum(p.share >= 0.005 for p in ordered)), obstacles)
    return style.save(figure, path)


def _message(result: RunResult) -> str:
    limit = bottleneck_sentence(result).split(":")[0]
    reached = format_si(result.flop / result.latency_s, "FLOP/s")
    peak = format_si(result.peak_flop_per_s, "FLOP/s")
    return f"{limit[0].upper()}{limit[1:]}; the run reaches {reached} of {peak}"


def _points(result: RunResult) -> list[_Point]:
    """Ops with matrix FLOP; equal ops of several blocks are one dot."""
    total_s = sum(row.latency_s * row.count for row in result.rows) or 1.0
    several = len({row.stage for row in result.rows}) > 1
    farthest = _FARTHEST_RIDGES * result.peak_flop_per_s / result.peak_bytes_per_s
    merged: dict[tuple[str, float, float, str], float] = {}
    for row in result.rows:
        alone_s = row.alone_s or row.latency_s
        if row.flop and alone_s:
            name = f"{row.stage} {short_name(row.name)}" if several else short_name(row.name)
            # An op served from on-chip memory has no end to its intensity: the far right.
            intensity = min(row.flop / max(row.bytes, 1.0), farthest)
            key = (name, intensity, row.flop / alone_s, row.bound)
            merged[key] = merged.get(key, 0.0) + row.latency_s * row.count / total_s
    return [_Point(n, x, y, share, bound) for (n, x, y, bound), share in merged.items()]


def _set_limits(axes: Axes, result: RunResult, points: Sequence[_Point]) -> None:
    ridge = result.peak_flop_per_s / result.peak_bytes_per_s
    intensities = [p.intensity for p in points]
    low = min([*(i / 4 for i in intensities), ridge / 40])
    high = max([*intensities, ridge]) * 6
    slowest = min([*(p.rate for p in points), result.peak_flop_per_s / 10])
    axes.set_xlim(low, high)
    axes.set_ylim(slowest / 5, result.peak_flop_per_s * 3)


def _draw_roofs(axes: Axes, result: RunResult, points: Sequence[_Point]) -> list[Artist]:
    """Draw and name the roofs; return the names, which labels must not cover."""
    peak = result.peak_flop_per_s
    low, high = axes.get_xlim()
    roofs = [(_Roof("main memory", result.peak_bytes_per_s), "-", style.INK)]
    if result.shared_bytes_per_s > 1.1 * result.peak_bytes_per_s:
        shared = _Roof(result.shared_name, result.shared_bytes_per_s)
        roofs.append((shared, "--", style.FAINT))
    style.settle(axes)  # slopes are angles of the final layout
    names: list[Artist] = []
    for roof, dashes, colour in roofs:
        slope = roof.bandwidth_bytes_per_s
        ridge = peak / slope
        start = max(low, axes.get_ylim()[0] / slope)
        axes.plot([start, ridge], [start * slope, peak], dashes, color=colour, lw=1.6, zorder=3)
        at = _emptiest(start, ridge, [p.intensity for p in points])
        names.append(_name_slope(axes, roof, at, colour, above=dashes == "--" or len(roofs) == 1))
    first = peak / max(roof.bandwidth_bytes_per_s for roof, _, _ in roofs)
    axes.plot([first, high], [peak, peak], "-", color=style.INK, linewidth=1.6, zorder=3)
    text = f"{result.dtype} peak {format_si(peak, 'FLOP/s')}"
    names.append(
        axes.annotate(
            text, (high, peak), xytext=(-4, 5), textcoords="offset points", ha="right",
            va="bottom", fontsize=9, color=style.INK,
        )
    )  # fmt: skip
    return names


def _emptiest(start: float, ridge: float, intensities: Sequence[float]) -> float:
    """Return the place along a slope that is farthest from every dot."""
    places: list[float] = [start * (ridge / start) ** (step / 20) for step in range(6, 15)]

    def clearance(x: float) -> float:
        return min([abs(math.log(x / intensity)) for intensity in intensities], default=math.inf)

    return max(places, key=clearance)


def _name_slope(axes: Axes, roof: _Roof, at: float, colour: str, above: bool) -> Artist:
    """Write the roof's name along its slope."""
    slope = roof.bandwidth_bytes_per_s
    (x0, y0), (x1, y1) = axes.transData.transform([(at, at * slope), (2 * at, 2 * at * slope)])
    angle = math.atan2(y1 - y0, x1 - x0)
    gap_pt = 3 if above else -3
    return axes.annotate(
        f"{roof.name} {format_si(slope, 'B/s')}", (at, at * slope),
        xytext=(-gap_pt * math.sin(angle), gap_pt * math.cos(angle)),
        textcoords="offset points", rotation=math.degrees(angle),
        rotation_mode="anchor", ha="center", va="bottom" if above else "top",
        fontsize=9, color=colour, zorder=4,
    )  # fmt: skip
