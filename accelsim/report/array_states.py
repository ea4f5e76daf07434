"""What a traced systolic array shows: the state of every PE, and results as they come.

Both the pictures and the animation draw from here, so that they cannot disagree.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from accelsim.arch.array import SystolicArray
from accelsim.errors import SimulationError
from accelsim.report.array_plan import FLOWS, FoldPlan
from accelsim.scenarios.array_problem import ArrayProblem
from accelsim.timing.pe_level import ArrayRun, ArrayTrace


class PeState(IntEnum):
    """What a PE does in a cycle."""

    IDLE = 0
    LOADING = 1
    HOLDING = 2
    MULTIPLYING = 3
    PASSING = 4
    PADDING = 5


_PASSES = "padding that a sum passes"


class Arrivals(NamedTuple):
    """Results and partial sums as they are complete; one entry per value, ordered by cycle."""

    cycle: NDArray[np.int64]
    row: NDArray[np.int64]
    col: NDArray[np.int64]
    value: NDArray[np.generic]


def require_trace(run: ArrayRun) -> ArrayTrace:
    """Return the trace of a run.

    Raises
    ------
    SimulationError
        If the run was simulated without one.
    """
    if run.trace is None:
        raise SimulationError(
            "this run has no trace to draw: simulate it with simulate_array(..., trace=True)"
        )
    return run.trace


def state_words(array: SystolicArray) -> dict[PeState, str]:
    """Say what each state means for a dataflow; states that cannot occur are left out."""
    words = {PeState.MULTIPLYING: "multiplies and adds"}
    if array.features.double_buffer:
        words |= {PeState.IDLE: "waits"}
        return words if array.dataflow == "os" else words | {PeState.PASSING: _PASSES}
    if array.dataflow == "os":
        words |= {PeState.HOLDING: "holds its finished sum", PeState.IDLE: "waits for operands"}
    else:
        kind = "weights" if array.dataflow == "ws" else "inputs"
        words |= {
            PeState.HOLDING: f"holds its {kind[:-1]}",
            PeState.LOADING: f"{kind} moving in, ahead of the wavefront",
            PeState.IDLE: f"waits for its {kind[:-1]}",
            PeState.PASSING: _PASSES,
        }
    return words | {PeState.PADDING: "padding: outside this fold"}


def fold_starts(fold: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return the first cycle of each fold."""
    return np.flatnonzero(np.diff(fold, prepend=-1)).astype(np.int64)


def wave(trace: ArrayTrace, array: SystolicArray) -> NDArray[np.bool_]:
    """Where partial sums leave PEs at the end of each cycle (ws, is): (cycles, rows, cols).

    A sum starts in the top row and goes down one row per multiply-add, through padding too.
    """
    return _delayed(trace.active[:, 0], array, array.features.mac_latency_cycles - 1)


def _delayed(top: NDArray[np.bool_], array: SystolicArray, lag: int) -> NDArray[np.bool_]:
    """Repeat what the top row does in every row below, one multiply-add later each."""
    below = np.zeros((len(top), array.rows, array.cols), dtype=np.bool_)
    for row in range(array.rows):
        delay = row * array.features.mac_latency_cycles + lag
        below[delay:, row] = top[: max(0, len(top) - delay)]
    return below


def used_pes(
    array: SystolicArray, plan: FoldPlan, folds: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how many rows and how many columns of PEs each fold covers: (folds,) twice."""
    row, col = np.array([plan.origin(fold) for fold in folds.tolist()]).T
    deep = np.minimum(plan.high, plan.on_rows - row)
    wide = np.minimum(plan.wide, plan.on_cols - col)
    return -(-deep * array.rows // plan.high), -(-wide * array.cols // plan.wide)


def pe_states(trace: ArrayTrace, array: SystolicArray, plan: FoldPlan) -> NDArray[np.uint8]:
    """Classify every PE in every cycle.

    Parameters
    ----------
    trace : ArrayTrace
        Of `array`; it may end before the run does.
    plan : FoldPlan
        Of what it computed.

    Returns
    -------
    (cycles, rows, cols) array of uint8
        Values of `PeState`. With double buffers a PE may belong to two folds at once, so one that
        neither multiplies nor passes a sum on is `IDLE`, whatever it holds.
    """
    states = np.full(trace.active.shape, PeState.IDLE, dtype=np.uint8)
    if not array.features.double_buffer:
        _mark_folds(states, trace, array, plan)
    if array.dataflow != "os":
        states[_delayed(trace.active[:, 0], array, 0)] = PeState.PASSING
    states[trace.active] = PeState.MULTIPLYING
    return states


def _mark_folds(
    out_states: NDArray[np.uint8], trace: ArrayTrace, array: SystolicArray, plan: FoldPlan
) -> None:
    """Mark what follows from the fold alone: padding, operands that load or stay."""
    starts = fold_starts(trace.fold)
    turns = np.searchsorted(starts, np.arange(len(trace.fold)), side="right") - 1
    used_rows, used_cols = (
        used[:, None, None] for used in used_pes(array, plan, trace.fold[starts])
    )
    own_row, own_col = np.arange(array.rows)[:, None], np.arange(array.cols)
    mapped = (own_row < used_rows) & (own_col < used_cols)
    if array.dataflow == "os":
        count = np.cumsum(trace.active, axis=0, dtype=np.int32)
        before = count[starts] - trace.active[starts]
        out_states[count > before[turns]] = PeState.HOLDING
    else:
        arriving = loading_row(array, np.arange(len(turns)) - starts[turns])
        rows = used_rows[turns]
        out_states[(own_row <= arriving) & (arriving < rows)] = PeState.LOADING
        out_states[arriving >= rows] = PeState.HOLDING
    out_states[~mapped[turns]] = PeState.PADDING


def filled_at(trace: ArrayTrace, array: SystolicArray, plan: FoldPlan) -> NDArray[np.int64]:
    """Return for each fold the cycle in which its last PE begins to multiply; (folds,).

    The end of the trace if it ends before. Meaningless with double buffers, where folds share
    cycles.
    """
    starts = fold_starts(trace.fold)
    rows, cols = used_pes(array, plan, trace.fold[starts])
    ends = np.append(starts[1:], len(trace.fold))
    begun = []
    for start, end, row, col in zip(starts, ends, rows - 1, cols - 1, strict=True):
        works = trace.active[start:end, row, col]
        begun.append(start + np.argmax(works) if works.any() else end)
    return np.array(begun)


def loading_row(array: SystolicArray, age: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for which row each PE has a stationary operand on its way: (ages, rows, cols).

    Row 0 is loaded first. Its operand enters column c in cycle c of the fold, the next row's a
    cycle later, and each goes down one row per multiply-add to stay where it belongs. A number
    below the PE's own row, or of no row of the fold, says that nothing passes.

    Parameters
    ----------
    array : SystolicArray
        Without double buffers.
    age : (ages,) array of int
        Cycles since the fold began [cycle].
    """
    down = np.arange(array.rows)[:, None] * array.features.mac_latency_cycles
    return np.asarray(age)[:, None, None] - down - np.arange(array.cols)


def can_follow(array: SystolicArray) -> bool:
    """Whether a trace holds every value: it shows one array, and one lane of a packed PE."""
    return array.features.arrays == 1 and array.features.packing == 1


def shown_words(array: SystolicArray) -> str:
    """Say what a trace shows of an array that is more than it can hold; else nothing."""
    extra, parts = array.features, []
    if extra.arrays > 1:
        parts.append(f"the first of {extra.arrays} arrays")
    if extra.packing > 1:
        lanes = f"the operands of the first of {extra.packing} lanes of each PE"
        parts.append(f"{lanes}, but the sum of all" if _packs_sums(array) else lanes)
    if extra.sparsity is not None:
        parts.append("kept weights, which k counts, and the inputs that they pick")
    return f"Shown: {'; '.join(parts)}" if parts else ""


def _packs_sums(array: SystolicArray) -> bool:
    """Whether several products of a PE enter one sum: those packed along k."""
    extra, flow = array.features, FLOWS[array.dataflow]
    axes = {"rows": flow.rows, "cols": flow.cols, "stream": flow.stream}
    return extra.packing > 1 and axes[extra.packed] == "k"


def adds_up(array: SystolicArray) -> bool:
    """Whether in each PE the sum before, plus the product shown, is the sum after the cycle."""
    return array.features.mac_latency_cycles == 1 and not _packs_sums(array)


def sums_before(trace: ArrayTrace, array: SystolicArray, at: int) -> NDArray[Any]:
    """Return the sum to which each PE adds in cycle `at`, of an array that `adds_up`.

    ws, is: what the PE above handed down; os: what the PE holds. Where nothing is, 0.
    """
    earlier: NDArray[Any] = trace.sums[max(at - 1, 0)]
    before: NDArray[Any] = np.zeros_like(earlier)
    if array.dataflow != "os":
        before[1:] = earlier[:-1]
        return before
    row, col = np.indices(earlier.shape)
    begins = np.isin(at - row - col, fold_starts(trace.fold))  # its first product of a fold
    before[~begins] = earlier[~begins]
    return before


def arrivals(trace: ArrayTrace, array: SystolicArray, problem: ArrayProblem) -> Arrivals:
    """Return when each element of C, or partial sum of it, has its value.

    Parameters
    ----------
    trace : ArrayTrace
        Of `array`, which `can_follow`.

    Returns
    -------
    Arrivals
        ws, is: as sums leave the last row, once per fold along k. os: as PEs finish their sums.
        The values that arrive at one element add up to the result.

    Notes
    -----
    Every fold brings a PE (os), or the foot of a column (ws, is), as many values as are streamed,
    so a value's place in the sequence tells its fold, even where folds overlap.
    """
    plan = FoldPlan.of(array, problem)
    lag = array.features.mac_latency_cycles - 1
    if array.dataflow == "os":
        count = np.cumsum(trace.active, axis=0, dtype=np.int32)
        last = trace.active & (count % plan.streamed == 0)
        cycle, pe_row, pe_col = np.nonzero(last[: len(last) - lag])  # what is done in the trace
        turn = count[cycle, pe_row, pe_col] // plan.streamed - 1
        cycle = cycle + lag
    else:
        leaving = wave(trace, array)[:, -1]
        cycle, pe_col = np.nonzero(leaving)
        pe_row = np.full_like(cycle, array.rows - 1)
        turn, step = np.divmod(np.cumsum(leaving, axis=0)[cycle, pe_col] - 1, plan.streamed)
    value = trace.sums[cycle, pe_row, pe_col]
    if array.dataflow == "os":
        row_fold, col_fold = np.divmod(turn, _folds_at(pe_col, plan.on_cols, plan.wide))
        return Arrivals(cycle, row_fold * plan.high + pe_row, col_fold * plan.wide + pe_col, value)
    stays = turn // plan.row_folds * plan.wide + pe_col
    if array.dataflow == "ws":
        return Arrivals(cycle, step, stays, value)
    return Arrivals(cycle, stays, step, value)


def _folds_at(place: NDArray[np.int64], size: int, step: int) -> NDArray[np.int64]:
    """Return how many of the folds along an axis reach a row or column of the array."""
    return (size - place + step - 1) // step


_STEPS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))


def compact(value: float) -> str:
    """Write a number in few characters: ``-9999``, ``12.3k``, ``0.25``, ``-3e-12``.

    Whole numbers below 10,000 are exact, all others have up to three digits. The longest take six
    characters, and seven beyond 1e99 and 1e-99.
    """
    number = float(value)
    size = abs(number)
    if not math.isfinite(number):
        return "nan" if math.isnan(number) else "inf" if number > 0 else "-inf"
    if number == round(number) and size < 1e4:
        return f"{number:.0f}"
    if size >= 9.995e14 or size < 9.995e-3:
        return f"{number:.0e}".replace("e+", "e").replace("e-0", "e-")
    scale, suffix = next(step for step in _STEPS if size >= 0.9995 * step[0] or step[0] == 1.0)
    scaled = size / scale
    digits = 2 if scaled < 9.995 else 1 if scaled < 99.95 else 0
    text = f"{number / scale:.{digits}f}"
    return (text.rstrip("0").rstrip(".") if digits else text) + suffix
