"""A systolic array at work, in pictures: wavefront, utilisation over time, fold map."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from accelsim.arch.array import SystolicArray
from accelsim.report import style
from accelsim.report.array_folds import fold_map_figure
from accelsim.report.array_plan import problem_words, share_words
from accelsim.report.array_states import require_trace
from accelsim.report.array_wavefront import VALUES_UP_TO, wavefront_figure
from accelsim.scenarios.array_problem import ArrayProblem
from accelsim.timing.pe_level import ArrayRun
from accelsim.timing.systolic import SystolicCycles, array_cycles

_BINS = 1200
_BINS_PER_FOLD = 24
_FIRST_FOLDS = 3
_SHADED_FOLDS = 80


def array_figures(
    run: ArrayRun,
    array: SystolicArray,
    problem: ArrayProblem,
    directory: str | Path,
    cycle: int | None = None,
    *,
    whole: ArrayProblem | None = None,
    note: str = "",
) -> tuple[Path, ...]:
    """Write ``wavefront.png``, ``utilisation.png`` and ``folds.png`` of a run.

    Parameters
    ----------
    run : ArrayRun
        With a trace.
    array : SystolicArray
        That it ran on.
    problem : ArrayProblem
        What it computed.
    directory : str or Path
        Made if absent.
    cycle : int, optional
        Of the wavefront, from 1; default: see `telling_cycle` [cycle].
    whole : ArrayProblem, optional
        What the map of folds shows, where the run is only a part of it.
    note : str
        Said of the problem in the small print, such as ``1 of 4 groups``.

    Returns
    -------
    tuple of Path
        The pictures.

    Raises
    ------
    SimulationError
        If the run has no trace, or the trace no such cycle.
    """
    root = Path(directory)
    shown = telling_cycle(run, array) if cycle is None else cycle
    return (
        wavefront_figure(run, array, problem, shown, root / "wavefront.png", note=note),
        utilisation_figure(run, array, problem, root / "utilisation.png", note=note),
        fold_map_figure(array, whole or problem, root / "folds.png", note="" if whole else note),
    )


def telling_cycle(run: ArrayRun, array: SystolicArray) -> int:
    """Choose a traced cycle, from 1, in which there is something to see.

    The first in which half as many PEs work as in the busiest: a front among PEs that can be read
    one by one. Of large arrays the first of the busiest.
    """
    active = run.active_per_cycle[: len(require_trace(run).fold)]
    if max(array.rows, array.cols) > VALUES_UP_TO:
        return int(np.argmax(active)) + 1
    return int(np.argmax(2 * active >= active.max())) + 1


def utilisation_figure(
    run: ArrayRun,
    array: SystolicArray,
    problem: ArrayProblem,
    path: str | Path,
    *,
    note: str = "",
) -> Path:
    """Draw the share of PEs that multiply, cycle by cycle.

    Parameters
    ----------
    run : ArrayRun
        A trace is not needed.
    array : SystolicArray
        That it ran on.
    problem : ArrayProblem
        What it computed.
    path : str or Path
        Picture file, ``.png`` or ``.svg``.
    note : str
        Said of the problem in the small print.

    Notes
    -----
    Runs too long to show every fold's rise and fall are drawn as means of whole folds, beside the
    first folds cycle by cycle. The mapping efficiency is the share of PEs that folds cover, mean
    over folds: without loading, filling and draining the array would reach it.
    """
    counts = array_cycles(array, *problem.sizes)
    share = run.active_per_cycle / (array.pes * array.features.arrays)
    mean = float(share.mean())
    figure = style.new_figure(9.5, 4.6)
    style.headline(figure, _loss_words(mean, counts), problem_words(array, problem, note))
    starts = _fold_starts(array, counts)
    period = int(starts[1] - starts[0])
    if len(share) <= _BINS * period / _BINS_PER_FOLD:
        axes = figure.add_subplot()
        _draw_share(axes, share, math.ceil(len(share) / _BINS), starts)
    else:
        first, axes = figure.subplots(1, 2, width_ratios=(1, 1.6), sharey=True)
        shown = share[: starts[min(_FIRST_FOLDS, len(starts) - 1)]]
        _draw_share(first, shown, math.ceil(len(shown) / _BINS), starts[: _FIRST_FOLDS + 1])
        first.set_title("the first folds", fontsize=9.5, color=style.INK, pad=10)
        together = math.ceil(len(starts) / _BINS)
        _draw_share(axes, share, period * together, starts)
        axes.set_title("all cycles", fontsize=9.5, color=style.INK, pad=10)
    figure.axes[0].set_ylabel("PEs that multiply [%]")
    _mark_levels(axes, mean, counts.mapping_efficiency)
    return style.save(figure, path)


def _draw_share(
    axes: Axes, share: NDArray[np.float64], width: int, starts: NDArray[np.int64]
) -> None:
    """Draw means of `width` cycles, every second fold on a grey ground."""
    style.tidy(axes, "y")
    _shade_folds(axes, starts)
    edges = np.append(np.arange(0, len(share), width), len(share))
    heights = 100 * np.add.reduceat(share, edges[:-1]) / np.diff(edges)
    axes.stairs(heights, edges, fill=True, color="#f7b733", alpha=0.9, zorder=3)
    axes.stairs(heights, edges, color="#b97800", linewidth=0.9, zorder=4)
    axes.set_xlim(0, len(share))
    axes.set_ylim(0, 106)
    axes.set_xlabel("cycle" if width == 1 else f"cycle (means of {width:,})")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")


def _fold_starts(array: SystolicArray, counts: SystolicCycles) -> NDArray[np.int64]:
    """Return when each fold begins (of several arrays: each round of folds), and the end."""
    rounds = math.ceil(counts.folds / array.features.arrays)
    period = (counts.cycles - counts.fold_cycles) // max(rounds - 1, 1)
    return np.append(np.arange(rounds) * period, counts.cycles)


def _loss_words(mean: float, counts: SystolicCycles) -> str:
    """Say where the lost cycles went; the product of both shares is the utilisation."""
    covered = counts.mapping_efficiency
    return (
        f"{share_words(mean)} utilisation = {share_words(covered)} of the PEs in a fold "
        f"× {share_words(mean / covered)} of the cycles streaming"
    )


def _shade_folds(axes: Axes, starts: NDArray[np.int64]) -> None:
    """Tell folds apart by their ground; too many would only be a grey."""
    folds = len(starts) - 1
    if folds > _SHADED_FOLDS:
        return
    for fold in range(folds):
        if fold % 2:
            axes.axvspan(starts[fold], starts[fold + 1], color="#ededed", linewidth=0, zorder=0)
        if folds <= 24:
            middle = (starts[fold] + starts[fold + 1]) / 2
            name = f"fold {fold + 1}" if folds <= 8 else f"{fold + 1}"
            axes.text(middle, 101, name, ha="center", va="bottom", fontsize=8, color=style.FAINT)


def _mark_levels(axes: Axes, mean: float, covered: float) -> None:
    """Draw both lines, with names on the right that keep apart."""
    middle, apart = 50 * (mean + covered), max(50 * (covered - mean), 6.0)
    for level, at, text, colour in (
        (covered, middle + apart, "mapping\nefficiency", style.BLUE),
        (mean, middle - apart, "mean\nutilisation", style.INK),
    ):
        axes.axhline(100 * level, color=colour, linewidth=1.5, linestyle="--", zorder=5)
        axes.annotate(
            f"{text} {share_words(level)}", (1, at), xycoords=("axes fraction", "data"),
            xytext=(5, 0), textcoords="offset points", va="center", color=colour, fontsize=9,
        )  # fmt: skip
