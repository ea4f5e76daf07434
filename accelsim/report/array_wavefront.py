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

from accelsim.arch.array import SystolicArray
from accelsim.errors import SimulationError
from accelsim.report import style
from accelsim.report.array_cells import OPERAND_COLOURS, draw_values
from accelsim.report.array_plan import FoldPlan, problem_words
from accelsim.report.array_scene import DISTANCES, EDGE, INDEX, Scene, Token
from accelsim.report.array_states import (
    PeState,
    compact,
    require_trace,
    shown_words,
    state_words,
)
from accelsim.scenarios.array_problem import ArrayProblem
from accelsim.timing.pe_level import ArrayRun

STATE_COLOURS = {
    PeState.IDLE: "#f2f2f2",
    PeState.LOADING: "#7fb8e0",
    PeState.HOLDING: "#d3e6f5",
    PeState.MULTIPLYING: "#f7b733",
    PeState.PASSING: "#dcefe8",
    PeState.PADDING: "#fafafa",
}
TOKEN_COLOURS = {"A": "#fbe0d3", "B": "#d6e8f7", "C": "#cdeee2"}
VALUES_UP_TO = 12
"""Rows and columns of the largest array whose values can be read."""
_INDICES_UP_TO = 8
_POINTS_PER_INCH = 72.0


def wavefront_figure(
    run: ArrayRun,
    array: SystolicArray,
    problem: ArrayProblem,
    cycle: int,
    path: str | Path,
    *,
    note: str = "",
) -> Path:
    """Draw the array at one cycle.

    Parameters
    ----------
    run : ArrayRun
        With a trace.
    array : SystolicArray
        That it ran on.
    problem : ArrayProblem
        What it computed.
    cycle : int
        From 1 to ``run.cycles``, or to the end of the trace if that is shorter [cycle].
    path : str or Path
        Picture file, ``.png`` or ``.svg``.
    note : str
        Said of the problem in the small print, such as ``1 of 4 groups``.

    Raises
    ------
    SimulationError
        If the run has no trace, or the trace no such cycle.

    Notes
    -----
    A PE shows its sum: what it had (os) or was handed from above (ws, is), plus its product,
    is what it has after the cycle (up to 12 x 12 PEs). Beside the array wait the values of the
    next cycles, nearest first; below it stand the sums that left in the cycles before.
    """
    trace = require_trace(run)
    if not 1 <= cycle <= len(trace.fold):
        raise SimulationError(f"cycle {cycle} is not one of the 1 to {len(trace.fold)} traced")
    plan = FoldPlan.of(array, problem)
    scene = Scene.of(trace, array, plan, cycle - 1)
    room = _margins(scene)
    right = max(0.9, 0.07 * array.cols)  # for the numbers of rows
    width = room["left"] + array.cols + right
    height = room["top"] + array.rows + room["bottom"]
    side_in = min(0.9, 10.5 / max(width, height))
    figure = style.new_figure(max(6.8, width * side_in + 0.5), height * side_in + 2.0)
    axes = figure.add_subplot()
    axes.set_xlim(-room["left"], array.cols + right)
    axes.set_ylim(array.rows + room["bottom"], -room["top"])
    axes.set_aspect("equal")
    axes.set_axis_off()
    _draw_cells(axes, scene)
    _draw_indices(axes, array, plan, scene.fold, side_in * _POINTS_PER_INCH)
    if _detailed(scene):
        draw_values(axes, scene, side_in * _POINTS_PER_INCH)
        _draw_moves(axes, scene, side_in * _POINTS_PER_INCH)
    _draw_tokens(axes, scene, side_in * _POINTS_PER_INCH)
    _name_edges(axes, scene)
    _legend(figure, scene)
    words = problem_words(array, problem, note)
    style.headline(figure, _message(scene, cycle, run), _detail(scene, words, plan, run))
    return style.save(figure, path)


def _detailed(scene: Scene) -> bool:
    """Whether values are written."""
    return max(scene.array.rows, scene.array.cols) <= VALUES_UP_TO


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


def _draw_indices(
    axes: Axes, array: SystolicArray, plan: FoldPlan, fold: int, side_pt: float
) -> None:
    """Number the rows on the right and the columns above, in the problem's own indices."""
    first_row, first_col = plan.origin(fold)
    high, wide = plan.high // array.rows, plan.wide // array.cols  # above 1: packed PEs
    written: dict[str, Any] = {"color": style.FAINT, "fontsize": 8, "zorder": 7}
    gap = max(0.12, 4 / side_pt)
    used = min(array.rows, math.ceil((plan.on_rows - first_row) / high))
    for at in range(0, used, _step(12 / side_pt)):
        label = f"{plan.flow.rows} {first_row + at * high}"
        axes.text(array.cols + gap, at + 0.5, label, ha="left", va="center", **written)
    used = min(array.cols, math.ceil((plan.on_cols - first_col) / wide))
    longest = len(str(first_col + used * wide))
    name = side_pt > 5 * (longest + 3)  # where there is room beside every number
    for at in range(0, used, _step(5 * (longest + 1) / side_pt)):
        label = f"{first_col + at * wide}"
        if name or at == 0:
            label = f"{plan.flow.cols} {label}"
        axes.text(at + 0.5, -gap, label, ha="center", va="bottom", **written)


def _step(room: float) -> int:
    """Return how many PEs apart labels stand that need the room of so many."""
    return next(step for step in (1, 2, 4, 8, 16, 32, 64, 2**20) if step >= room)


def _draw_moves(axes: Axes, scene: Scene, side_pt: float) -> None:
    """Mark on the borders between PEs what is handed on after this cycle."""
    flow, works = scene.flow, scene.states == PeState.MULTIPLYING
    size = (0.13 * side_pt) ** 2
    row, col = np.nonzero(works[:, :-1] & (scene.states[:, 1:] != PeState.PADDING))
    colour = OPERAND_COLOURS[flow.enters_left]
    axes.scatter(col + 1, row + 0.33, s=size, c=colour, marker=">", linewidths=0, zorder=8)
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
    """Draw values outside the array: as tiles where they can be read, else as dots."""
    names = {"left": scene.flow.enters_left, "top": scene.flow.enters_top, "bottom": "C"}
    texts = [_token_texts(names[token.side], token, scene) for token in scene.tokens]
    longest = [max([1, *map(len, part)]) for part in zip(*texts, strict=True)] or [1, 1]
    size = min(10.0, side_pt * 0.78 / (0.62 * longest[0]), side_pt * 0.32)
    small = min(7.5, side_pt * 0.74 / (0.55 * longest[1]), side_pt * 0.2)
    for token, (value, index) in zip(scene.tokens, texts, strict=True):
        colour = OPERAND_COLOURS[names[token.side]]
        strength = 1 - 0.75 * (token.distance - 1) / DISTANCES
        high, wide = (0.58 if index else 0.4, 0.6) if value else (0.12, 0.12)
        axes.add_patch(FancyBboxPatch(
            (token.x - wide / 2, token.y - high / 2), wide, high,
            boxstyle="round,pad=0.1,rounding_size=0.15", alpha=strength, zorder=4,
            facecolor=TOKEN_COLOURS[names[token.side]] if value else colour,
            edgecolor=colour, linewidth=0.6 if value else 0,
        ))  # fmt: skip
        written: dict[str, Any] = {
            "color": colour, "alpha": 0.5 + strength / 2, "ha": "center", "va": "center",
            "zorder": 5,
        }  # fmt: skip
        lift = 0.14 if index else 0
        axes.text(token.x, token.y - lift, value, fontsize=size, **written)
        axes.text(token.x, token.y + 0.21, index, fontsize=small, **written)


def _token_texts(operand: str, token: Token, scene: Scene) -> tuple[str, str]:
    """Return a value and the element that it is, each empty where there is no room."""
    if token.value is None or not _detailed(scene):
        return "", ""
    value = compact(token.value)
    if token.element is None or max(scene.array.rows, scene.array.cols) > _INDICES_UP_TO:
        return value, ""
    return value, "{}[{},{}]".format(operand, *token.element)


def _name_edges(axes: Axes, scene: Scene) -> None:
    """Say beside the queues what they are."""
    room = _margins(scene)
    rows, cols = scene.states.shape
    sides = {token.side for token in scene.tokens}
    flow = scene.flow
    shape = {"A": "A[m, k]", "B": "B[k, n]"}
    extra = scene.array.features
    many = " several at once," if extra.packing > 1 or extra.sparsity is not None else ""
    written: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 9.5, "zorder": 7}
    if "left" in sides:
        axes.text(
            -room["left"] + 0.35, rows / 2,
            f"{shape[flow.enters_left]} enters,{many} next cycles ↓", rotation=90,
            color=OPERAND_COLOURS[flow.enters_left], **written,
        )  # fmt: skip
    if "top" in sides:
        what = "enters" if flow.stays == "C" else "is loaded"
        axes.text(
            cols / 2, -room["top"] + 0.35, f"{shape[flow.enters_top]} {what},{many} next cycles ↓",
            color=OPERAND_COLOURS[flow.enters_top], **written,
        )  # fmt: skip
    if "bottom" in sides:
        axes.text(
            cols / 2, rows + room["bottom"] - 0.35, "sums of C[m, n], left in the last cycles ↓",
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
        handles=handles, loc="outside lower center", ncols=3 if figure.get_figwidth() > 8 else 2,
        frameon=False, fontsize=9.5, handlelength=1.4,
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


def _detail(scene: Scene, words: str, plan: FoldPlan, run: ArrayRun) -> str:
    fold = f"fold {scene.fold + 1} of {run.folds} ({plan.span_words(scene.fold)}), {scene.stage}"
    sentences = [f"{words}; {fold}", shown_words(scene.array)]
    traced = len(require_trace(run).fold)
    if traced < run.cycles:
        sentences.append(f"Traced: the first {traced:,} cycles")
    if _detailed(scene):
        sentences.append(_cell_words(scene))
    if {PeState.LOADING, PeState.MULTIPLYING} <= set(scene.states.flat):
        kind = "Weights" if scene.array.dataflow == "ws" else "Inputs"
        sentences.append(f"{kind} arrive skewed, just ahead of the wavefront")
    return ". ".join(filter(None, sentences))


def _cell_words(scene: Scene) -> str:
    """Explain what is written into a PE."""
    if scene.before is not None:
        before = "its sum so far" if scene.flow.stays == "C" else "the sum from above"
        return f"Each PE: {before}, + its product, = the sum at the end of the cycle"
    lag = scene.array.features.mac_latency_cycles - 1
    late = f", which has the product of {lag} cycles before" if lag else ""
    return f"Each PE: its operands, below them the sum at the end of the cycle{late}"
