"""Softmax of score rows, whole and online, each step rounded to the vector format.

Which keys a row sees is one tuple of whole numbers, `where`:

- queries: row r belongs to query ``r % queries``,
- first_position: where the first query sits among the keys,
- first_key: where the first column of scores sits among them,
- causal: 1 where a query sees no key behind its own position,
- window: a query sees keys at most ``window - 1`` positions away; 0 is all.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from accelsim.kernels.jit import kernel, parallel_kernel, prange
from accelsim.kernels.vector_math import (
    FP32,
    Array,
    Format,
    exp,
    lane_sum,
    largest,
    rounded,
    tanh,
)


@kernel
def visible(where: tuple[int, ...], row: int, keys: int) -> tuple[int, int]:
    """Return the first column that a row sees and the one after the last."""
    queries, first_position, first_key, causal, window = where
    at = first_position + row % queries - first_key
    start, stop = 0, keys
    if causal:
        stop = min(stop, at + 1)
    if window > 0:
        start = max(start, at - window + 1)
        stop = min(stop, at + window)
    return (start, stop) if start < stop else (0, 0)


@kernel
def scaled_row(fmt: Format, scores: Array, scale: float, out: Array) -> None:
    """Write ``scores * scale``."""
    for j in range(out.size):
        out[j] = rounded(rounded(scores[j], fmt) * scale, fmt)


@kernel
def capped_row(fmt: Format, cap: float, out: Array) -> None:
    """Replace scores by ``cap tanh(score / cap)``; with a cap of 0 they stay."""
    if cap <= 0:
        return
    for j in range(out.size):
        out[j] = rounded(cap * rounded(tanh(rounded(out[j] / cap, fmt)), fmt), fmt)


@kernel
def exponentials(fmt: Format, largest_score: Any, out: Array) -> None:
    """Replace scores by ``exp(score - largest_score)``."""
    for j in range(out.size):
        out[j] = rounded(exp(rounded(out[j] - largest_score, fmt)), fmt)


@kernel
def softmax(
    fmt: Format,
    scores: Array,
    first_row: int,
    where: tuple[int, ...],
    scale: float,
    cap: float,
    out: Array,
) -> None:
    """Write the softmax of every row over the keys that it sees, zero elsewhere.

    Parameters
    ----------
    fmt : tuple
        Format, of `accelsim.kernels.vector_math`.
    scores, out : array of float32, shape (rows, keys)
    first_row : int
        Number of the first of these rows.
    where : tuple of int
        Which keys a row sees: the head of this file.
    scale : float
        What scores are multiplied by.
    cap : float
        Scaled scores s are replaced by ``cap tanh(s / cap)``; 0: they are not.
    """
    scale, cap = rounded(np.float32(scale), fmt), rounded(np.float32(cap), fmt)
    for row in range(scores.shape[0]):
        start, stop = visible(where, first_row + row, scores.shape[1])
        whole = out[row]
        whole[:start] = 0
        whole[stop:] = 0
        seen = whole[start:stop]
        scaled_row(fmt, scores[row, start:stop], scale, seen)
        capped_row(fmt, cap, seen)
        exponentials(fmt, largest(seen), seen)
        total = lane_sum(fmt, whole[:stop])
        for j in range(seen.size):
            seen[j] = rounded(seen[j] / total, fmt)


@kernel
def online_softmax(
    fmt: Format,
    scores: Array,
    first_row: int,
    where: tuple[int, ...],
    scale: float,
    cap: float,
    state: Array,
    out: Array,
    out_rescale: Array,
) -> None:
    """Take one tile of keys into the running largest score and sum of every row.

    Parameters
    ----------
    fmt, scores, first_row, where, scale, cap
        As of `softmax`, for the keys of one tile.
    state : array of float32, shape (rows, 2)
        Largest score and sum of exponentials so far; both are updated, in fp32.
    out : array of float32, shape (rows, keys)
        Exponentials of the scores less the new largest.
    out_rescale : array of float32, shape (rows,)
        By what the row's earlier output is to be multiplied, fp32.
    """
    scale, cap = rounded(np.float32(scale), fmt), rounded(np.float32(cap), fmt)
    for row in range(scores.shape[0]):
        start, stop = visible(where, first_row + row, scores.shape[1])
        whole = out[row]
        whole[:start] = 0
        whole[stop:] = 0
        out_rescale[row] = 1
        if start == stop:
            continue
        seen = whole[start:stop]
        scaled_row(fmt, scores[row, start:stop], scale, seen)
        capped_row(fmt, cap, seen)
        new, old = largest(seen), state[row, 0]
        new = old if old > new else new
        exponentials(fmt, new, seen)
        out_rescale[row] = exp(old - new)
        kept = np.float32(state[row, 1] * out_rescale[row])
        state[row, 0], state[row, 1] = new, kept + lane_sum(FP32, whole[:stop])


@parallel_kernel
def softmax_many(
    fmt: Format,
    scores: Array,
    where: tuple[int, ...],
    scale: float,
    cap: float,
    out: Array,
    piece: int,
) -> None:
    """Do as `softmax`, pieces of that many rows on all threads."""
    for part in prange((scores.shape[0] + piece - 1) // piece):
        first, last = part * piece, (part + 1) * piece
        softmax(fmt, scores[first:last], first, where, scale, cap, out[first:last])


@parallel_kernel
def online_softmax_many(
    fmt: Format,
    scores: Array,
    where: tuple[int, ...],
    scale: float,
    cap: float,
    state: Array,
    out: Array,
    out_rescale: Array,
    piece: int,
) -> None:
    """Do as `online_softmax`, pieces of that many rows on all threads."""
    for part in prange((scores.shape[0] + piece - 1) // piece):
        first, last = part * piece, (part + 1) * piece
        online_softmax(
            fmt, scores[first:last], first, where, scale, cap,
            state[first:last], out[first:last], out_rescale[first:last],
        )  # fmt: skip


@kernel
def accumulate(rescale: Array, added: Array, out: Array) -> None:
    """Do ``out = out * rescale + added`` row by row, in fp32."""
    for row in range(out.shape[0]):
        by = rescale[row]
        total, more = out[row], added[row]
        for j in range(total.size):
            total[j] = np.float32(total[j] * by) + more[j]


@kernel
def merge(state: Array, part_state: Array, part: Array, out: Array) -> None:
    """Add a part of the keys to earlier ones: both outputs rescaled to the larger score, in fp32.

    Parameters
    ----------
    state, part_state : array of float32, shape (rows, 2)
        Largest score and sum of exponentials of earlier keys (updated) and of the part.
    part, out : array of float32, shape (rows, size)
        Sums of values weighted by exponentials, of the part and of earlier keys (updated).
    """
    for row in range(out.shape[0]):
        old, more = state[row, 0], part_state[row, 0]
        if part_state[row, 1] == 0:  # nothing seen
            continue
        new = old if old > more else more
        by, part_by = exp(old - new), exp(more - new)
        total, added = out[row], part[row]
        for j in range(total.size):
            total[j] = np.float32(total[j] * by) + np.float32(added[j] * part_by)
        kept = np.float32(state[row, 1] * by)
        state[row, 0] = new
        state[row, 1] = kept + np.float32(part_state[row, 1] * part_by)


@kernel
def divide(state: Array, out: Array) -> None:
    """Divide outputs by their sums of exponentials in fp32; rows that saw no key become zero."""
    for row in range(out.shape[0]):
        total, result = state[row, 1], out[row]
        for j in range(result.size):
            result[j] = np.float32(0) if total == 0 else result[j] / total
