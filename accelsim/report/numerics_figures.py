"""What a precision does to a model, in pictures: error by layer, logits, quality against energy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from accelsim.errors import WorkloadError
from accelsim.functional.layer_errors import LayerError
from accelsim.functional.quality import LogitQuality
from accelsim.report import style
from accelsim.report.labels import Dot, place_labels
from accelsim.report.numerics_tables import (
    chip_names,
    decibels,
    length_words,
    op_place,
    worst_ops,
)
from accelsim.report.pareto import tick_text
from accelsim.report.words import percent
from accelsim.scenarios.numerics_result import NumericsResult
from accelsim.units import format_si

_PANELS = 6
_COLUMNS = 4
_CARRIED = "+ residual"
_SUBLAYERS = {
    "attention": {
        "attn_norm": "norm", "attn_q": "q", "attn_k": "k", "attn_v": "v", "attn": "softmax(q k) v",
        "attn_output": "projection", "attn_add": _CARRIED,
    },
    "feed-forward network": {
        "ffn_norm": "norm", "ffn_gate": "gate", "ffn_up": "up", "ffn_act": "activation",
        "ffn_down": "down", "ffn_add": _CARRIED,
    },
}  # fmt: skip
_MARKS = "osD^vP*X"
_COLOURS = tuple(colour for colour in style.SERIES if colour != style.YELLOW)  # thin lines


def numerics_figures(
    results: Sequence[NumericsResult], front: ArrayLike | None, folder: str | Path
) -> tuple[Path, ...]:
    """Write all pictures of a study that its results allow.

    Parameters
    ----------
    results : sequence of NumericsResult
        With logits.
    front : array_like of bool, shape (len(results),), or None
        Which results no other beats in both KL and energy per token; None: no such picture.
    folder : str or Path
        Made if absent.

    Returns
    -------
    tuple of Path
        ``numerics-layers.png``, ``numerics-logits.png`` and, of two or more results with times,
        ``numerics-quality-energy.png``.
    """
    root = Path(folder)
    made = (
        layers_figure(results, root / "numerics-layers.png"),
        logits_figure(results, root / "numerics-logits.png"),
    )
    if front is None or len(results) < 2:
        return made
    return (*made, quality_energy_figure(results, front, root / "numerics-quality-energy.png"))


def layers_figure(results: Sequence[NumericsResult], path: str | Path) -> Path:
    """Draw the SQNR of what every op writes by layer.

    Parameters
    ----------
    results : sequence of NumericsResult
        One gets a line per op, several a panel per op with a line each.
    path : str or Path
        Picture file.
    """
    several = len(results) > 1
    figure = style.new_figure(*((11.0, 9.2) if several else (10.0, 4.9)))
    style.headline(figure, _worst_words(results), _detail(results))
    panels = _panels_of_ops(figure, results) if several else _panels_of_one(figure, results[0])
    low = min(axes.get_ylim()[0] for axes in panels)
    high = max(axes.get_ylim()[1] for axes in panels)
    room = 0.0 if several else 0.3 * (high - low)  # for the legends
    for axes in panels:
        axes.set_ylim(low, high + room)
    return style.save(figure, path)


def _panels_of_one(figure: Figure, result: NumericsResult) -> list[Axes]:
    panels = list(figure.subplots(1, 2))
    for axes, (name, ops) in zip(panels, _SUBLAYERS.items(), strict=True):
        for index, (kind, label) in enumerate(ops.items()):
            _draw_line(axes, result, kind, index, label)
        _finish(axes, f"{result.variant}: {name}")
        if axes.get_legend_handles_labels()[1]:
            axes.legend(fontsize=8.5, frameon=False, loc="upper right", ncols=2)
        axes.set(xlabel="layer", ylabel="SQNR [dB]")
    return panels


def _panels_of_ops(figure: Figure, results: Sequence[NumericsResult]) -> list[Axes]:
    ops = [
        (kind, f"{name.partition(' ')[0]}: {label}")
        for name, kinds in _SUBLAYERS.items()
        for kind, label in kinds.items()
    ]
    grid = figure.add_gridspec(math.ceil(len(ops) / _COLUMNS), _COLUMNS)
    panels = []
    for place, (kind, title) in enumerate(ops):
        axes = figure.add_subplot(grid[divmod(place, _COLUMNS)])
        for index, result in enumerate(results):
            _draw_line(axes, result, kind, index, result.variant)
        _finish(axes, title)
        if place % _COLUMNS == 0:
            axes.set_ylabel("SQNR [dB]")
        if place + _COLUMNS >= len(ops):
            axes.set_xlabel("layer")
        panels.append(axes)
    names = panels[0].get_legend_handles_labels()
    corner = figure.add_subplot(grid[-1, len(ops) % _COLUMNS :])
    corner.set_axis_off()
    corner.legend(*names, fontsize=10, frameon=False, loc="center", ncols=2)
    return panels


def _draw_line(axes: Axes, result: NumericsResult, kind: str, index: int, label: str) -> None:
    """Draw one kind of op over layers; what is exact or NaN leaves a gap."""
    points = [
        (layer, error.sqnr_db if math.isfinite(error.sqnr_db) else math.nan)
        for error in result.errors
        for layer, name in [op_place(error.name)]
        if layer is not None and name == kind
    ]
    if not points:
        return
    carries = label == _CARRIED
    axes.plot(
        *zip(*points, strict=True), label=label,
        color=style.INK if carries else _COLOURS[index % len(_COLOURS)],
        marker="" if carries else _MARKS[index % len(_MARKS)], markersize=3.5,
        linewidth=2.0 if carries else 1.3,
    )  # fmt: skip


def _finish(axes: Axes, title: str) -> None:
    style.tidy(axes)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.set_title(title, loc="left", fontsize=10, color=style.INK)


def _worst_words(results: Sequence[NumericsResult]) -> str:
    """Say where the error is largest: of one variant, or of the worst and the best of several."""
    found = [(result, worst) for result in results for worst in worst_ops(result.errors, 1)]
    if not found:
        return "No op was measured"
    ranked = worst_ops([error for _, error in found], len(found))
    chosen = [ranked[0], *ranked[1:][-1:]]
    variants = [next(r.variant for r, error in found if error is one) for one in chosen]
    words = [f"{name} {_place_words(one)}" for name, one in zip(variants, chosen, strict=True)]
    return f"Signal over error at worst: {', '.join(words)}"


def _place_words(error: LayerError) -> str:
    layer, kind = op_place(error.name)
    names = {k: v for ops in _SUBLAYERS.values() for k, v in ops.items()}
    place = kind if layer is None else f"{names.get(kind, kind)} of layer {layer}"
    return f"{decibels(error.sqnr_db)} dB ({place})"


def _detail(results: Sequence[NumericsResult]) -> str:
    first = results[0]
    return (
        f"{first.model} in the arithmetic of {chip_names(results)}, {first.quality.tokens} tokens "
        "of text, against fp32"
    )


def logits_figure(results: Sequence[NumericsResult], path: str | Path) -> Path:
    """Draw logits against those of fp32, with the distribution of their difference.

    Parameters
    ----------
    results : sequence of NumericsResult
        With logits; the first six are drawn.
    path : str or Path
        Picture file.

    Raises
    ------
    WorkloadError
        If a result carries no logits.

    """
    shown = results[:_PANELS]
    columns = 2 if len(shown) == 4 else min(3, len(shown))
    rows = math.ceil(len(shown) / columns)
    width = 6.4 if columns == 1 else 4.1 * columns
    figure = style.new_figure(width, 1.0 + (5.2 if columns == 1 else 3.9) * rows)
    part = f"; {len(shown)} of {len(results)} variants" if len(shown) < len(results) else ""
    style.headline(figure, _logit_words(shown), _detail(results) + part)
    grid = figure.add_gridspec(rows, columns)
    pairs = [_sampled(result) for result in shown]
    low = min(float(wanted.min()) for wanted, _ in pairs)
    high = max(float(wanted.max()) for wanted, _ in pairs)
    margin = 0.04 * (high - low) or 1.0
    for index, (result, (wanted, found)) in enumerate(zip(shown, pairs, strict=True)):
        axes = figure.add_subplot(grid[divmod(index, columns)])
        _draw_logits(axes, result, wanted, found)
        axes.set(xlim=(low - margin, high + margin), ylim=(low - margin, high + margin))
    return style.save(figure, path)


def _logit_words(results: Sequence[NumericsResult]) -> str:
    ranked = sorted(results, key=lambda result: result.quality.top1_agreement)
    ends = ranked if len(ranked) < 3 else [ranked[0], ranked[-1]]
    kept = ", ".join(f"{r.variant} {percent(r.quality.top1_agreement)}" for r in ends)
    return f"Likeliest next token stays the same: {kept}"


def _sampled(result: NumericsResult) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return logits of fp32 and of the run, finite ones."""
    if result.logits is None or result.reference_logits is None:
        raise WorkloadError(f"{result.variant} carries no logits to draw")
    wanted, found = result.reference_logits, result.logits
    good = np.isfinite(found)
    return (wanted[good], found[good]) if good.any() else (wanted, np.full_like(wanted, np.nan))


def _draw_logits(
    axes: Axes, result: NumericsResult, wanted: NDArray[np.float32], found: NDArray[np.float32]
) -> None:
    style.tidy(axes)
    axes.hexbin(
        wanted, np.nan_to_num(found), gridsize=70, cmap="cividis", norm=LogNorm(vmin=1),
        mincnt=1, linewidths=0.1, zorder=2,
    )  # fmt: skip
    ends = [float(wanted.min()), float(wanted.max())]
    axes.plot(ends, ends, color=style.VERMILLION, linewidth=1.1, zorder=3)
    axes.set_title(result.variant, loc="left", fontsize=10, color=style.INK)
    axes.set(xlabel="logit in fp32", ylabel=f"logit in {result.variant}")
    axes.text(
        0.97, 0.04, _divergence_words(result.quality),
        transform=axes.transAxes, ha="right", va="bottom", fontsize=9, color=style.INK,
    )  # fmt: skip
    _draw_difference(axes, found - wanted)


def _divergence_words(quality: LogitQuality) -> str:
    if quality.bad_tokens == quality.tokens:
        return "no logit is a number"
    return f"KL {quality.kl_nats:.3g} nat\nrms {quality.rms:.3g}"


def _draw_difference(axes: Axes, difference: NDArray[np.float32]) -> None:
    """Draw the histogram of differences in the empty corner above the diagonal."""
    inset = axes.inset_axes((0.05, 0.74, 0.32, 0.22))
    finite = difference[np.isfinite(difference)]
    reach = float(np.abs(finite).max()) if finite.size else 0.0
    inset.hist(finite, bins=60, range=(-reach or -1.0, reach or 1.0), color=style.BLUE, log=True)
    inset.set_title("difference (count, log)", fontsize=7.5, color=style.FAINT, pad=2)
    inset.tick_params(labelsize=7, colors=style.FAINT, length=2)
    inset.set_yticks([])
    inset.minorticks_off()
    inset.patch.set_alpha(0.85)
    for side in ("top", "right", "left"):
        inset.spines[side].set_visible(False)


def quality_energy_figure(
    results: Sequence[NumericsResult], front: ArrayLike, path: str | Path
) -> Path:
    """Draw what variants lose against the energy that a token costs on the chip.

    Parameters
    ----------
    results : sequence of NumericsResult
        With times.
    front : array_like of bool, shape (len(results),)
        Which no other beats.
    path : str or Path
        Picture file.
    """
    x = np.array([result.energy_per_token_j for result in results])
    y = np.array([result.quality.kl_nats for result in results])
    finite = np.isfinite(y)
    best = np.asarray(front, dtype=bool) & finite
    figure = style.new_figure(8.6, 5.8)
    style.headline(figure, _front_words(results, best), _energy_detail(results))
    axes = _energy_axes(figure, x[finite], y[finite])
    error = np.nan_to_num([result.quality.kl_error_nats for result in results])
    axes.errorbar(
        x[finite], y[finite], np.minimum(error, 0.9 * y)[finite], fmt="none", ecolor=style.FAINT,
        elinewidth=1.0, capsize=2, zorder=3,
    )  # fmt: skip
    axes.scatter(x[finite & ~best], y[finite & ~best], s=46, color=style.GREY, zorder=4)
    axes.scatter(x[best], y[best], s=64, color=style.BLUE, zorder=5)
    line = _draw_front(axes, x[best], y[best])
    dots = [
        Dot(float(x[i]), float(y[i]), _point_words(result), 5.0)
        for i, result in enumerate(results)
        if finite[i]
    ]
    place_labels(axes, [*dots, *line], len(dots))
    return style.save(figure, path)


def _draw_front(axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64]) -> list[Dot]:
    """Join the front by steps; return points along them, which labels shall not cover."""
    order = np.argsort(x, kind="stable")
    corners_x, corners_y = np.repeat(x[order], 2)[1:], np.repeat(y[order], 2)[:-1]
    axes.plot(corners_x, corners_y, color=style.BLUE, linewidth=1.3, zorder=3)
    style.settle(axes)
    pixels = axes.transData.transform(np.stack([corners_x, corners_y], axis=1))
    between = np.linspace(pixels[:-1], pixels[1:], 24).reshape(-1, 2)
    points = axes.transData.inverted().transform(between)
    return [Dot(float(a), float(b), "", 3.0) for a, b in points]


def _energy_axes(figure: Figure, x: NDArray[np.float64], y: NDArray[np.float64]) -> Axes:
    axes = figure.add_subplot()
    style.tidy(axes)
    positive = y[y > 0]
    if positive.size and positive.max() > 10 * positive.min():
        axes.set_yscale("symlog" if (y == 0).any() else "log")
        if (y == 0).any():
            axes.set_yscale("symlog", linthresh=float(positive.min()))
    spread = float(np.ptp(x)) if x.size else 0.0
    if spread > 0:
        axes.set_xlim(float(x.min()) - 0.15 * spread, float(x.max()) + 0.2 * spread)
    axes.margins(y=0.15)
    axes.xaxis.set_major_formatter(lambda value, _: tick_text(1e3 * value))
    axes.set(
        xlabel="energy per generated token [mJ] (axis does not start at 0)",
        ylabel="KL from fp32 [nat], less is better",
    )
    return axes


def _point_words(result: NumericsResult) -> str:
    known = math.isfinite(result.perplexity)
    perplexity = f"perplexity {result.perplexity:.4g}" if known else "no perplexity"
    return f"{result.variant}\n{result.weight_bits:.4g} bit, {perplexity}"


def _front_words(results: Sequence[NumericsResult], best: NDArray[np.bool_]) -> str:
    """Name the ends of the front, and how many lie behind it."""
    front = [result for result, chosen in zip(results, best, strict=True) if chosen]
    if not front:
        return "No variant has a quality that can be measured"
    front.sort(key=lambda result: result.energy_per_token_j)
    ends = [f"{r.variant} {format_si(r.energy_per_token_j, 'J')}" for r in (front[0], front[-1])]
    behind = len(results) - len(front)
    beaten = f"; {behind} of {len(results)} beaten in both" if behind else ""
    if len(front) == 1:
        return f"Best in quality and energy per token: {ends[0]}{beaten}"
    return f"From {ends[0]} to {ends[1]} a token{beaten}"


def _energy_detail(results: Sequence[NumericsResult]) -> str:
    perplexity = f"perplexity {results[0].reference_perplexity:.4g}"
    energy = f"energy of {length_words(results)}; bars: standard error"
    return f"{_detail(results)} ({perplexity}); {energy}"
