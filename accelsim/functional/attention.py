"""Attention in a chip's arithmetic: whole rows of scores, or online softmax tile by tile.

The order of tiles is the mapping's and changes the last bits of results, as on the chip.

References
----------
Dao, FlashAttention-2: Faster Attention with Better Parallelism and Work Partitioning, 2023,
arXiv 2307.08691, algorithm 1, for the online softmax; Ainslie et al., GQA, 2023, arXiv 2305.13245.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, lcm, prod

import numpy as np
from numpy.typing import ArrayLike

from accelsim.arithmetic import (
    UNFUSED,
    Arithmetic,
    AttentionOrder,
    FusedSum,
    IntegerSum,
    MatrixArithmetic,
    TwoStageSum,
)
from accelsim.errors import MappingError, WorkloadError
from accelsim.formats import FORMATS, BlockFormat, find_format
from accelsim.functional.gemm import matmul, sum_rule
from accelsim.functional.operands import rounded_operand
from accelsim.functional.packed_matrix import pack_matrix
from accelsim.functional.quant.codes import scaled_rows
from accelsim.functional.vector import (
    Float32,
    checked_cap,
    float32,
    format_code,
    piece_of,
    softmax_rows,
    visibility,
)
from accelsim.kernels.softmax import (
    accumulate,
    divide,
    merge,
    online_softmax,
    online_softmax_many,
)
from accelsim.kernels.sums import ZERO_EXPONENT

_PARALLEL_FROM = 65536
_UNFUSED_QUERIES = 128
_FRACTION_BITS = FORMATS["fp32"].fraction_bits
_GRAIN = 64
"""A multiple of the lanes in which the vector unit sums, and of every usual block."""


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
    held = _Operands.of(q, k, v)
    if min(order.tile_q, order.tile_kv) < 0 or order.split_kv < 1:
        raise MappingError(f"{order}: expected tiles from 0 and parts from 1")
    task = _Task(
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
        return _unfused(held, task).reshape(held.shape)
    held, task = _from_first_seen(held, task)
    queries = held.q.shape[-2]
    tile_q = order.tile_q or max(1, queries)
    out = np.empty((*held.q.shape[:-1], held.v.shape[-1]), np.float32)
    for first in range(0, queries, tile_q):
        result = _split(*_queries(held, task, first, tile_q), order)
        out[:, :, first : first + tile_q] = result.reshape(out[:, :, first : first + tile_q].shape)
    return out.reshape(held.shape)


@dataclass(frozen=True)
class _Operands:
    """Operands with one leading axis for all heads of keys, and one for queries of a group."""

    q: Float32  # kv_heads, group, q_len, head_dim
    k: Float32  # kv_heads, kv_len, head_dim
    v: Float32  # kv_heads, kv_len, value_dim
    shape: tuple[int, ...]  # of the result

    @staticmethod
    def of(q: ArrayLike, k: ArrayLike, v: ArrayLike) -> _Operands:
        queries, keys, values = float32("q", q), float32("k", k), float32("v", v)
        shapes = f"q {queries.shape}, k {keys.shape}, v {values.shape}"
        if not 3 <= queries.ndim == keys.ndim == values.ndim:
            raise WorkloadError(f"{shapes}: expected (..., heads, length, head_dim) each")
        heads, kv_heads = queries.shape[-3], keys.shape[-3]
        if (
            queries.shape[:-3] != keys.shape[:-3]
            or keys.shape[:-1] != values.shape[:-1]
            or queries.shape[-1] != keys.shape[-1]
            or 0 in (kv_heads, keys.shape[-2], keys.shape[-1], values.shape[-1])
            or heads % kv_heads
        ):
            raise WorkloadError(
                f"{shapes}: expected equal leading axes and lengths of k and v, head_dim of q as "
                "of k, heads of q a multiple of those of k, and none empty"
            )
        blocks = prod(keys.shape[:-2])
        return _Operands(
            q=queries.reshape(blocks, heads // kv_heads, *queries.shape[-2:]),
            k=keys.reshape(blocks, *keys.shape[-2:]),
            v=values.reshape(blocks, *values.shape[-2:]),
            shape=(*queries.shape[:-1], values.shape[-1]),
        )


@dataclass(frozen=True)
class _Task:
    """What happens to scores: formats, mask, scale, cap (0: none).

    The mask is first position, first key, causal, window.
    """

    matrix: MatrixArithmetic
    vector: tuple[int, ...]
    mask: tuple[int, ...]
    scale: float
    cap: float
    sinks: Float32 | None = None  # blocks, group


def _sinks(sinks: ArrayLike, held: _Operands) -> Float32:
    """Spread a score per head over all blocks of the operands."""
    scores = float32("sinks", sinks)
    blocks, group = held.q.shape[:2]
    if scores.ndim != 1 or not scores.size or (blocks * group) % scores.size:
        raise WorkloadError(f"sinks of shape {scores.shape}: expected one score per head")
    return np.tile(scores, blocks * group // scores.size).reshape(blocks, group)


def _scores(q: Float32, k: Float32, task: _Task) -> Float32:
    """Multiply queries [t, m, d] by keys [t, n, d]."""
    matrix = task.matrix
    if not isinstance(matrix.sums, IntegerSum):
        return _sums(matmul(q, k.swapaxes(-1, -2), matrix))
    left, row_scales = scaled_rows(q, matrix.operand)
    right, key_scales = scaled_rows(np.ascontiguousarray(k), matrix.operand)
    found = _sums(matmul(left, pack_matrix(right, matrix, transposed=True), matrix))
    found *= row_scales
    found *= key_scales.swapaxes(-1, -2)
    return found


def _weighted(weights: Float32, v: Float32, task: _Task) -> Float32:
    """Multiply probabilities [t, m, n] by values [t, n, d]."""
    matrix = task.matrix
    if not isinstance(matrix.sums, IntegerSum):
        return _sums(matmul(weights, v, matrix))
    right, key_scales = scaled_rows(np.ascontiguousarray(v), matrix.operand)
    left, row_scales = scaled_rows(weights * key_scales.swapaxes(-1, -2), matrix.operand)
    found = _sums(matmul(left, right, matrix))
    found *= row_scales
    return found


def _sums(found: ArrayLike) -> Float32:
    """Return sums as the vector unit reads them: fp32."""
    return np.ascontiguousarray(found, np.float32)


def _unfused(held: _Operands, task: _Task) -> Float32:
    """Attend by whole rows of scores: some queries at a time, to the keys that one of them sees.

    Keys that none sees have probability zero. Where that adds zero to a sum no bit changes but, of
    a result of zero, its sign; elsewhere all keys enter.
    """
    grain = _grain(held, task.matrix)
    if not grain:
        return _whole_rows(held, task)
    out = np.empty((*held.q.shape[:-1], held.v.shape[-1]), np.float32)
    for first in range(0, held.q.shape[2], _UNFUSED_QUERIES):
        tile, moved = _queries(held, task, first, _UNFUSED_QUERIES)
        keys = range(held.k.shape[1])
        seen = _seen(moved, tile.q.shape[2], keys)
        start = min(seen.start, keys.stop - 1) // grain * grain
        stop = min(start + ceil(max(seen.stop - start, 1) / grain) * grain, keys.stop)
        rows = out[:, :, first : first + _UNFUSED_QUERIES]
        rows[:] = _whole_rows(*_keys(tile, moved, range(start, stop))).reshape(rows.shape)
    return _whole_rows(held, task) if _too_small(out, held, task.matrix) else out


def _grain(held: _Operands, matrix: MatrixArithmetic) -> int:
    """Return by how many keys matmuls may be cut, 0 if products of zero may change what they give.

    Beside a value that is not finite zero gives NaN; the scale of a tensor comes from all keys; and
    some sums are cut anew by every block of products.
    """
    operand, sums = find_format(matrix.operand), matrix.sums
    if isinstance(operand, BlockFormat):
        known = not operand.tensor_scale and bool(np.isfinite(held.v).all())
    else:
        known = bool(np.isfinite(rounded_operand(held.v, operand)).all())
    if isinstance(sums, FusedSum):
        known = known and sums.alignment_bits >= sums.output_fraction_bits
    elif isinstance(sums, TwoStageSum):
        known = known and sums.accumulator_bits >= _FRACTION_BITS
    block = operand.block if isinstance(operand, BlockFormat) else 1
    rows = 1 if isinstance(sums, IntegerSum) else max(1, sum_rule(matrix).block)
    return lcm(_GRAIN, block, rows) if known else 0


def _too_small(out: Float32, held: _Operands, matrix: MatrixArithmetic) -> bool:
    """Whether some result is so small that even products of zero outweigh it in the alignment."""
    if not isinstance(matrix.sums, FusedSum | TwoStageSum):
        return False
    sizes = np.abs(out)
    least = sizes.min(where=sizes > 0, initial=np.inf)
    return bool(least <= np.abs(held.v).max() * 2.0 ** (ZERO_EXPONENT + 1))


def _whole_rows(held: _Operands, task: _Task) -> Float32:
    blocks, group, queries, size = held.q.shape
    rows = held.q.reshape(blocks, group * queries, size)
    scores = _scores(rows, held.k, task)  # blocks, rows, keys
    flat = scores.reshape(-1, scores.shape[-1])
    weights = softmax_rows(task.vector, flat, (queries, *task.mask), task.scale, task.cap)
    return _weighted(weights.reshape(scores.shape), held.v, task)


def _queries(held: _Operands, task: _Task, first: int, count: int) -> tuple[_Operands, _Task]:
    """Take `count` queries from the `first` on."""
    mask = (task.mask[0] + first, *task.mask[1:])
    return replace(held, q=held.q[:, :, first : first + count]), replace(task, mask=mask)


def _keys(held: _Operands, task: _Task, keys: range) -> tuple[_Operands, _Task]:
    """Take a range of the keys and their values."""
    at = slice(keys.start, keys.stop)
    mask = (task.mask[0] - keys.start, *task.mask[1:])
    return replace(held, k=held.k[:, at], v=held.v[:, at]), replace(task, mask=mask)


def _from_first_seen(held: _Operands, task: _Task) -> tuple[_Operands, _Task]:
    """Drop the keys before the windows of all queries; one that none sees may remain."""
    position, _, _, window = task.mask
    count = held.k.shape[-2]
    start = min(max(0, position - window + 1), count - 1) if window else 0
    return _keys(held, task, range(start, count))


def _split(held: _Operands, task: _Task, order: AttentionOrder) -> Float32:
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


def _part(held: _Operands, task: _Task, keys: range, tile_kv: int) -> tuple[Float32, Float32]:
    """Return (largest score, sum) and unscaled output of every row after these keys."""
    blocks, group, queries, size = held.q.shape
    rows = np.ascontiguousarray(held.q).reshape(blocks, group * queries, size)
    state = np.zeros((blocks * group * queries, 2), np.float32)
    state[:, 0] = -np.inf
    out = np.zeros((blocks * group * queries, held.v.shape[-1]), np.float32)
    rescale = np.empty(len(out), np.float32)
    seen = _seen(task, queries, keys)
    for first in range(keys.start, keys.stop, tile_kv or len(keys)):
        last = min(first + (tile_kv or len(keys)), keys.stop)
        if last <= seen.start or first >= seen.stop:
            continue
        scores = _scores(rows, held.k[:, first:last], task)
        where = (queries, task.mask[0], first, *task.mask[2:])
        weights = _online(scores.reshape(-1, last - first), task, where, state, rescale)
        added = _weighted(weights.reshape(scores.shape), held.v[:, first:last], task)
        accumulate(rescale, added.reshape(out.shape), out)
    return state, out


def _online(
    scores: Float32, task: _Task, where: tuple[int, ...], state: Float32, rescale: Float32
) -> Float32:
    out = np.empty_like(scores)
    given = (task.scale, task.cap, state, out, rescale)
    if scores.size < _PARALLEL_FROM:
        online_softmax(task.vector, scores, 0, where, *given)
    else:
        online_softmax_many(task.vector, scores, where, *given, piece_of(scores))
    return out


def _seen(task: _Task, queries: int, keys: range) -> range:
    """Return the keys that some query of the tile sees."""
    first_position, _, causal, window = task.mask
    last_position = first_position + queries - 1
    start, stop = keys.start, keys.stop
    if causal:
        stop = min(stop, last_position + 1)
    if window:
        start = max(start, first_position - window + 1)
        stop = min(stop, last_position + window)
    return range(start, stop)
