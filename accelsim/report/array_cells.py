"""A multiply-add in figures: what is written into the PEs of a small systolic array."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from accelsim.report import style
from accelsim.report.array_scene import Scene
from accelsim.report.array_states import PeState, compact

OPERAND_COLOURS = {"A": "#9b2d00", "B": "#004a7c", "C": "#00543d"}
_SMALLEST_PT = 6.5


class _Layout(NamedTuple):
    """Where in a PE values and signs stand, how wide an operand may be and how high texts."""

    places: dict[str, tuple[float, float]]
    wide: float
    high: dict[str, float]


# False: operands and a sum. True: a sum before, plus the product, is the sum after.
_SIDE_BY_SIDE = {
    False: _Layout(
        {"A": (0.27, 0.3), "×": (0.5, 0.3), "B": (0.73, 0.3), "C": (0.5, 0.74)},
        0.36, {"A": 0.3, "C": 0.32},
    ),
    True: _Layout(
        {
            "before": (0.56, 0.19), "+": (0.12, 0.48), "A": (0.35, 0.48), "×": (0.57, 0.48),
            "B": (0.8, 0.48), "=": (0.12, 0.79), "C": (0.56, 0.79),
        },
        0.36, {"before": 0.2, "A": 0.22, "C": 0.25},
    ),
}  # fmt: skip
_STACKED = {
    False: _Layout(
        {"A": (0.56, 0.19), "×": (0.1, 0.46), "B": (0.56, 0.46), "C": (0.5, 0.78)},
        0.8, {"A": 0.23, "C": 0.3},
    ),
    True: _Layout(
        {
            "before": (0.58, 0.13), "+": (0.12, 0.37), "A": (0.58, 0.37), "×": (0.12, 0.61),
            "B": (0.58, 0.61), "=": (0.12, 0.86), "C": (0.58, 0.86),
        },
        0.8, {"before": 0.18, "A": 0.19, "C": 0.2},
    ),
}  # fmt: skip


def draw_values(axes: Axes, scene: Scene, side_pt: float) -> None:
    """Write a multiply-add into every PE: a sum, plus a product, is the next sum.

    Parameters
    ----------
    axes : Axes
        One PE is 1 wide and 1 high.
    scene : Scene
        With values.
    side_pt : float
        Of a PE [pt].
    """
    texts = {name: _written(values) for name, values in scene.operands.items()}
    texts["C"] = _written(scene.sums)
    if scene.before is not None:
        texts["before"] = _written(scene.before)
    longest = {name: _longest(values) for name, values in texts.items()}
    places, sizes = _layout(longest, side_pt)

    def put(name: str, row: int, col: int) -> None:
        x, y = places[name]
        is_sum = name in ("C", "before")
        axes.text(
            col + x, row + y, texts[name][row][col] if name in texts else name,
            color=OPERAND_COLOURS.get("C" if is_sum else name, style.FAINT),
            ha="center", va="center", zorder=7, fontsize=sizes.get(name, sizes["A"]),
            fontweight="bold" if name == "C" else "normal",
        )  # fmt: skip

    for (row, col), state in np.ndenumerate(scene.states):
        if state == PeState.MULTIPLYING:
            added = () if scene.before is None else ("before", "+", "=")
            for name in ("A", "×", "B", *added):
                put(name, row, col)
        elif state in (PeState.HOLDING, PeState.LOADING) and scene.flow.stays != "C":
            put(scene.flow.stays, row, col)
        if scene.has_sum[row, col]:
            put("C", row, col)


def _layout(
    longest: dict[str, int], side_pt: float
) -> tuple[dict[str, tuple[float, float]], dict[str, float]]:
    """Return where in a PE everything stands, and its size [pt], for texts of such lengths."""
    operand_pt = side_pt / (0.6 * max(longest["A"], longest["B"]))  # as wide as the PE
    layout = _SIDE_BY_SIDE["before" in longest]
    if min(layout.wide * operand_pt, layout.high["A"] * side_pt) < _SMALLEST_PT:
        layout = _STACKED["before" in longest]
    size = min(11.0, layout.wide * operand_pt, layout.high["A"] * side_pt)
    sizes = {
        name: min(14.0, 0.82 * side_pt / (0.7 * longest[name]), layout.high[name] * side_pt)
        for name in ("before", "C")
        if name in longest
    }
    return layout.places, sizes | {"A": size, "B": size}


def _written(values: NDArray[Any]) -> list[list[str]]:
    return [[compact(value) for value in row] for row in values.tolist()]


def _longest(texts: list[list[str]]) -> int:
    return max(len(text) for row in texts for text in row)
