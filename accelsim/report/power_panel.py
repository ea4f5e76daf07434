"""Power over time in a picture: counted by engine, of the board, and the board's limit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from accelsim.report import style
from accelsim.report.words import resource_word
from accelsim.results.watts import Watts
from accelsim.units import format_si

Floats = NDArray[np.float64]
_ORDER = ("matrix", "vector", "memory", "network")
_IDLE = "#d9d9d9"
_BOARD: dict[str, Any] = {"color": style.INK, "linewidth": 1.1}
_LIMIT: dict[str, Any] = {"color": style.WARNING, "linewidth": 1.3, "linestyle": "--"}


def draw_power(axes: Axes, times: Floats, watts: Watts) -> None:
    """Stack the counted power of the engines on idle power; draw lines of board and limit.

    Parameters
    ----------
    axes : Axes
    times : float64[bins + 1]
        Edges on the axis of time, in its unit.
    watts : Watts
        Of all chips. The board has a line where more is known of it than what is counted, the
        limit where one is stated.
    """
    below = np.full(len(times) - 1, watts.idle)
    axes.stairs(below, times, fill=True, color=_IDLE, linewidth=0, zorder=3)
    for name in _shown(watts):
        above = below + watts.engines[name]
        colour = style.paler(style.resource_colour(name), 0.75)
        axes.stairs(above, times, baseline=below, fill=True, color=colour, linewidth=0, zorder=3)
        below = above
    highest = float(watts.counted.max())
    if has_board(watts):
        axes.stairs(watts.board, times, baseline=None, zorder=4, **_BOARD)
        highest = float(watts.board.max())
    if math.isfinite(watts.limit):
        axes.axhline(watts.limit, zorder=4, **_LIMIT)
        highest = max(highest, watts.limit)
    highest = max(highest, watts.idle, 1e-12)
    axes.set_ylim(0, 1.12 * highest)
    scale, unit = _unit(highest)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value / scale:g} {unit}")


def power_note(watts: Watts, times: Floats) -> str:
    """Say how high the power is, and which power that is."""
    width = np.diff(times)

    def mean_and_highest(values: Floats) -> str:
        mean = format_si(float(np.average(values, weights=width)), "W")
        return f"mean {mean}, highest {format_si(float(values.max()), 'W')}"

    texts = [f"counted: {mean_and_highest(watts.counted)}"]
    if has_board(watts):
        texts.append(f"board: {mean_and_highest(watts.board)}")
    if math.isfinite(watts.limit):
        texts.append(f"limit {format_si(watts.limit, 'W')}")
    return "; ".join(texts)


def power_legend(watts: Watts) -> list[Artist]:
    """Explain what `draw_power` draws."""
    handles: list[Artist] = [Patch(color=_IDLE, label="idle")]
    for name in _shown(watts):
        colour = style.paler(style.resource_colour(name), 0.75)
        handles.append(Patch(color=colour, label=f"counted: {resource_word(name)}"))
    if has_board(watts):
        handles.append(Line2D([], [], label="board under this load", **_BOARD))
    if math.isfinite(watts.limit):
        handles.append(Line2D([], [], label="stated limit of the board", **_LIMIT))
    return handles


def has_board(watts: Watts) -> bool:
    """Whether the board draws more than what is counted, as far as is known."""
    return bool((watts.board > watts.counted).any())


def _shown(watts: Watts) -> list[str]:
    known = [name for name in _ORDER if name in watts.engines]
    return known + [name for name in watts.engines if name not in _ORDER]


def _unit(highest_w: float) -> tuple[float, str]:
    steps = ((1e6, "MW"), (1e3, "kW"), (1.0, "W"))
    return next((step for step in steps if highest_w >= step[0]), (1e-3, "mW"))
