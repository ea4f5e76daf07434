"""The fold map: how what stays in a systolic array is cut, in which order, and what lies idle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from numpy.typing import NDArray

from accelsim.arch.array import SystolicArray
from accelsim.report import style
from accelsim.report.array_plan import FoldPlan, problem_words, share_words
from accelsim.scenarios.array_problem import ArrayProblem
from accelsim.timing.systolic import SystolicCycles, array_cycles

_NUMBERED_FOLDS = 100
_DRAWN_FOLDS = 400
"""Along each side; a larger map is sampled."""
_RULED_FOLDS = 100
_TICKED_FOLDS = 12
_ORDER_COLOURS = LinearSegmentedColormap.from_list("order", ["#eef5fb", "#5ba3d6"])


def fold_map_figure(
    array: SystolicArray, problem: ArrayProblem, path: str | Path, *, note: str = ""
) -> Path:
    """Draw how what stays in the array is cut into folds, and in which order they run.

    Parameters
    ----------
    array : SystolicArray
        Its buffers, where it has some, may fix the order.
    problem : ArrayProblem
        What is computed.
    path : str or Path
        Picture file, ``.png`` or ``.svg``.
    note : str
        Said of the problem in the small print.
    """
    plan = FoldPlan.of(array, problem, array.buffers.inner if array.buffers else None)
    counts = array_cycles(array, *problem.sizes)
    deep, wide = plan.row_folds * plan.high, plan.col_folds * plan.wide
    figure = style.new_figure(*_map_size_in(deep, wide))
    style.headline(figure, *_map_words(problem_words(array, problem, note), plan, counts))
    axes = figure.add_subplot()
    image = axes.imshow(
        _sampled_order(plan), extent=(0, wide, deep, 0), cmap=_ORDER_COLOURS,
        interpolation="nearest", aspect="equal" if _even(deep, wide) else "auto", zorder=1,
    )  # fmt: skip
    _rule_folds(axes, plan)
    unused = [
        Rectangle((plan.on_cols, 0), wide - plan.on_cols, deep),
        Rectangle((0, plan.on_rows), plan.on_cols, deep - plan.on_rows),
    ]
    for part in unused:
        part.set(facecolor="white", edgecolor="#9a9a9a", hatch="////", linewidth=0, zorder=2)
        axes.add_patch(part)
    axes.add_patch(Rectangle(
        (0, 0), plan.on_cols, plan.on_rows, fill=False, edgecolor=style.INK, linewidth=1.6, zorder=5
    ))  # fmt: skip
    if counts.folds <= _NUMBERED_FOLDS:
        _number_folds(axes, plan, figure.get_figwidth())
    else:
        bar = figure.colorbar(image, ax=axes, shrink=0.7, pad=0.02)
        bar.set_label("order of execution", fontsize=9)
        bar.ax.yaxis.set_major_formatter(_whole)
        bar.outline.set_visible(False)
    _legend(figure, counts)
    _name_axes(axes, plan, f" kept of {problem.k:,}" if array.features.sparsity else "")
    _tick_folds(axes.xaxis, plan.on_cols, plan.wide, plan.col_folds)
    _tick_folds(axes.yaxis, plan.on_rows, plan.high, plan.row_folds)
    axes.tick_params(colors=style.INK, labelsize=9)
    for side in axes.spines.values():
        side.set_visible(False)
    return style.save(figure, path)


def _legend(figure: Figure, counts: SystolicCycles) -> None:
    """Explain shades where no colour bar does, and the hatched rim."""
    handles = []
    if 1 < counts.folds <= _NUMBERED_FOLDS:
        handles = [
            Patch(facecolor=_ORDER_COLOURS(at), edgecolor="#9a9a9a", linewidth=0.5, label=label)
            for at, label in ((0.0, "runs first"), (1.0, "runs last"))
        ]
    if counts.mapping_efficiency < 1:
        share = share_words(1 - counts.mapping_efficiency)
        handles.append(Patch(
            facecolor="white", edgecolor="#9a9a9a", hatch="////", linewidth=0.5,
            label=f"array beyond the matrix: PEs without work, {share}",
        ))  # fmt: skip
    if handles:
        figure.legend(
            handles=handles, loc="outside lower right", ncols=3, frameon=False, fontsize=9
        )


def _map_size_in(deep: int, wide: int) -> tuple[float, float]:
    """Return width and height of the figure that suit the plane's shape [inch]."""
    ratio = deep / wide
    if not _even(deep, wide):
        return 9.0, 5.5
    return (min(9.0, 5.0 / ratio + 2.4), 7.0) if ratio > 0.75 else (9.0, 7.6 * ratio + 2.0)


def _even(deep: int, wide: int) -> bool:
    """Whether the plane can be drawn to scale."""
    return 0.2 <= deep / wide <= 2.0


def _map_words(words: str, plan: FoldPlan, counts: SystolicCycles) -> tuple[str, str]:
    stays = {"A": "inputs A", "B": "weights B", "C": "outputs C"}[plan.flow.stays]
    if counts.folds == 1:
        message = f"The {stays} fit the array in one fold, which covers"
    else:
        message = (
            f"The {stays} are cut into {plan.row_folds:,} × {plan.col_folds:,} folds, which cover"
        )
    detail = (
        f"{words}; every fold streams {plan.flow.stream} = "
        f"{plan.streamed:,} and takes {counts.fold_cycles:,} cycles, however small"
    )
    return f"{message} {share_words(counts.mapping_efficiency)} of the PEs", detail


def _sampled_order(plan: FoldPlan) -> NDArray[np.int64]:
    """Return the order of execution of the folds, at most 400 x 400 of them."""
    rows, cols = (
        np.arange(count) if count <= _DRAWN_FOLDS
        else np.linspace(0, count - 1, _DRAWN_FOLDS).astype(np.int64)
        for count in (plan.row_folds, plan.col_folds)
    )  # fmt: skip
    return plan.order(rows[:, None], cols[None, :])


def _whole(value: float, _: object = None) -> str:
    return f"{value:,.0f}"


def _name_axes(axes: Axes, plan: FoldPlan, of_k: str) -> None:
    """Say what lies along both sides; `of_k` is said of k alone."""
    for axis, name, size, step, along in (
        (axes.xaxis, plan.flow.cols, plan.on_cols, plan.wide, "columns"),
        (axes.yaxis, plan.flow.rows, plan.on_rows, plan.high, "rows"),
    ):
        more = of_k if name == "k" else ""
        axis.set_label_text(f"{name} = {size:,}{more}, {step:,} per fold along the {along}")


def _tick_folds(axis: Axis, size: int, step: int, folds: int) -> None:
    """Put ticks where folds begin, and where the operand ends."""
    axis.set_major_formatter(_whole)
    if folds <= _TICKED_FOLDS:
        clear = 0.04 * folds * step
        edges = [at for at in range(0, (folds + 1) * step, step) if abs(at - size) > clear]
        axis.set_ticks([*edges, size])


def _rule_folds(axes: Axes, plan: FoldPlan) -> None:
    """Separate the folds where there is room for lines."""
    deep, wide = plan.row_folds * plan.high, plan.col_folds * plan.wide
    if max(plan.row_folds, plan.col_folds) > _RULED_FOLDS:
        return
    thin = max(plan.row_folds, plan.col_folds) > 2 * _TICKED_FOLDS
    width = 0.4 if thin else 1.5
    axes.hlines(
        np.arange(1, plan.row_folds) * plan.high, 0, wide, color="white", linewidth=width, zorder=3
    )
    axes.vlines(
        np.arange(1, plan.col_folds) * plan.wide, 0, deep, color="white", linewidth=width, zorder=3
    )


def _number_folds(axes: Axes, plan: FoldPlan, width_in: float) -> None:
    """Write when each fold runs, and draw the way from one to the next."""
    numbers = range(plan.row_folds * plan.col_folds)
    corners = np.array([plan.origin(number) for number in numbers])
    covered = np.minimum(corners + np.array((plan.high, plan.wide)), (plan.on_rows, plan.on_cols))
    y, x = ((corners + covered) / 2).T
    axes.plot(x, y, color="#2f6f9f", linewidth=0.7, alpha=0.45, zorder=4)
    size = min(13.0, 40.0 * width_in / max(plan.col_folds, 1.6 * plan.row_folds) / 3)
    for number in numbers:
        axes.text(
            x[number], y[number], f"{number + 1}", fontsize=max(6.5, size), color=style.INK,
            ha="center", va="center", zorder=6,
            bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "alpha": 0.75, "lw": 0},
        )  # fmt: skip
