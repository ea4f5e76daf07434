"""Arrays whose PEs keep weights, with features; see `accelsim.kernels.pe_features`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from accelsim.kernels.jit import kernel
from accelsim.kernels.pe_array import EMPTY, FIRST_ROOM, noted
from accelsim.kernels.pe_features import (
    CONTROL_FIELDS,
    DONE,
    IN_FLIGHT,
    JOB_COL,
    JOB_FOLD,
    JOB_ROW,
    JOB_STEP,
    JOB_STEPS,
    LOAD_ROW,
    LOADED,
    NEWEST,
    STEP,
    STREAMED,
    TRACE_FULL,
    WRITES_C,
    Operands,
    Pes,
    Trace,
    Work,
    count_useful,
    feed_bundle,
    has_work,
    move_on,
    next_step,
    read_weights,
)


class StationaryRegisters(NamedTuple):
    """All state of one array; without double buffers the shadow registers are the weights'.

    Values of a PE are (high, wide) weights, (many, high, group) activations and (many, wide) sums.
    A wire carries weights down to the row that they are tagged with.
    """

    weight: NDArray[Any]
    pick: NDArray[np.int64]
    shadow: NDArray[Any]
    shadow_pick: NDArray[np.int64]
    wire: NDArray[Any]
    wire_pick: NDArray[np.int64]
    wire_tag: NDArray[np.int64]
    top_tag: NDArray[np.int64]
    act: NDArray[Any]
    tag: NDArray[np.int64]
    left_tag: NDArray[np.int64]
    total: NDArray[Any]
    exit_tag: NDArray[np.int64]
    useful: NDArray[np.int64]


@kernel
def _registers(pes: Pes, like: NDArray[Any]) -> StationaryRegisters:
    rows, cols, stages = pes.rows, pes.cols, pes.stages
    weight = np.zeros((rows, cols, pes.high, pes.wide), like.dtype)
    pick = np.full((rows, cols, pes.high, pes.wide), EMPTY, np.int64)
    shadow, shadow_pick = weight, pick
    if pes.double_buffer:
        shadow, shadow_pick = weight.copy(), pick.copy()
    return StationaryRegisters(
        weight,
        pick,
        shadow,
        shadow_pick,
        np.zeros((stages, rows, cols, pes.high, pes.wide), like.dtype),
        np.full((stages, rows, cols, pes.high, pes.wide), EMPTY, np.int64),
        np.full((stages, rows, cols), EMPTY, np.int64),
        np.full(cols, EMPTY, np.int64),
        np.zeros((rows, cols, pes.many, pes.high, pes.group), like.dtype),
        np.full((rows, cols), EMPTY, np.int64),
        np.full((stages, rows), EMPTY, np.int64),
        np.zeros((stages, rows, cols, pes.many, pes.wide), like.dtype),
        np.full((stages, cols), EMPTY, np.int64),
        np.zeros((rows, cols), np.int64),
    )


@kernel
def run_stationary(
    pes: Pes,
    given: Operands,
    jobs: NDArray[np.int64],
    trace: Trace,
    out: NDArray[Any],
) -> tuple[int, NDArray[np.int64], NDArray[np.int64]]:
    """Multiply on arrays whose PEs keep weights.

    Parameters
    ----------
    pes : Pes
        One of the arrays.
    given : Operands
        What to multiply.
    jobs : (arrays, turns, 5) array of int64
        Folds of every array in order: fold, first slot, first column, first step, steps; 0 steps:
        no job.
    trace : Trace
        Filled as far as cycles go.
    out : (m, n) array of zeros
        Takes the result: slots ascending in a fold from zero, then folds in order.

    Returns
    -------
    int
        DONE, or TRACE_FULL if the arrays still work in a cycle for which the trace has no room.
    (4,) array of int64
        READS_A, READS_B, WRITES_C, MACS.
    (cycles,) array of int64
        PEs with a useful multiply-add, per cycle.

    Notes
    -----
    Weights of row 0 enter first. They go down a column through pipelines as long as those of the
    sums, one cycle later per column, and a PE keeps those that are tagged with its row. So the
    next tile follows the first step of the current one through the array, and never overtakes it.
    """
    work = Work(pes, given, jobs[:, :, JOB_STEPS].max(), np.zeros(4, np.int64), out)
    arrays = [_registers(pes, out) for _ in range(jobs.shape[0])]
    control = np.zeros((jobs.shape[0], CONTROL_FIELDS), np.int64)
    active = np.empty(FIRST_ROOM, np.int64)
    cycle, working = 0, True
    while working:
        if trace.fold.size > 0 and cycle == trace.fold.size:
            return TRACE_FULL, work.tally, active
        busy, working = 0, False
        for i in range(jobs.shape[0]):
            state, folds, now = arrays[i], jobs[i], control[i]
            step = next_step(now, folds, work.stride, now[LOADED] > now[STREAMED], pes.cols)
            row = _next_row(now, folds, pes)
            _stream_in(work, folds, state, cycle, step)
            busy += _multiply_down(work, folds, state, cycle)
            if i == 0 and trace.fold.size > 0:
                trace.fold[cycle] = folds[now[NEWEST], JOB_FOLD]
                trace.phase[cycle] = 1 if now[IN_FLIGHT] > 0 else 0
                _note_values(trace, cycle, pes, state)
            _load_down(work, folds, state, cycle, row)
            now[IN_FLIGHT] -= _leave_bottom(work, folds, state, cycle)
            working |= has_work(now, folds)
        active = noted(active, cycle, busy)
        cycle += 1
    return DONE, work.tally, active[:cycle]


@kernel
def _next_row(control: NDArray[np.int64], jobs: NDArray[np.int64], pes: Pes) -> int:
    """Let the next row of weights in, if its registers are free; return its tag, or EMPTY."""
    turn = control[LOADED]
    if turn == jobs.shape[0] or jobs[turn, JOB_STEPS] == 0:
        return EMPTY
    begun = control[STREAMED] + (1 if control[STEP] > 0 else 0)
    free = begun == turn if pes.double_buffer else control[IN_FLIGHT] == 0
    if not free and control[LOAD_ROW] == 0:
        return EMPTY
    tag = int(turn * pes.rows + control[LOAD_ROW])
    control[NEWEST] = turn
    control[LOAD_ROW] += 1
    if control[LOAD_ROW] == pes.rows:
        control[LOADED] += 1
        control[LOAD_ROW] = 0
    return tag


@kernel
def _stream_in(
    work: Work, jobs: NDArray[np.int64], state: StationaryRegisters, cycle: int, entering: int
) -> None:
    """Move activations one column on; let a step into row 0 and older ones into the rows below."""
    pes = work.pes
    left = state.left_tag[cycle % pes.stages]
    move_on(left, 1)
    left[0] = entering
    for r in range(pes.rows):
        move_on(state.tag[r], 1)
        move_on(state.act[r], pes.many * pes.high * pes.group)
        state.tag[r, 0] = left[r]
        state.act[r, 0] = 0
        if left[r] == EMPTY:
            continue
        job = jobs[left[r] // work.stride]
        step = (job[JOB_STEP] + left[r] % work.stride) * pes.many
        slot = job[JOB_ROW] + r * pes.high
        for lane in range(pes.many):
            for j in range(pes.high):
                bundle = state.act[r, 0, lane, j]
                feed_bundle(work, step + lane, slot + j, job[JOB_ROW], bundle)


@kernel
def _multiply_down(
    work: Work, jobs: NDArray[np.int64], state: StationaryRegisters, cycle: int
) -> int:
    """Let every PE add its products to the sums of the PE above; return PEs with useful ones."""
    pes, m = work.pes, work.given.a.shape[0]
    bank = cycle % pes.stages
    move_on(state.total[bank], pes.cols * pes.many * pes.wide)
    state.total[bank, 0] = 0
    lanes = np.zeros(pes.cols, np.int64)
    for r in range(pes.rows):
        for c in range(pes.cols):
            tag, lanes[c] = state.tag[r, c], 0
            if tag != EMPTY:
                if tag % work.stride == 0:
                    _take_over(state, r, c)
                step = (jobs[tag // work.stride, JOB_STEP] + tag % work.stride) * pes.many
                lanes[c] = min(pes.many, m - step)
        _multiply_row(state, bank, r, lanes)
    return count_useful(state.useful, work.tally)


@kernel
def _take_over(state: StationaryRegisters, r: int, c: int) -> None:
    """Put the weights of a PE's shadow registers to work."""
    for j in range(state.weight.shape[2]):
        for w in range(state.weight.shape[3]):
            state.weight[r, c, j, w] = state.shadow[r, c, j, w]
            state.pick[r, c, j, w] = state.shadow_pick[r, c, j, w]


@kernel
def _multiply_row(state: StationaryRegisters, bank: int, r: int, lanes: NDArray[np.int64]) -> None:
    """Add the products of one row, whose PEs have `lanes` steps of the stream at once."""
    cols, high, wide = state.weight.shape[1:]
    for c in range(cols):
        useful = 0
        for lane in range(lanes[c]):
            for w in range(wide):
                total = state.total[bank, r, c, lane, w]
                for j in range(high):
                    pick = state.pick[r, c, j, w]
                    if pick != EMPTY:
                        total += state.act[r, c, lane, j, pick] * state.weight[r, c, j, w]
                        useful += 1
                state.total[bank, r, c, lane, w] = total
        state.useful[r, c] = useful


@kernel
def _load_down(
    work: Work, jobs: NDArray[np.int64], state: StationaryRegisters, cycle: int, entering: int
) -> None:
    """Move weights one row down; each stays in the PE of the row that it is tagged with."""
    pes, bank = work.pes, cycle % work.pes.stages
    tags, values, picks = state.wire_tag[bank], state.wire[bank], state.wire_pick[bank]
    move_on(state.top_tag, 1)
    state.top_tag[0] = entering
    move_on(tags, pes.cols)
    move_on(values, pes.cols * pes.high * pes.wide)
    move_on(picks, pes.cols * pes.high * pes.wide)
    for c in range(pes.cols):
        tags[0, c] = state.top_tag[c]
        if tags[0, c] != EMPTY:
            job = jobs[tags[0, c] // pes.rows]
            slot = job[JOB_ROW] + tags[0, c] % pes.rows * pes.high
            read_weights(work, slot, job[JOB_COL] + c * pes.wide, values[0, c], picks[0, c])
    for r in range(pes.rows):
        for c in range(pes.cols):
            if tags[r, c] != EMPTY and tags[r, c] % pes.rows == r:
                _keep(state, bank, r, c)


@kernel
def _keep(state: StationaryRegisters, bank: int, r: int, c: int) -> None:
    """Take weights off the wire."""
    state.wire_tag[bank, r, c] = EMPTY
    for j in range(state.weight.shape[2]):
        for w in range(state.weight.shape[3]):
            state.shadow[r, c, j, w] = state.wire[bank, r, c, j, w]
            state.shadow_pick[r, c, j, w] = state.wire_pick[bank, r, c, j, w]


@kernel
def _leave_bottom(
    work: Work, jobs: NDArray[np.int64], state: StationaryRegisters, cycle: int
) -> int:
    """Add the sums that leave the bottom row to the accumulator; return how many columns did."""
    pes, (m, n), left = work.pes, work.out.shape, 0
    ready = (cycle + 1) % pes.stages
    state.exit_tag[cycle % pes.stages] = state.tag[pes.rows - 1]
    for c in range(pes.cols):
        tag = state.exit_tag[ready, c]
        if tag == EMPTY:
            continue
        left += 1
        job = jobs[tag // work.stride]
        step = (job[JOB_STEP] + tag % work.stride) * pes.many
        col = job[JOB_COL] + c * pes.wide
        for lane in range(min(pes.many, m - step)):
            for w in range(min(pes.wide, n - col)):
                total = state.total[ready, pes.rows - 1, c, lane, w]
                work.out[step + lane, col + w] += total
                work.tally[WRITES_C] += 1
    return left


@kernel
def _note_values(trace: Trace, cycle: int, pes: Pes, state: StationaryRegisters) -> None:
    """Write down what every PE works on, and the sum that its pipeline hands on."""
    ready = (cycle + 1) % pes.stages
    for r in range(pes.rows):
        for c in range(pes.cols):
            pick = max(state.pick[r, c, 0, 0], 0)
            trace.active[cycle, r, c] = state.useful[r, c] > 0
            trace.a[cycle, r, c] = state.act[r, c, 0, 0, pick]
            trace.b[cycle, r, c] = state.weight[r, c, 0, 0]
            trace.sums[cycle, r, c] = state.total[ready, r, c, 0, 0]
