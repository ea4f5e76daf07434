"""Matmuls of the remaining families, as loops over panels that the compiler turns into lanes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from accelsim.kernels.jit import kernel, parallel_kernel, prange
from accelsim.kernels.lanes import PANEL
from accelsim.kernels.scalar_fma import lane_fma32
from accelsim.kernels.sums import SumRule

_SMALLEST_NORMAL = np.float32(2.0**-126)


@kernel
def _flush(values: NDArray[np.float32]) -> None:
    """Make subnormals zeros of their sign."""
    for j in range(values.size):
        x = values[j]
        values[j] = x * np.float32(0.0) if abs(x) < _SMALLEST_NORMAL else x


@kernel
def _add_into(
    rule: SumRule, x: NDArray[np.float32], y: NDArray[np.float32], out: NDArray[np.float32]
) -> None:
    """Fill `out` with x + y, rounded; it may be one of them."""
    for j in range(PANEL):
        out[j] = x[j] + y[j]
    if rule.flush:
        _flush(out)


@kernel
def _pairwise_row(
    rule: SumRule, a: NDArray[np.float32], b: NDArray[np.float32], ks: tuple[int, int],
    leaves: NDArray[np.float32], sums: NDArray[np.float32],
) -> None:  # fmt: skip
    """Add trees of `rule.block` products to the sums of one row and panel (`pairwise_block`)."""
    for start in range(ks[0], ks[1], rule.block):
        size = min(rule.block, ks[1] - start)
        leaves[:] = np.float32(0.0)
        for q in range(size):
            x = a[start + q]
            for j in range(PANEL):
                leaves[q, j] = x * b[start + q, j]
            if rule.flush:
                _flush(leaves[q])
        _add_into(rule, leaves[0], leaves[1], leaves[0])
        if size > 2:
            _add_into(rule, leaves[2], leaves[3], leaves[1])
            _add_into(rule, leaves[0], leaves[1], leaves[0])
        _add_into(rule, sums, leaves[0], sums)


@parallel_kernel
def pairwise_matmul(
    rule: SumRule,
    a: NDArray[np.float32],
    b: NDArray[np.float32],
    ks: tuple[int, int],
    out: NDArray[np.float32],
) -> None:
    """Add ``a b`` to `out` ([t, m, n]); `a` [t, m, k] as it is, `b` packed to PANEL columns."""
    tiles, panels = b.shape[0], b.shape[1]
    m, n = out.shape[1], out.shape[2]
    for job in prange(tiles * panels):
        t, panel = job // panels, job % panels
        leaves = np.zeros((4, PANEL), dtype=np.float32)
        sums = np.zeros(PANEL, dtype=np.float32)
        col = panel * PANEL
        wide = min(PANEL, n - col)
        for i in range(m):
            for j in range(wide):
                sums[j] = out[t, i, col + j]
            if rule.flush:
                for j in range(wide):
                    if abs(sums[j]) < _SMALLEST_NORMAL:
                        sums[j] = np.float32(0.0)
            _pairwise_row(rule, a[t, i], b[t, panel], ks, leaves, sums)
            for j in range(wide):
                out[t, i, col + j] = sums[j]


@parallel_kernel
def flushed_chain_matmul(
    rule: SumRule,
    a: NDArray[np.float32],
    b: NDArray[np.float32],
    ks: tuple[int, int],
    out: NDArray[np.float32],
) -> None:
    """Add ``a b`` to `out` in chains, one rounding each, whose subnormal sums are zeros."""
    tiles, panels = b.shape[0], b.shape[1]
    m, n = out.shape[1], out.shape[2]
    step = rule.block if rule.block > 0 else max(ks[1] - ks[0], 1)
    for job in prange(tiles * panels):
        t, panel = job // panels, job % panels
        sums = np.zeros(PANEL, dtype=np.float32)
        fold = np.zeros(PANEL, dtype=np.float32)
        col = panel * PANEL
        wide = min(PANEL, n - col)
        for i in range(m):
            for j in range(wide):
                sums[j] = out[t, i, col + j]
            for k0 in range(ks[0], ks[1], step):
                for j in range(PANEL):
                    fold[j] = sums[j] if rule.block == 0 else np.float32(0.0)
                for k in range(k0, min(k0 + step, ks[1])):
                    x = a[t, i, k]
                    for j in range(PANEL):
                        total = lane_fma32(x, b[t, panel, k, j], fold[j])
                        small = abs(total) < _SMALLEST_NORMAL
                        fold[j] = total * np.float32(0.0) if small else total
                for j in range(PANEL):
                    sums[j] = fold[j] if rule.block == 0 else sums[j] + fold[j]
                if rule.flush:
                    _flush(sums)
            for j in range(wide):
                out[t, i, col + j] = sums[j]
