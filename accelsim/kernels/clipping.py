"""Integer codes of groups of values: scales from the largest magnitude, or of least squared error.

Arrays are (rows, n); a group is `group` consecutive values of a row, the last may be shorter. Per
group arrays are (rows, ceil(n / group)).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.kernels.jit import kernel, parallel_kernel, prange

FRACTIONS = 32
"""Ranges that the search compares: 1, 0.98, ... 0.38 of the largest."""
_STEP = 0.02
_LEAST_SCALE = np.float32(2.0**-120)
"""Scales stay far from the subnormal numbers of fp32: values of this size become zero."""


@kernel
def _range_of(x: NDArray[np.float32]) -> tuple[Any, Any]:
    """Return the smallest and largest value, zero included; NaN if a value is not finite."""
    low, high = np.float32(0.0), np.float32(0.0)
    bad = 0
    for i in range(x.size):
        low, high = min(low, x[i]), max(high, x[i])
        bad += not abs(x[i]) < np.inf
    if bad > 0:
        return np.float32(np.nan), np.float32(np.nan)
    return low, high


@kernel
def _scale_and_zero(low: float, high: float, levels: int, symmetric: bool) -> tuple[Any, Any]:
    """Return the scale and zero point that span a range; 1 and 0 of an empty one."""
    top = np.float64(levels // 2)
    if symmetric:
        width = max(-np.float64(low), np.float64(high)) / top
    else:
        width = (np.float64(high) - np.float64(low)) / np.float64(levels)
    if width == 0.0:
        return np.float32(1.0), np.float32(0.0)
    scale = max(np.float32(width), _LEAST_SCALE)
    if symmetric:
        return scale, np.float32(0.0)
    zero = np.rint(-np.float64(low) / np.float64(scale)) - (top + 1.0)
    return scale, np.float32(min(max(zero, -(top + 1.0)), top))


@kernel
def _errors(
    x: NDArray[np.float32], scales: NDArray[np.float32], zeros: NDArray[np.float32],
    bottom: float, top: float, out_errors: NDArray[np.float64],
) -> None:  # fmt: skip
    """Write the squared error of a group under each scale."""
    low, high = np.float32(bottom), np.float32(top)
    out_errors[:] = 0.0
    for i in range(x.size):
        value = x[i]
        for f in range(FRACTIONS):
            code = np.rint(value / scales[f]) + zeros[f]
            code = min(max(code, low), high)
            error = np.float64((code - zeros[f]) * scales[f]) - np.float64(value)
            out_errors[f] += error * error


@kernel
def _best_range(
    x: NDArray[np.float32], low: float, high: float, levels: int, symmetric: bool,
    buffers: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float64]],
) -> tuple[Any, Any]:  # fmt: skip
    """Return the scale and zero point of least squared error; of equal ones the widest range."""
    scales, zeros, errors = buffers
    for f in range(FRACTIONS):
        part = 1.0 - f * _STEP
        scales[f], zeros[f] = _scale_and_zero(
            np.float64(low) * part, np.float64(high) * part, levels, symmetric
        )
    top = levels // 2
    _errors(x, scales, zeros, -top if symmetric else -top - 1, top, errors)
    best = 0
    for f in range(1, FRACTIONS):
        if errors[f] < errors[best]:
            best = f
    return scales[best], zeros[best]


@parallel_kernel
def quantize_groups(
    x: NDArray[np.float32],
    group: int,
    bits: int,
    symmetric: bool,
    search: bool,
    out_codes: NDArray[np.int8],
    out_scales: NDArray[np.float32],
    out_zeros: NDArray[np.float32],
) -> None:
    """Write codes, scales and zero points: ``value = (code - zero) scale``.

    Symmetric codes go from ``-(2**(bits - 1) - 1)`` to its opposite, others from ``-2**(bits -
    1)``. A group with NaN or Inf gets a NaN scale and zero codes.
    """
    levels = (1 << bits) - 1
    top = np.float32(levels // 2)
    bottom = -top if symmetric else -top - np.float32(1.0)
    for row in prange(x.shape[0]):
        buffers = (
            np.empty(FRACTIONS, np.float32), np.empty(FRACTIONS, np.float32), np.empty(FRACTIONS),
        )  # fmt: skip
        for g in range(out_scales.shape[1]):
            start = g * group
            part = x[row, start : start + group]
            low, high = _range_of(part)
            if low != low:  # noqa: PLR0124
                out_scales[row, g], out_zeros[row, g] = np.float32(np.nan), np.float32(0.0)
                out_codes[row, start : start + group] = 0
                continue
            scale, zero = _scale_and_zero(low, high, levels, symmetric)
            if search and low < high:
                scale, zero = _best_range(part, low, high, levels, symmetric, buffers)
            out_scales[row, g], out_zeros[row, g] = scale, zero
            for i in range(part.size):
                code = min(max(np.rint(part[i] / scale) + zero, bottom), top)
                out_codes[row, start + i] = np.int8(code)
