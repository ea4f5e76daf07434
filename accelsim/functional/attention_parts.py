"""What attention is made of: its operands, what happens to scores, its two matmuls."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

import numpy as np
from numpy.typing import ArrayLike

from accelsim.arithmetic import IntegerSum, MatrixArithmetic
from accelsim.errors import WorkloadError
from accelsim.functional.gemm import matmul
from accelsim.functional.packed_matrix import pack_matrix
from accelsim.functional.quant.codes import scaled_rows
from accelsim.functional.vector import Float32, float32


@dataclass(frozen=True)
class Operands:
    """Operands with one leading axis for all heads of keys, and one for queries of a group."""

    q: Float32  # kv_heads, group, q_len, head_dim
    k: Float32  # kv_heads, kv_len, head_dim
    v: Float32  # kv_heads, kv_len, value_dim
    shape: tuple[int, ...]  # of the result

    @staticmethod
    def of(q: ArrayLike, k: ArrayLike, v: ArrayLike) -> Operands:
        """Check and reshape operands as `attention` takes them."""
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
        return Operands(
            q=queries.reshape(blocks, heads // kv_heads, *queries.shape[-2:]),
            k=keys.reshape(blocks, *keys.shape[-2:]),
            v=values.reshape(blocks, *values.shape[-2:]),
            shape=(*queries.shape[:-1], values.shape[-1]),
        )


@dataclass(frozen=True)
class Task:
    """What happens to scores: formats, mask, scale, cap (0: none).

    The mask is first position, first key, causal, window.
    """

    matrix: MatrixArithmetic
    vector: tuple[int, ...]
    mask: tuple[int, ...]
    scale: float
    cap: float
    sinks: Float32 | None = None  # blocks, group


def scores_of(q: Float32, k: Float32, task: Task) -> Float32:
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


def weighted(weights: Float32, v: Float32, task: Task) -> Float32:
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


def take_queries(held: Operands, task: Task, first: int, count: int) -> tuple[Operands, Task]:
    """Take `count` queries from the `first` on."""
    mask = (task.mask[0] + first, *task.mask[1:])
    return replace(held, q=held.q[:, :, first : first + count]), replace(task, mask=mask)


def take_keys(held: Operands, task: Task, keys: range) -> tuple[Operands, Task]:
    """Take a range of the keys and their values."""
    at = slice(keys.start, keys.stop)
    mask = (task.mask[0] - keys.start, *task.mask[1:])
    return replace(held, k=held.k[:, at], v=held.v[:, at]), replace(task, mask=mask)


def seen_keys(task: Task, queries: int, keys: range) -> range:
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
