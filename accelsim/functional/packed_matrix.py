"""Right operands in the layout of a matmul kernel."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accelsim.arithmetic import (
    Chain,
    FusedSum,
    IntegerSum,
    MatrixArithmetic,
    PairwiseSum,
    SumFamily,
    TwoStageSum,
)
from accelsim.errors import WorkloadError
from accelsim.formats import BlockFormat, Format, find_format
from accelsim.functional.block_formats import BlockScaled
from accelsim.functional.formats import real_array
from accelsim.functional.operands import (
    Operand,
    alignment_of_words,
    as_operand,
    block_operand,
    rounded_operand,
)
from accelsim.kernels import gemm_chain
from accelsim.kernels.halves import upper_halves, whole
from accelsim.kernels.lanes import PANEL

Floats = NDArray[np.float32]
_HALF_FRACTION_BITS = 7
"""Of bf16: formats with as many or fewer, and int8, lie in the upper half of an fp32 word."""


def _aligned(sums: SumFamily) -> bool:
    return isinstance(sums, FusedSum | TwoStageSum)


def _flushes(sums: SumFamily) -> bool:
    return isinstance(sums, Chain | PairwiseSum) and sums.flush_subnormals


def taken_in(x: NDArray[Any], arithmetic: MatrixArithmetic, *, axis: int) -> Operand:
    """Convert values to what the unit multiplies; `axis` is that of k."""
    sums = arithmetic.sums
    return as_operand(
        x, arithmetic.operand, axis=axis, aligned=_aligned(sums),
        group=sums.group if isinstance(sums, FusedSum) else 1,
        flush=_flushes(sums),
    )  # fmt: skip


@dataclass(frozen=True)
class PackedMatrix:
    """A right operand in the layout of a matmul kernel: pack weights once, multiply often.

    Attributes
    ----------
    arithmetic : MatrixArithmetic
        What it was packed for.
    shape : tuple of int
        [t, k, n].
    values : array
        Panels [t, ceil(n / PANEL), k, PANEL] of float32, or of their upper halves (uint16) where
        those hold every value of the operand; float64 [t, n, k] for fp64.
    exponents : array of int8 or int16 or None
        As `values`, where terms are aligned.
    scale : float
        Multiplies every result (the tensor's scale of a block format).
    """

    arithmetic: MatrixArithmetic
    shape: tuple[int, int, int]
    values: NDArray[Any] = field(repr=False)
    exponents: NDArray[Any] | None = field(default=None, repr=False)
    scale: float = 1.0

    @property
    def stored_bytes(self) -> int:
        """Bytes held in this process."""
        return self.values.nbytes + (0 if self.exponents is None else self.exponents.nbytes)

    def columns(self) -> NDArray[Any]:
        """Return the values as [t, n, k], float64 of fp64, else float32."""
        if self.arithmetic.output == "fp64":
            return self.values
        return in_columns(whole(self.values), self.shape)


def pack_matrix(
    b: ArrayLike | BlockScaled, arithmetic: MatrixArithmetic, *, transposed: bool = False
) -> PackedMatrix:
    """Round a right operand to the unit's format and lay it out for `matmul`.

    Parameters
    ----------
    b : array, [k, n] or [t, k, n]
        float; for integer sums, integers within int8. Or a matrix that is in the block format of
        the operand already, blocks along k.
    arithmetic : MatrixArithmetic
    transposed : bool
        `b` is [n, k] (or [t, n, k]), as weights are stored.

    Raises
    ------
    WorkloadError
        If `b` is no matrix, or holds what the format of integers cannot.
    """
    if isinstance(b, BlockScaled):
        return _packed_blocks(b, arithmetic, transposed)
    matrix = real_array(b)
    if matrix.ndim not in (2, 3):
        raise WorkloadError(
            f"a right operand has shape {matrix.shape}: expected [k, n] or [t, k, n]"
        )
    matrix = matrix if matrix.ndim == 3 else matrix[None]
    t, k, n = matrix.shape
    if transposed:
        k, n = n, k
    if isinstance(arithmetic.sums, IntegerSum):
        whole = Operand(as_integers(matrix, arithmetic.operand))
        return _packed(whole, arithmetic, (t, k, n), transposed)
    if arithmetic.output == "fp64":
        taken = doubles_taken_in(matrix, arithmetic, axis=2 if transposed else 1)
        rows = taken if transposed else taken.swapaxes(1, 2)
        return PackedMatrix(arithmetic, (t, k, n), np.ascontiguousarray(rows))
    fmt = find_format(arithmetic.operand)
    if isinstance(fmt, BlockFormat):
        operand = taken_in(np.ascontiguousarray(matrix), arithmetic, axis=2 if transposed else 1)
        return _packed(operand, arithmetic, (t, k, n), transposed)
    values = rounded_operand(np.ascontiguousarray(matrix), fmt, flush=_flushes(arithmetic.sums))
    packed = _packed(Operand(values), arithmetic, (t, k, n), transposed)
    if not _aligned(arithmetic.sums):
        return packed
    words = packed.values if packed.values.dtype == np.uint16 else packed.values.view(np.uint32)
    return replace(packed, exponents=alignment_of_words(words, fmt))


def doubles_taken_in(
    x: NDArray[Any], arithmetic: MatrixArithmetic, *, axis: int
) -> NDArray[np.float64]:
    """Convert values to what a unit that adds in fp64 multiplies; `axis` is that of k."""
    given = np.ascontiguousarray(x)
    if arithmetic.operand == "fp64":
        return given.astype(np.float64, copy=False)
    operand = taken_in(given, arithmetic, axis=axis)
    return operand.values * np.float64(operand.scale)


def in_columns(panels: NDArray[Any], shape: tuple[int, int, int]) -> NDArray[Any]:
    """Return panels as [t, n, k]."""
    t, k, n = shape
    return np.ascontiguousarray(panels.swapaxes(2, 3).reshape(t, -1, k)[:, :n])


def _halved(arithmetic: MatrixArithmetic) -> bool:
    """Whether kernels take the upper halves of values, and those hold every value."""
    fmt = find_format(arithmetic.operand)
    short = isinstance(fmt, Format) and fmt.fraction_bits <= _HALF_FRACTION_BITS
    return short and not isinstance(arithmetic.sums, PairwiseSum) and not _flushes(arithmetic.sums)


def _packed_blocks(
    blocks: BlockScaled, arithmetic: MatrixArithmetic, transposed: bool
) -> PackedMatrix:
    wanted = find_format(arithmetic.operand)
    if blocks.format != wanted or len(blocks.shape) != 2 or blocks.axis % 2 != int(transposed):
        raise WorkloadError(
            f"{blocks.format.name} of shape {blocks.shape}, blocks along axis {blocks.axis}, is no "
            f"right operand of {arithmetic.operand}, whose blocks lie along k"
        )
    sums = arithmetic.sums
    operand = block_operand(
        blocks, aligned=_aligned(sums), group=sums.group if isinstance(sums, FusedSum) else 1
    )
    stacked = replace(
        operand, values=operand.values[None],
        exponents=None if operand.exponents is None else operand.exponents[None],
    )  # fmt: skip
    k, n = blocks.shape[::-1] if transposed else blocks.shape
    return _packed(stacked, arithmetic, (1, k, n), transposed)


def _packed(
    operand: Operand, arithmetic: MatrixArithmetic, shape: tuple[int, int, int], transposed: bool
) -> PackedMatrix:
    t, k, n = shape
    panels = (t, -(-n // PANEL), k, PANEL)
    lay_out = gemm_chain.pack_k_last if transposed else gemm_chain.pack_k_first
    halved = _halved(arithmetic)
    values = np.empty(panels, dtype=np.uint16 if halved else np.float32)
    lay_out(upper_halves(operand.values) if halved else operand.values, values)
    exponents = None
    if operand.exponents is not None:
        exponents = np.empty(panels, dtype=operand.exponents.dtype)
        lay_out(operand.exponents, exponents)
    return PackedMatrix(arithmetic, shape, values, exponents, operand.scale)


def as_integers(matrix: NDArray[Any], operand: str) -> Floats:
    """Check integers of an operand; they travel as float32."""
    bits = {"int4": 4, "int8": 8}.get(operand)
    if bits is None:
        raise WorkloadError(f"integer matmuls take int8 or int4 operands, not {operand}")
    whole = np.ascontiguousarray(matrix, dtype=np.float32)
    if matrix.dtype == np.int8 and bits == 8:
        return whole
    limit = 2.0 ** (bits - 1)
    inside = (whole >= -limit) & (whole < limit) & (whole == np.rint(whole))
    if not inside.all():
        worst = matrix[~inside].flat[0]
        raise WorkloadError(
            f"{np.count_nonzero(~inside)} operands of an {operand} matmul are no whole numbers "
            f"within {operand}, the first is {worst:g}: quantise them before"
        )
    return whole
