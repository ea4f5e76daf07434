"""Folds of a matmul over a systolic array: how many, how long, and what they read and write.

The stationary operand is larger than the array, so it is cut into folds of at most rows x cols
values. All quantities here are exact integers; `accelsim.timing.systolic` is the front door.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accelsim.kernels.jit import kernel

WEIGHT_STATIONARY, OUTPUT_STATIONARY, INPUT_STATIONARY = 1, 2, 3
DATAFLOW_CODES = {"ws": WEIGHT_STATIONARY, "os": OUTPUT_STATIONARY, "is": INPUT_STATIONARY}
STREAM_PACKED, ROWS_PACKED, COLS_PACKED = 0, 1, 2
_EXACT_LIMIT = 4.0e18
"""Above this a count might not fit 64 bits."""


class ArrayShape(NamedTuple):
    """A systolic array as the kernels know it; see `accelsim.arch.array` for the words.

    `keep` of every `group` weights along k are kept (1 of 1: dense).
    """

    dataflow: int
    rows: int
    cols: int
    arrays: int
    double_buffer: int
    mac_latency_cycles: int
    packing: int
    packed: int
    keep: int
    group: int


class FoldCounts(NamedTuple):
    """What matmuls cost on an array; `status` is 1 when a count does not fit 64 bits.

    A fold takes in its stream in `beats` cycles; `used` is what folds hold in all, `results` the
    elements of C.
    """

    status: int
    cycles: int
    folds: int
    row_folds: int
    col_folds: int
    fold_cycles: int
    beats: int
    sram_reads_a: int
    sram_reads_b: int
    sram_writes_c: int
    used: int
    results: int
    macs: int


@kernel
def ceil_div(a: int, b: int) -> int:
    """Return a / b rounded up, for positive integers."""
    return (a + b - 1) // b


@kernel
def kept_depth(k: int, keep: int, group: int) -> int:
    """Weights that N:M sparsity keeps of a column of `k`."""
    return k // group * keep + min(keep, k % group)


@kernel
def fold_axes(dataflow: int, m: int, n: int, k: int) -> tuple[int, int, int]:
    """Sizes of a matmul along the array's rows, along its columns, and streamed through it."""
    if dataflow == WEIGHT_STATIONARY:
        return k, n, m
    if dataflow == INPUT_STATIONARY:
        return k, m, n
    return m, n, k


@kernel
def fold_fill(dataflow: int, rows: int, cols: int, mac_latency_cycles: int) -> int:
    """Cycles of a lone fold beyond its stream.

    Notes
    -----
    Weights and inputs that stay take `rows` cycles to load; then the wavefront crosses the array:
    a row waits for the sum of the row above, a column one cycle for its neighbour. Outputs that
    stay only see the wavefront pass. Every last sum still has to leave its multiply-add pipeline.
    """
    if dataflow == OUTPUT_STATIONARY:
        return rows + cols - 2 + mac_latency_cycles - 1
    return rows + rows * mac_latency_cycles + cols - 2


@kernel
def bundles_read_again(k: int, keep: int, group: int, high: int) -> int:
    """Activations of the groups of N:M sparsity that a border between row folds cuts in two.

    A bundle of `group` activations enters whole, so both folds read it.
    """
    borders = (kept_depth(k, keep, group) - 1) // high
    apart = high * keep // math.gcd(high, keep)  # kept weights between borders that cut no group
    cuts = borders - borders * high // apart
    again = cuts * group
    last = k // group
    while borders > 0 and borders * high // keep == last:  # the last group may be a partial one
        if borders * high % keep != 0:
            again -= group - k % group
        borders -= 1
    return again


@kernel
def fold_counts(array: ArrayShape, m: int, n: int, k: int, repeat: int) -> FoldCounts:
    """Fold ``C[m, n] = A[m, k] B[k, n]`` over an array and count, exactly.

    `repeat` matmuls of these sizes, each with operands of its own, follow each other; the folds
    of one may load behind those of the one before, and several arrays share them all.
    """
    depth = kept_depth(k, array.keep, array.group)
    on_rows, on_cols, streamed = fold_axes(array.dataflow, m, n, depth)
    high = array.rows * (array.packing if array.packed == ROWS_PACKED else 1)
    wide = array.cols * (array.packing if array.packed == COLS_PACKED else 1)
    row_folds, col_folds = ceil_div(on_rows, high), ceil_div(on_cols, wide)
    whole = 1.0 * row_folds * col_folds * repeat
    if whole * (1.0 * streamed + 3.0 * array.rows * array.mac_latency_cycles + wide) > _EXACT_LIMIT:
        return _uncounted()
    folds = row_folds * col_folds * repeat
    beats = ceil_div(streamed, array.packing) if array.packed == STREAM_PACKED else streamed
    turns, copies = ceil_div(folds, array.arrays), 1
    if folds < array.arrays and array.dataflow != OUTPUT_STATIONARY:
        # Idle arrays take a share of the stream, each with its copy of what stays.
        copies = min(array.arrays // folds, beats)
        beats = ceil_div(beats, copies)
    alone = beats + fold_fill(array.dataflow, array.rows, array.cols, array.mac_latency_cycles)
    period = max(beats, array.rows) if array.double_buffer else alone
    enters = k
    if array.group > 1 and array.dataflow == WEIGHT_STATIONARY:
        enters += bundles_read_again(k, array.keep, array.group, high)
    largest = max(1.0 * m * enters * max(col_folds, copies), 1.0 * m * n * max(row_folds, depth))
    largest = max(largest, 1.0 * depth * n * max(row_folds, col_folds, copies))
    if max(largest * repeat, whole * high * wide) > _EXACT_LIMIT:
        return _uncounted()
    read_a, read_b, write_c = m * enters * repeat, depth * n * repeat, m * n * repeat
    if array.dataflow == OUTPUT_STATIONARY:
        read_a, read_b = read_a * col_folds, read_b * row_folds
    elif array.dataflow == INPUT_STATIONARY:
        read_a, read_b, write_c = read_a * copies, read_b * col_folds, write_c * row_folds
    else:
        read_a, read_b, write_c = read_a * col_folds, read_b * copies, write_c * row_folds
    return FoldCounts(
        0, (turns - 1) * period + alone, folds, row_folds, col_folds, alone, beats,
        read_a, read_b, write_c, on_rows * on_cols * repeat, m * n * repeat, m * n * depth * repeat,
    )  # fmt: skip


@kernel
def _uncounted() -> FoldCounts:
    return FoldCounts(1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)


@kernel
def fold_many(array: ArrayShape, sizes: NDArray[np.int64], out_counts: NDArray[np.int64]) -> None:
    """Fold many problems.

    Parameters
    ----------
    array : ArrayShape
        Everything but rows and columns.
    sizes : (problems, 5) array of int64
        rows, cols, m, n, k of each.
    out_counts : (13, problems) array of int64
        One row per field of `FoldCounts`.
    """
    for i in range(sizes.shape[0]):
        shape = ArrayShape(
            array.dataflow, sizes[i, 0], sizes[i, 1], array.arrays, array.double_buffer,
            array.mac_latency_cycles, array.packing, array.packed, array.keep, array.group,
        )  # fmt: skip
        counts = fold_counts(shape, sizes[i, 2], sizes[i, 3], sizes[i, 4], 1)
        for j in range(len(counts)):
            out_counts[j, i] = counts[j]
