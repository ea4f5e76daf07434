"""Matmuls in a chip's arithmetic: the order of parts, packing, error bounds, what is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from accelsim.arch.loader import load_chip
from accelsim.arithmetic import (
    Chain,
    FusedSum,
    IntegerSum,
    MatrixArithmetic,
    PairwiseSum,
    SumOrder,
    TwoStageSum,
)
from accelsim.errors import SpecError, WorkloadError
from accelsim.functional.formats import round_to
from accelsim.functional.gemm import matmul
from accelsim.functional.operands import as_operand
from accelsim.functional.packed_matrix import pack_matrix

FP32 = MatrixArithmetic("fp32", Chain())
HOPPER = MatrixArithmetic("bf16", FusedSum(16, 25))
INT8 = MatrixArithmetic("int8", IntegerSum(), "int32")
CHIPS = ("h100_sxm", "a100_sxm_80gb", "v100_sxm", "l40s", "b200_sxm", "mi100", "mi250x", "mi300x",
         "tpu_v5e", "xeon_8480", "epyc_9654")  # fmt: skip
Floats = NDArray[np.float32]


def _pair(m: int, k: int, n: int, seed: int = 0) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    return (
        rng.standard_normal((m, k), dtype=np.float32),
        rng.standard_normal((k, n), dtype=np.float32),
    )


@pytest.mark.parametrize("arithmetic", [FP32, HOPPER], ids=["chain", "fused"])
@pytest.mark.parametrize("parts", [2, 3, 7, 50])
def test_split_k_is_the_sum_of_parts_in_ascending_order(
    arithmetic: MatrixArithmetic, parts: int
) -> None:
    a, b = _pair(4, 50, 6)
    step = -(-50 // parts)
    starts = range(0, 50, step)
    expected = matmul(a[:, :step], b[:step], arithmetic)
    for start in starts[1:]:
        expected = expected + matmul(
            a[:, start : start + step], b[start : start + step], arithmetic
        )
    found = matmul(a, b, arithmetic, order=SumOrder(parts))
    assert np.array_equal(found, expected)


def test_split_k_changes_bits_and_beyond_k_is_one_product_each() -> None:
    a, b = _pair(8, 64, 8)
    results = {matmul(a, b, FP32, order=SumOrder(s)).tobytes() for s in (1, 2, 4, 8)}
    assert len(results) == 4
    far, each = (matmul(a, b, FP32, order=SumOrder(s)) for s in (64, 1000))
    assert np.array_equal(far, each)


@pytest.mark.parametrize("arithmetic", [FP32, HOPPER, INT8], ids=["chain", "fused", "integer"])
def test_packed_transposed_and_stacked_are_the_same_matmul(arithmetic: MatrixArithmetic) -> None:
    a, b = (np.rint(10 * x) for x in _pair(5, 34, 9))
    expected = matmul(a, b, arithmetic)
    assert np.array_equal(matmul(a, pack_matrix(b, arithmetic), arithmetic), expected)
    turned = pack_matrix(b.T, arithmetic, transposed=True)
    assert turned.shape == (1, 34, 9)
    assert np.array_equal(matmul(a, turned, arithmetic), expected)
    stacked = matmul(np.stack([a, -a]), np.stack([b, b]), arithmetic)
    assert np.array_equal(stacked, np.stack([expected, -expected]))
    assert turned.stored_bytes >= b.size


def test_rows_do_not_depend_on_their_neighbours() -> None:
    a, b = _pair(30, 70, 20)
    for arithmetic in (FP32, HOPPER, MatrixArithmetic("bf16", TwoStageSum(8))):
        whole = matmul(a, b, arithmetic)
        rows = np.concatenate([matmul(a[i : i + 1], b, arithmetic) for i in range(30)])
        assert np.array_equal(whole, rows)


def _on_chips() -> Iterator[tuple[str, MatrixArithmetic]]:
    """Every arithmetic of floats of these chips, once."""
    seen = set()
    for name in CHIPS:
        chip = load_chip(name)
        for dtype in chip.dtypes:
            arithmetic = chip.matrix_arithmetic(dtype)
            if arithmetic not in seen and not isinstance(arithmetic.sums, IntegerSum):
                seen.add(arithmetic)
                yield f"{name} {dtype}", arithmetic


def _unit(arithmetic: MatrixArithmetic) -> tuple[float, int]:
    """Largest error of one sum, relative to the sum of magnitudes, and sums in k = 96 products.

    A cut term is off by at most 2 units of its last bit below the largest product, whose
    significand is below 4; a rounded sum by one unit of the result.
    """
    sums = arithmetic.sums
    result = {"fp16": 2.0**-10, "fp64": 2.0**-52}.get(arithmetic.output, 2.0**-23)
    if isinstance(sums, FusedSum):
        terms = 1 + -(-sums.block // sums.group)
        cut = 2.0 ** (2 - sums.alignment_bits) * terms
        return max(result, 2.0**-sums.output_fraction_bits) + cut, -(-96 // sums.block)
    if isinstance(sums, TwoStageSum):
        return result + 2.0 ** (2 - sums.accumulator_bits) * (sums.group + 3), 96 // sums.group
    return result, 2 * 96


@pytest.mark.parametrize(("name", "arithmetic"), list(_on_chips()), ids=lambda x: str(x)[:24])
def test_every_chip_is_within_its_error_bound(name: str, arithmetic: MatrixArithmetic) -> None:
    a, b = _pair(7, 96, 11, seed=len(name))
    found = matmul(a, b, arithmetic)
    assert found.dtype == (np.float64 if arithmetic.output == "fp64" else np.float32)
    if arithmetic.operand == "fp64":
        x, y = a.astype(np.float64), b.astype(np.float64)
    else:
        left = as_operand(a, arithmetic.operand, axis=1, aligned=False)
        right = as_operand(b, arithmetic.operand, axis=0, aligned=False)
        x, y = left.values * np.float64(left.scale), right.values * np.float64(right.scale)
    exact, size = x @ y, np.abs(x) @ np.abs(y)
    unit, count = _unit(arithmetic)
    error = np.abs(found - exact)
    assert (error <= unit * count * size + 1e-300).all()
    if arithmetic.output == "fp16":
        assert np.array_equal(found, found.astype(np.float16))


@pytest.mark.parametrize(
    "sums",
    [Chain(), Chain(flush_subnormals=True), FusedSum(16, 25), PairwiseSum(2), TwoStageSum(8)],
    ids=lambda s: type(s).__name__,
)
@pytest.mark.parametrize("m", [1, 6])
def test_nan_and_infinities_stay_in_their_rows_and_columns(m: int, sums: Any) -> None:
    a, b = _pair(m, 20, 5)
    a[0, 3], b[7, 2], b[3] = np.inf, np.nan, 1.0
    found = matmul(a, b, MatrixArithmetic("bf16", sums))
    assert np.isnan(found[:, 2]).all()
    assert (found[0, [0, 1, 3, 4]] == np.inf).all()
    assert np.isfinite(found[1:, [0, 1, 3, 4]]).all()
    b[3, 0] = 0.0
    assert np.isnan(matmul(a, b, MatrixArithmetic("bf16", sums))[0, 0])


def test_parts_of_opposite_infinities_are_nan_without_a_warning() -> None:
    a = np.array([[np.inf, 1.0, 1.0, -np.inf]])
    for arithmetic in (FP32, HOPPER):
        assert np.isnan(matmul(a, np.ones((4, 1)), arithmetic, order=SumOrder(2)))


def test_no_products_make_zeros() -> None:
    for arithmetic in (FP32, HOPPER, MatrixArithmetic("bf16", PairwiseSum(4))):
        found = matmul(np.ones((2, 0)), np.ones((0, 3)), arithmetic)
        assert found.shape == (2, 3)
        assert not found.any()
    assert matmul(np.ones((0, 4)), np.ones((4, 3)), FP32).shape == (0, 3)


ONES = np.ones((2, 4))
BAD: dict[str, tuple[Any, Any, MatrixArithmetic, int, str]] = {
    "k differs": (ONES, np.ones((5, 2)), FP32, 1, r"\(2, 4\) and \(5, 2\).* is 4 and 5"),
    "a is a vector": (np.ones(4), np.ones((4, 2)), FP32, 1, r"\(4,\): expected \[m, k\]"),
    "b is a vector": (ONES, np.ones(4), FP32, 1, r"right operand has shape \(4,\)"),
    "b has 4 axes": (ONES, np.ones((1, 1, 4, 2)), FP32, 1, "right operand has shape"),
    "batches differ": (np.ones((3, 2, 4)), np.ones((2, 4, 2)), FP32, 1,
                       r"\(3, 2, 4\) and \(2, 4, 2\) do not multiply"),
    "k of packed": (ONES, pack_matrix(np.ones((5, 2)), FP32), FP32, 1, r"and \(1, 5, 2\) do not"),
    "a has no batch": (ONES, np.ones((2, 4, 2)), FP32, 1, "meets 2 right operands"),
    "no part": (ONES, np.ones((4, 2)), FP32, 0, "split_k is 0"),
    "beyond int8": (300 * ONES, np.ones((4, 2)), INT8, 1, "within int8"),
    "fractions": (ONES / 2, np.ones((4, 2)), INT8, 1, "no whole numbers within int8"),
    "fractions right": (ONES, np.ones((4, 2)) / 2, INT8, 1, "no whole numbers within int8"),
    "NaN in int8": (ONES * np.nan, np.ones((4, 2)), INT8, 1, "int8"),
    "beyond int4": (ONES * 9, np.ones((4, 2)), MatrixArithmetic("int4", IntegerSum(), "int32"), 1,
                    "within int4"),
    "bf16 as integers": (ONES, np.ones((4, 2)), MatrixArithmetic("bf16", IntegerSum(), "int32"), 1,
                         "int8 or int4"),
    "unknown format": (ONES, np.ones((4, 2)), MatrixArithmetic("bf17", Chain()), 1, "bf16"),
}  # fmt: skip


@pytest.mark.parametrize(("a", "b", "arithmetic", "parts", "told"), BAD.values(), ids=list(BAD))
def test_what_does_not_multiply_is_refused(
    a: Any, b: Any, arithmetic: MatrixArithmetic, parts: int, told: str
) -> None:
    with pytest.raises(WorkloadError, match=told):
        matmul(a, b, arithmetic, order=SumOrder(parts))


def test_weights_packed_for_another_unit_are_refused() -> None:
    packed = pack_matrix(np.ones((4, 2)), FP32)
    with pytest.raises(WorkloadError, match=r"packed for .*fp32.*not for .*bf16"):
        matmul(ONES, packed, HOPPER)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FusedSum(0, 25), "block is 0"),
        (lambda: FusedSum(4, 90), "alignment_bits is 90"),
        (lambda: FusedSum(8, 25, group=3), "not a multiple of group 3"),
        (lambda: PairwiseSum(8), "no balanced tree"),
        (lambda: TwoStageSum(3, interleaved=True), "as many even as odd"),
        (lambda: Chain(fold=-3), "fold is -3"),
        (lambda: Chain("fp64", fused=False), "for fp32 alone"),
        (lambda: Chain("fp16", flush_subnormals=True), "for fp32 alone"),
        (lambda: MatrixArithmetic("bf16", Chain(), "bf16"), "end in fp32, not in bf16"),
        (lambda: MatrixArithmetic("int8", IntegerSum(), "fp32"), "end in int32"),
    ],
)
def test_impossible_arithmetic_is_not_made(make: Callable[[], object], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        make()


def test_the_family_says_where_sums_end() -> None:
    families = (Chain("fp16"), Chain("fp64"), IntegerSum())
    outputs = [MatrixArithmetic("fp16", family).output for family in families]
    assert outputs == ["fp16", "fp64", "int32"]
    stuck = matmul(np.ones((1, 4096)), np.ones((4096, 1)), MatrixArithmetic("fp16", Chain("fp16")))
    assert stuck[0, 0] == 2048


def test_float64_operands_are_rounded_once() -> None:
    above = [[1 + 2**-8 + 2**-40]]
    for a, b in ((above, [[1.0]]), ([[1.0]], above)):
        assert matmul(a, b, MatrixArithmetic("bf16", Chain()))[0, 0] == 1.0078125


def test_tensor_scales_meet_before_they_are_rounded() -> None:
    nvfp4 = MatrixArithmetic("nvfp4", FusedSum(64, 35, group=16))
    tiny = np.full((1, 16), 1e-19, np.float32)
    assert np.isclose(matmul(tiny, tiny.T, nvfp4)[0, 0], 1.6e-37, rtol=0.05)
    apart = matmul(np.float32([[1e38, 0]]), np.float32([[0], [1e38]]), nvfp4)
    assert apart[0, 0] == 0.0


def test_nothing_by_nothing_is_nothing() -> None:
    found = matmul(np.ones((0, 2, 4)), np.ones((0, 4, 3)), FP32)
    assert found.shape == (0, 2, 3)


@pytest.mark.parametrize("operand", ["fp32", "tf32", "bf16", "fp8_e4m3", "fp6_e3m2"])
def test_chains_in_fp64_take_operands_of_their_format(operand: str) -> None:
    generator = np.random.default_rng(0)
    a, b = generator.standard_normal((3, 40)), generator.standard_normal((40, 5))
    found = matmul(a, b, MatrixArithmetic(operand, Chain("fp64")))
    rounding = {"rounding": "toward_zero"} if operand == "tf32" else {}
    x, y = (round_to(v, operand, **rounding).astype(np.float64) for v in (a, b))
    assert found.dtype == np.float64
    assert np.array_equal(found, matmul(x, y, MatrixArithmetic("fp64", Chain("fp64"))))
