"""Right operands: from values or from blocks, what is flagged, and integers without a rounding."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from accelsim.arithmetic import (
    Chain,
    FusedSum,
    IntegerSum,
    MatrixArithmetic,
    PairwiseSum,
    SumFamily,
    SumOrder,
    TwoStageSum,
)
from accelsim.errors import WorkloadError
from accelsim.functional.block_formats import quantize_blocks
from accelsim.functional.formats import round_to
from accelsim.functional.gemm import matmul
from accelsim.functional.packed_matrix import pack_matrix

Floats = NDArray[np.float32]
INT8 = MatrixArithmetic("int8", IntegerSum(), "int32")
CLAMPED = MatrixArithmetic("int8", IntegerSum(saturate=True), "int32")
FORMATS = ("mxfp8_e4m3", "mxfp8_e5m2", "mxfp6_e2m3", "mxfp4", "nvfp4")
SUMS = {"chain": Chain(), "aligned": FusedSum(32, 25), "groups": FusedSum(64, 35, group=16),
        "pairs": PairwiseSum(4)}  # fmt: skip
LOW, HIGH = -(2**31), 2**31 - 1


def drawn(*shape: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


@pytest.mark.parametrize("sums", list(SUMS))
@pytest.mark.parametrize("fmt", FORMATS)
def test_blocks_are_the_operand_that_arrays_become(fmt: str, sums: str) -> None:
    arithmetic, b = MatrixArithmetic(fmt, SUMS[sums]), drawn(70, 19) * 3
    wanted = pack_matrix(b, arithmetic)
    for transposed in (False, True):
        blocks = quantize_blocks(b.T if transposed else b, fmt, axis=int(transposed))
        found = pack_matrix(blocks, arithmetic, transposed=transposed)
        assert found.shape == wanted.shape == (1, 70, 19)
        assert np.array_equal(found.values, wanted.values)
        assert found.scale == wanted.scale
        assert (found.exponents is None) == (wanted.exponents is None)
        if found.exponents is not None:
            assert wanted.exponents is not None
            assert np.array_equal(found.exponents, wanted.exponents)
        a = drawn(4, 70, seed=1)
        assert np.array_equal(matmul(a, found, arithmetic), matmul(a, b, arithmetic))


def test_negative_axes_are_axes() -> None:
    arithmetic, b = MatrixArithmetic("mxfp8_e4m3", Chain()), drawn(64, 8)
    wanted = pack_matrix(b, arithmetic).values
    assert np.array_equal(pack_matrix(quantize_blocks(b, "mxfp8", axis=-2), arithmetic).values,
                          wanted)  # fmt: skip
    turned = quantize_blocks(b.T, "mxfp8", axis=-1)
    assert np.array_equal(pack_matrix(turned, arithmetic, transposed=True).values, wanted)


@pytest.mark.parametrize(
    ("fmt", "axis", "shape", "operand", "transposed"),
    [
        ("mxfp8_e4m3", 1, (64, 32), "mxfp8_e4m3", False),
        ("mxfp8_e4m3", 0, (64, 32), "mxfp8_e4m3", True),
        ("mxfp8_e4m3", -1, (64, 32), "mxfp8_e4m3", False),
        ("mxfp8_e5m2", 0, (64, 32), "mxfp8_e4m3", False),
        ("mxfp4", 0, (64, 32), "nvfp4", False),
        ("nvfp4", 0, (64, 32), "bf16", False),
        ("mxfp8_e4m3", 0, (64,), "mxfp8_e4m3", False),
        ("mxfp8_e4m3", 0, (2, 64, 32), "mxfp8_e4m3", False),
    ],
    ids=["axis of n", "axis of k", "last axis", "other elements", "other blocks", "no blocks",
         "vector", "stack"],
)  # fmt: skip
def test_blocks_that_are_no_right_operand_are_refused(
    fmt: str, axis: int, shape: tuple[int, ...], operand: str, transposed: bool
) -> None:
    blocks = quantize_blocks(drawn(*shape), fmt, axis=axis)
    told = f"{fmt} of shape .* blocks along axis {axis}, is no right operand of {operand}"
    with pytest.raises(WorkloadError, match=told):
        pack_matrix(blocks, MatrixArithmetic(operand, Chain()), transposed=transposed)


ALIGNED = {
    "bf16": MatrixArithmetic("bf16", FusedSum(16, 25)),
    "two stages": MatrixArithmetic("fp16", TwoStageSum(4)),
    "fp8": MatrixArithmetic("fp8_e5m2", FusedSum(32, 13, 13)),
    "mxfp8": MatrixArithmetic("mxfp8_e4m3", FusedSum(64, 35, group=16)),
    "nvfp4": MatrixArithmetic("nvfp4", FusedSum(64, 35, group=16)),
}


@pytest.mark.parametrize("name", list(ALIGNED))
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_reach_their_columns_alone(name: str, bad: float) -> None:
    arithmetic, b = ALIGNED[name], drawn(64, 9)
    b[5, 7] = bad
    packed = pack_matrix(b, arithmetic)
    # Formats of 8 bits have no way to an infinity: conversions saturate.
    saturated = name == "fp8" and bad == np.inf
    a = drawn(3, 64, seed=1)
    found = matmul(a, packed, arithmetic)
    assert np.isfinite(found[:, 7]).all() == saturated
    assert np.isfinite(np.delete(found, 7, axis=1)).all()
    assert (
        np.array_equal(np.delete(found, 7, axis=1), matmul(a, np.delete(b, 7, axis=1), arithmetic))
        or arithmetic.operand == "nvfp4"
    )  # its scale of the tensor depends on all finite values


def test_a_scale_that_is_no_number_reaches_its_column() -> None:
    blocks = quantize_blocks(drawn(64, 9), "mxfp8_e4m3", axis=0)
    scales = blocks.scale_codes.copy()
    scales[1, 4] = 255
    hit = replace(blocks, scale_codes=scales)
    for sums in (FusedSum(32, 25), FusedSum(64, 35, group=16), Chain()):
        arithmetic = MatrixArithmetic("mxfp8_e4m3", sums)
        packed = pack_matrix(hit, arithmetic)
        found = matmul(drawn(2, 64, seed=1), packed, arithmetic)
        assert np.isnan(found).all(axis=0).tolist() == [n == 4 for n in range(9)]


def test_padding_is_stored_too() -> None:
    for n in (1, 15, 16, 17, 33):
        packed = pack_matrix(drawn(5, n), ALIGNED["bf16"])
        assert packed.stored_bytes == packed.values.nbytes + packed.exponents.nbytes  # type: ignore[union-attr]


def exact(a: NDArray[Any], b: NDArray[Any], *, saturate: bool) -> NDArray[Any]:
    """Sums of Python's own integers, then what an int32 makes of them."""
    rows = [[sum(int(x) * int(y) for x, y in zip(row, column, strict=True)) for column in b.T]
            for row in a]  # fmt: skip
    if saturate:
        rows = [[min(max(total, LOW), HIGH) for total in row] for row in rows]
    return np.array([[(t - LOW) % 2**32 + LOW for t in row] for row in rows], dtype=np.int64)


@pytest.mark.parametrize("rows", [1, 2, 6])
@pytest.mark.parametrize("depth", [1023, 1024, 1025, 5000])
def test_integer_sums_beyond_the_significand_of_fp32_are_exact(rows: int, depth: int) -> None:
    rng = np.random.default_rng(depth)
    a = rng.integers(-128, 128, (rows, depth), dtype=np.int8)
    b = rng.integers(-128, 128, (depth, 3), dtype=np.int8)
    a[0], b[:, 0] = -128, -128
    b[-1, 0] = -127  # an odd number of 2**7: no multiple of the steps of fp32 beyond 2**24
    found = matmul(a, b, INT8)
    assert found.dtype == np.int32
    assert found.tolist() == exact(a, b, saturate=False).tolist()
    for parts in (2, 7):
        assert np.array_equal(matmul(a, b, INT8, order=SumOrder(parts)), found)


def _far(depth: int, sign: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Sums beyond int32 from `depth` products of the largest magnitude, and small ones after."""
    a = np.full((5, depth), -128, dtype=np.int8)
    b = np.full((depth, 2), -128 if sign > 0 else 127, dtype=np.int8)
    a[1:, depth // 2 :] = 3
    b[depth // 3 :, 1] = 1
    return a, b


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("arithmetic", [INT8, CLAMPED], ids=["wraps", "saturates"])
@pytest.mark.parametrize("depth", [131_071, 131_072, 133_200, 266_000])
def test_sums_beyond_int32(depth: int, arithmetic: MatrixArithmetic, sign: int) -> None:
    a, b = _far(depth, sign)
    saturate = arithmetic is CLAMPED
    wide = exact(a[:2], b, saturate=saturate)
    assert matmul(a[:2], b, arithmetic).tolist() == wide.tolist()
    assert matmul(a, b, arithmetic)[:2].tolist() == wide.tolist()
    if depth > 133_000:
        limit = HIGH if sign > 0 else LOW
        assert (wide[0, 0] == limit) is np.bool_(saturate)


@pytest.mark.parametrize("sums", [IntegerSum(), IntegerSum(saturate=True)])
def test_a_sum_that_comes_back_into_range_is_itself(sums: IntegerSum) -> None:
    depth = 266_000
    a = np.full((1, depth), 127, dtype=np.int8)
    b = np.full((depth, 1), 127, dtype=np.int8)
    b[depth // 2 :] = -127
    arithmetic = MatrixArithmetic("int8", sums, "int32")
    assert matmul(a, b, arithmetic).tolist() == [[0]]


@pytest.mark.parametrize(
    ("operand", "bad", "first"),
    [("int8", 128, "128"), ("int8", -129, "-129"), ("int8", 0.5, "0.5"), ("int8", np.nan, "nan"),
     ("int4", 8, "8"), ("int4", -9, "-9"), ("int8", np.inf, "inf")],
)  # fmt: skip
def test_what_is_no_such_integer_is_refused(operand: str, bad: float, first: str) -> None:
    arithmetic = MatrixArithmetic(operand, IntegerSum(), "int32")
    b = np.ones((4, 3))
    b[2, 1] = bad
    told = f"1 operands of an {operand} matmul are no whole numbers .* first is {first}:"
    with pytest.raises(WorkloadError, match=told):
        pack_matrix(b, arithmetic)
    with pytest.raises(WorkloadError, match=told):
        matmul(b.T, np.ones((4, 3)), arithmetic)


def test_int4_takes_its_whole_range_and_int16_no_one() -> None:
    int4 = MatrixArithmetic("int4", IntegerSum(), "int32")
    b = np.arange(-8, 8, dtype=np.int8).reshape(4, 4)
    assert np.array_equal(matmul(b, b, int4), b.astype(int) @ b)
    with pytest.raises(WorkloadError, match="take int8 or int4 operands, not bf16"):
        pack_matrix(b, MatrixArithmetic("bf16", IntegerSum(), "int32"))


@pytest.mark.parametrize("shape", [(), (3,), (2, 2, 2, 2)])
def test_what_is_no_matrix_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(WorkloadError, match="a right operand has shape"):
        pack_matrix(np.ones(shape), ALIGNED["bf16"])


SHORT = ["bf16", "fp8_e4m3", "fp8_e5m2", "fp6_e2m3", "fp4_e2m1"]


@pytest.mark.parametrize("operand", SHORT)
@pytest.mark.parametrize("sums", [Chain(), FusedSum(16, 25), TwoStageSum(8)])
def test_short_values_lie_in_halves(operand: str, sums: SumFamily) -> None:
    arithmetic, b = MatrixArithmetic(operand, sums), drawn(70, 19)
    packed = pack_matrix(b, arithmetic)
    assert packed.values.dtype == np.uint16
    wanted = round_to(b, operand, saturate=operand != "bf16").T
    assert packed.columns().tobytes() == np.ascontiguousarray(wanted)[None].tobytes()


@pytest.mark.parametrize("operand", ["fp32", "tf32", "fp16", "mxfp8_e4m3"])
def test_long_and_block_scaled_values_do_not(operand: str) -> None:
    packed = pack_matrix(drawn(64, 19), MatrixArithmetic(operand, Chain()))
    assert packed.values.dtype == np.float32


@pytest.mark.parametrize("word", [0x7F800001, 0xFF80FFFF, 0x7FFFFFFF])
def test_a_nan_with_low_bits_alone_stays_one(word: int) -> None:
    b = np.ones((4, 3), np.float32)
    b.view(np.uint32)[2, 1] = word
    packed = pack_matrix(b, MatrixArithmetic("bf16", Chain()))
    assert np.isnan(packed.columns()).tolist() == np.isnan(b.T)[None].tolist()
    assert np.isnan(matmul(np.ones((5, 4)), packed, packed.arithmetic))[:, 1].all()


NOT_FINITE = [np.nan, np.inf, -np.inf, 3e38, -3e38, 1e30, 0.0, 1e-40]


@pytest.mark.parametrize("name", [*ALIGNED, "interleaved"])
def test_lanes_and_single_sums_agree_on_what_is_not_finite(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    arithmetic = ALIGNED.get(name, MatrixArithmetic("bf16", TwoStageSum(8, interleaved=True)))
    generator = np.random.default_rng(len(name))
    for _ in range(12):
        m, k, n = generator.integers(1, (14, 40, 50))
        a, b = drawn(m, 2 * k), drawn(2 * k, n, seed=1)
        for x in (a, b):
            for _ in range(generator.integers(0, 4)):
                x[generator.integers(len(x)), generator.integers(x.shape[1])] = generator.choice(
                    NOT_FINITE
                )
        found = matmul(a, b, arithmetic)
        with monkeypatch.context() as patch:
            patch.setattr("accelsim.functional.gemm._needs_each_sum", lambda *_: True)
            wanted = matmul(a, b, arithmetic)
        assert np.array_equal(np.isnan(found), np.isnan(wanted))
        known = ~np.isnan(wanted)
        assert found[known].tobytes() == wanted[known].tobytes()
