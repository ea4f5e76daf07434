"""Latency and bandwidth of a memory as curves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from numpy.typing import ArrayLike, NDArray

from accelsim.report import style
from accelsim.report.dram_tables import nanoseconds, setting_words, share, value_words
from accelsim.results.dram import DramResult
from accelsim.scenarios.dram_study import SWEEPS, DramSetting, DramSweep

_BINS = 120
_MARKS = (("p50", 50, style.INK), ("p99", 99, style.VERMILLION))
_LINEAR = ("read-share",)
_ROOM = 0.06
_Scale = Callable[[ArrayLike], ArrayLike]


def latency_figure(
    result: DramResult, setting: DramSetting, path: str | Path, *, detail: str = ""
) -> Path | None:
    """Draw how long reads took, with median and 99th percentile; None without reads.

    Parameters
    ----------
    result : DramResult
    setting : DramSetting
    path : str or Path
        Picture file, ``.png`` or ``.svg``.
    detail : str
        Of the traffic, for the small print.
    """
    latency_ns = 1e9 * result.read_latency_s
    if not latency_ns.size:
        return None
    figure = style.new_figure(9.5, 4.6)
    p50, p99 = (result.read_latency_percentile_s(p) for p in (50, 99))
    message = f"Half of the reads take {nanoseconds(p50)} ns or more"
    rare = f"one in a hundred {nanoseconds(p99)} ns"
    style.headline(figure, f"{message}, {rare}", _small(setting, detail))
    axes = figure.add_subplot()
    style.tidy(axes, "y")
    counts, edges = latency_bins(latency_ns)
    axes.stairs(counts, edges, fill=True, color=style.SKY, alpha=0.85, zorder=3)
    axes.set_yscale("log")
    axes.set_ylim(0.7, 30 * counts.max())
    axes.set_xlim(0, edges[-1])
    axes.set_xlabel("read latency [ns], from the controller's queue to the last data")
    axes.set_ylabel("reads")
    for down, (name, percent, colour) in enumerate(_MARKS):
        at = 1e9 * result.read_latency_percentile_s(percent)
        axes.axvline(at, color=colour, linewidth=1.5, linestyle="--", zorder=5)
        axes.annotate(
            f"{name}\n{at:,.0f} ns", (at, 1), xycoords=("data", "axes fraction"),
            xytext=(4, -4 - 28 * down), textcoords="offset points", va="top", color=colour,
            fontsize=9,
        )  # fmt: skip
    return style.save(figure, path)


def latency_bins(
    latency_ns: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Count latencies in bins of a whole number of ns.

    Parameters
    ----------
    latency_ns : float64[reads]
        [ns]

    Returns
    -------
    (int64[bins], float64[bins + 1])
        Counts, and edges of the bins [ns].
    """
    width = max(1.0, float(np.ceil(latency_ns.max() / _BINS)))
    edges = np.arange(0.0, latency_ns.max() + 2 * width, width)
    return np.histogram(latency_ns, edges)[0], edges


def sweep_figure(sweeps: Sequence[DramSweep], path: str | Path, *, detail: str = "") -> Path:
    """Draw bandwidth over the parameter of a sweep; a sweep of accesses under way is a
    curve of latency over bandwidth.

    Parameters
    ----------
    sweeps : sequence of DramSweep
        Of one parameter; several differ by their address map.
    path : str or Path
        Picture file, ``.png`` or ``.svg``.
    detail : str
        Of the traffic, for the small print.
    """
    if sweeps[0].name == "outstanding":
        return _loaded_latency_figure(sweeps, path, detail)
    figure = style.new_figure(9.5, 4.9)
    style.headline(
        figure, _sweep_message(sweeps), _small(sweeps[0].setting, detail, maps=len(sweeps))
    )
    axes = figure.add_subplot()
    style.tidy(axes)
    for sweep, colour in zip(sweeps, style.SERIES, strict=False):
        heights = [100 * result.bandwidth_fraction for result in sweep.results]
        axes.plot(
            sweep.values, heights, color=colour, marker="o", markersize=4.5, linewidth=1.8,
            zorder=4, label=sweep.setting.controller.address_map,
        )  # fmt: skip
    _parameter_axis(axes, sweeps[0])
    axes.set_ylim(0, 105)
    axes.set_ylabel("bandwidth [% of peak]")
    _gigabytes_axis(axes, sweeps[0].results[0].peak_bytes_per_s)
    _mark_refresh(axes, sweeps[0].setting)
    if len(sweeps) > 1:
        axes.legend(title="address map", fontsize=9, title_fontsize=9, frameon=False)
    return style.save(figure, path)


def _sweep_message(sweeps: Sequence[DramSweep]) -> str:
    """Say where the bandwidth is highest and lowest."""
    sweep = sweeps[0]
    fractions = [result.bandwidth_fraction for result in sweep.results]
    best, worst = int(np.argmax(fractions)), int(np.argmin(fractions))
    title = SWEEPS[sweep.name].title
    of_map = f" with map {sweep.setting.controller.address_map}" if len(sweeps) > 1 else ""
    return (
        f"From {share(fractions[worst])} of the peak at {_at(sweep, worst, title)} to "
        f"{share(fractions[best])} at {_at(sweep, best, title)}{of_map}"
    )


def _at(sweep: DramSweep, index: int, title: str) -> str:
    words = value_words(sweep.name, sweep.values[index])
    if sweep.name == "streams":
        return f"{words} {title if sweep.values[index] > 1 else 'stream'}"
    return f"{words} {title}" if sweep.name == "queue" else f"{title} {words}"


def _small(setting: DramSetting, detail: str, *, maps: int = 1) -> str:
    words = setting_words(setting)
    if maps > 1:  # the legend names them
        words = words.partition(", map ")[0]
    return f"{words}; {detail}" if detail else words


def _parameter_axis(axes: Axes, sweep: DramSweep) -> None:
    name = sweep.name
    if name not in _LINEAR:
        axes.set_xscale("log", base=2)
        whole = [v for v in sweep.values if int(v) == v and not int(v) & (int(v) - 1)]
        axes.set_xticks(whole, [value_words(name, v) for v in whole])
        axes.xaxis.set_minor_locator(NullLocator())
        if len(whole) > 9:
            axes.tick_params(axis="x", labelsize=8.5)
    else:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
    axes.set_xlabel(SWEEPS[name].title)


def _gigabytes_axis(axes: Axes, peak_bytes_per_s: float) -> None:
    """Add GB/s on the right, beside the share of the peak."""
    right = axes.secondary_yaxis("right", functions=_percent_to_gigabytes(peak_bytes_per_s))
    right.set_ylabel("bandwidth [GB/s]")
    right.spines["right"].set_color(style.GREY)
    right.tick_params(colors=style.INK, labelsize=9.5)


def _percent_to_gigabytes(peak_bytes_per_s: float) -> tuple[_Scale, _Scale]:
    """Functions from a share of the peak [%] to GB/s, and back."""
    scale = peak_bytes_per_s / 1e9 / 100

    def forward(values: ArrayLike) -> ArrayLike:
        return np.asarray(values, np.float64) * scale

    def backward(values: ArrayLike) -> ArrayLike:
        return np.asarray(values, np.float64) / scale

    return forward, backward


def _mark_refresh(axes: Axes, setting: DramSetting) -> None:
    bound = setting.refresh_bound
    if bound >= 1:
        return
    axes.axhline(100 * bound, color=style.WARNING, linewidth=1.2, linestyle="--", zorder=3)
    axes.annotate(
        f"refresh leaves {share(bound)}", (0, 100 * bound), xycoords=("axes fraction", "data"),
        xytext=(6, 4), textcoords="offset points", color=style.WARNING, fontsize=9,
    )  # fmt: skip


def _loaded_latency_figure(sweeps: Sequence[DramSweep], path: str | Path, detail: str) -> Path:
    """Draw latency over bandwidth as more and more accesses are under way."""
    figure = style.new_figure(9.5, 5.2)
    style.headline(
        figure, _loaded_message(sweeps[0]), _small(sweeps[0].setting, detail, maps=len(sweeps))
    )
    axes = figure.add_subplot()
    style.tidy(axes)
    for sweep, colour in zip(sweeps, style.SERIES, strict=False):
        of_map = f", map {sweep.setting.controller.address_map}" if len(sweeps) > 1 else ""
        for percent, line, name in ((None, "-", "mean"), (99, ":", "99th percentile")):
            widths, heights = loaded_latency(sweep, percent)
            axes.plot(
                widths, heights, color=colour, linestyle=line, marker="o", markersize=4,
                linewidth=1.8, zorder=4, label=f"{name}{of_map}",
            )  # fmt: skip
    _name_loads(axes, sweeps[0])
    right = max(result.bandwidth_fraction for sweep in sweeps for result in sweep.results)
    bound = sweeps[0].setting.refresh_bound
    axes.set_xlim(0, max(100 * right, 100 * bound if right > 0.8 * bound else 0) * (1 + _ROOM))
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_ylim(bottom=0.6 * min(loaded_latency(sweep, None)[1].min() for sweep in sweeps))
    axes.set_xlabel("bandwidth [% of peak]")
    axes.set_ylabel("read latency [ns]")
    peak = sweeps[0].results[0].peak_bytes_per_s
    top = axes.secondary_xaxis("top", functions=_percent_to_gigabytes(peak))
    top.set_xlabel("bandwidth [GB/s]")
    top.spines["top"].set_color(style.GREY)
    top.tick_params(colors=style.INK, labelsize=9.5)
    axes.legend(loc="lower right", fontsize=9, frameon=False)
    return style.save(figure, path)


def loaded_latency(
    sweep: DramSweep, percent: float | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bandwidth [% of peak] and a percentile of read latency [ns] of every point; None: mean."""
    widths = np.array([100 * result.bandwidth_fraction for result in sweep.results])
    heights = [
        float(r.read_latency_s.mean()) if percent is None else r.read_latency_percentile_s(percent)
        for r in sweep.results
    ]
    return widths, 1e9 * np.array(heights)


def _loaded_message(sweep: DramSweep) -> str:
    widths, heights = loaded_latency(sweep, None)
    return (
        f"A read takes {heights[0]:,.0f} ns alone, and on average {heights[-1]:,.0f} ns at "
        f"{widths[-1]:.0f} % of the peak"
    )


def _name_loads(axes: Axes, sweep: DramSweep) -> None:
    """Write the accesses under way at some points, where they are apart."""
    widths, heights = loaded_latency(sweep, None)
    last = -100.0
    for value, x, y in zip(sweep.values, widths, heights, strict=True):
        if x - last < _ROOM * widths.max():
            continue
        last = x
        axes.annotate(
            f"{value:g}", (x, y), xytext=(0, -13), textcoords="offset points", ha="center",
            fontsize=8.5, color=style.FAINT,
        )  # fmt: skip
