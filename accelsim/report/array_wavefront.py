"""The systolic array at one cycle: what every PE does and what moves at its edges."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Patch, Rectangle
from numpy.typing import NDArray

from accelsim.arch.array import SystolicArray
from accelsim.errors import SimulationError
from accelsim.report import style
from accelsim.report.array_plan import FoldPlan, GemmSizes, problem_words
from accelsim.report.array_scene import DISTANCES, EDGE, INDEX, Scene
from accelsim.report.array_states import PeState, compact, require_trace, state_words
from accelsim.timing.pe_level import ArrayRun

STATE_COLOURS = {
    PeState.IDLE: "#f2f2f2",
    PeState.LOADING: "#7fb8e0",
    PeState.HOLDING: "#d3e6f5",
    PeState.MULTIPLYING: "#f7b733",
    PeState.PASSING: "#dcefe8",
    PeState.PADDING: "#fafafa",
}
OPERAND_COLOURS = {"A": "#9b2d00", "B": "#004a7c", "C": "#00543d"}
TOKEN_COLOURS = {"A": "#fbe0d3", "B": "#d6e8f7", "C": "#cdeee2"}
_VALUES_UP_TO = 12
_POINTS_PER_INCH = 72.0
_SMALLEST_PT = 6.5


def wavefront_figure(
    run: ArrayRun, array: SystolicArray, problem: GemmSizes, cycle: int, path: str | Path
) -> Path:
    """Draw the array at one cycle.

    Parameters
    ----------
    run : ArrayRun
        With a trace.
    array : SystolicArray
        That it ran on.
    problem : GemmSizes
        What it computed.
    cycle : int
        From 1 to ``run.cycles`` [cycle].
    path : str or Path
        Picture file, ``.png`` or ``.svg``.

    Raises
    ------
    SimulationError
        If the run has no trace or no such cycle.

    Notes
    -----
    A PE shows its operands and, below, the partial sum at the end of the cycle (up to 12 x 12
    PEs). Beside the array wait the values of the next cycles, nearest first; below it stand the
    sums that left in the cycles before.
    """
    trace = require_trace(run)
    if not 1 <= cycle <= len(trace.fold):
        raise SimulationError(f"cycle {cycle} is not one of the run's 1 to {len(trace.fold)}")
    scene = Scene.of(trace, array, cycle - 1)
    room = _margins(scene)
    right = max(0.9, 0.07 * array.cols)  # for the numbers of rows
    width = room["left"] + array.cols + right
    height = room["top"] + array.rows + room["bottom"]
    side_in = min(0.8, 10.5 / max(width, height))
    figure = style.new_figure(max(6.8, width * side_in + 0.5), height * side_in + 2.0)
    axes = figure.add_subplot()
    axes.set_xlim(-room["left"], array.cols + right)
    axes.set_ylim(array.rows + room["bottom"], -room["top"])
    axes.set_aspect("equal")
    axes.set_axis_off()
    plan = FoldPlan.of(array, problem)
    _draw_cells(axes, scene)
    _draw_indices(axes, array, plan, scene.fold)
    if _detailed(scene):
        _draw_values(axes, scene, side_in * _POINTS_PER_INCH)
        _draw_moves(axes, scene, side_in * _POINTS_PER_INCH)
    _draw_tokens(axes, scene, side_in * _POINTS_PER_INCH)
    _name_edges(axes, scene)
    _legend(figure, scene)
    style.headline(figure, _message(scene, cycle, run), _detail(scene, problem, plan, run))
    return style.save(figure, path)


def _detailed(scene: Scene) -> bool:
    """Whether values are written."""
    return max(scene.array.rows, scene.array.cols) <= _VALUES_UP_TO


def _margins(scene: Scene) -> dict[str, float]:
    """Room left of, above and below the array [PEs]."""
    deep = {"left": 0, "top": 0, "bottom": 0}
    for token in scene.tokens:
        deep[token.side] = max(deep[token.side], token.distance)
    room = {side: EDGE + depth + 0.8 if depth else 0.3 for side, depth in deep.items()}
    return room | {"top": room["top"] + max(INDEX, 0.02 * scene.array.rows)}


def _draw_cells(axes: Axes, scene: Scene) -> None:
    rows, cols = scene.states.shape
    palette = np.array([to_rgb(STATE_COLOURS[state]) for state in PeState])
    axes.imshow(palette[scene.states], extent=(0, cols, rows, 0), interpolation="nearest", zorder=1)
    unused = np.ma.masked_where(scene.states != PeState.PADDING, scene.states)
    axes.pcolor(unused, hatch="////", edgecolor="#c9c9c9", facecolor="none", linewidth=0, zorder=2)
    if max(rows, cols) <= 64:
        width = 1.6 if _detailed(scene) else 0.8
        axes.hlines(range(1, rows), 0, cols, color="white", linewidth=width, zorder=3)
        axes.vlines(range(1, cols), 0, rows, color="white", linewidth=width, zorder=3)
    axes.add_patch(Rectangle((0, 0), cols, rows, fill=False, edgecolor=style.INK, lw=1.1, zorder=6))


def _draw_indices(axes: Axes, array: SystolicArray, plan: FoldPlan, fold: int) -> None:
    """Number the rows on the right and the columns above, in the problem's own indices."""
    first_row, first_col = plan.origin(fold)
    high, wide = plan.high // array.rows, plan.wide // array.cols  # above 1: packed PEs
    written: dict[str, Any] = {"color": style.FAINT, "fontsize": 8, "zorder": 7}
    for at in _shown(min(array.rows, math.ceil((plan.on_rows - first_row) / high))):
        label = f"{plan.flow.rows} {first_row + at * high}"
        axes.text(array.cols + 0.12, at + 0.5, label, ha="left", va="center", **written)
    for at in _shown(min(array.cols, math.ceil((plan.on_cols - first_col) / wide))):
        label = f"{plan.flow.cols} {first_col + at * wide}"
        axes.text(at + 0.5, -0.12, label, ha="center", va="bottom", **written)


def _shown(count: int) -> range:
    """Pick about a dozen indices."""
    step = next(step for step in (1, 2, 4, 8, 16, 32, 64, 2**20) if count <= 12 * step)
    return range(0, count, step)


def _draw_values(axes: Axes, scene: Scene, side_pt: float) -> None:
    """Write operands on top and the sum below into every PE that has them."""
    texts = {name: _written(values) for name, values in scene.operands.items()}
    texts["C"] = _written(scene.sums)
    longest = max(_longest(texts["A"]), _longest(texts["B"]))
    size = min(11.0, side_pt * 0.92 / (0.6 * (2 * longest + 1)), side_pt * 0.3)
    places = {"A": (0.27, 0.3), "B": (0.73, 0.3), "×": (0.5, 0.3), "C": (0.5, 0.74)}
    if size < _SMALLEST_PT:  # one above the other instead of side by side
        places |= {"A": (0.56, 0.19), "B": (0.56, 0.46), "×": (0.1, 0.46)}
        size = min(9.0, side_pt * 0.8 / (0.6 * longest), side_pt * 0.23)
    sum_size = min(14.0, side_pt * 0.9 / (0.7 * _longest(texts["C"])), side_pt * 0.32)

    def put(name: str, row: int, col: int) -> None:
        x, y = places[name]
        axes.text(
            col + x, row + y, "×" if name == "×" else texts[name][row][col],
            color=OPERAND_COLOURS.get(name, style.FAINT), ha="center", va="center", zorder=7,
            fontsize=sum_size if name == "C" else size,
            fontweight="bold" if name == "C" else "normal",
        )  # fmt: skip

    for (row, col), state in np.ndenumerate(scene.states):
        if state == PeState.MULTIPLYING:
            for name in ("A", "×", "B"):
                put(name, row, col)
        elif state in (PeState.HOLDING, PeState.LOADING) and scene.flow.stays != "C":
            put(scene.flow.stays, row, col)
        if scene.has_sum[row, col]:
            put("C", row, col)


def _written(values: NDArray[Any]) -> list[list[str]]:
    return [[compact(value) for value in row] for row in values.tolist()]


def _longest(texts: list[list[str]]) -> int:
    return max(len(text) for row in texts for text in row)


def _draw_moves(axes: Axes, scene: Scene, side_pt: float) -> None:
    """Mark on the borders between PEs what is handed on after this cycle."""
    flow, works = scene.flow, scene.states == PeState.MULTIPLYING
    size = (0.13 * side_pt) ** 2
    row, col = np.nonzero(works[:, :-1] & (scene.states[:, 1:] != PeState.PADDING))
    colour = OPERAND_COLOURS[flow.enters_left]
    axes.scatter(col + 1, row + 0.3, s=size, c=colour, marker=">", linewidths=0, zorder=8)
    below = np.isin(scene.states[1:], (PeState.IDLE, PeState.LOADING))
    loads = (scene.states[:-1] == PeState.LOADING) & below
    falls = [(loads, flow.enters_top), (scene.has_sum[:-1] & ~loads, "C")]
    if flow.stays == "C":
        falls = [(works[:-1], flow.enters_top)]
    for moves, operand in falls:
        row, col = np.nonzero(moves)
        colour = OPERAND_COLOURS[operand]
        axes.scatter(col + 0.5, row + 1, s=size, c=colour, marker="v", linewidths=0, zorder=8)


def _draw_tokens(axes: Axes, scene: Scene, side_pt: float) -> None:
    names = {"left": scene.flow.enters_left, "top": scene.flow.enters_top, "bottom": "C"}
    texts = ["" if token.value is None else compact(token.value) for token in scene.tokens]
    longest = max([1, *map(len, texts)])
    size = min(10.0, side_pt * 0.78 / (0.62 * longest), side_pt * 0.32)
    for token, text in zip(scene.tokens, texts, strict=True):
        operand = names[token.side]
        strength = 1 - 0.75 * (token.distance - 1) / DISTANCES
        axes.add_patch(FancyBboxPatch(
            (token.x - 0.3, token.y - 0.2), 0.6, 0.4, boxstyle="round,pad=0.1,rounding_size=0.15",
            facecolor=TOKEN_COLOURS[operand], edgecolor=OPERAND_COLOURS[operand], linewidth=0.6,
            alpha=strength, zorder=4,
        ))  # fmt: skip
        if _detailed(scene):
            axes.text(
                token.x, token.y, text, color=OPERAND_COLOURS[operand], alpha=0.5 + strength / 2,
                fontsize=size, ha="center", va="center", zorder=5,
            )  # fmt: skip


def _name_edges(axes: Axes, scene: Scene) -> None:
    """Say beside the queues what they are."""
    room = _margins(scene)
    rows, cols = scene.states.shape
    sides = {token.side for token in scene.tokens}
    flow = scene.flow
    shape = {"A": "A[m, k]", "B": "B[k, n]"}
    written: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 9.5, "zorder": 7}
    if "left" in sides:
        axes.text(
            -room["left"] + 0.35, rows / 2, f"{shape[flow.enters_left]} enters, next cycles ↓",
            rotation=90, color=OPERAND_COLOURS[flow.enters_left], **written,
        )  # fmt: skip
    if "top" in sides:
        what = "enters" if flow.stays == "C" else "is loaded"
        axes.text(
            cols / 2, -room["top"] + 0.35, f"{shape[flow.enters_top]} {what}, next cycles ↓",
            color=OPERAND_COLOURS[flow.enters_top], **written,
        )  # fmt: skip
    if "bottom" in sides:
        axes.text(
            cols / 2, rows + room["bottom"] - 0.35, "sums that left in the cycles before ↓",
            color=OPERAND_COLOURS["C"], **written,
        )  # fmt: skip


def _legend(figure: Figure, scene: Scene) -> None:
    present = set(np.unique(scene.states).tolist())
    handles = [
        Patch(
            facecolor=STATE_COLOURS[state], edgecolor="#c4c4c4", linewidth=0.6, label=word,
            hatch="////" if state == PeState.PADDING else None,
        )
        for state, word in state_words(scene.array).items()
        if state in present
    ]  # fmt: skip
    figure.legend(
        handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=9.5,
        handlelength=1.4,
    )  # fmt: skip


def _message(scene: Scene, cycle: int, run: ArrayRun) -> str:
    when = f"Cycle {cycle} of {run.cycles}"
    if scene.stage == "loading":
        kind = "weights" if scene.array.dataflow == "ws" else "inputs"
        return f"{when}: {kind} move in from above, no PE multiplies"
    busy = int((scene.states == PeState.MULTIPLYING).sum())
    why = {
        "streaming": "folds overlap", "full": "every PE of the fold",
        "filling": "the wavefront still fills the array", "draining": "the array drains",
        "passing": "the wavefront passes through",
    }[scene.stage]  # fmt: skip
    which = "PEs" if scene.array.features.arrays == 1 else "PEs of the first array"
    return f"{when}: {busy} of {scene.array.pes} {which} multiply, {why}"


def _detail(scene: Scene, problem: GemmSizes, plan: FoldPlan, run: ArrayRun) -> str:
    text = (
        f"{problem_words(scene.array, problem)}; fold {scene.fold + 1} of {run.folds} "
        f"({plan.span_words(scene.fold)}), {scene.stage}"
    )
    if not _detailed(scene):
        return text
    return f"{text}. Each PE: its operands, below them the partial sum at the end of the cycle"
