"""Pictures of predicted against measured: one panel per class, one colour per chip."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter

from accelsim.report import style
from accelsim.report.words import percent
from accelsim.results.accuracy import ValidationResult, error_summary
from accelsim.units import format_si

if TYPE_CHECKING:
    import pandas as pd

_COLOURS = tuple(colour for colour in style.SERIES if colour != style.YELLOW)  # small dots
_MARKERS = "os^Dv"
_BANDS = ((0.25, "#e6eef5"), (0.10, "#c3d8e8"))
_PANEL_IN = (3.5, 2.9)
_LEGEND_IN = 0.5
_MOST_COLUMNS = 4
_LEAST_ROWS_OF_A_LINE = 40
_RATIO_TICKS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_BINS_PER_DECADE = 3


@dataclass(frozen=True)
class _Look:
    """How a chip is drawn, the same in all panels."""

    colour: str
    marker: str


def accuracy_figures(result: ValidationResult, folder: str | Path) -> tuple[Path, ...]:
    """Write ``predicted-vs-measured.png`` and ``error-vs-size.png``.

    Parameters
    ----------
    result : ValidationResult
        What to draw.
    folder : str or Path
        Made if absent.

    Returns
    -------
    tuple of Path
        The pictures.
    """
    root = Path(folder)
    return (
        scatter_figure(result, root / "predicted-vs-measured.png"),
        ratio_figure(result, root / "error-vs-size.png"),
    )


def scatter_figure(result: ValidationResult, path: str | Path) -> Path:
    """Draw predicted over measured time, both logarithmic, with bands of 10 % and 25 %."""
    figure, panels, looks = _panels(result, _scatter_message(result))
    for axes, suite in zip(panels, result.suites, strict=True):
        rows = result.rows[result.rows["suite"] == suite]
        measured_s, predicted_s = _times(rows)
        low, high = _span(np.concatenate([measured_s, predicted_s]))
        edges = np.array([low, high])
        for width, colour in _BANDS:
            axes.fill_between(
                edges, edges * (1 - width), edges * (1 + width), color=colour, linewidth=0, zorder=1
            )
        axes.plot(edges, edges, color=style.GREY, linewidth=0.8, zorder=2)
        _dots(axes, rows, looks, predicted_s)
        for axis, limits in ((axes.xaxis, axes.set_xlim), (axes.yaxis, axes.set_ylim)):
            limits(low, high)
            _time_ticks(axis)
        style.tidy(axes)
        _title(axes, suite, measured_s, predicted_s)
    _edge_labels(panels, "measured time", "predicted time")
    return _finished(figure, looks, path)


def ratio_figure(result: ValidationResult, path: str | Path) -> Path:
    """Draw predicted / measured over the measured time, and each chip's running median."""
    figure, panels, looks = _panels(result, _ratio_message(result))
    shown = _ratio_limits(result)
    for axes, suite in zip(panels, result.suites, strict=True):
        rows = result.rows[result.rows["suite"] == suite]
        measured_s, predicted_s = _times(rows)
        for width, colour in _BANDS:
            axes.axhspan(1 - width, 1 + width, color=colour, linewidth=0, zorder=1)
        axes.axhline(1.0, color=style.GREY, linewidth=0.8, zorder=2)
        _dots(axes, rows, looks, np.clip(predicted_s / measured_s, *shown))
        for chip, look in looks.items():
            _median_line(axes, rows[rows["chip"] == chip], look)
        axes.set_yscale("log")
        axes.set_ylim(shown[0] * 0.97, shown[1] * 1.03)
        axes.yaxis.set_major_locator(FixedLocator(_RATIO_TICKS))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_xlim(*_span(measured_s))
        _time_ticks(axes.xaxis)
        style.tidy(axes)
        _title(axes, suite, measured_s, predicted_s)
    _edge_labels(panels, "measured time", "predicted / measured")
    return _finished(figure, looks, path)


def _panels(
    result: ValidationResult, message: str
) -> tuple[Figure, list[Axes], Mapping[str, _Look]]:
    """Make a figure with a panel per class, and give every chip its look."""
    count = len(result.suites)
    # As few empty places as can be, then as wide as can be.
    widths = range(min(2, count), min(_MOST_COLUMNS, count) + 1)
    columns = min(widths, key=lambda width: (-count % width > 1, -width))
    lines = math.ceil(count / columns)
    width_in = max(7.0, columns * _PANEL_IN[0])
    figure = style.new_figure(width_in, lines * _PANEL_IN[1] + 1.0 + _LEGEND_IN)
    style.headline(figure, message, _detail(result))
    grid = figure.subplots(lines, columns, squeeze=False).ravel().tolist()
    for axes in grid[count:]:
        axes.set_visible(False)
    chips = list(result.rows["chip"].value_counts(sort=True).index)
    looks = {
        chip: _Look(_COLOURS[i % len(_COLOURS)], _MARKERS[i // len(_COLOURS) % len(_MARKERS)])
        for i, chip in enumerate(chips)
    }
    return figure, grid[:count], looks


def _detail(result: ValidationResult) -> str:
    versions = ", ".join(
        f"{name} {text}" for name, text in result.versions.items() if name not in ("numpy", "numba")
    )
    left = int(result.left_out["rows"].sum()) if len(result.left_out) else 0
    dropped = f"; {left:,} rows left out, counted by reason in the tables" if left else ""
    return f"{len(result.rows):,} measured ops{dropped}; bands of 10 % and 25 %; {versions}"


def _scatter_message(result: ValidationResult) -> str:
    measured_s, predicted_s = _times(result.rows)
    found = error_summary(predicted_s, measured_s)
    inside = percent(found["within_25"])
    return (
        f"Half of all predictions are within {percent(found['median'])} of the measured time, "
        f"{inside} within 25 %"
    )


def _ratio_message(result: ValidationResult) -> str:
    sizes = result.size_table
    worst = sizes[sizes["rows"] >= _LEAST_ROWS_OF_A_LINE].sort_values("median", kind="stable")
    if worst.empty:
        return "Predicted over measured time"
    last = worst.iloc[-1]
    side = "below" if last["bias"] < 0 else "above"
    size = str(last["size"]).replace("us", "µs")
    return (
        f"Furthest from the measured: {_words(last['suite'])} of {size}, "
        f"half of them more than {percent(last['median'])} off, mostly {side}"
    )


def _times(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    return rows["measured_s"].to_numpy(float), rows["predicted_s"].to_numpy(float)


def _span(seconds: np.ndarray) -> tuple[float, float]:
    """Limits of a logarithmic axis of times: a little room, and at least a decade."""
    low, high = float(seconds.min()) / 1.4, float(seconds.max()) * 1.4
    middle = math.sqrt(low * high)
    return min(low, middle / math.sqrt(10)), max(high, middle * math.sqrt(10))


def _ratio_limits(result: ValidationResult) -> tuple[float, float]:
    measured_s, predicted_s = _times(result.rows)
    low, high = np.quantile(predicted_s / measured_s, [0.002, 0.998])
    return max(0.02, min(0.45, float(low))), min(10.0, max(2.2, float(high)))


def _dots(axes: Axes, rows: pd.DataFrame, looks: Mapping[str, _Look], heights: np.ndarray) -> None:
    chips = rows["chip"].to_numpy(str)
    measured_s = rows["measured_s"].to_numpy(float)
    for chip, look in looks.items():
        own = chips == chip
        count = int(own.sum())
        if not count:
            continue
        size, alpha = (22.0, 0.9) if count < 60 else (7.0, 0.5) if count < 1000 else (4.0, 0.35)
        axes.scatter(
            measured_s[own], heights[own], s=size, color=look.colour, marker=look.marker,
            alpha=alpha, linewidths=0, zorder=3,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")


def _median_line(axes: Axes, rows: pd.DataFrame, look: _Look) -> None:
    """Median ratio by third of a decade of measured time."""
    if len(rows) < _LEAST_ROWS_OF_A_LINE:
        return
    measured_s, predicted_s = _times(rows)
    bins = np.floor(np.log10(measured_s) * _BINS_PER_DECADE).astype(int)
    points = [
        (
            10 ** ((b + 0.5) / _BINS_PER_DECADE),
            float(np.median((predicted_s / measured_s)[bins == b])),
        )
        for b in np.unique(bins)
        if (bins == b).sum() >= 3
    ]
    if len(points) > 1:
        xs, ys = zip(*points, strict=True)
        axes.plot(xs, ys, color="white", linewidth=3.4, zorder=4)
        axes.plot(xs, ys, color=look.colour, linewidth=1.8, zorder=5)


def _time_ticks(axis: object) -> None:
    axis.set_major_locator(LogLocator(numticks=6))  # type: ignore[attr-defined]
    axis.set_minor_formatter(NullFormatter())  # type: ignore[attr-defined]
    axis.set_major_formatter(  # type: ignore[attr-defined]
        FuncFormatter(lambda value, _: format_si(value, "s", 1))
    )


def _title(axes: Axes, suite: str, measured_s: np.ndarray, predicted_s: np.ndarray) -> None:
    found = error_summary(predicted_s, measured_s)
    axes.set_title(_words(suite), loc="left", fontsize=10.5, color=style.INK, pad=16)
    axes.annotate(
        f"{len(measured_s):,} ops, median {percent(found['median'])}, "
        f"bias {100 * found['bias']:+.0f} %",
        (0, 1), xytext=(0, 4), xycoords="axes fraction", textcoords="offset points",
        fontsize=8.5, color=style.FAINT,
    )  # fmt: skip
    axes.tick_params(labelsize=8.5)


def _words(suite: str) -> str:
    return str(suite).replace("_", " ")


def _edge_labels(panels: Sequence[Axes], below: str, beside: str) -> None:
    """Label the axes of the lowest panel of each column and the first of each line."""
    for axes in panels:
        place = axes.get_subplotspec()
        assert place is not None
        if place.is_first_col():
            axes.set_ylabel(beside, fontsize=9.5)
        lowest = place.is_last_row() or all(
            other.get_subplotspec().rowspan.start <= place.rowspan.start  # type: ignore[union-attr]
            or other.get_subplotspec().colspan.start != place.colspan.start  # type: ignore[union-attr]
            for other in panels
        )
        if lowest:
            axes.set_xlabel(below, fontsize=9.5)


def _finished(figure: Figure, looks: Mapping[str, _Look], path: str | Path) -> Path:
    """Add the legend of chips and bands below all panels, and write the picture."""
    handles: list[Line2D | Patch] = [
        Line2D(
            [], [], color=look.colour, marker=look.marker, linestyle="", markersize=6, label=chip
        )
        for chip, look in looks.items()
    ]
    handles += [Patch(color=colour, label=f"± {100 * width:.0f} %") for width, colour in _BANDS]
    fitting = max(3, int(figure.get_figwidth() / 1.35))
    legend = figure.legend(
        handles=handles, loc="outside lower center", ncols=min(fitting, len(handles)),
        fontsize=8.5, frameon=False, handletextpad=0.3, columnspacing=1.2,
    )  # fmt: skip
    assert legend is not None
    return style.save(figure, path)
