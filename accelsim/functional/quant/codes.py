"""Tensors in a scheme's format: codes and scales of integers, scaled values of narrow floats."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accelsim.errors import WorkloadError
from accelsim.formats import BlockFormat, Format, find_format
from accelsim.functional.block_formats import quantize_blocks
from accelsim.functional.formats import round_to
from accelsim.functional.quant.memory import INTACT, Memory
from accelsim.functional.quant.schemes import TensorScheme
from accelsim.kernels.clipping import quantize_groups

Floats = NDArray[np.float32]
_SMALLEST_SCALE = 2.0**-120


@dataclass(frozen=True, eq=False)
class IntegerCodes:
    """A matrix as integers: ``value = (code - zero) scale``.

    Attributes
    ----------
    codes : int8 array [rows, k]
    scales, zeros : float32 arrays [rows, ceil(k / group)]
        Zero points are whole numbers, 0 of symmetric codes.
    group : int
        Consecutive values of a row that share a scale.
    """

    codes: NDArray[np.int8] = field(repr=False)
    scales: Floats = field(repr=False)
    zeros: Floats = field(repr=False)
    group: int

    def values(self) -> Floats:
        """Return float32 [rows, k]."""
        columns = self.codes.shape[1]
        found = self.codes.astype(np.float32)
        if self.zeros.any():
            found -= spread(self.zeros, self.group, columns)
        found *= spread(self.scales, self.group, columns)
        return found


def quantize_integers(x: ArrayLike, scheme: TensorScheme) -> IntegerCodes:
    """Quantise the rows of a matrix to int8 or int4.

    Parameters
    ----------
    x : array [rows, k]
        Output channels of weights, or tokens of activations.
    scheme : TensorScheme

    Raises
    ------
    WorkloadError
        If the format is no integer, or `x` no matrix.

    Notes
    -----
    With b bits and a the largest magnitude, ``scale = a / (2**(b-1) - 1)`` and ``code = rint(x /
    scale)``; zero values throughout have scale 1. With zero points ``scale = (high - low) / (2**b -
    1)`` of a range that holds zero. Clipping "mse" tries 32 ranges, 1 to 0.38 of the largest in
    steps of 0.02; of equal errors the widest wins. A NaN or Inf makes its group NaN.
    """
    matrix = _matrix(x)
    bits = {"int4": 4, "int8": 8}.get(scheme.format)
    if bits is None:
        raise WorkloadError(f"{scheme.format} has no integer codes: expected int8 or int4")
    rows, columns = matrix.shape
    per_tensor = scheme.granularity == "tensor"
    grouped = matrix.reshape(1, -1) if per_tensor else matrix
    group = scheme.group or max(grouped.shape[1], 1)
    codes: NDArray[np.int8] = np.empty(grouped.shape, np.int8)
    scales = np.empty((len(grouped), -(-grouped.shape[1] // group)), np.float32)
    zeros = np.empty_like(scales)
    quantize_groups(
        grouped, group, bits, scheme.symmetric, scheme.clip == "mse", codes, scales, zeros
    )
    if per_tensor:
        codes, group = codes.reshape(rows, columns), max(columns, 1)
        scales, zeros = (np.broadcast_to(part, (rows, 1)).copy() for part in (scales, zeros))
    return IntegerCodes(codes, scales, zeros, group)


def float_scales(x: Floats, scheme: TensorScheme) -> Floats:
    """Return the scales [rows, groups] of a matrix in a narrow float, by its largest magnitudes.

    1 of zero values throughout; NaN where a value is not finite.
    """
    known = find_format(scheme.format)
    peaks = np.abs(x)
    if scheme.granularity == "tensor":
        largest = np.broadcast_to(peaks.max(initial=0.0), (len(x), 1))
    elif scheme.group:
        starts = np.arange(0, x.shape[1], scheme.group)
        largest = np.maximum.reduceat(peaks, starts, axis=1)
    else:
        largest = peaks.max(axis=1, keepdims=True, initial=0.0)
    scales = np.maximum(largest.astype(np.float64) / known.max, _SMALLEST_SCALE)
    scales = np.where(largest == 0.0, 1.0, np.where(np.isfinite(largest), scales, np.nan))
    return scales.astype(np.float32)


def scaled_down(x: Floats, scales: Floats, group: int = 0) -> Floats:
    """Divide a matrix by its scales; what has a NaN scale becomes zero."""
    safe = np.where(np.isnan(scales), np.float32(np.inf), scales)
    with np.errstate(invalid="ignore"):  # Inf / Inf
        found = x / spread(safe, group or max(x.shape[1], 1), x.shape[1])
    return np.nan_to_num(found, copy=False, nan=0.0) if np.isnan(scales).any() else found


def scaled_rows(x: Floats, fmt: str) -> tuple[Floats, Floats]:
    """Return rows in a narrow format, and the scale of each by its largest magnitude.

    Parameters
    ----------
    x : array of float32, shape (..., columns)
    fmt : str
        A scalar format.

    Returns
    -------
    codes : array of float32, shape of x
        Values of the format; zeros where the scale is NaN.
    scales : array of float32, shape (..., 1)
        1 of zeros throughout; NaN where a value of the row is not finite.
    """
    rows = x.reshape(-1, x.shape[-1])
    scales = float_scales(rows, TensorScheme(fmt, "token"))
    codes = round_to(scaled_down(rows, scales), fmt, saturate=True)
    return codes.reshape(x.shape), scales.reshape(*x.shape[:-1], 1)


def dequantised(x: ArrayLike, scheme: TensorScheme, memory: Memory = INTACT) -> Floats:
    """Quantise a matrix and return the values that its codes stand for.

    Parameters
    ----------
    x : array [rows, k]
        Blocks and groups lie along k.
    scheme : TensorScheme
    memory : Memory, optional
        What holds the codes.
    """
    matrix, known = _matrix(x), find_format(scheme.format)
    if isinstance(known, BlockFormat):
        return memory.blocks(quantize_blocks(matrix, known)).values()
    if known.kind == "int":
        return memory.integers(quantize_integers(matrix, scheme), known.name).values()
    return _through_floats(matrix, known, scheme, memory)


def spread(per_group: Floats, group: int, columns: int) -> Floats:
    """Repeat values of groups over their columns; one value per row stays one."""
    if per_group.shape[1] == 1:
        return per_group
    return np.repeat(per_group, group, axis=1)[:, :columns]


def _through_floats(matrix: Floats, known: Format, scheme: TensorScheme, memory: Memory) -> Floats:
    scales = float_scales(matrix, scheme)
    codes = round_to(scaled_down(matrix, scales, scheme.group), known, saturate=True)
    held = memory.floats(codes, known.name)
    found: Floats = held * spread(scales, scheme.group, matrix.shape[1])
    return found


def _matrix(x: ArrayLike) -> Floats:
    matrix = np.ascontiguousarray(x, dtype=np.float32)
    if matrix.ndim != 2:
        raise WorkloadError(f"an array of shape {matrix.shape} is no matrix [rows, k]")
    return matrix
