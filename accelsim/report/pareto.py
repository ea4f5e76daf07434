"""The Pareto picture of a sweep: every point, and the front that nothing beats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter

from accelsim.errors import WorkloadError
from accelsim.report import style
from accelsim.units import format_si

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

_UNITS = {
    "_s": "s", "_j": "J", "_w": "W", "_bytes": "B", "_usd": "USD", "_bytes_per_s": "B/s",
    "_flop_per_s": "FLOP/s", "_m2": "m²", "_per_s": "1/s",
}  # fmt: skip
_RATIO = "1/s"  # counts per second read better in full than with an SI prefix
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

    Raises
    ------
    WorkloadError
        If an objective is not a column or nothing finite is left.
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
    figure = style.new_figure(8.5, 5.8)
    style.headline(figure, _message(finite, front), _detail(x_axis, y_axis, objectives))
    axes = figure.add_subplot()
    points = np.stack([x_axis.values, y_axis.values])
    style.tidy(axes)
    _scatter(axes, points, finite & ~front, front)
    if len(objectives) == 2:
        _join(axes, points[:, front], "pre" if x_axis.larger_is_better else "post")
    _set_axis(axes, "x", x_axis, finite)
    _set_axis(axes, "y", y_axis, finite)
    axes.legend(fontsize=9.5, frameon=True, framealpha=0.9, edgecolor=style.GRID)
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
    wishes = (f"{'more' if a.larger_is_better else 'less'} {a.title}" for a in shown)
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


def _join(axes: Axes, front: NDArray[np.float64], corner: Literal["pre", "post"]) -> None:
    """Draw the border of what the front dominates, a staircase."""
    x, y = front[:, np.argsort(front[0], kind="stable")]
    axes.step(x, y, where=corner, color=style.BLUE, linewidth=1.4, zorder=3)


def _set_axis(axes: Axes, which: str, data: _Axis, finite: NDArray[np.bool_]) -> None:
    """Name an axis, put units on its ticks, and make it logarithmic where values span decades."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    shown = data.values[finite]
    if data.unit and shown.min() > 0 and shown.max() / shown.min() > 20:
        axes.set(**{f"{which}scale": "log"})
        axis.set_minor_formatter(NullFormatter())
    if data.unit == _RATIO:
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.4g}"))
    elif data.unit:
        axis.set_major_formatter(FuncFormatter(lambda value, _: format_si(value, data.unit, 2)))
    axis.set_label_text(data.title)
