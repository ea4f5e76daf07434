"""What PE-level arrays with the features of real machines share: operands, control, the record.

Several arrays work in lock step around one accumulator, each with double buffers, packed
multiply-adds, structured sparsity and pipelined PEs. `accelsim.kernels.pe_stationary` and
`accelsim.kernels.pe_outputs` hold their PEs; `accelsim.kernels.pe_array` is the fast way for an
array without features.

Notes
-----
A step of the stream carries a tag, ``turn * stride + step``: the turn is the fold's place among
those of its array. Tags move with the values and say when a PE takes over its next weights, begins
or ends a sum, and where a result belongs. Pipelines of `stages` registers are banks: cycle t
writes bank ``t % stages``, which until then holds what was written `stages` cycles ago, and what
leaves a pipeline at the end of the cycle is in the bank that the next cycle writes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from accelsim.kernels.jit import kernel
from accelsim.kernels.pe_array import EMPTY

DONE, TRACE_FULL, BUS_CONFLICT = 0, 1, 2
JOB_FOLD, JOB_ROW, JOB_COL, JOB_STEP, JOB_STEPS = range(5)
READS_A, READS_B, WRITES_C, MACS = range(4)
LOADED, LOAD_ROW, STREAMED, STEP, SINCE, IN_FLIGHT, NEWEST = range(7)
CONTROL_FIELDS = 7


class Pes(NamedTuple):
    """An array as these kernels know it.

    Attributes
    ----------
    rows, cols, stages : int
        PEs, and registers in the pipeline of a multiply-add.
    double_buffer : int
        1 when a fold enters while the one before it still streams.
    high, wide, many : int
        Rows, columns and streamed steps that one PE serves at once: at most one is above 1.
    keep, group : int
        N:M sparsity: `keep` weights are stored of every `group` (1 of 1: dense).
    """

    rows: int
    cols: int
    stages: int
    double_buffer: int
    high: int
    wide: int
    many: int
    keep: int
    group: int


class Operands(NamedTuple):
    """A matmul as the array meets it.

    `a` is (m, k); `weights` (slots, n) are the stored weights, and `picks` of the same shape their
    places in their groups along k.
    """

    a: NDArray[Any]
    weights: NDArray[Any]
    picks: NDArray[np.int64]


class Trace(NamedTuple):
    """Room for what the first array does: (cycles, rows, cols), (cycles,); unwanted: 0 cycles."""

    active: NDArray[np.bool_]
    a: NDArray[Any]
    b: NDArray[Any]
    sums: NDArray[Any]
    fold: NDArray[np.int64]
    phase: NDArray[np.int8]


class Work(NamedTuple):
    """What all cycles of a run share: the array, the problem, and where its results go.

    `stride` is the most steps of a fold; `tally` counts READS_A, READS_B, WRITES_C and MACS.
    """

    pes: Pes
    given: Operands
    stride: int
    tally: NDArray[np.int64]
    out: NDArray[Any]


@kernel
def next_step(
    control: NDArray[np.int64],
    jobs: NDArray[np.int64],
    stride: int,
    may_begin: bool,
    results: int,
) -> int:
    """Let the next step of the stream into an array.

    Parameters
    ----------
    control : (CONTROL_FIELDS,) array of int64
        Where the array is; updated.
    jobs : (turns, 5) array of int64
        Its folds; 0 steps: no job.
    stride : int
        Most steps of a fold.
    may_begin : bool
        Whether a new fold may begin in this cycle.
    results : int
        Values (of padding too) that this step makes leave the array.

    Returns
    -------
    int
        Its tag; EMPTY when nothing enters.
    """
    turn = control[STREAMED]
    if turn == jobs.shape[0] or jobs[turn, JOB_STEPS] == 0:
        return EMPTY
    if control[STEP] == 0 and not may_begin:
        return EMPTY
    tag = int(turn * stride + control[STEP])
    control[IN_FLIGHT] += results
    control[STEP] += 1
    if control[STEP] == jobs[turn, JOB_STEPS]:
        control[STREAMED] += 1
        control[STEP] = 0
    return tag


@kernel
def has_work(control: NDArray[np.int64], jobs: NDArray[np.int64]) -> bool:
    """Tell whether steps have still to enter, or results to leave."""
    turn = control[STREAMED]
    return bool(control[IN_FLIGHT] > 0 or (turn < jobs.shape[0] and jobs[turn, JOB_STEPS] > 0))


@kernel
def move_on(values: NDArray[Any], width: int) -> None:
    """Move values `width` places on along a contiguous array; the first ones stay as they were.

    One PE's values are the width for a move to the right within a row, one row's for a move down.
    """
    line = values.ravel()
    for i in range(line.size - 1, width - 1, -1):
        line[i] = line[i - width]


@kernel
def count_useful(useful: NDArray[np.int64], tally: NDArray[np.int64]) -> int:
    """Tally the useful multiply-adds of all PEs; return how many PEs had any."""
    busy = 0
    for r in range(useful.shape[0]):
        for c in range(useful.shape[1]):
            tally[MACS] += useful[r, c]
            busy += 1 if useful[r, c] > 0 else 0
    return busy


@kernel
def feed_bundle(
    work: Work, step: int, slot: int, first_slot: int, out_bundle: NDArray[Any]
) -> None:
    """Put the activations that belong to a stored weight in front of a PE.

    Parameters
    ----------
    work : Work
        Tallies values read: those of a group once per fold, at its first slot.
    step, slot : int
        Row of `a`, and row of the stored weights: their group's activations enter whole.
    first_slot : int
        First slot of the fold.
    out_bundle : (group,) array
        Takes the activations; zeros outside the problem.
    """
    given, pes = work.given, work.pes
    first = slot // pes.keep * pes.group
    inside = 0
    if step < given.a.shape[0] and slot < given.weights.shape[0]:
        inside = min(pes.group, given.a.shape[1] - first)
    out_bundle[:] = 0
    for place in range(inside):
        out_bundle[place] = given.a[step, first + place]
    if slot % pes.keep == 0 or slot == first_slot:
        work.tally[READS_A] += inside


@kernel
def read_weights(
    work: Work, slot: int, col: int, out_weights: NDArray[Any], out_picks: NDArray[np.int64]
) -> None:
    """Put stored weights in front of a PE, none outside the problem.

    Parameters
    ----------
    work : Work
        Tallies values read.
    slot, col : int
        First row and column of the stored weights.
    out_weights, out_picks : (slots, cols) array
        Take them.
    """
    slots, n = work.given.weights.shape
    out_weights[:] = 0
    out_picks[:] = EMPTY
    for j in range(min(out_weights.shape[0], slots - slot)):
        for w in range(min(out_weights.shape[1], n - col)):
            out_weights[j, w] = work.given.weights[slot + j, col + w]
            out_picks[j, w] = work.given.picks[slot + j, col + w]
            work.tally[READS_B] += 1
