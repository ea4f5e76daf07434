"""What one device must hold, against what it has."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes

from accelsim.report import style
from accelsim.report.words import detail, percent, role_word
from accelsim.results.run_result import RunResult
from accelsim.units import format_si


def footprint_figure(result: RunResult, path: str | Path) -> Path:
    """Draw the memory of one device as a stacked bar against its capacity.

    Parameters
    ----------
    result : RunResult
        What to draw.
    path : str or Path
        Picture file.
    """
    figure = style.new_figure(9.0, 3.2)
    style.headline(figure, _message(result), detail(result))
    axes = figure.add_subplot()
    capacity = result.memory_capacity_bytes
    left = 0.0
    for key, size in result.memory.items():
        if size <= 0:
            continue
        role = key.removesuffix("_bytes")
        label = f"{role_word(role)} {format_si(size, 'B')}"
        colour = style.ROLE_COLOURS.get(role, style.GREY)
        axes.barh(
            0, size, left=left, height=0.5, color=colour, edgecolor="white",
            linewidth=0.8, label=label, zorder=3,
        )  # fmt: skip
        left += size
    free = capacity - left
    if free > 0:
        axes.barh(
            0, free, left=left, height=0.5, color="#f0f0f0", edgecolor=style.GREY,
            linewidth=0.8, label=f"free {format_si(free, 'B')}", zorder=2,
        )  # fmt: skip
    _mark_capacity(axes, capacity, need=left)
    axes.set_xlim(0, max(left, capacity) * 1.06)
    axes.set_ylim(-0.45, 0.62)
    axes.set_yticks([])
    axes.set_xlabel("memory of one device (1 GB = 10\N{SUPERSCRIPT NINE} bytes)")
    axes.xaxis.set_major_formatter(lambda value, _: format_si(value, "B", 3))
    style.tidy(axes, "x")
    axes.spines["left"].set_visible(False)
    figure.legend(loc="outside lower left", ncols=5, fontsize=9.5, frameon=False)
    return style.save(figure, path)


def _mark_capacity(axes: Axes, capacity: float, need: float) -> None:
    colour = style.WARNING if need > capacity else style.INK
    axes.axvline(capacity, color=colour, linewidth=2, zorder=4)
    beside = -5 if capacity > need / 3 else 5  # the side of the line with room for the text
    axes.annotate(
        f"capacity {format_si(capacity, 'B')}", (capacity, 0.62), xytext=(beside, -1),
        textcoords="offset points", ha="right" if beside < 0 else "left", va="top",
        fontsize=9.5, color=colour,
    )  # fmt: skip


def _message(result: RunResult) -> str:
    need, have = result.memory_bytes, result.memory_capacity_bytes
    key = max(result.memory, key=lambda role: result.memory[role])
    role = role_word(key.removesuffix("_bytes"))
    share = percent(result.memory[key] / need) if need else "0 %"
    verdict = "Fits" if need <= have else "Does not fit"
    verb = "take" if role.endswith("s") else "takes"
    return (
        f"{verdict}: {format_si(need, 'B')} needed of {format_si(have, 'B')}; "
        f"{role} {verb} {share} of what is needed"
    )
