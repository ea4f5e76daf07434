"""Pictures of a whole execution: utilisation and power over time, shares of the critical path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from accelsim.report import style
from accelsim.report.latency import time_unit
from accelsim.report.power_panel import draw_power, power_legend, power_note
from accelsim.report.use_words import mean_over, use_sentence
from accelsim.report.words import gain_words, percent, resource_word
from accelsim.results.execution import Execution, Fold, Track
from accelsim.results.execution_tables import used_shares
from accelsim.results.over_time import bin_edges
from accelsim.results.transfers import MEMORY
from accelsim.results.watts import watts
from accelsim.units import PS_PER_S, format_si

_BUSY, _OF_PEAK = "share of time busy", "share of peak bandwidth"
_PANELS = (
    ("matrix units", ("matrix",), "matrix", _BUSY), ("vector units", ("vector",), "vector", _BUSY),
    ("main memory", MEMORY, "memory", _OF_PEAK), ("links", ("network",), "network", _OF_PEAK),
)  # fmt: skip

Floats = NDArray[np.float64]


def utilisation_figure(execution: Execution, path: str | Path, *, detail: str = "") -> Path:
    """Draw each kind of engine over the whole pass, and the power of all chips below.

    Parameters
    ----------
    execution : Execution
    path : str or Path
        Picture file.
    detail : str
        What was run, for the small print.

    Notes
    -----
    A panel shows the mean of the chips, and their range where they differ. Matrix and vector: the
    share of time in which the units work. Memory and links: the rate over the peak. Power: the
    counted one, stacked by engine; that of the board and its limit, where they are known. All are
    means over the bins of `accelsim.results.over_time.bin_edges`.
    """
    edges = bin_edges(execution)
    used = used_shares(execution, edges)
    panels = [
        (words, measure, of_chip, style.resource_colour(resource))
        for words, engines, resource, measure in _PANELS
        if (of_chip := _by_chip(execution, used, engines)) is not None
    ]
    power = watts(execution, edges)
    figure = style.new_figure(10.0, 2.2 + 0.95 * len(panels) + 1.8)
    means = [
        (words, measure, _mean(execution, of_chip, edges)) for words, measure, of_chip, _ in panels
    ]
    style.headline(figure, _use_message(means), _small_print(execution, detail))
    heights = [1.0] * len(panels) + [1.9]
    grid = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights, squeeze=False)
    unit_s, unit = time_unit(execution.end_ps / PS_PER_S)
    times = edges / PS_PER_S / unit_s
    for axes, (_, _, of_chip, colour), told in zip(grid[:, 0], panels, means, strict=False):
        words, measure, mean = told
        _use_panel(axes, execution, times, (of_chip, colour))
        _title(axes, f"{words}, {measure}", f"mean of the pass {percent(mean)}")
    draw_power(grid[-1, 0], times, power)
    style.tidy(grid[-1, 0])
    grid[-1, 0].tick_params(labelsize=8.5)
    chips = sum(execution.devices)
    of_chips = f" of {chips} chips" if chips > 1 else ""
    _title(grid[-1, 0], f"power{of_chips}", power_note(power, times))
    figure.legend(
        handles=power_legend(power), loc="outside lower center", ncols=4, fontsize=8.5,
        frameon=False, handlelength=1.4, columnspacing=1.6,
    )  # fmt: skip
    _mark_folds(list(grid[:, 0]), execution, unit_s)
    grid[-1, 0].set_xlabel(f"time [{unit}]")
    grid[-1, 0].set_xlim(times[0], times[-1])
    return style.save(figure, path)


def path_figure(
    execution: Execution,
    path: str | Path,
    *,
    detail: str = "",
    gains: Mapping[str, float] | None = None,
) -> Path:
    """Draw the share of the critical path that each resource takes.

    Parameters
    ----------
    execution : Execution
    path : str or Path
        Picture file.
    detail : str
        What was run, for the small print.
    gains : mapping of str to float, optional
        By resource, how long the pass would take if it were infinite [s].
    """
    shares = [share for share in execution.path if share.path_ps > 0]
    figure = style.new_figure(9.0, 1.7 + 0.42 * max(1, len(shares)))
    whole_s = execution.end_ps / PS_PER_S
    style.headline(figure, _path_message(execution), detail or ", ".join(execution.chips))
    axes = figure.add_subplot()
    unit_s, unit = time_unit(whole_s)
    for place, share in enumerate(shares):
        seconds = share.path_ps / PS_PER_S
        axes.barh(
            place, seconds / unit_s, height=0.68, zorder=3,
            color=style.resource_colour(share.resource),
        )  # fmt: skip
        text = f"{format_si(seconds, 's')}  {percent(seconds / whole_s)}"
        axes.annotate(
            text, (seconds / unit_s, place), xytext=(5, 0), textcoords="offset points",
            va="center", fontsize=9, color=style.INK,
        )  # fmt: skip
    axes.set_yticks(range(len(shares)), [resource_word(share.resource) for share in shares])
    axes.invert_yaxis()
    axes.set_xlabel(f"time on the critical path [{unit}]")
    longest_s = max([share.path_ps / PS_PER_S for share in shares], default=whole_s)
    axes.set_xlim(0, longest_s / unit_s * 1.27)  # room for the texts
    if gains:
        _gain_column(axes, [gains.get(share.resource) for share in shares], whole_s)
    style.tidy(axes, "x")
    return style.save(figure, path)


def _gain_column(axes: Axes, new_s: Sequence[float | None], whole_s: float) -> None:
    """Write beside the bars how long the pass would take without each of the limits."""

    def write(place: float, text: str, colour: str) -> None:
        axes.annotate(
            text, (1, place), xycoords=("axes fraction", "data"), xytext=(12, 0),
            textcoords="offset points", va="center", fontsize=9, color=colour,
        )  # fmt: skip

    axes.set_ylim(len(new_s) - 0.5, -1.0)
    write(-0.75, "pass if it were infinitely fast", style.FAINT)
    for place, seconds in enumerate(new_s):
        if seconds is not None:
            write(place, f"{format_si(seconds, 's')}  {gain_words(seconds, whole_s)}", style.INK)


def _path_message(execution: Execution) -> str:
    if not execution.path or execution.end_ps < 1:
        return "The critical path is empty"
    first = max(execution.path, key=lambda share: share.path_ps)
    part = percent(first.path_ps / execution.end_ps)
    return f"The critical path spends {part} of the pass on {resource_word(first.resource)}"


def _by_chip(execution: Execution, used: Floats, engines: tuple[str, ...]) -> Floats | None:
    """Use of a kind of engine of each chip, float64[chips, bins]; None where nobody uses it."""
    rows = []
    for chip in range(len(execution.chips)):
        own = [p for p, track in enumerate(execution.tracks) if _is(track, chip, engines)]
        if not own:
            continue
        # Rates of transfers are parts of one peak; units of a kind work beside each other.
        together = used[own].sum(axis=0)
        exclusive = execution.tracks[own[0]].exclusive
        rows.append(together / len(own) if exclusive else together)
    return np.array(rows) if rows and any(row.any() for row in rows) else None


def _is(track: Track, chip: int, engines: tuple[str, ...]) -> bool:
    return track.chip == chip and track.engine in engines


def _weights(execution: Execution, rows: int) -> Floats:
    counts = np.array(execution.devices, np.float64)
    return counts if len(counts) == rows else np.ones(rows)


def _mean(execution: Execution, of_chip: Floats, edges: NDArray[np.int64]) -> float:
    over_chips = np.average(of_chip, axis=0, weights=_weights(execution, len(of_chip)))
    return float(np.average(over_chips, weights=np.diff(edges)))


def _use_message(means: Sequence[tuple[str, str, float]]) -> str:
    busy, moved = (
        [(words, mean) for words, measure, mean in means if measure == kind]
        for kind in (_BUSY, _OF_PEAK)
    )
    sentence = use_sentence(busy, moved) or "no engine works"
    return f"{sentence[0].upper()}{sentence[1:]}"


def _use_panel(axes: Axes, execution: Execution, times: Floats, look: tuple[Floats, str]) -> None:
    of_chip, colour = look
    mean = np.average(of_chip, axis=0, weights=_weights(execution, len(of_chip)))
    axes.stairs(100 * mean, times, fill=True, color=style.paler(colour, 0.8), linewidth=0, zorder=3)
    spread = float(np.ptp(of_chip, axis=0).max(initial=0.0)) > 1e-9
    if spread:
        for edge in (of_chip.min(axis=0), of_chip.max(axis=0)):
            axes.stairs(100 * edge, times, color=style.INK, linewidth=0.7, baseline=None, zorder=4)
    axes.set_ylim(0, 105)
    axes.set_yticks([0, 50, 100], ["0", "50", "100 %"])
    style.tidy(axes)
    axes.tick_params(labelsize=8.5)


def _title(axes: Axes, words: str, note: str) -> None:
    axes.set_title(words, loc="left", fontsize=9.5, color=style.INK, pad=3)
    axes.set_title(note, loc="right", fontsize=9, color=style.FAINT, pad=3)


def _mark_folds(panels: list[Axes], execution: Execution, unit_s: float) -> None:
    """Shade the time of repeats that were copied."""
    for fold in _folds_of_first(execution):
        first = max(span.end_ps for span in execution.ops[fold.first_op : fold.last_op])
        last = first + fold.copies * fold.period_ps
        edges = (first / PS_PER_S / unit_s, last / PS_PER_S / unit_s)
        for axes in panels:
            axes.axvspan(*edges, color="#f1f1f1", linewidth=0, zorder=0.5)


def _folds_of_first(execution: Execution) -> list[Fold]:
    """Folds of the first chip that has some; the other chips are in step with it."""
    chips = [execution.ops[fold.first_op].chip for fold in execution.folds]
    return [f for f, chip in zip(execution.folds, chips, strict=True) if chip == min(chips)]


def _small_print(execution: Execution, detail: str) -> str:
    texts = [detail or ", ".join(execution.chips), f"every value: {mean_over([execution])}"]
    for fold in _folds_of_first(execution):
        period = format_si(fold.period_ps / PS_PER_S, "s")
        texts.append(f"shaded: {fold.copies:,} copies of one repeat, every {period}")
    return "; ".join(texts)
