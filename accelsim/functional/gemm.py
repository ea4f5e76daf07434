"""Matmuls in the arithmetic of a matrix unit: which products, in which order, rounded how."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accelsim.arithmetic import (
    IN_ORDER,
    Chain,
    FusedSum,
    IntegerSum,
    MatrixArithmetic,
    PairwiseSum,
    SumOrder,
)
from accelsim.errors import WorkloadError
from accelsim.functional.formats import real_array
from accelsim.functional.operands import Operand
from accelsim.functional.packed_matrix import (
    PackedMatrix,
    as_integers,
    doubles_taken_in,
    in_columns,
    pack_matrix,
    taken_in,
)
from accelsim.kernels import gemm_aligned, gemm_chain, gemm_plain
from accelsim.kernels.aligned_tile import ROWS as ALIGNED_ROWS
from accelsim.kernels.jit import threads
from accelsim.kernels.sums import (
    CHAIN,
    FUSED,
    OUT_FP16,
    OUT_FP32,
    OUT_FP64,
    PAIRWISE,
    TWO_STAGE,
    SumRule,
    exact_matmuls,
)

_OUTPUTS = {"fp32": OUT_FP32, "fp16": OUT_FP16, "fp64": OUT_FP64}
_RESULTS = {"fp32": np.float32, "fp16": np.float32, "fp64": np.float64, "int32": np.int32}
_FEW_ROWS = 3
_EXACT_DEPTH = 1024
"""Products of int8 whose sum fits the 24 bits of an fp32 significand."""
Floats = NDArray[np.float32]
Run = Callable[[tuple[int, int]], NDArray[Any]]


def sum_rule(arithmetic: MatrixArithmetic) -> SumRule:
    """Write a family as the plain numbers that kernels take.

    Raises
    ------
    WorkloadError
        For integer sums, which have no rounding to describe.
    """
    sums = arithmetic.sums
    if isinstance(sums, IntegerSum):
        raise WorkloadError(
            f"sums of {arithmetic.operand} into {arithmetic.output} have no rule of rounding"
        )
    rule = SumRule(
        family=CHAIN, output=_OUTPUTS[arithmetic.output], block=0, group=1, bits=0, sum_bits=0,
        accumulator_bits=0, out_bits=23, separate=0, flush=0,
    )  # fmt: skip
    if isinstance(sums, Chain):
        return rule._replace(
            block=sums.fold, separate=int(not sums.fused), flush=int(sums.flush_subnormals)
        )
    if isinstance(sums, FusedSum):
        return rule._replace(
            family=FUSED, block=sums.block, group=sums.group, bits=sums.alignment_bits,
            out_bits=sums.output_fraction_bits,
        )  # fmt: skip
    if isinstance(sums, PairwiseSum):
        return rule._replace(family=PAIRWISE, block=sums.group, flush=int(sums.flush_subnormals))
    return rule._replace(
        family=TWO_STAGE, block=sums.group, bits=sums.product_bits, sum_bits=sums.sum_bits,
        accumulator_bits=sums.accumulator_bits, separate=int(sums.interleaved),
    )  # fmt: skip


_INTEGERS = sum_rule(MatrixArithmetic("fp32", Chain()))


def matmul(
    a: ArrayLike,
    b: ArrayLike | PackedMatrix,
    arithmetic: MatrixArithmetic,
    *,
    order: SumOrder = IN_ORDER,
) -> NDArray[Any]:
    """Multiply in the arithmetic of a matrix unit, every sum in the unit's own order.

    Parameters
    ----------
    a : array, [m, k] or [t, m, k]
        Rounded to the unit's format here (integers are taken as they are).
    b : array, [k, n] or [t, k, n], or PackedMatrix
        Right operand; packed once by `pack_matrix` when it is used often.
    arithmetic : MatrixArithmetic
    order : SumOrder
        How a mapping cuts k.

    Returns
    -------
    array, [m, n] or [t, m, n]
        float32 (int32 for integer sums, float64 for fp64 ones).

    Raises
    ------
    WorkloadError
        If shapes do not match, or `b` was packed for another arithmetic.

    Notes
    -----
    With ``order.split_k`` = s, parts of ceil(k / s) products are summed from zero each, and the
    sums are added in fp32, first to last. Otherwise the one sum starts from zero.

    References
    ----------
    See `accelsim.arithmetic` for the families.
    """
    left = real_array(a)
    packed = b if isinstance(b, PackedMatrix) else pack_matrix(b, arithmetic)
    if packed.arithmetic != arithmetic:
        raise WorkloadError(
            f"the right operand was packed for {packed.arithmetic}, not for {arithmetic}"
        )
    _check_shapes(left.shape, packed, packed.shape if packed is b else np.shape(b))
    stacked = left if left.ndim == 3 else left[None]
    total = _sum_parts(stacked, packed, order)
    return total if left.ndim == 3 else total[0]


def _check_shapes(left: tuple[int, ...], packed: PackedMatrix, given: tuple[int, ...]) -> None:
    """Refuse operands that do not multiply, in the shapes that the caller gave."""
    t, k, _ = packed.shape
    if len(left) not in (2, 3):
        raise WorkloadError(f"a left operand has shape {left}: expected [m, k] or [t, m, k]")
    if left[-1] != k:
        raise WorkloadError(
            f"shapes {left} and {given} do not multiply: k, the last axis of the left operand and "
            f"the last but one of the right, is {left[-1]} and {k}"
        )
    if (left[0] if len(left) == 3 else 1) != t:
        raise WorkloadError(
            f"shapes {left} and {given} do not multiply: a left operand of shape [{t}, m, {k}] "
            f"meets {t} right operands"
        )


def parts_of(k: int, order: SumOrder) -> list[tuple[int, int]]:
    """Cut k products into the ranges that are summed from zero each.

    Raises
    ------
    WorkloadError
        If there is no part.
    """
    if order.split_k < 1:
        raise WorkloadError(f"split_k is {order.split_k}, expected at least 1")
    step = max(1, -(-k // order.split_k))
    return [(start, min(start + step, k)) for start in range(0, max(1, k), step)]


def add_parts(run: Run, parts: list[tuple[int, int]]) -> NDArray[Any]:
    """Sum every part by `run`, and add the sums first to last."""
    total = run(parts[0])
    for part in parts[1:]:
        with np.errstate(over="ignore", invalid="ignore"):
            total += run(part)
    return total


def _sum_parts(a: NDArray[Any], b: PackedMatrix, order: SumOrder) -> NDArray[Any]:
    """Run each part of k and add the parts, first to last."""
    parts = parts_of(b.shape[1], order)
    if not len(a):
        return np.zeros((0, a.shape[1], b.shape[2]), dtype=_RESULTS[b.arithmetic.output])
    if isinstance(b.arithmetic.sums, IntegerSum):  # exact, in whatever order
        return _integers(a, b)
    if b.arithmetic.output == "fp64":
        run, scale = _one_by_one(doubles_taken_in(a, b.arithmetic, axis=2), None, b), 1.0
    else:
        run, scale = _floats(np.ascontiguousarray(a), b)
    total = add_parts(run, parts)
    if scale == 1.0:
        return total
    with np.errstate(over="ignore", invalid="ignore"):
        return (total * np.float64(scale)).astype(np.float32)


def _integers(a: NDArray[Any], b: PackedMatrix) -> NDArray[np.int32]:
    """Exact sums through fp32: as long as they stay below 2**24 each is a whole number there."""
    whole = as_integers(a, b.arithmetic.operand)
    saturate = isinstance(b.arithmetic.sums, IntegerSum) and b.arithmetic.sums.saturate
    add = _chain(whole, b, _INTEGERS)
    shape = (len(whole), whole.shape[1], b.shape[2])
    total = np.zeros(shape, dtype=np.int64 if saturate else np.int32)
    for start in range(0, b.shape[1], _EXACT_DEPTH):
        total += add((start, min(start + _EXACT_DEPTH, b.shape[1]))).astype(np.int32)
    limits = np.iinfo(np.int32)
    return total.clip(limits.min, limits.max).astype(np.int32) if saturate else total


def _floats(a: NDArray[Any], b: PackedMatrix) -> tuple[Run, float]:
    """Choose the kernel of a family; also the scale of the result."""
    left = taken_in(a, b.arithmetic, axis=2)
    scale = left.scale * b.scale
    rule = sum_rule(b.arithmetic)
    if _needs_each_sum(left, b, rule):
        return _one_by_one(left.values.astype(np.float64), left.exponents, b), scale
    if rule.family == CHAIN:
        return (_flushed_chain if rule.flush else _chain)(left.values, b, rule), scale
    if rule.family == PAIRWISE:
        return _pairwise(left.values, b, rule), scale
    return _in_lanes(left, b, rule), scale


def _needs_each_sum(left: Operand, b: PackedMatrix, rule: SumRule) -> bool:
    """Tell whether only the exact form of a family covers these operands."""
    if rule.family in (FUSED, TWO_STAGE):
        return rule.output != OUT_FP32 or bool(rule.separate and b.shape[1] % 2)
    return rule.output != OUT_FP32 or (
        rule.family == CHAIN and bool(rule.flush) and b.arithmetic.operand in ("fp32", "tf32")
    )


def _one_by_one(a: NDArray[np.float64], ea: NDArray[np.int16] | None, b: PackedMatrix) -> Run:
    """Every sum on its own, by its definition: slow, and right for all operands."""
    rule = sum_rule(b.arithmetic)
    columns, eb = b.columns().astype(np.float64, copy=False), b.exponents
    eb = None if eb is None else in_columns(eb, b.shape).astype(np.int16)
    ea = np.zeros(a.shape, dtype=np.int16) if ea is None else ea.astype(np.int16)
    eb = np.zeros(columns.shape, dtype=np.int16) if eb is None else eb

    def run(ks: tuple[int, int]) -> NDArray[Any]:
        at = slice(*ks)
        out = np.zeros((len(a), a.shape[1], b.shape[2]))
        exact_matmuls(
            rule, np.ascontiguousarray(a[..., at]), np.ascontiguousarray(ea[..., at]),
            np.ascontiguousarray(columns[..., at]), np.ascontiguousarray(eb[..., at]), out,
        )  # fmt: skip
        return out if rule.output == OUT_FP64 else out.astype(np.float32)

    return run


def _zeros(a: Floats, b: PackedMatrix) -> Floats:
    return np.zeros((len(a), a.shape[1], b.shape[2]), dtype=np.float32)


def _chain(a: Floats, b: PackedMatrix, rule: SumRule) -> Run:
    jobs = max(1, threads() // len(a))
    few = a.shape[1] <= _FEW_ROWS
    left = a
    if not few:
        rows = gemm_chain.ROWS
        left = np.empty((len(a), -(-a.shape[1] // rows), a.shape[2], rows), dtype=np.float32)
        gemm_chain.pack_k_last(a, left)
    multiply = gemm_chain.chain_matvec if few else gemm_chain.chain_matmul

    def run(ks: tuple[int, int]) -> Floats:
        out = _zeros(a, b)
        multiply(left, b.values, ks, rule.block, rule.separate == 0, jobs, out)
        return out

    return run


def _flushed_chain(a: Floats, b: PackedMatrix, rule: SumRule) -> Run:
    def run(ks: tuple[int, int]) -> Floats:
        out = _zeros(a, b)
        gemm_plain.flushed_chain_matmul(rule, a, b.values, ks, out)
        return out

    return run


def _pairwise(a: Floats, b: PackedMatrix, rule: SumRule) -> Run:
    def run(ks: tuple[int, int]) -> Floats:
        out = _zeros(a, b)
        gemm_plain.pairwise_matmul(rule, a, b.values, ks, out)
        return out

    return run


def _in_lanes(left: Operand, b: PackedMatrix, rule: SumRule) -> Run:
    a, ea, eb = left.values, left.exponents, b.exponents
    assert ea is not None and eb is not None
    rows = 1 if a.shape[1] == 1 else ALIGNED_ROWS
    panels = (len(a), -(-a.shape[1] // rows), a.shape[2], rows)
    packed, packed_e = np.empty(panels), np.empty(panels, dtype=np.int32)
    gemm_chain.pack_k_last(a, packed)
    gemm_chain.pack_k_last(ea, packed_e)

    def run(ks: tuple[int, int]) -> Floats:
        out = _zeros(a, b)
        gemm_aligned.aligned_matmul(rule, packed, packed_e, b.values, eb, ks, out)
        return out

    return run
