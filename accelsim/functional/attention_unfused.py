"""Attention by whole rows of scores, without the work that changes no bit."""

from __future__ import annotations

from math import ceil, lcm

import numpy as np

from accelsim.arithmetic import FusedSum, IntegerSum, MatrixArithmetic, TwoStageSum
from accelsim.formats import FORMATS, BlockFormat, find_format
from accelsim.functional.attention_parts import (
    Operands,
    Task,
    scores_of,
    seen_keys,
    take_keys,
    take_queries,
    weighted,
)
from accelsim.functional.gemm import sum_rule
from accelsim.functional.operands import rounded_operand
from accelsim.functional.vector import Float32, softmax_rows
from accelsim.kernels.sums import ZERO_EXPONENT

_UNFUSED_QUERIES = 128
_FRACTION_BITS = FORMATS["fp32"].fraction_bits
_GRAIN = 64
"""A multiple of the lanes in which the vector unit sums, and of every usual block."""


def unfused(held: Operands, task: Task) -> Float32:
    """Attend by whole rows of scores: some queries at a time, to the keys that one of them sees.

    Keys that none sees have probability zero. Where that adds zero to a sum no bit changes but, of
    a result of zero, its sign; elsewhere all keys enter.
    """
    grain = _grain(held, task.matrix)
    if not grain:
        return _whole_rows(held, task)
    out = np.empty((*held.q.shape[:-1], held.v.shape[-1]), np.float32)
    for first in range(0, held.q.shape[2], _UNFUSED_QUERIES):
        tile, moved = take_queries(held, task, first, _UNFUSED_QUERIES)
        keys = range(held.k.shape[1])
        seen = seen_keys(moved, tile.q.shape[2], keys)
        start = min(seen.start, keys.stop - 1) // grain * grain
        stop = min(start + ceil(max(seen.stop - start, 1) / grain) * grain, keys.stop)
        rows = out[:, :, first : first + _UNFUSED_QUERIES]
        rows[:] = _whole_rows(*take_keys(tile, moved, range(start, stop))).reshape(rows.shape)
    return _whole_rows(held, task) if _too_small(out, held, task.matrix) else out


def _grain(held: Operands, matrix: MatrixArithmetic) -> int:
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


def _too_small(out: Float32, held: Operands, matrix: MatrixArithmetic) -> bool:
    """Whether some result is so small that even products of zero outweigh it in the alignment."""
    if not isinstance(matrix.sums, FusedSum | TwoStageSum):
        return False
    sizes = np.abs(out)
    least = sizes.min(where=sizes > 0, initial=np.inf)
    return bool(least <= np.abs(held.v).max() * 2.0 ** (ZERO_EXPONENT + 1))


def _whole_rows(held: Operands, task: Task) -> Float32:
    blocks, group, queries, size = held.q.shape
    rows = held.q.reshape(blocks, group * queries, size)
    scores = scores_of(rows, held.k, task)  # blocks, rows, keys
    flat = scores.reshape(-1, scores.shape[-1])
    weights = softmax_rows(task.vector, flat, (queries, *task.mask), task.scale, task.cap)
    return weighted(weights.reshape(scores.shape), held.v, task)
