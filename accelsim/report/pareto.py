"""The Pareto picture of a sweep: every point, and the front that nothing beats."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter

from accelsim.errors import WorkloadError
from accelsim.report import style
from accelsim.report.labels import Dot, place_labels

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

_UNITS = {
    "_s": "s", "_j": "J", "_w": "W", "_bytes": "B", "_usd": "USD", "_bytes_per_s": "B/s",
    "_flop_per_s": "FLOP/s", "_m2": "m²", "_per_s": "1/s",
}  # fmt: skip
_PREFIXED = ("s", "J", "W", "B", "B/s", "FLOP/s")  # counts and money read better in full
_PREFIXES = "fpnµm kMGTPE"
_MOST_LABELS = 8
_MOST_OBSTACLES = 400
_LABEL_WIDTH = 30
_TITLES = {
    "tokens_per_s": "throughput [tokens/s]",
    "ttft_s": "time to first token [s]",
    "tpot_s": "time per output token [s]",
    "mfu": "compute used, MFU [1]",
    "mbu": "bandwidth used, MBU [1]",
}


def axis_title(column: str) -> str:
    """Write a column name with a unit suffix as words with the unit in brackets."""
    if column in _TITLES:
        return _TITLES[column]
    suffix = _suffix(column)
    words = column.removesuffix(suffix).replace("_", " ").replace(".", " ")
    return f"{words} [{_UNITS[suffix]}]" if suffix else words


def _suffix(column: str) -> str:
    longest_first = sorted(_UNITS, key=len, reverse=True)
    return next((suffix for suffix in longest_first if column.endswith(suffix)), "")


def pareto_figure(
    frame: pd.DataFrame,
    objectives: Sequence[str],
    pareto_mask: ArrayLike,
    path: str | Path,
    maximize: Sequence[bool] | None = None,
    *,
    labels: Sequence[str] | None = None,
) -> Path:
    """Draw the first two objectives of a sweep against each other, the front joined by steps.

    Parameters
    ----------
    frame : DataFrame
        One row per point; rows without finite objectives are left out.
    objectives : sequence of str
        Columns to optimise; the first is horizontal, the second vertical. With one objective the
        points stand in their order.
    pareto_mask : array_like of bool, shape (len(frame),)
        Which points no other beats.
    path : str or Path
        Picture file.
    maximize : sequence of bool, optional
        Per objective, whether more is better; less is better for all when left out.
    labels : sequence of str, length of the front, optional
        What to write beside the points of the front, in the order of the frame. At most eight
        are written, spread along the front.

    Raises
    ------
    WorkloadError
        If an objective is not a column, nothing finite is left, or the labels are not as many
        as the points of the front.
    """
    missing = [name for name in objectives if name not in frame.columns]
    if missing or not objectives:
        raise WorkloadError(f"no column {missing} to draw, known: {', '.join(frame.columns)}")
    larger = tuple(maximize or (False,) * len(objectives))
    y_axis = _Axis.of(frame, objectives[min(1, len(objectives) - 1)], larger[-1])
    if len(objectives) == 1:
        x_axis = _Axis(np.arange(len(frame), dtype=float), "point of the sweep", "", False)
    else:
        x_axis, y_axis = (_Axis.of(frame, objectives[i], larger[i]) for i in (0, 1))
    finite = np.isfinite(x_axis.values) & np.isfinite(y_axis.values)
    if not finite.any():
        raise WorkloadError("no point of the sweep has finite objectives: nothing to draw")
    front = np.asarray(pareto_mask, dtype=bool) & finite
    texts = _front_texts(labels, np.asarray(pareto_mask, dtype=bool), finite)
    figure = style.new_figure(8.5, 5.8)
    style.headline(figure, _message(finite, front), _detail(x_axis, y_axis, objectives))
    axes = figure.add_subplot()
    points = np.stack([x_axis.values, y_axis.values])
    style.tidy(axes)
    _scatter(axes, points, finite & ~front, front)
    border = points[:, front]
    if len(objectives) == 2:
        border = _join(axes, border, x_axis.larger_is_better)
    _set_axis(axes, "x", x_axis, finite)
    _set_axis(axes, "y", y_axis, finite)
    legend = axes.legend(fontsize=9.5, frameon=True, framealpha=0.9, edgecolor=style.GRID)
    if texts:
        style.settle(axes)  # the border is sampled in pixels
        around = [points[:, finite & ~front], _along(axes, border)]
        dots, labelled = _dots(points[:, front], around, texts)
        place_labels(axes, dots, labelled, [legend])
    return style.save(figure, path)


@dataclass(frozen=True)
class _Axis:
    """One direction of the picture: values, title, unit and which way is better."""

    values: NDArray[np.float64]
    title: str
    unit: str
    larger_is_better: bool

    @classmethod
    def of(cls, frame: pd.DataFrame, column: str, larger_is_better: bool) -> _Axis:
        values = frame[column].to_numpy(float)
        return cls(values, axis_title(column), _UNITS.get(_suffix(column), ""), larger_is_better)


def _detail(x_axis: _Axis, y_axis: _Axis, objectives: Sequence[str]) -> str:
    shown = [y_axis] if len(objectives) == 1 else [x_axis, y_axis]
    wishes = (
        f"{'more' if a.larger_is_better else 'less'} {a.title.partition(' [')[0]}" for a in shown
    )
    rest = f"; {len(objectives) - 2} more objectives are not shown" if len(objectives) > 2 else ""
    return f"better is {' and '.join(wishes)}{rest}"


def _message(finite: NDArray[np.bool_], front: NDArray[np.bool_]) -> str:
    left_out = f" ({(~finite).sum()} infeasible left out)" if not finite.all() else ""
    best, total = int(front.sum()), int(finite.sum())
    verb = "is" if best == 1 else "are"
    return f"{best} of {total} designs {verb} beaten by no other{left_out}"


def _scatter(
    axes: Axes, points: NDArray[np.float64], others: NDArray[np.bool_], front: NDArray[np.bool_]
) -> None:
    """Draw points of shape (2, n): the front large and blue."""
    x, y = points[:, others]
    axes.scatter(x, y, s=26, color=style.GREY, alpha=0.7, label="other designs")
    x, y = points[:, front]
    axes.scatter(x, y, s=48, color=style.BLUE, zorder=4, label="Pareto front")


def _join(axes: Axes, front: NDArray[np.float64], more_is_right: bool) -> NDArray[np.float64]:
    """Draw the border of what the front dominates; return the corners of this staircase."""
    x, y = np.repeat(front[:, np.argsort(front[0], kind="stable")], 2, axis=1)
    # A point dominates on its worse side in x: to the left of it where more is better.
    corners = np.stack([x[:-1], y[1:]] if more_is_right else [x[1:], y[:-1]])
    axes.plot(*corners, color=style.BLUE, linewidth=1.4, zorder=3)
    return corners


def _along(axes: Axes, corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points close to each other on a line through corners of shape (2, n)."""
    if corners.shape[1] < 2 or corners.shape[1] > _MOST_OBSTACLES:
        return corners
    pixels = axes.transData.transform(corners.T)
    steps = np.linspace(pixels[:-1], pixels[1:], 16).reshape(-1, 2)
    inverse: NDArray[np.float64] = axes.transData.inverted().transform(steps)
    return inverse.T


def _set_axis(axes: Axes, which: str, data: _Axis, finite: NDArray[np.bool_]) -> None:
    """Name an axis, put units on its ticks, and make it logarithmic where values span decades."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    shown = data.values[finite]
    if data.unit and shown.min() > 0 and shown.max() / shown.min() > 20:
        axes.set(**{f"{which}scale": "log"})
        axis.set_minor_formatter(NullFormatter())
    scale, prefix = _prefix(float(np.abs(shown).max())) if data.unit in _PREFIXED else (1.0, "")
    axis.set_major_formatter(FuncFormatter(lambda value, _: tick_text(value / scale)))
    axis.set_label_text(data.title.replace(f"[{data.unit}]", f"[{prefix}{data.unit}]"))


def _prefix(largest: float) -> tuple[float, str]:
    """Return the SI prefix, and its factor, that leaves at least one digit before the point."""
    if largest <= 0:
        return 1.0, ""
    thousands = min(max(math.floor(math.log10(largest) / 3), -5), 6)
    return 10.0 ** (3 * thousands), _PREFIXES[thousands + 5].strip()


def tick_text(value: float) -> str:
    """Write a number at an axis in full: no power of ten, no zeros without meaning."""
    magnitude = math.floor(math.log10(abs(value))) if value else 0
    text = f"{value:,.{max(0, 5 - magnitude)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _front_texts(
    labels: Sequence[str] | None, mask: NDArray[np.bool_], finite: NDArray[np.bool_]
) -> list[str]:
    """Labels of the points of the front that are drawn, wrapped."""
    if labels is None:
        return []
    if len(labels) != int(mask.sum()):
        raise WorkloadError(f"{len(labels)} labels for the {int(mask.sum())} points of the front")
    drawn = finite[mask]
    return [
        textwrap.fill(label, _LABEL_WIDTH)
        for label, keep in zip(labels, drawn, strict=True)
        if keep
    ]


def _dots(
    front: NDArray[np.float64], around: Sequence[NDArray[np.float64]], texts: Sequence[str]
) -> tuple[list[Dot], int]:
    """Return the dots of a picture, those to label first, and how many these are.

    Of points that lie on each other the first is labelled; of a long front, points spread along
    it. What lies `around` is an obstacle, and a few hundred of each kind are enough.
    """
    _, first = np.unique(front, axis=1, return_index=True)
    order = first[np.argsort(front[0, first], kind="stable")]
    chosen = order[np.unique(np.linspace(0, len(order) - 1, _MOST_LABELS).round().astype(int))]
    dots = [Dot(float(front[0, i]), float(front[1, i]), texts[i], 5.0) for i in chosen]
    for obstacles in (np.delete(front, chosen, axis=1), *around):
        thin = max(1, math.ceil(obstacles.shape[1] / _MOST_OBSTACLES))
        dots += [Dot(x, y, "", 4.0) for x, y in obstacles[:, ::thin].T.tolist()]
    return dots, len(chosen)
