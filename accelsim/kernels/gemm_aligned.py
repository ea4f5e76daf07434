"""Matmuls whose sums are aligned (`FusedSum`, `TwoStageSum`): packed, parallel, in lanes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.kernels.aligned_tile import (
    apart_row,
    apart_tile,
    fused_row,
    fused_tile,
    grouped_row,
    grouped_tile,
    two_stage_row,
    two_stage_tile,
)
from accelsim.kernels.halves import value
from accelsim.kernels.jit import kernel, parallel_kernel, prange
from accelsim.kernels.lanes import PANEL, TILE
from accelsim.kernels.sums import FUSED, ZERO_EXPONENT, SumRule, dot

LANES = TILE.lanes
_CHUNK = 4096


@kernel
def _run_tile(
    rule: SumRule, a: NDArray[np.float64], ea: NDArray[np.int32], a_at: int,
    b: NDArray[Any], eb: NDArray[Any], b_at: int, depth: int,
    sums: NDArray[np.float32],
) -> Any:  # fmt: skip
    """Run the micro-kernel of a rule on ROWS x LANES sums."""
    if rule.family == FUSED:
        if rule.group > 1:
            return grouped_tile(rule, a, ea, a_at, b, eb, b_at, sums, 0, LANES, depth)
        return fused_tile(rule, a, ea, a_at, b, eb, b_at, sums, 0, LANES, depth)
    if rule.separate:
        return apart_tile(rule, a, ea, a_at, b, eb, b_at, sums, 0, LANES, depth)
    return two_stage_tile(rule, a, ea, a_at, b, eb, b_at, sums, 0, LANES, depth)


@kernel
def _run_row(
    rule: SumRule, a: NDArray[np.float64], ea: NDArray[np.int32], a_at: int,
    b: NDArray[Any], eb: NDArray[Any], b_at: int, depth: int,
    sums: NDArray[np.float32],
) -> Any:  # fmt: skip
    """Run the micro-kernel of a rule on one row of LANES sums."""
    if rule.family == FUSED:
        if rule.group > 1:
            return grouped_row(rule, a, ea, a_at, b, eb, b_at, sums, 0, LANES, depth)
        return fused_row(rule, a, ea, a_at, b, eb, b_at, sums, 0, LANES, depth)
    if rule.separate:
        return apart_row(rule, a, ea, a_at, b, eb, b_at, sums, 0, LANES, depth)
    return two_stage_row(rule, a, ea, a_at, b, eb, b_at, sums, 0, LANES, depth)


@kernel
def _exact_tile(
    rule: SumRule, a: NDArray[np.float64], ea: NDArray[np.int32], rows: tuple[int, int],
    b: NDArray[Any], eb: NDArray[Any], place: tuple[int, int, int],
    ks: tuple[int, int], out: NDArray[np.float32],
) -> None:  # fmt: skip
    """Work out sums one by one: what lanes reported. `a` is [k, rows of a panel]."""
    panel, col, wide = place
    k0, k1 = ks
    first, high = rows
    for i in range(high):
        left = a[k0:k1, i].copy()
        left_e = ea[k0:k1, i].astype(np.int16)
        for j in range(wide):
            lane = col - panel * PANEL + j
            right = np.empty(k1 - k0)
            for k in range(k0, k1):
                right[k - k0] = value(b[panel, k, lane])
            right_e = eb[panel, k0:k1, lane].astype(np.int16)
            start = float(out[first + i, col + j])
            out[first + i, col + j] = dot(rule, left, left_e, right, right_e, start)


@kernel
def _strip(
    rule: SumRule, a: NDArray[np.float64], ea: NDArray[np.int32], b: NDArray[Any],
    eb: NDArray[Any], place: tuple[int, int], ks: tuple[int, int],
    out: NDArray[np.float32],
) -> None:  # fmt: skip
    """All rows of one vector of columns: `place` is the panel and the lane it starts at."""
    panel, lane = place
    panels, depth, rows = a.shape
    m, n = out.shape
    col = panel * PANEL + lane
    wide = min(LANES, n - col)
    sums = np.zeros((rows, LANES), dtype=np.float32)
    b_at = (panel * depth + ks[0]) * PANEL + lane
    for q in range(panels):
        high = min(rows, m - q * rows)
        for i in range(high):
            for j in range(wide):
                sums[i, j] = out[q * rows + i, col + j]
        a_at = (q * depth + ks[0]) * rows
        if rows == 1:
            odd = _run_row(rule, a, ea, a_at, b, eb, b_at, ks[1] - ks[0], sums)
        else:
            odd = _run_tile(rule, a, ea, a_at, b, eb, b_at, ks[1] - ks[0], sums)
        if odd:
            _exact_tile(rule, a[q], ea[q], (q * rows, high), b, eb, (panel, col, wide), ks, out)
            continue
        for i in range(high):
            for j in range(wide):
                out[q * rows + i, col + j] = sums[i, j]


@parallel_kernel
def aligned_matmul(
    rule: SumRule,
    a: NDArray[np.float64],
    ea: NDArray[np.int32],
    b: NDArray[Any],
    eb: NDArray[Any],
    ks: tuple[int, int],
    out: NDArray[np.float32],
) -> None:
    """Add ``a b`` to `out` ([t, m, n]) in the arithmetic of a rule.

    Only products ``ks[0] <= k < ks[1]`` are added.
    `a` and its exponents are packed [t, panels, k, rows] with ROWS rows or one (for few rows),
    `b` and its exponents to PANEL columns. Sums that leave fp32, or meet what is not finite, are
    worked out one by one.
    """
    tiles, panels = b.shape[0], b.shape[1]
    parts = PANEL // LANES
    for job in prange(tiles * panels * parts):
        t, place = job // (panels * parts), job % (panels * parts)
        panel, lane = place // parts, place % parts * LANES
        if panel * PANEL + lane < out.shape[2]:
            _strip(rule, a[t], ea[t], b[t], eb[t], (panel, lane), ks, out[t])


@parallel_kernel
def alignment_exponents(words: NDArray[Any], smallest: int, out: NDArray[Any]) -> None:
    """Fill `out` with the exponents that flat values are aligned by.

    Values are the words of fp32 (uint32), or their upper halves (uint16).
    """
    below = 8 * words.itemsize - 9
    for job in prange((words.size + _CHUNK - 1) // _CHUNK):
        for i in range(job * _CHUNK, min(words.size, (job + 1) * _CHUNK)):
            word = np.uint32(words[i])
            field = np.int32((word >> np.uint32(below)) & np.uint32(255)) - np.int32(127)
            own = min(max(field, np.int32(smallest)), np.int32(127))
            magnitude = word & np.uint32((1 << (below + 8)) - 1)
            out[i] = np.int32(ZERO_EXPONENT) if magnitude == np.uint32(0) else own
