"""Arrays whose PEs keep sums, with features; see `accelsim.kernels.pe_features`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from accelsim.kernels.jit import kernel
from accelsim.kernels.pe_array import EMPTY, FIRST_ROOM, noted
from accelsim.kernels.pe_features import (
    BUS_CONFLICT,
    CONTROL_FIELDS,
    DONE,
    IN_FLIGHT,
    JOB_COL,
    JOB_FOLD,
    JOB_ROW,
    JOB_STEPS,
    NEWEST,
    SINCE,
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


class OutputRegisters(NamedTuple):
    """All state of one array.

    Values of a PE are (high, many, group) activations, (many, wide) weights, (high, wide, many)
    products under way to the adder, and (high, wide) sums.
    """

    weight: NDArray[Any]
    pick: NDArray[np.int64]
    top_tag: NDArray[np.int64]
    act: NDArray[Any]
    tag: NDArray[np.int64]
    left_tag: NDArray[np.int64]
    product: NDArray[Any]
    product_tag: NDArray[np.int64]
    total: NDArray[Any]
    useful: NDArray[np.int64]
    bus: NDArray[np.int64]


@kernel
def _registers(pes: Pes, like: NDArray[Any]) -> OutputRegisters:
    rows, cols, stages = pes.rows, pes.cols, pes.stages
    return OutputRegisters(
        np.zeros((rows, cols, pes.many, pes.wide), like.dtype),
        np.full((rows, cols, pes.many, pes.wide), EMPTY, np.int64),
        np.full(cols, EMPTY, np.int64),
        np.zeros((rows, cols, pes.high, pes.many, pes.group), like.dtype),
        np.full((rows, cols), EMPTY, np.int64),
        np.full(rows, EMPTY, np.int64),
        np.zeros((stages, rows, cols, pes.high, pes.wide, pes.many), like.dtype),
        np.full((stages, rows, cols), EMPTY, np.int64),
        np.zeros((rows, cols, pes.high, pes.wide), like.dtype),
        np.zeros((rows, cols), np.int64),
        np.zeros(cols, np.int64),
    )


@kernel
def run_outputs(
    pes: Pes,
    given: Operands,
    jobs: NDArray[np.int64],
    trace: Trace,
    out: NDArray[Any],
) -> tuple[int, NDArray[np.int64], NDArray[np.int64]]:
    """Multiply on arrays whose PEs keep sums.

    Parameters
    ----------
    pes : Pes
        One of the arrays.
    given : Operands
        What to multiply.
    jobs : (arrays, turns, 5) array of int64
        Folds of every array in order: fold, first row, first column, 0, steps; 0 steps: no job.
    trace : Trace
        Filled as far as cycles go.
    out : (m, n) array of zeros
        Takes the result: slots ascending from zero.

    Returns
    -------
    int
        DONE; TRACE_FULL if the arrays still work in a cycle for which the trace has no room;
        BUS_CONFLICT if two PEs of a column would put a result on its bus at once.
    (4,) array of int64
        READS_A, READS_B, WRITES_C, MACS.
    (cycles,) array of int64
        PEs with a useful multiply-add, per cycle.

    Notes
    -----
    A finished sum leaves over the result bus of its column in the cycle that completes it, one row
    after the other. With double buffers the next fold enters as soon as the stream is in, but not
    before the bus has had a cycle for each row; without, when the last result has left.
    """
    work = Work(pes, given, jobs[:, :, JOB_STEPS].max(), np.zeros(4, np.int64), out)
    arrays = [_registers(pes, out) for _ in range(jobs.shape[0])]
    control = np.zeros((jobs.shape[0], CONTROL_FIELDS), np.int64)
    control[:, SINCE] = pes.rows
    active = np.empty(FIRST_ROOM, np.int64)
    cycle, working = 0, True
    while working:
        if trace.fold.size > 0 and cycle == trace.fold.size:
            return TRACE_FULL, work.tally, active
        busy, working = 0, False
        for i in range(jobs.shape[0]):
            state, folds, now = arrays[i], jobs[i], control[i]
            step = _next_step(now, folds, work.stride, pes)
            _stream_in(work, folds, state, step)
            busy += _multiply(work, folds, state, cycle)
            now[IN_FLIGHT] -= _add(work, folds, state, cycle)
            if state.bus.max() > 1:
                return BUS_CONFLICT, work.tally, active
            if i == 0 and trace.fold.size > 0:
                trace.fold[cycle] = folds[now[NEWEST], JOB_FOLD]
                trace.phase[cycle] = 1
                _note_values(trace, cycle, state)
            working |= has_work(now, folds)
        active = noted(active, cycle, busy)
        cycle += 1
    return DONE, work.tally, active[:cycle]


@kernel
def _next_step(control: NDArray[np.int64], jobs: NDArray[np.int64], stride: int, pes: Pes) -> int:
    """Let the next step in; a fold makes every PE deliver once."""
    free = control[SINCE] >= pes.rows if pes.double_buffer else control[IN_FLIGHT] == 0
    step = next_step(control, jobs, stride, free, 0)
    if step != EMPTY and step % stride == 0:
        control[IN_FLIGHT] += pes.rows * pes.cols
        control[NEWEST] = step // stride
        control[SINCE] = 0
    control[SINCE] += 1
    return step


@kernel
def _stream_in(work: Work, jobs: NDArray[np.int64], state: OutputRegisters, entering: int) -> None:
    """Move activations one column on and weights one row down, and feed the edges."""
    pes = work.pes
    move_on(state.weight, pes.cols * pes.many * pes.wide)
    move_on(state.pick, pes.cols * pes.many * pes.wide)
    for r in range(pes.rows):
        move_on(state.tag[r], 1)
        move_on(state.act[r], pes.high * pes.many * pes.group)
    move_on(state.left_tag, 1)
    move_on(state.top_tag, 1)
    state.left_tag[0] = state.top_tag[0] = entering
    state.tag[:, 0] = state.left_tag
    state.act[:, 0] = 0
    for r in range(pes.rows):
        tag = state.left_tag[r]
        if tag != EMPTY:
            row = jobs[tag // work.stride, JOB_ROW] + r * pes.high
            slot = tag % work.stride * pes.many
            for j in range(pes.high):
                for lane in range(pes.many):
                    feed_bundle(work, row + j, slot + lane, 0, state.act[r, 0, j, lane])
    state.weight[0] = 0
    state.pick[0] = EMPTY
    for c in range(pes.cols):
        tag = state.top_tag[c]
        if tag != EMPTY:
            col = jobs[tag // work.stride, JOB_COL] + c * pes.wide
            slot = tag % work.stride * pes.many
            read_weights(work, slot, col, state.weight[0, c], state.pick[0, c])


@kernel
def _multiply(work: Work, jobs: NDArray[np.int64], state: OutputRegisters, cycle: int) -> int:
    """Let products enter the pipelines; return PEs with useful ones."""
    pes, m = work.pes, work.given.a.shape[0]
    bank = cycle % pes.stages
    state.product_tag[bank] = state.tag
    state.product[bank] = 0
    served = np.zeros(pes.cols, np.int64)
    for r in range(pes.rows):
        for c in range(pes.cols):
            tag, served[c] = state.tag[r, c], 0
            if tag != EMPTY:
                row = jobs[tag // work.stride, JOB_ROW] + r * pes.high
                served[c] = min(pes.high, m - row)
        _multiply_row(state, bank, r, served)
    return count_useful(state.useful, work.tally)


@kernel
def _multiply_row(state: OutputRegisters, bank: int, r: int, served: NDArray[np.int64]) -> None:
    """Form the products of one row, whose PEs work for `served` rows of the problem."""
    cols, many, wide = state.weight.shape[1:]
    for c in range(cols):
        useful = 0
        for j in range(served[c]):
            for w in range(wide):
                for lane in range(many):
                    pick = state.pick[r, c, lane, w]
                    if pick != EMPTY:
                        product = state.act[r, c, j, lane, pick] * state.weight[r, c, lane, w]
                        state.product[bank, r, c, j, w, lane] = product
                        useful += 1
        state.useful[r, c] = useful


@kernel
def _add(work: Work, jobs: NDArray[np.int64], state: OutputRegisters, cycle: int) -> int:
    """Add the products that leave the pipelines; return how many PEs finished their sums."""
    pes, left = work.pes, 0
    ready = (cycle + 1) % pes.stages
    state.bus[:] = 0
    for r in range(pes.rows):
        _add_row(state, ready, r, work.stride)
        for c in range(pes.cols):
            tag = state.product_tag[ready, r, c]
            if tag != EMPTY and tag % work.stride == work.stride - 1:
                left += 1
                state.bus[c] += 1
                _deliver(work, jobs[tag // work.stride], r, c, state.total[r, c])
    return left


@kernel
def _add_row(state: OutputRegisters, ready: int, r: int, stride: int) -> None:
    """Add products to the sums of one row; a fold's first step begins them anew."""
    cols, high, wide, many = state.product.shape[2:]
    for c in range(cols):
        tag = state.product_tag[ready, r, c]
        if tag == EMPTY:
            continue
        if tag % stride == 0:
            state.total[r, c] = 0
        for j in range(high):
            for w in range(wide):
                for lane in range(many):
                    state.total[r, c, j, w] += state.product[ready, r, c, j, w, lane]


@kernel
def _deliver(work: Work, job: NDArray[np.int64], r: int, c: int, total: NDArray[Any]) -> None:
    """Write the results of one PE where they belong, none outside the problem."""
    m, n = work.out.shape
    row, col = job[JOB_ROW] + r * work.pes.high, job[JOB_COL] + c * work.pes.wide
    for j in range(min(work.pes.high, m - row)):
        for w in range(min(work.pes.wide, n - col)):
            work.out[row + j, col + w] = total[j, w]
            work.tally[WRITES_C] += 1


@kernel
def _note_values(trace: Trace, cycle: int, state: OutputRegisters) -> None:
    """Write down what every PE works on, and the sum that it holds after the cycle."""
    rows, cols = state.tag.shape
    for r in range(rows):
        for c in range(cols):
            pick = max(state.pick[r, c, 0, 0], 0)
            trace.active[cycle, r, c] = state.useful[r, c] > 0
            trace.a[cycle, r, c] = state.act[r, c, 0, 0, pick]
            trace.b[cycle, r, c] = state.weight[r, c, 0, 0]
            trace.sums[cycle, r, c] = state.total[r, c, 0, 0]
