"""A textbook systolic array, PE by PE: every cycle moves every register, and nothing is foretold.

Weights that stay (input stationary: the same on the transposed problem) and outputs that stay.
A fold ends when the last tag has left the array, so cycles are what the loop stepped. Arrays with
double buffers, packing, sparsity or pipelined PEs are in `accelsim.kernels.pe_features`.

Notes
-----
Values live in one register file per kind, rows x cols; what moves right, and sums that move down,
have two, the state before and after the cycle, so that inner loops run along a row without
branches. PEs on one anti-diagonal ``row + col = d`` always hold the same streamed step, so one tag
per anti-diagonal is the valid bit of all its PEs; tags shift by one every cycle.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from accelsim.kernels.jit import kernel

EMPTY = -1
"""Tag of a register that holds nothing of the problem."""
FIRST_ROOM = 1024


class EdgeCounts(NamedTuple):
    """What a run cost: cycles stepped, folds, and values that crossed the array's edge.

    ``active`` holds, per cycle, the PEs that multiplied operands of the problem.
    """

    cycles: int
    folds: int
    reads_a: int
    reads_b: int
    writes_c: int
    active: NDArray[np.int64]


@kernel
def stationary_array(
    a: NDArray[Any], b: NDArray[Any], rows: int, cols: int
) -> tuple[NDArray[Any], EdgeCounts]:
    """Multiply on an array whose PEs keep a tile of `b`; `a` moves right and sums move down.

    Parameters
    ----------
    a : (m, k) array
        Streamed operand, of the accumulator's type.
    b : (k, n) array of the same type
        Stationary operand: k along rows, n along columns.
    rows, cols : int
        Processing elements.

    Returns
    -------
    out : (m, n) array
        Products: k ascending in a fold from zero, then folds in order.
    EdgeCounts
        Reads of `a`, of `b`, and writes.
    """
    m, k = a.shape
    n = b.shape[1]
    weights = np.zeros((rows, cols), a.dtype)
    acts, next_acts = np.zeros_like(weights), np.zeros_like(weights)
    sums, next_sums = np.zeros_like(weights), np.zeros_like(weights)
    tags = np.full(rows + cols - 1, EMPTY, np.int64)
    out = np.zeros((m, n), a.dtype)
    active = np.empty(FIRST_ROOM, np.int64)
    cycle = folds = reads_a = reads_b = writes_c = 0
    for n0 in range(0, n, cols):
        # Columns of the accumulator and rows of the feed lie in one piece: each is walked in time.
        strip = np.zeros((min(cols, n - n0), m), a.dtype)
        for k0 in range(0, k, rows):
            tile = b[k0 : k0 + rows, n0 : n0 + cols]
            feed = np.ascontiguousarray(a[:, k0 : k0 + rows].T)
            useful = _useful_on_diagonals(tile.shape[0], tile.shape[1], rows + cols - 1)
            for row in range(rows - 1, -1, -1):
                reads_b += _shift_down(weights, tile, row)
                active = noted(active, cycle, 0)
                cycle += 1
            step, in_flight = 0, 0
            while step < m or in_flight > 0:
                in_flight += _shift_tags(tags, step, m)
                step += 1
                reads_a += _shift_right(acts, feed, tags, next_acts)
                acts, next_acts = next_acts, acts
                _add_down(sums, acts, weights, next_sums)
                sums, next_sums = next_sums, sums
                active = noted(active, cycle, _occupied(tags, useful))
                cycle += 1
                writes_c += _collect_bottom(sums, tags, strip)
                in_flight -= tags[-1] != EMPTY
            folds += 1
        out[:, n0 : n0 + cols] = strip.T
    return out, EdgeCounts(cycle, folds, reads_a, reads_b, writes_c, active[:cycle])


@kernel
def output_array(
    a: NDArray[Any], b: NDArray[Any], rows: int, cols: int
) -> tuple[NDArray[Any], EdgeCounts]:
    """Multiply on an array whose PEs keep sums; `a` moves right and `b` moves down.

    Parameters
    ----------
    a : (m, k) array
        Of the accumulator's type; m along rows.
    b : (k, n) array of the same type
        n along columns.
    rows, cols : int
        Processing elements.

    Returns
    -------
    out : (m, n) array
        Products, k ascending from zero.
    EdgeCounts
        Reads of `a`, of `b`, and writes.

    Notes
    -----
    A finished sum leaves over the result bus of its column in the cycle that completes it; the
    wavefront finishes one row per column and cycle, so the bus never has two to carry.
    """
    (m, k), n = a.shape, b.shape[1]
    sums, weights = np.zeros((rows, cols), a.dtype), np.zeros((rows, cols), a.dtype)
    acts, next_acts = np.zeros_like(weights), np.zeros_like(weights)
    tags = np.full(rows + cols - 1, EMPTY, np.int64)
    out = np.zeros((m, n), a.dtype)
    active = np.empty(FIRST_ROOM, np.int64)
    cycle = folds = reads_a = reads_b = writes_c = 0
    for m0 in range(0, m, rows):
        for n0 in range(0, n, cols):
            block = out[m0 : m0 + rows, n0 : n0 + cols]
            useful = _useful_on_diagonals(block.shape[0], block.shape[1], rows + cols - 1)
            feed_b = np.ascontiguousarray(b[:, n0 : n0 + cols].T)
            sums[:] = 0
            step, in_flight = 0, 0
            while step < k or in_flight > 0:
                in_flight += _shift_tags(tags, step, k)
                step += 1
                reads_a += _shift_right(acts, a[m0 : m0 + rows], tags, next_acts)
                acts, next_acts = next_acts, acts
                reads_b += _feed_down(weights, feed_b, tags)
                _add_in_place(sums, acts, weights)
                active = noted(active, cycle, _occupied(tags, useful))
                cycle += 1
                writes_c += _collect_finished(sums, tags, k - 1, block)
                in_flight -= tags[-1] != EMPTY
            folds += 1
    return out, EdgeCounts(cycle, folds, reads_a, reads_b, writes_c, active[:cycle])


@kernel
def noted(active: NDArray[np.int64], cycle: int, count: int) -> NDArray[np.int64]:
    """Write down the PEs active in a cycle, in a longer array where this one is full."""
    if cycle == active.size:
        longer = np.empty(2 * active.size, np.int64)
        longer[: active.size] = active
        active = longer
    active[cycle] = count
    return active


@kernel
def _useful_on_diagonals(deep: int, wide: int, diagonals: int) -> NDArray[np.int64]:
    """Count the PEs of a fold of deep x wide operands on every anti-diagonal of the array."""
    useful = np.zeros(diagonals, np.int64)
    for row in range(deep):
        for col in range(wide):
            useful[row + col] += 1
    return useful


@kernel
def _occupied(tags: NDArray[np.int64], useful: NDArray[np.int64]) -> int:
    """Count the PEs of the problem that hold operands."""
    count = 0
    for d in range(tags.size):
        count += useful[d] if tags[d] != EMPTY else 0
    return count


@kernel
def _shift_tags(tags: NDArray[np.int64], step: int, steps: int) -> int:
    """Move tags one anti-diagonal on; return 1 if a step of the stream came in, 0 for a bubble."""
    for d in range(tags.size - 1, 0, -1):
        tags[d] = tags[d - 1]
    tags[0] = step if step < steps else EMPTY
    return int(step < steps)


@kernel
def _shift_down(weights: NDArray[Any], tile: NDArray[Any], row: int) -> int:
    """Move weights one row down behind a row of the tile, zeros outside; return values read."""
    for r in range(weights.shape[0] - 1, 0, -1):
        weights[r] = weights[r - 1]
    weights[0] = 0
    if row >= tile.shape[0]:
        return 0
    weights[0, : tile.shape[1]] = tile[row]
    return int(tile.shape[1])


@kernel
def _shift_right(
    acts: NDArray[Any], feed: NDArray[Any], tags: NDArray[np.int64], out_acts: NDArray[Any]
) -> int:
    """Move activations one column on; row r takes ``feed[r, step]``; return values read."""
    rows, cols = acts.shape
    deep = feed.shape[0]
    reads = 0
    for r in range(rows):
        for c in range(1, cols):
            out_acts[r, c] = acts[r, c - 1]
        out_acts[r, 0] = 0
        if r < deep and tags[r] != EMPTY:
            out_acts[r, 0] = feed[r, tags[r]]
            reads += 1
    return reads


@kernel
def _feed_down(weights: NDArray[Any], feed: NDArray[Any], tags: NDArray[np.int64]) -> int:
    """Move weights one row down; column c takes ``feed[c, step]``; return values read."""
    rows = weights.shape[0]
    for r in range(rows - 1, 0, -1):
        weights[r] = weights[r - 1]
    weights[0] = 0
    reads = 0
    for c in range(feed.shape[0]):
        if tags[c] != EMPTY:
            weights[0, c] = feed[c, tags[c]]
            reads += 1
    return reads


@kernel
def _add_down(
    sums: NDArray[Any], acts: NDArray[Any], weights: NDArray[Any], out_sums: NDArray[Any]
) -> None:
    """Let every PE add its product to the sum of the PE above, which starts from zero."""
    rows, cols = sums.shape
    for c in range(cols):
        out_sums[0, c] = acts[0, c] * weights[0, c]
    for r in range(1, rows):
        for c in range(cols):
            out_sums[r, c] = sums[r - 1, c] + acts[r, c] * weights[r, c]


@kernel
def _add_in_place(sums: NDArray[Any], acts: NDArray[Any], weights: NDArray[Any]) -> None:
    """Let every PE add its product to its own sum."""
    for r in range(sums.shape[0]):
        for c in range(sums.shape[1]):
            sums[r, c] += acts[r, c] * weights[r, c]


@kernel
def _collect_bottom(sums: NDArray[Any], tags: NDArray[np.int64], out_strip: NDArray[Any]) -> int:
    """Add the sums that leave column c of the bottom row to row c of the strip; return how many."""
    rows = sums.shape[0]
    writes = 0
    for c in range(out_strip.shape[0]):
        step = tags[rows - 1 + c]
        if step != EMPTY:
            out_strip[c, step] += sums[rows - 1, c]
            writes += 1
    return writes


@kernel
def _collect_finished(
    sums: NDArray[Any], tags: NDArray[np.int64], last: int, out_block: NDArray[Any]
) -> int:
    """Write out the sums of PEs that hold the last step of the stream; return how many."""
    deep, wide = out_block.shape
    writes = 0
    for d in range(deep + wide - 1):
        if tags[d] == last:
            for r in range(max(0, d - wide + 1), min(deep, d + 1)):
                out_block[r, d - r] = sums[r, d - r]
                writes += 1
    return writes
