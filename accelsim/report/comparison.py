"""Several runs side by side: one panel per case, one bar per chip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes

from accelsim.report import style
from accelsim.units import format_si

_LOG_FROM = 60.0


@dataclass(frozen=True)
class Comparison:
    """What a comparison picture shows.

    Attributes
    ----------
    message, detail : str
        Headline and small print.
    quantity, unit : str
        What the bars measure and its SI unit, for the axis and the values.
    values : mapping
        Case (panel) to series (chip, bar) to value.
    """

    message: str
    detail: str
    quantity: str
    unit: str
    values: Mapping[str, Mapping[str, float]]


def comparison_figure(comparison: Comparison, path: str | Path) -> Path:
    """Draw the cases as panels with one bar per series, values on the bars.

    Parameters
    ----------
    comparison : Comparison
        What to draw; each panel has its own scale, because cases differ by orders of magnitude.
    path : str or Path
        Picture file.

    Notes
    -----
    A panel whose values differ more than 60 fold has a logarithmic axis and says so.
    """
    cases = list(comparison.values)
    series = list(dict.fromkeys(s for case in cases for s in comparison.values[case]))
    figure = style.new_figure(3.2 * len(cases) + 1.5, 1.7 + 0.5 * len(series))
    style.headline(figure, comparison.message, comparison.detail)
    panels = figure.subplots(1, len(cases), squeeze=False, sharey=True)[0]
    for axes, case in zip(panels, cases, strict=True):
        _panel(axes, comparison, case, series)
    panels[0].set_yticks(range(len(series)), series)
    panels[0].invert_yaxis()
    return style.save(figure, path)


def _panel(axes: Axes, comparison: Comparison, case: str, series: Sequence[str]) -> None:
    values = comparison.values[case]
    top, bottom = max(values.values()), min(values.values())
    logarithmic = bottom > 0 and top / bottom > _LOG_FROM
    for position, name in enumerate(series):
        if name not in values:
            continue
        axes.barh(
            position, values[name], height=0.66, zorder=3,
            color=style.SERIES[position % len(style.SERIES)],
        )  # fmt: skip
        axes.annotate(
            format_si(values[name], comparison.unit), (values[name], position), xytext=(4, 0),
            textcoords="offset points", va="center", fontsize=10, color=style.INK,
        )  # fmt: skip
    axes.set_title(case, loc="left", fontsize=10.5, color=style.INK)
    if logarithmic:
        axes.set_xscale("log")
        axes.set_xlim(bottom / 3, top * 8)
    else:
        axes.set_xlim(0, top * 1.38)  # room for the values at the bars' ends
        axes.locator_params(axis="x", nbins=4)
    axes.xaxis.set_major_formatter(lambda value, _: format_si(value, comparison.unit, 2))
    axes.tick_params(axis="x", rotation=0)
    style.tidy(axes, "x")
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=8.5)
    scale = ", log scale" if logarithmic else ""
    axes.set_xlabel(f"{comparison.quantity}{scale}", fontsize=9.5)
