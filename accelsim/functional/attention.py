"""Attention in a chip's arithmetic: whole rows of scores, or online softmax tile by tile.

The order of tiles is the mapping's and changes the last bits of results, as on the chip.

References
----------
Dao, FlashAttention-2: Faster Attention with Better Parallelism and Work Partitioning, 2023,
arXiv 2307.08691, algorithm 1, for the online softmax; Ainslie et al., GQA, 2023, arXiv 2305.13245.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import ArrayLike

from accelsim.arithmetic import (
    UNFUSED,
    Arithmetic,
    AttentionOrder,
)
from accelsim.errors import MappingError, WorkloadError
from accelsim.functional.attention_parts import (
    Operands,
    Task,
    scores_of,
    seen_keys,
    take_keys,
    take_queries,
    weighted,
)
from accelsim.functional.attention_unfused import unfused
from accelsim.functional.vector import (
    Float32,
    checked_cap,
    float32,
    format_code,
    piece_of,
    visibility,
)
from accelsim.kernels.softmax import (
    accumulate,
    divide,
    merge,
    online_softmax,
    online_softmax_many,
)

_PARALLEL_FROM = 65536


@dataclass(frozen=True)
class Mask:
    """Which keys a query sees.

    Attributes
    ----------
    causal : bool
        Query i sees no key behind ``past + i``.
    window : int or None
        A query sees keys at most ``window - 1`` positions away.
    past : int
        Position of the first query among the keys.
    """

    causal: bool = True
    window: int | None = None
    past: int = 0


CAUSAL = Mask()


def attention(
    q: ArrayLike,
    k: ArrayLike,
    v: ArrayLike,
    arithmetic: Arithmetic,
    *,
    order: AttentionOrder = UNFUSED,
    mask: Mask = CAUSAL,
    scale: float | None = None,
    cap: float | None = None,
    sinks: ArrayLike | None = None,
) -> Float32:
    """Return ``softmax(scale q k^T) v`` of every head.

    Parameters
    ----------
    q : array of float32, shape (..., heads, q_len, head_dim)
    k : array of float32, shape (..., kv_heads, kv_len, head_dim)
    v : array of float32, shape (..., kv_heads, kv_len, value_dim)
        `heads` is a multiple of `kv_heads`: query heads share keys and values in groups.
    arithmetic : Arithmetic
        Its `attention` for both matmuls, its `vector` for scores and softmax.
    order : AttentionOrder, optional
        Tiles of the mapping; default: unfused.
    mask : Mask, optional
    scale : float, optional
        Default ``1 / sqrt(head_dim)``.
    cap : float, optional
        Scaled scores s become ``cap tanh(s / cap)`` (Gemma 2).
    sinks : array of float32, shape (heads,), optional
        A score per head that joins every softmax and brings no value (gpt-oss).

    Returns
    -------
    array of float32, shape (..., heads, q_len, value_dim)
        A query that sees no key gets zeros.

    Raises
    ------
    WorkloadError
        If shapes, mask, scale or cap are not possible.
    MappingError
        If a tile or the number of parts is negative.

    Notes
    -----
    Unfused: scores by matmul, rounded to the vector format, scaled and capped, softmax of whole
    rows in the vector format; probabilities are rounded to the matmul's operand format as its left
    operand. Unseen keys enter that matmul with probability zero.

    Fused: per tile of `tile_q` queries, tiles of `tile_kv` keys in ascending order. Scores and
    their exponentials are of the vector format; largest score m, sum l and output o are fp32:
    ``l = l exp(m_old - m) + sum(p)``, ``o = o exp(m_old - m) + p v``, at the end ``o / l``. With
    `split_kv` parts, each has its own m, l and o; parts are merged in ascending order. Parts and
    tiles are counted from the first key that some query sees: with a window, not from the start of
    the cache. Tiles that no query of the tile sees are skipped. Sinks are merged last, as a part
    of their own; with them attention is never unfused. A tile of which a row sees -inf scores
    alone, before any finite one, makes that row NaN. `tile_q` 0 is all queries; parts without
    `tile_kv` are one tile.

    A unit that has integers alone multiplies codes of its operands, with one scale per query and
    key, found from the largest magnitudes. Scales of values are per key as well: probabilities are
    multiplied by them, in fp32, before they become codes.
    """
    held = Operands.of(q, k, v)
    if min(order.tile_q, order.tile_kv) < 0 or order.split_kv < 1:
        raise MappingError(f"{order}: expected tiles from 0 and parts from 1")
    task = Task(
        matrix=arithmetic.attention,
        vector=format_code(arithmetic.vector),
        mask=visibility(mask.causal, mask.past, mask.window),
        scale=held.q.shape[-1] ** -0.5 if scale is None else float(scale),
        cap=checked_cap(cap),
        sinks=None if sinks is None else _sinks(sinks, held),
    )
    if 0 in held.shape:
        return np.empty(held.shape, np.float32)
    if order.tile_kv == 0 and order.split_kv == 1 and sinks is None:
        return unfused(held, task).reshape(held.shape)
    held, task = _from_first_seen(held, task)
    queries = held.q.shape[-2]
    tile_q = order.tile_q or max(1, queries)
    out = np.empty((*held.q.shape[:-1], held.v.shape[-1]), np.float32)
    for first in range(0, queries, tile_q):
        result = _split(*take_queries(held, task, first, tile_q), order)
        out[:, :, first : first + tile_q] = result.reshape(out[:, :, first : first + tile_q].shape)
    return out.reshape(held.shape)


def _sinks(sinks: ArrayLike, held: Operands) -> Float32:
    """Spread a score per head over all blocks of the operands."""
    scores = float32("sinks", sinks)
    blocks, group = held.q.shape[:2]
    if scores.ndim != 1 or not scores.size or (blocks * group) % scores.size:
        raise WorkloadError(f"sinks of shape {scores.shape}: expected one score per head")
    return np.tile(scores, blocks * group // scores.size).reshape(blocks, group)


def _from_first_seen(held: Operands, task: Task) -> tuple[Operands, Task]:
    """Drop the keys before the windows of all queries; one that none sees may remain."""
    position, _, _, window = task.mask
    count = held.k.shape[-2]
    start = min(max(0, position - window + 1), count - 1) if window else 0
    return take_keys(held, task, range(start, count))


def _split(held: Operands, task: Task, order: AttentionOrder) -> Float32:
    """Attend one tile of queries to all keys, part by part."""
    keys = held.k.shape[-2]
    part = ceil(keys / order.split_kv)
    state, out = _part(held, task, range(min(part, keys)), order.tile_kv)
    for first in range(part, keys, part):
        merge(state, *_part(held, task, range(first, min(first + part, keys)), order.tile_kv), out)
    if task.sinks is not None:
        scores = np.repeat(task.sinks.reshape(-1), held.q.shape[2])
        sink = np.stack([scores, np.ones_like(scores)], axis=1)
        merge(state, sink, np.zeros_like(out), out)
    divide(state, out)
    return out


def _part(held: Operands, task: Task, keys: range, tile_kv: int) -> tuple[Float32, Float32]:
    """Return (largest score, sum) and unscaled output of every row after these keys."""
    blocks, group, queries, size = held.q.shape
    rows = np.ascontiguousarray(held.q).reshape(blocks, group * queries, size)
    state = np.zeros((blocks * group * queries, 2), np.float32)
    state[:, 0] = -np.inf
    out = np.zeros((blocks * group * queries, held.v.shape[-1]), np.float32)
    rescale = np.empty(len(out), np.float32)
    seen = seen_keys(task, queries, keys)
    for first in range(keys.start, keys.stop, tile_kv or len(keys)):
        last = min(first + (tile_kv or len(keys)), keys.stop)
        if last <= seen.start or first >= seen.stop:
            continue
        scores = scores_of(rows, held.k[:, first:last], task)
        where = (queries, task.mask[0], first, *task.mask[2:])
        weights = _online(scores.reshape(-1, last - first), task, where, state, rescale)
        added = weighted(weights.reshape(scores.shape), held.v[:, first:last], task)
        accumulate(rescale, added.reshape(out.shape), out)
    return state, out


def _online(
    scores: Float32, task: Task, where: tuple[int, ...], state: Float32, rescale: Float32
) -> Float32:
    out = np.empty_like(scores)
    given = (task.scale, task.cap, state, out, rescale)
    if scores.size < _PARALLEL_FROM:
        online_softmax(task.vector, scores, 0, where, *given)
    else:
        online_softmax_many(task.vector, scores, where, *given, piece_of(scores))
    return out
