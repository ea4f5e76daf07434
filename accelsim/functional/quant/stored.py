"""Weights of a matmul as memory holds them: wide, scaled, or as codes dequantised on the fly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from accelsim.arithmetic import Chain, IntegerSum, MatrixArithmetic, SumOrder
from accelsim.formats import FORMATS
from accelsim.functional.formats import round_to
from accelsim.functional.gemm import add_parts, matmul, parts_of
from accelsim.functional.operands import rounded_operand
from accelsim.functional.packed_matrix import PackedMatrix, pack_matrix
from accelsim.functional.quant.codes import (
    Floats,
    IntegerCodes,
    float_scales,
    quantize_integers,
    scaled_down,
)
from accelsim.functional.quant.memory import INTACT, Memory
from accelsim.functional.quant.schemes import TensorScheme
from accelsim.kernels import dequant_gemv
from accelsim.kernels.gemm_chain import pack_k_last
from accelsim.kernels.lanes import PANEL

_CUTS = {
    "fp32": dequant_gemv.Cut(0.0, 0.0),
    "bf16": dequant_gemv.Cut(1.5 * 2**16, 0.0),
    "fp16": dequant_gemv.Cut(1.5 * 2**13, 2.0**-14),
}
_LARGEST = 2.0**96
"""Weights below leave the kernel room to round them."""
Registers = Callable[[NDArray[Any]], NDArray[Any]]


def untouched(sums: NDArray[Any]) -> NDArray[Any]:
    """Return sums as they are: registers that keep what they are given."""
    return sums


class StoredWeights(Protocol):
    """Weights [n, k] that multiply rows of activations."""

    def multiply(self, x: Floats, order: SumOrder, registers: Registers = untouched) -> Floats:
        """Return float32 [m, n] of activations [m, k].

        `registers` gives back the sums of the matrix unit, before they are scaled.
        """

    def values(self) -> Floats:
        """Return the weights as used: float32 [n, k]."""

    @property
    def stored_bytes(self) -> int:
        """Bytes held in this process."""


@dataclass(frozen=True, eq=False)
class WideWeights:
    """Operands ready for the kernels of `accelsim.functional.gemm`."""

    packed: PackedMatrix

    def multiply(self, x: Floats, order: SumOrder, registers: Registers = untouched) -> Floats:
        """Return float32 [m, n] of activations [m, k]."""
        found = matmul(x, self.packed, self.packed.arithmetic, order=order)
        return registers(found.astype(np.float32, copy=False))

    def values(self) -> Floats:
        """Return the weights as used: float32 [n, k]."""
        return unpacked(self.packed)

    @property
    def stored_bytes(self) -> int:
        """Bytes held in this process."""
        return self.packed.stored_bytes


@dataclass(frozen=True, eq=False)
class ScaledWeights:
    """Operands of at most 8 bits whose products are scaled after the sum.

    Attributes
    ----------
    packed : PackedMatrix
        Weights divided by their scales.
    scales : float32 array [n]
    activations : TensorScheme
        How activations are quantised, each time.

    Notes
    -----
    ``y = (sum s_x) s_w`` with two roundings to fp32 (three of int32 sums, which are converted
    first).
    """

    packed: PackedMatrix
    scales: Floats
    activations: TensorScheme

    def multiply(self, x: Floats, order: SumOrder, registers: Registers = untouched) -> Floats:
        """Return float32 [m, n] of activations [m, k]."""
        arithmetic = self.packed.arithmetic
        if isinstance(arithmetic.sums, IntegerSum):
            tokens = quantize_integers(x, self.activations)
            scales, left = tokens.scales, tokens.codes
            found = matmul(left, self.packed, arithmetic, order=order)
        else:
            scales = float_scales(x, self.activations)
            found = matmul(scaled_down(x, scales), self.packed, arithmetic, order=order)
        if found.dtype != np.int32:
            found = found.astype(np.float32, copy=False)
        sums = registers(found).astype(np.float32, copy=False)
        with np.errstate(over="ignore", invalid="ignore"):
            sums *= scales
            sums *= self.scales
        return sums

    def values(self) -> Floats:
        """Return the weights as used: float32 [n, k]."""
        found: Floats = unpacked(self.packed) * self.scales[:, None]
        return found

    @property
    def stored_bytes(self) -> int:
        """Bytes held in this process."""
        return self.packed.stored_bytes + self.scales.nbytes


@dataclass(frozen=True, eq=False)
class NarrowWeights:
    """int8 or int4 codes that become operands in the loop of the matmul.

    Few rows run through `accelsim.kernels.dequant_gemv`. More rows have all operands unfolded
    first, for the time of that matmul; bits are the same.

    Attributes
    ----------
    arithmetic : MatrixArithmetic
        One that `covers` accepts.
    shape : tuple of int
        [n, k].
    bits, group : int
    codes, scales, zeros : array
        In the panels of the kernel.
    """

    arithmetic: MatrixArithmetic
    shape: tuple[int, int]
    bits: int
    group: int
    codes: NDArray[np.uint8] = field(repr=False)
    scales: Floats = field(repr=False)
    zeros: Floats = field(repr=False)

    def multiply(self, x: Floats, order: SumOrder, registers: Registers = untouched) -> Floats:
        """Return float32 [m, n] of activations [m, k]."""
        if len(x) > dequant_gemv.FEW_ROWS:
            found: Floats = matmul(x, self._wide(), self.arithmetic, order=order)
            return registers(found)
        parts = parts_of(self.shape[1], order)
        rows = 1 if len(x) == 1 else dequant_gemv.FEW_ROWS
        left = np.zeros((x.shape[1], rows), dtype=np.float32)
        left[:, : len(x)] = rounded_operand(x, FORMATS[self.arithmetic.operand]).T
        return registers(add_parts(lambda ks: self._part(left, ks, len(x)), parts))

    def values(self) -> Floats:
        """Return the weights as used: float32 [n, k]."""
        return unpacked(self._wide())

    @property
    def stored_bytes(self) -> int:
        """Bytes held in this process."""
        return self.codes.nbytes + self.scales.nbytes + self.zeros.nbytes

    def _part(self, left: Floats, ks: tuple[int, int], rows: int) -> Floats:
        sums = self.arithmetic.sums
        assert isinstance(sums, Chain)
        out = np.zeros((rows, self.shape[0]), dtype=np.float32)
        dequant_gemv.dequant_matvec(
            left, self.codes, self.scales, self.zeros, self.group, self.bits,
            _CUTS[self.arithmetic.operand], ks, sums.fold, out,
        )  # fmt: skip
        return out

    def _wide(self) -> PackedMatrix:
        n, k = self.shape
        panels = np.empty((1, len(self.codes), k, PANEL), dtype=np.float32)
        dequant_gemv.dequantise_panels(
            self.codes, self.scales, self.zeros, self.group, self.bits,
            _CUTS[self.arithmetic.operand], panels[0],
        )  # fmt: skip
        return PackedMatrix(self.arithmetic, (1, k, n), panels)


def covers(arithmetic: MatrixArithmetic, found: IntegerCodes) -> bool:
    """Tell whether `NarrowWeights` can run these codes: fp32 chains of fma, values in range."""
    sums = arithmetic.sums
    chain = isinstance(sums, Chain) and sums.fused and not sums.flush_subnormals
    if not chain or arithmetic.output != "fp32" or arithmetic.operand not in _CUTS:
        return False
    largest = min(_LARGEST, FORMATS[arithmetic.operand].max)
    # A code is at most 255 from its zero point, whatever its bits; NaN scales compare as false.
    return bool((found.scales * np.float32(256.0) < largest).all())


def narrow_weights(
    found: IntegerCodes, arithmetic: MatrixArithmetic, *, bits: int
) -> NarrowWeights:
    """Lay codes out for the kernel."""
    n, k = found.codes.shape
    panels = -(-n // PANEL)
    if bits == 4:
        codes = np.zeros((panels, -(-k // 2), PANEL), dtype=np.uint8)
        dequant_gemv.pack_nibbles(found.codes, codes)
    else:
        codes = _in_panels(found.codes.view(np.uint8))
    zeros = found.zeros + np.float32(8.0) if bits == 4 else found.zeros
    return NarrowWeights(
        arithmetic, (n, k), bits, found.group, codes, _in_panels(found.scales), _in_panels(zeros)
    )


def scaled_weights(
    weight: Floats,
    of_weights: TensorScheme,
    activations: TensorScheme,
    arithmetic: MatrixArithmetic,
    memory: Memory = INTACT,
) -> ScaledWeights:
    """Quantise weights [n, k] that meet activations of their own format."""
    if isinstance(arithmetic.sums, IntegerSum):
        found = memory.integers(quantize_integers(weight, of_weights), of_weights.format)
        codes, scales = found.codes, found.scales
        return ScaledWeights(
            pack_matrix(codes, arithmetic, transposed=True), scales[:, 0].copy(), activations
        )
    scales = float_scales(weight, of_weights)
    narrow = round_to(scaled_down(weight, scales), of_weights.format, saturate=True)
    held = memory.floats(narrow, of_weights.format)
    packed = pack_matrix(held, arithmetic, transposed=True)
    return ScaledWeights(packed, scales[:, 0].copy(), activations)


def unpacked(packed: PackedMatrix) -> Floats:
    """Return the single matrix of a packed right operand as float32 [n, k]."""
    rows: Floats = packed.columns()[0].astype(np.float32, copy=False)
    if packed.scale != 1.0:
        rows *= np.float32(packed.scale)
    return rows


def _in_panels(rows: NDArray[Any]) -> NDArray[Any]:
    """Lay [n, width] out as [ceil(n / PANEL), width, PANEL], padded with zeros."""
    n, width = rows.shape
    panels: NDArray[Any] = np.empty((1, -(-n // PANEL), width, PANEL), dtype=rows.dtype)
    pack_k_last(np.ascontiguousarray(rows)[None], panels)
    laid: NDArray[Any] = panels[0]
    return laid
