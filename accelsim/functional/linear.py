"""Linear layers: weights in the arithmetic of a matrix unit, quantised or not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accelsim.arithmetic import IN_ORDER, IntegerSum, MatrixArithmetic, SumOrder
from accelsim.errors import MappingError, WorkloadError
from accelsim.formats import BlockFormat, Format, dtype_of, find_format
from accelsim.functional.block_formats import BlockScaled, quantize_blocks
from accelsim.functional.formats import count_nonfinite
from accelsim.functional.layer_errors import LayerError
from accelsim.functional.operands import rounded_operand
from accelsim.functional.packed_matrix import pack_matrix
from accelsim.functional.quality import error_sums
from accelsim.functional.quant.codes import dequantised, quantize_integers
from accelsim.functional.quant.memory import Damage, Memory
from accelsim.functional.quant.schemes import Scheme, TensorScheme
from accelsim.functional.quant.stored import (
    Registers,
    StoredWeights,
    WideWeights,
    covers,
    narrow_weights,
    scaled_weights,
    untouched,
)

Floats = NDArray[np.float32]
Orders = SumOrder | Callable[[int], SumOrder]


@dataclass(frozen=True, eq=False)
class Linear:
    """A matmul with weights, as an executor calls it: ``y = x W^T + bias`` in fp32.

    Attributes
    ----------
    name : str
        For messages and tables.
    shape : tuple of int
        [n, k].
    arithmetic : MatrixArithmetic
    scheme : Scheme or None
    weights : StoredWeights
    bias : float32 array [n] or None
        Added in fp32, after the sum.
    smoothing : float32 array [k] or None
        Activations are divided by it in fp32, before they are rounded; weights hold its product.
    order : SumOrder or callable
        How a mapping cuts k; a callable says it for a number of rows.
    """

    name: str
    shape: tuple[int, int]
    arithmetic: MatrixArithmetic
    scheme: Scheme | None
    weights: StoredWeights = field(repr=False)
    bias: Floats | None = field(default=None, repr=False)
    smoothing: Floats | None = field(default=None, repr=False)
    order: Orders = IN_ORDER

    def __call__(self, x: ArrayLike, registers: Registers = untouched) -> Floats:
        """Multiply activations [..., k]; return float32 [..., n].

        Parameters
        ----------
        x : array [..., k]
        registers : callable, optional
            Gives back the sums [rows, n] of the matrix unit, before scales and bias, as its
            registers hold them: int32 of integers, else fp32.

        Raises
        ------
        WorkloadError
            If the last axis is not k.
        """
        given = np.ascontiguousarray(x, dtype=np.float32)
        n, k = self.shape
        if given.ndim == 0 or given.shape[-1] != k:
            raise WorkloadError(
                f"linear '{self.name}' takes activations [..., {k}], got shape {given.shape}"
            )
        rows = given.reshape(-1, k)
        if self.smoothing is not None:
            rows = rows / self.smoothing
        if not len(rows):
            return np.zeros((*given.shape[:-1], n), dtype=np.float32)
        order = self.order if isinstance(self.order, SumOrder) else self.order(len(rows))
        found = self.weights.multiply(rows, order, registers)
        if self.bias is not None:
            with np.errstate(invalid="ignore"):  # flipped bits may have made infinities
                found += self.bias
        return found.reshape(*given.shape[:-1], n)

    @property
    def stored_bytes(self) -> int:
        """Bytes held in this process."""
        extra = sum(part.nbytes for part in (self.bias, self.smoothing) if part is not None)
        return self.weights.stored_bytes + extra

    def weight_values(self) -> Floats:
        """Return the weights as used, dequantised and without smoothing: float32 [n, k]."""
        found = self.weights.values()
        return found if self.smoothing is None else found / self.smoothing

    def weight_error(self, weight: ArrayLike) -> LayerError:
        """Return how far the weights as used are from those that they were made of [n, k].

        Raises
        ------
        WorkloadError
            If the shape is another.
        """
        wanted = np.asarray(weight, dtype=np.float32)
        if wanted.shape != self.shape:
            raise WorkloadError(
                f"linear '{self.name}' has weights {self.shape}, got shape {wanted.shape}"
            )
        return LayerError.of(self.name, error_sums(wanted, self.weight_values()))


def make_linear(
    weight: ArrayLike,
    arithmetic: MatrixArithmetic,
    *,
    scheme: Scheme | None = None,
    bias: ArrayLike | None = None,
    smoothing: ArrayLike | None = None,
    order: Orders = IN_ORDER,
    name: str = "",
    allow_nonfinite: bool = False,
    damage: Damage | None = None,
) -> Linear:
    """Quantise and lay out weights for a matrix unit.

    Parameters
    ----------
    weight : array [n, k]
    arithmetic : MatrixArithmetic
        Of the chip; `scheme_arithmetic` finds the one that belongs to a scheme.
    scheme : Scheme, optional
        None: weights and activations are rounded to the operand. Where that has 8 bits or fewer
        and no block scales, weights get a scale per channel and activations one per token.
    bias : array [n], optional
    smoothing : array [k], optional
        Of `smoothing_factors`; needed by schemes with SmoothQuant.
    order : SumOrder or callable, optional
    name : str, optional
    allow_nonfinite : bool, optional
        Whether weights may hold NaN and Inf: the group, channel or block around them becomes NaN.
    damage : Damage, optional
        Strikes the bits that memory holds: codes of a scheme, else values of the operand; of a
        bias fp32 words.

    Raises
    ------
    WorkloadError
        If shapes do not match, weights hold NaN or Inf, or scheme and arithmetic disagree.

    Notes
    -----
    Scaled 8-bit operands: ``y = sum(x_q W_q) s_x s_w``. Weight-only: codes are dequantised to the
    operand. Integers stay codes in memory where the unit adds fp32 chains of fma; for other sums,
    and other formats, operands are unfolded once. Bits do not depend on that.
    """
    matrix = _weights(weight, name, allow_nonfinite)
    found = scheme or operand_scheme(arithmetic.operand)
    if found is not None:
        _check_agreement(found, arithmetic, name)
        if found.smooth is not None and smoothing is None:
            raise WorkloadError(
                f"linear '{name}': SmoothQuant needs smoothing factors: calibrate them with "
                "smoothing_factors"
            )
    factors = None if smoothing is None else _vector(smoothing, matrix.shape[1], name, "smoothing")
    if factors is not None:
        if not ((factors > 0.0) & np.isfinite(factors)).all():
            raise WorkloadError(f"linear '{name}': smoothing factors must be finite and above 0")
        matrix = matrix * factors
    added = None if bias is None else _vector(bias, matrix.shape[0], name, "bias")
    memory = Memory(name, damage)
    return Linear(
        name, (matrix.shape[0], matrix.shape[1]), arithmetic, found,
        _stored(matrix, arithmetic, found, memory),
        None if added is None else memory.bias(added), factors, order,
    )  # fmt: skip


def operand_scheme(operand: str) -> Scheme | None:
    """Return the scheme that an operand needs: scales for 8 bits and fewer without blocks."""
    known = find_format(operand)
    if isinstance(known, BlockFormat) or not known.is_narrow:
        return None
    return Scheme(TensorScheme(known.name), TensorScheme(known.name, "token"))


def weight_format(arithmetic: MatrixArithmetic, scheme: Scheme | None) -> Format | BlockFormat:
    """Return the format in which memory holds the weights of a matmul."""
    found = scheme or operand_scheme(arithmetic.operand)
    if found is None or found.activations is not None:
        return find_format(arithmetic.operand)
    return find_format(found.weights.format)


def scheme_arithmetic(
    arithmetic_of: Callable[[str], MatrixArithmetic], scheme: Scheme | None, dtype: str
) -> MatrixArithmetic:
    """Return the arithmetic in which matmuls of a scheme run on a chip.

    Parameters
    ----------
    arithmetic_of : callable
        From a dtype to its arithmetic: ``chip.matrix_arithmetic``.
    scheme : Scheme or None
    dtype : str
        Of matmuls without scheme, and with weight-only schemes.

    Raises
    ------
    MappingError
        If the chip has no matmul of the scheme's format.

    Notes
    -----
    Both fp8 formats, and both variants of a block format, are summed as their dtype is. A chip
    whose fp8 is of the fnuz kind takes those.
    """
    if scheme is None or scheme.activations is None:
        return arithmetic_of(dtype)
    wanted = scheme.weights.format
    found = arithmetic_of(dtype_of(wanted))
    foreign = wanted.endswith("fnuz") and not found.operand.endswith("fnuz")
    if foreign or dtype_of(found.operand) != dtype_of(wanted):
        raise MappingError(
            f"the chip multiplies {dtype_of(wanted)} as {found.operand}: it has no matmul of "
            f"{wanted} operands; take a weight-only scheme such as {dtype_of(wanted)}-weight"
        )
    if _plain(found.operand) == _plain(wanted):
        return found
    fnuz = "fnuz" if found.operand.endswith("fnuz") else ""
    return replace(found, operand=_plain(wanted) + fnuz)


def _plain(operand: str) -> str:
    return operand.removesuffix("fnuz")


def _check_agreement(scheme: Scheme, arithmetic: MatrixArithmetic, name: str) -> None:
    operand = find_format(arithmetic.operand)
    if scheme.activations is None:
        if isinstance(operand, BlockFormat) or operand.is_narrow or operand.kind == "int":
            raise WorkloadError(
                f"linear '{name}': weight-only {scheme.weights.format} is dequantised to a float "
                f"of 16 bits or more, not to {operand.name}: take the arithmetic of bf16 or fp16"
            )
    elif _plain(scheme.weights.format) != _plain(operand.name):
        raise WorkloadError(
            f"linear '{name}': the scheme quantises to {scheme.weights.format}, but the matmul "
            f"takes {operand.name}: find its arithmetic with scheme_arithmetic"
        )
    elif (operand.name in ("int8", "int4")) != isinstance(arithmetic.sums, IntegerSum):
        raise WorkloadError(
            f"linear '{name}': {operand.name} cannot be summed by {arithmetic.sums}"
        )


def _stored(
    matrix: Floats, arithmetic: MatrixArithmetic, scheme: Scheme | None, memory: Memory
) -> StoredWeights:
    if scheme is None or (scheme.activations is not None and scheme.weights.granularity == "block"):
        return WideWeights(
            pack_matrix(_held(matrix, arithmetic, memory), arithmetic, transposed=True)
        )
    if scheme.activations is not None:
        own = scheme.taken_by(arithmetic.operand)
        assert own.activations is not None
        return scaled_weights(matrix, own.weights, own.activations, arithmetic, memory)
    bits = {"int8": 8, "int4": 4}.get(scheme.weights.format)
    if bits is None:
        values = dequantised(matrix, scheme.weights, memory)
        return WideWeights(pack_matrix(values, arithmetic, transposed=True))
    codes = memory.integers(quantize_integers(matrix, scheme.weights), scheme.weights.format)
    if covers(arithmetic, codes):
        return narrow_weights(codes, arithmetic, bits=bits)
    return WideWeights(pack_matrix(codes.values(), arithmetic, transposed=True))


def _held(matrix: Floats, arithmetic: MatrixArithmetic, memory: Memory) -> Floats | BlockScaled:
    """Weights in the operand's own format, as memory gives them back."""
    if memory.damage is None:
        return matrix
    operand = find_format(arithmetic.operand)
    if isinstance(operand, BlockFormat):
        return memory.blocks(quantize_blocks(matrix, operand))
    return memory.floats(rounded_operand(matrix, operand), operand.name)


def _weights(weight: ArrayLike, name: str, allow_nonfinite: bool) -> Floats:
    matrix = np.ascontiguousarray(weight, dtype=np.float32)
    if matrix.ndim != 2 or not matrix.size:
        raise WorkloadError(f"linear '{name}' has weights of shape {matrix.shape}: expected [n, k]")
    bad = count_nonfinite(matrix)
    if not allow_nonfinite and (bad.nan or bad.inf):
        raise WorkloadError(
            f"linear '{name}' has {bad.nan} NaN and {bad.inf} infinite of {matrix.size} weights: "
            "repair them, or allow them to see what they do"
        )
    return matrix


def _vector(values: ArrayLike, size: int, name: str, what: str) -> Floats:
    vector = np.ascontiguousarray(values, dtype=np.float32)
    if vector.shape != (size,):
        raise WorkloadError(f"linear '{name}' has a {what} of shape {vector.shape}, not ({size},)")
    return vector
