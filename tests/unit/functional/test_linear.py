"""Linear layers: plain, scaled, in blocks, weight-only; and what they refuse."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from accelsim.arithmetic import (
    Chain,
    FusedSum,
    IntegerSum,
    MatrixArithmetic,
    SumOrder,
    TwoStageSum,
)
from accelsim.errors import MappingError, WorkloadError
from accelsim.functional.formats import round_to
from accelsim.functional.gemm import matmul
from accelsim.functional.linear import (
    Linear,
    make_linear,
    operand_scheme,
    scheme_arithmetic,
)
from accelsim.functional.packed_matrix import pack_matrix
from accelsim.functional.quant.codes import dequantised
from accelsim.functional.quant.schemes import parse_scheme
from accelsim.functional.quant.smooth import smoothing_factors
from accelsim.functional.quant.stored import NarrowWeights, WideWeights

BF16 = MatrixArithmetic("bf16", Chain())
FP32 = MatrixArithmetic("fp32", Chain())
INT8 = MatrixArithmetic("int8", IntegerSum(), "int32")
FP8 = MatrixArithmetic("fp8_e4m3", FusedSum(32, 13, 13))
H100_BF16 = MatrixArithmetic("bf16", FusedSum(16, 25))
N, K = 37, 70


def weights(n: int = N, k: int = K) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((n, k)).astype(np.float32) * 0.05


def activations(*shape: int) -> np.ndarray:
    return np.random.default_rng(2).standard_normal(shape).astype(np.float32)


def same(found: np.ndarray, wanted: np.ndarray) -> bool:
    return np.array_equal(
        np.ascontiguousarray(found).view(np.uint32), np.ascontiguousarray(wanted).view(np.uint32)
    )


@pytest.mark.parametrize("arithmetic", [BF16, FP32, H100_BF16])
def test_without_scheme_it_is_a_matmul(arithmetic: MatrixArithmetic) -> None:
    linear = make_linear(weights(), arithmetic, order=SumOrder(2))
    x = activations(3, K)
    assert same(linear(x), matmul(x, weights().T, arithmetic, order=SumOrder(2)))
    assert same(linear.weight_values(), round_to(weights(), arithmetic.operand))
    assert linear.stored_bytes >= 2 * N * K


def test_leading_axes_and_bias() -> None:
    bias = activations(N)
    linear = make_linear(weights(), FP32, bias=bias, name="up")
    x = activations(2, 3, K)
    assert linear(x).shape == (2, 3, N)
    assert same(linear(x).reshape(6, N), matmul(x.reshape(6, K), weights().T, FP32) + bias)
    assert linear(np.zeros((0, K))).shape == (0, N)
    assert linear(x[0, 0]).shape == (N,)


def test_the_order_may_depend_on_rows() -> None:
    asked: list[int] = []

    def order(rows: int) -> SumOrder:
        asked.append(rows)
        return SumOrder(3)

    x = activations(2, K)
    found = make_linear(weights(), BF16, order=order)(x)
    assert asked == [2]
    assert same(found, make_linear(weights(), BF16, order=SumOrder(3))(x))


def test_int8_by_hand() -> None:
    linear = make_linear([[127.0, -64.0], [1.0, 0.5]], INT8)
    # Codes [127, -64] by 1 and [127, 64] (63.5 rounds to even) by 1/127; x is 2 times [127, 1].
    assert linear.weight_values()[0].tolist() == [127.0, -64.0]
    found = linear([[254.0, 2.0]])
    sums = [127 * 127 - 64, 127 * 127 + 64]
    assert found.tolist() == [[sums[0] * 2.0, np.float32(sums[1] * 2.0) * np.float32(1 / 127)]]


@pytest.mark.parametrize(("name", "limit"), [("int8", 0.02), ("smoothquant", 0.02), ("fp8", 0.05),
                                             ("fp8-tensor", 0.05), ("int4", 0.4)])  # fmt: skip
def test_scaled_operands_come_near(name: str, limit: float) -> None:
    scheme = parse_scheme(name)
    fmt = scheme.weights.format
    arithmetic = FP8 if fmt == "fp8_e4m3" else replace(INT8, operand=fmt)
    x = activations(6, K)
    smoothing = None
    if scheme.smooth is not None:
        smoothing = smoothing_factors(np.abs(x).max(axis=0), weights(), scheme.smooth)
    linear = make_linear(weights(), arithmetic, scheme=scheme, smoothing=smoothing)
    exact = x.astype(np.float64) @ weights().T.astype(np.float64)
    error = np.linalg.norm(linear(x) - exact) / np.linalg.norm(exact)
    assert 0.0 < error < limit
    assert linear.weight_error(weights()).relative_rms < limit


def test_fp8_is_scaled_where_nothing_is_said() -> None:
    x = activations(2, K) * np.float32([[1.0], [1e-4]])
    plain, named = (
        make_linear(weights(), FP8, scheme=scheme) for scheme in (None, parse_scheme("fp8"))
    )
    assert same(plain(x), named(x))
    assert plain.scheme == operand_scheme("fp8_e4m3") == named.scheme
    assert operand_scheme("mxfp8_e4m3") is None
    assert operand_scheme("bf16") is None
    # Each token has a scale of its own: its result is the same alone.
    assert same(plain(x)[1:], plain(x[1:]))


def test_a_token_that_is_no_number_spoils_itself_alone() -> None:
    x = activations(3, K)
    clean = make_linear(weights(), INT8)(x)
    x[1, 5] = np.inf
    for arithmetic in (INT8, FP8):
        found = make_linear(weights(), arithmetic)(x)
        assert np.isnan(found[1]).all()
        assert np.isfinite(found[[0, 2]]).all()
    assert same(make_linear(weights(), INT8)(x)[[0, 2]], clean[[0, 2]])


@pytest.mark.parametrize("name", ["mxfp8", "mxfp6", "mxfp4", "nvfp4"])
def test_block_formats_are_quantised_by_the_unit(name: str) -> None:
    scheme = parse_scheme(name)
    arithmetic = MatrixArithmetic(scheme.weights.format, FusedSum(64, 35, group=16))
    linear = make_linear(weights(), arithmetic, scheme=scheme)
    x = activations(3, K)
    packed = pack_matrix(weights(), arithmetic, transposed=True)
    assert same(linear(x), matmul(x, packed, arithmetic))
    assert np.allclose(linear.weight_values(), dequantised(weights(), scheme.weights), rtol=1e-6)


@pytest.mark.parametrize("name", ["int8-weight", "int4-g32", "int4-g16-mse", "int4-g7-asym",
                                  "fp8-weight", "fp8-g16", "mxfp4-weight",
                                  "nvfp4-weight"])  # fmt: skip
@pytest.mark.parametrize("arithmetic", [BF16, H100_BF16])
@pytest.mark.parametrize("rows", [1, 3, 9])
def test_weight_only_equals_weights_dequantised_first(
    name: str, arithmetic: MatrixArithmetic, rows: int
) -> None:
    scheme = parse_scheme(name)
    linear = make_linear(weights(), arithmetic, scheme=scheme)
    x = activations(rows, K)
    values = dequantised(weights(), scheme.weights)
    assert same(linear(x), matmul(x, pack_matrix(values.T, arithmetic), arithmetic))
    assert same(linear.weight_values(), round_to(values, "bf16"))


def test_integers_stay_narrow_in_chains_alone() -> None:
    scheme = parse_scheme("int4-g32")
    narrow = make_linear(weights(512, 256), BF16, scheme=scheme)
    wide = make_linear(weights(512, 256), H100_BF16, scheme=scheme)
    assert isinstance(narrow.weights, NarrowWeights)
    assert isinstance(wide.weights, WideWeights)
    # 4 bits, and an fp32 scale and zero point per 32 values.
    assert narrow.stored_bytes == 512 * 256 * (4 / 8 + 8 / 32)
    chain = Chain(fused=False)
    plain = make_linear(weights(), MatrixArithmetic("bf16", chain), scheme=scheme)
    assert isinstance(plain.weights, WideWeights)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_smoothing_changes_fp32_results_by_roundings_alone(alpha: float) -> None:
    x = activations(4, K) * np.exp2(np.arange(K) % 7).astype(np.float32)
    factors = smoothing_factors(np.abs(x).max(axis=0), weights(), alpha)
    linear = make_linear(weights(), FP32, smoothing=factors)
    exact = x.astype(np.float64) @ weights().T.astype(np.float64)
    bound = (np.abs(x).astype(np.float64) @ np.abs(weights().T)) * K * 2.0**-23
    assert (np.abs(linear(x) - exact) <= bound).all()
    assert np.allclose(linear.weight_values(), weights(), rtol=1e-6)


def test_smoothing_helps_where_one_channel_is_large() -> None:
    x = activations(32, K)
    x[:, 3] *= 100.0
    exact = x.astype(np.float64) @ weights().T.astype(np.float64)

    def error(linear: Linear) -> float:
        return float(np.linalg.norm(linear(x) - exact))

    factors = smoothing_factors(np.abs(x).max(axis=0), weights(), 0.5)
    smooth = make_linear(weights(), INT8, scheme=parse_scheme("smoothquant"), smoothing=factors)
    assert error(smooth) < 0.5 * error(make_linear(weights(), INT8))


def test_the_error_of_weights() -> None:
    error = make_linear(
        weights(), BF16, scheme=parse_scheme("int8-weight"), name="up"
    ).weight_error(weights())
    assert error.name == "up"
    assert error.sqnr_db == pytest.approx(-20 * math.log10(error.relative_rms))
    assert 35.0 < error.sqnr_db < 60.0
    assert make_linear(weights(), FP32).weight_error(weights()).sqnr_db == math.inf


def of_chip(dtype: str) -> MatrixArithmetic:
    """A chip with bf16, int8 and fnuz fp8; other dtypes run as bf16."""
    units = {
        "int8": INT8,
        "fp8": MatrixArithmetic("fp8_e4m3fnuz", TwoStageSum(16, interleaved=True)),
        "mxfp6": MatrixArithmetic("mxfp6_e3m2", Chain()),
    }
    return units.get(dtype, BF16)


def test_the_arithmetic_of_a_scheme() -> None:
    assert scheme_arithmetic(of_chip, None, "bf16") == BF16
    assert scheme_arithmetic(of_chip, parse_scheme("int4-g32"), "bf16") == BF16
    assert scheme_arithmetic(of_chip, parse_scheme("int8"), "bf16") == INT8
    for name, operand in (("fp8", "fp8_e4m3fnuz"), ("fp8_e5m2", "fp8_e5m2fnuz"),
                          ("mxfp6_e2m3", "mxfp6_e2m3")):  # fmt: skip
        scheme = parse_scheme(name)
        found = scheme_arithmetic(of_chip, scheme, "bf16")
        assert found.operand == operand
        linear = make_linear(weights(), found, scheme=scheme)
        assert np.isfinite(linear(activations(2, K))).all()


@pytest.mark.parametrize("name", ["int4", "mxfp4", "nvfp4"])
def test_a_chip_without_the_format(name: str) -> None:
    with pytest.raises(MappingError, match=f"multiplies {name} as bf16.*{name}-weight"):
        scheme_arithmetic(of_chip, parse_scheme(name), "bf16")


def test_bad_weights_are_counted() -> None:
    bad = weights()
    bad[0, :2], bad[5, 1] = np.nan, -np.inf
    for scheme in (None, parse_scheme("int4-g32")):
        with pytest.raises(WorkloadError, match="2 NaN and 1 infinite of 2590 weights"):
            make_linear(bad, BF16, scheme=scheme, name="up")
    for name in ("int4-g35", "fp8-g35", "int8-weight"):
        linear = make_linear(bad, BF16, scheme=parse_scheme(name), allow_nonfinite=True)
        found = linear(activations(2, K))
        assert np.isnan(found[:, [0, 5]]).all()
        assert np.isfinite(np.delete(found, [0, 5], axis=1)).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"weight": np.ones(3)}, "expected \\[n, k\\]"),
        ({"weight": np.ones((0, 3))}, "expected \\[n, k\\]"),
        ({"bias": np.ones(3)}, "bias of shape \\(3,\\), not \\(37,\\)"),
        ({"smoothing": np.ones(3)}, "smoothing of shape"),
        ({"smoothing": np.zeros(K)}, "above 0"),
        ({"smoothing": np.full(K, np.nan)}, "finite"),
        ({"scheme": "int8"}, "find its arithmetic with scheme_arithmetic"),
        ({"scheme": "mxfp4"}, "the matmul takes bf16"),
        ({"scheme": "int4-g32", "arithmetic": INT8}, "weight-only int4"),
        ({"scheme": "int4-g32", "arithmetic": FP8}, "take the arithmetic of bf16"),
        ({"scheme": "smoothquant", "arithmetic": INT8}, "needs smoothing factors"),
        ({"arithmetic": MatrixArithmetic("int8", Chain())}, "cannot be summed by"),
    ],
)
def test_what_does_not_go_together_is_refused(options: dict[str, object], words: str) -> None:
    given: dict[str, object] = {"weight": weights(), "arithmetic": BF16, "name": "up", **options}
    if isinstance(given.get("scheme"), str):
        given["scheme"] = parse_scheme(str(given["scheme"]))
    with pytest.raises(WorkloadError, match=words):
        make_linear(given.pop("weight"), given.pop("arithmetic"), **given)  # type: ignore[arg-type]


def test_activations_of_another_width_are_refused() -> None:
    linear = make_linear(weights(), BF16, scheme=parse_scheme("int4-g32"), order=SumOrder(0))
    with pytest.raises(WorkloadError, match=r"takes activations \[..., 70\], got shape \(2, 5\)"):
        linear(np.ones((2, 5)))
    for rows in (1, 9):
        with pytest.raises(WorkloadError, match="split_k is 0"):
            linear(activations(rows, K))
    with pytest.raises(WorkloadError, match="has weights"):
        linear.weight_error(np.ones((2, 2)))
