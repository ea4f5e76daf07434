"""Is every family of sums what its definition says, term by term in exact fractions?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from accelsim.arch.arithmetic import architectures, family_name
from accelsim.arithmetic import (
    Chain,
    FusedSum,
    IntegerSum,
    MatrixArithmetic,
    PairwiseSum,
    TwoStageSum,
)
from accelsim.formats import BlockFormat, Format, find_format
from accelsim.functional.gemm import sum_rule
from accelsim.kernels.sums import exact_matmuls
from tests.oracle.matrix_sums import Factor, alignment_exponent, dot, floor_log2

ROWS, COLS = 4, 6
MADE_UP = (
    MatrixArithmetic("fp32", Chain("fp32", fused=False)),
    MatrixArithmetic("fp32", Chain("fp32", fold=3)),
    MatrixArithmetic("bf16", Chain("fp32", fused=False, fold=16, flush_subnormals=True)),
    MatrixArithmetic("fp32", Chain("fp32", flush_subnormals=True)),
    MatrixArithmetic("fp64", Chain("fp64", fold=5), "fp64"),
    MatrixArithmetic("bf16", PairwiseSum(4)),
    MatrixArithmetic("fp32", PairwiseSum(4, flush_subnormals=True)),
    MatrixArithmetic("bf16", FusedSum(7, 30, 23)),
    MatrixArithmetic("fp8_e5m2", FusedSum(16, 13), "fp16"),
    MatrixArithmetic("fp16", FusedSum(4, 23), "fp16"),
    MatrixArithmetic("fp8_e5m2fnuz", TwoStageSum(16, interleaved=True)),
    MatrixArithmetic("bf16", TwoStageSum(5, 20, 26, 22)),
)


def _arithmetics() -> Iterator[MatrixArithmetic]:
    """Everything that arch_specs/arithmetic.yaml states, once, and what it could state."""
    stated = [
        table.matrix_arithmetic(dtype, pattern)
        for table in architectures().values()
        for dtype in table.sums
        for pattern in ("", *table.instructions)
    ]
    yield from dict.fromkeys([a for a in (*stated, *MADE_UP) if not isinstance(a.sums, IntegerSum)])


def _name(arithmetic: MatrixArithmetic) -> str:
    sums = arithmetic.sums
    values = "-".join(str(value) for value in vars(sums).values())
    return f"{family_name(sums)}-{values}-{arithmetic.operand}-{arithmetic.output}"


def _of_format(
    rng: np.random.Generator, fmt: Format, shape: tuple[int, ...], binades: int
) -> NDArray[np.float64]:
    """Values of a format `binades` around 1 (0: its whole range), one in eight a zero."""
    low, high = fmt.min_exponent, fmt.max_exponent
    if binades:
        low, high = max(low, -binades), min(high, binades)
    bits = fmt.fraction_bits
    exponents = rng.integers(low, high + 1, shape)
    fractions = rng.integers(0, 2**bits, shape)
    normal = rng.random(shape) < 0.9
    whole = np.where(normal, 2**bits + fractions, fractions)
    exponents = np.where(normal, exponents, fmt.min_exponent)
    values = np.minimum(np.ldexp(whole.astype(np.float64), exponents - bits), fmt.max)
    values *= rng.random(shape) < 0.875
    return values * rng.choice([-1.0, 1.0], shape)


def _scaled(
    rng: np.random.Generator, fmt: BlockFormat, shape: tuple[int, int], group: int
) -> list[list[Factor]]:
    """Rows of block-scaled operands; terms of a group are aligned by their scales alone."""
    elements = _of_format(rng, fmt.element, shape, 0)
    blocks = -(-shape[1] // fmt.block)
    low, high = (-6, 6) if fmt.tensor_scale else (-60, 60)
    powers = np.ldexp(1.0, rng.integers(low, high, (shape[0], blocks)))
    scales = powers * (rng.integers(8, 16, powers.shape) / 8 if fmt.tensor_scale else 1.0)
    rows = []
    for values, own in zip(elements.tolist(), scales.tolist(), strict=True):
        row = []
        for k, x in enumerate(values):
            of_scale = floor_log2(Fraction(own[k // fmt.block]))
            e = 0 if group > 1 else alignment_exponent(x, fmt.element.min_exponent)
            row.append(Factor(x * own[k // fmt.block], e + of_scale))
        rows.append(row)
    return rows


def _rows(
    rng: np.random.Generator, arithmetic: MatrixArithmetic, shape: tuple[int, int], kind: str
) -> list[list[Factor]]:
    fmt = find_format(arithmetic.operand)
    sums = arithmetic.sums
    if isinstance(fmt, BlockFormat):
        return _scaled(rng, fmt, shape, sums.group if isinstance(sums, FusedSum) else 1)
    values = _of_format(rng, fmt, shape, {"wide": 0, "near": 4}.get(kind, 12))
    if isinstance(sums, Chain | PairwiseSum) and sums.flush_subnormals:
        values = np.where(np.abs(values) < fmt.smallest_normal, 0.0, values)
    if kind == "special" and fmt.has_nan:
        found = rng.random(shape)
        values[found < 0.02] = np.nan
        if fmt.has_inf:
            values[(found > 0.02) & (found < 0.07)] = np.inf
            values[(found > 0.07) & (found < 0.12)] = -np.inf
    smallest = fmt.min_exponent
    return [[Factor(x, alignment_exponent(x, smallest)) for x in row] for row in values.tolist()]


def _accumulators(
    rng: np.random.Generator, arithmetic: MatrixArithmetic, kind: str, products: float
) -> NDArray[np.float64]:
    """C of the output's format: as large as the sums, nothing, or anything."""
    fmt = find_format(arithmetic.output)
    assert isinstance(fmt, Format)
    c = _of_format(rng, fmt, (ROWS, COLS), 0 if kind == "wide" else 8)
    if kind == "near":
        c = np.full(c.shape, -products)
    if kind == "special":
        c[rng.random(c.shape) < 0.1] = np.inf
    flushes = isinstance(arithmetic.sums, Chain) and arithmetic.sums.flush_subnormals
    return np.where(np.abs(c) < 2.0**-126, 0.0, c) if flushes else c


def _same(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Equal to the last bit, signs of zeros included; any NaN equals any other."""
    both: NDArray[np.bool_] = (x.view(np.uint64) == y.view(np.uint64)) | (np.isnan(x) & np.isnan(y))
    return both


def _cases(arithmetic: MatrixArithmetic, kind: str) -> tuple[NDArray[np.float64], ...]:
    """Sums by the kernel and by the twin, on the same operands."""
    rng = np.random.default_rng([len(kind), *_name(arithmetic).encode()])
    sums = arithmetic.sums
    block = sums.block if isinstance(sums, FusedSum) else getattr(sums, "group", 8)
    k = 2 * block if block > 32 else 2 * block + rng.integers(1, 9)
    a, b = (_rows(rng, arithmetic, (n, int(k)), kind) for n in (ROWS, COLS))
    if kind == "near":  # The second half of k cancels the first, nearly.
        half = int(k) // 2
        a = [[*r[:half], *(Factor(-f.value, f.exponent) for f in r[:half]), *r[2 * half :]]
             for r in a]  # fmt: skip
        b = [[*r[:half], *r[:half], *r[2 * half :]] for r in b]
    c = _accumulators(rng, arithmetic, kind, 1.5)
    found = c[None].copy()
    values = [np.array([[[f.value for f in row] for row in x]]) for x in (a, b)]
    aligned = [np.array([[[f.exponent for f in row] for row in x]], dtype=np.int16) for x in (a, b)]
    exact_matmuls(sum_rule(arithmetic), values[0], aligned[0], values[1], aligned[1], found)
    expected = np.array(
        [[dot(sums, x, y, float(z), arithmetic.output) for y, z in zip(b, row, strict=True)]
         for x, row in zip(a, c, strict=True)]
    )  # fmt: skip
    return found[0], expected


@pytest.mark.parametrize("kind", ["wide", "middle", "near", "special"])
@pytest.mark.parametrize("arithmetic", list(_arithmetics()), ids=_name)
def test_sums_are_those_of_the_definition(arithmetic: MatrixArithmetic, kind: str) -> None:
    found, expected = _cases(arithmetic, kind)
    wrong = np.argwhere(~_same(found, expected))
    assert not len(wrong), [(found[i, j], expected[i, j]) for i, j in wrong[:4]]


def _one(sums: object, a: list[float], b: list[float], c: float, output: str = "fp32") -> float:
    rule = sum_rule(MatrixArithmetic("bf16", sums, output))  # type: ignore[arg-type]
    found = np.array([[[c]]])
    x, y = (np.array([[v]]) for v in (a, b))
    aligned = [
        np.array([[[alignment_exponent(f, -126) for f in v]]], dtype=np.int16) for v in (a, b)
    ]
    exact_matmuls(rule, x, aligned[0], y, aligned[1], found)
    return float(found[0, 0, 0])


def test_aligned_terms_below_the_last_bit_vanish() -> None:
    sums = FusedSum(4, 24)
    assert _one(sums, [1.0, 2.0**-13], [1.0, 2.0**-12], 0.0) == 1.0
    assert _one(sums, [1.0, 2.0**-12], [1.0, 2.0**-12], -1.0) == 2.0**-24
    assert _one(replace(sums, alignment_bits=23), [1.0, 2.0**-12], [1.0, 2.0**-12], -1.0) == 0.0


def test_a_tree_keeps_what_a_chain_loses() -> None:
    big, ones = 2.0**24, [1.0, 1.0, 1.0, 1.0]
    assert _one(Chain(), ones, ones, big) == big
    assert _one(PairwiseSum(4), ones, ones, big) == big + 4
    assert _one(Chain(fold=4), ones, ones, big) == big + 4


def test_the_second_stage_floors() -> None:
    sums = TwoStageSum(8)
    # A small negative accumulator counts as one unit of its last bit, a positive one as none.
    assert _one(sums, [1.0], [1.0], -(2.0**-40)) == np.float32(1 - 2.0**-24)
    assert _one(sums, [1.0], [1.0], 2.0**-40) == 1.0
    assert _one(replace(sums, interleaved=True), [1.0, 0.0], [1.0, 0.0], -(2.0**-40)) == 1.0


@pytest.mark.parametrize("sums", [FusedSum(4, 24), TwoStageSum(4), PairwiseSum(4), Chain()])
def test_infinities_meet_in_nan(sums: object) -> None:
    inf = float("inf")
    assert np.isnan(_one(sums, [inf, 1.0], [1.0, 1.0], -inf))
    assert np.isnan(_one(sums, [inf, 1.0], [0.0, 1.0], 0.0))
    assert _one(sums, [inf, 1.0], [-1.0, 1.0], 5.0) == -inf


def test_a_folded_sum_that_is_subnormal_is_flushed_too() -> None:
    tiny = 2.0**-126
    a, b = [1.5 * tiny, -tiny], [1.0, 1.0]
    assert _one(Chain(flush_subnormals=True), a, b, 0.0) == 0.0
    assert _one(Chain(fold=1, flush_subnormals=True), a, b, 0.0) == 0.0


def test_a_chain_in_fp16_stops_growing_where_fp16_does() -> None:
    ones = [1.0] * 40
    assert _one(Chain("fp16"), ones, ones, 2047.0, "fp16") == 2048.0
