"""Codes, scales and clipping of quantised tensors."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from accelsim.errors import WorkloadError
from accelsim.functional.quant.codes import (
    dequantised,
    float_scales,
    quantize_integers,
    scaled_down,
)
from accelsim.functional.quant.schemes import TensorScheme
from accelsim.functional.quant.smooth import smoothing_factors

GROUP = 3
INT4 = TensorScheme("int4", "group", GROUP)
FRACTIONS = [1.0 - i * 0.02 for i in range(32)]


def twin_of_range(
    x: list[float], bits: int, symmetric: bool, part: float
) -> tuple[np.float32, float]:
    """Scale and zero point of a part of the range of values."""
    top = 2 ** (bits - 1) - 1
    low, high = (np.float64(v) * part for v in (min(0.0, *x), max(0.0, *x)))
    width = max(-low, high) / top if symmetric else (high - low) / (2 * top + 1)
    if width == 0.0:
        return np.float32(1.0), 0.0
    scale = np.float32(width)
    return scale, 0.0 if symmetric else round(-low / float(scale)) - (top + 1.0)


def twin_of_group(
    x: list[float], bits: int, symmetric: bool, fractions: list[float]
) -> tuple[list[int], np.float32, float]:
    """Codes of a group, the range of least squared error; of equals the first."""
    top = 2 ** (bits - 1) - 1
    bottom = -top if symmetric else -top - 1
    best = None
    for part in fractions:
        scale, zero = twin_of_range(x, bits, symmetric, part)
        codes = [int(min(max(round(np.float32(v) / scale) + zero, bottom), top)) for v in x]
        values = [np.float32(code - zero) * scale for code in codes]
        error = sum((float(v) - float(w)) ** 2 for v, w in zip(values, x, strict=True))
        if best is None or error < best[0]:
            best = error, codes, scale, zero
    assert best is not None
    return best[1:]


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("clip", ["absmax", "mse"])
def test_codes_equal_those_of_a_plain_twin(bits: int, symmetric: bool, clip: str) -> None:
    x = np.random.default_rng(bits).standard_t(3, (4, 10)).astype(np.float32)
    scheme = TensorScheme(f"int{bits}", "group", 4, clip, symmetric)  # type: ignore[arg-type]
    found = quantize_integers(x, scheme)
    fractions = FRACTIONS if clip == "mse" else [1.0]
    for row in range(4):
        for g in range(3):
            group = [float(v) for v in x[row, 4 * g : 4 * g + 4]]
            codes, scale, zero = twin_of_group(group, bits, symmetric, fractions)
            assert found.codes[row, 4 * g : 4 * g + 4].tolist() == codes
            assert (found.scales[row, g], found.zeros[row, g]) == (scale, zero)


def test_by_hand() -> None:
    found = quantize_integers([[7.0, -3.4, 0.5, 1.75, 0.1, 0.2, -14.0]], INT4)
    assert found.codes.tolist() == [
        [7, -3, 0, 7, 0, 1, -7]
    ]  # 0.5 and 0.4 of a step; the last alone
    assert found.scales.tolist() == [[1.0, 0.25, 2.0]]
    assert found.values().tolist() == [[7.0, -3.0, 0.0, 1.75, 0.0, 0.25, -14.0]]


def test_zero_points_use_the_whole_range() -> None:
    found = quantize_integers([[0.0, 15.0, 3.0]], TensorScheme("int4", symmetric=False))
    assert (found.codes.tolist(), found.zeros.tolist()) == ([[-8, 7, -5]], [[-8.0]])
    assert found.values().tolist() == [[0.0, 15.0, 3.0]]


def test_whole_numbers_come_back() -> None:
    x = np.random.default_rng(0).integers(-127, 128, (5, 40)).astype(np.float32)
    x[:, 0] = 127.0
    for granularity in ("tensor", "channel"):
        assert np.array_equal(dequantised(x, TensorScheme("int8", granularity)), x)


def test_one_scale_per_tensor() -> None:
    found = quantize_integers([[1.0, 2.0], [-254.0, 4.0]], TensorScheme("int8", "tensor"))
    assert found.scales.tolist() == [[2.0], [2.0]]
    assert found.codes.tolist() == [[0, 1], [-127, 2]]


def test_zeros_have_scale_one() -> None:
    for scheme in (INT4, TensorScheme("int4", "group", GROUP, "mse", symmetric=False)):
        found = quantize_integers(np.zeros((2, 5)), scheme)
        assert not found.codes.any()
        assert (found.scales == 1.0).all()
    assert (float_scales(np.zeros((2, 5), np.float32), TensorScheme("fp8")) == 1.0).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_no_number_spoils_its_group_alone(bad: float) -> None:
    x = np.float32([[1.0, bad, 2.0, 7.0, 1.0, 0.0]])
    for scheme in (INT4, TensorScheme("int4", "group", GROUP, "mse")):
        values = dequantised(x, scheme)
        assert np.isnan(values[0, :3]).all()
        assert values[0, 3:].tolist() == [7.0, 1.0, 0.0]
    narrow = dequantised(x, TensorScheme("fp8", "group", GROUP))
    assert np.isnan(narrow[0, :3]).all()
    assert np.isfinite(narrow[0, 3:]).all()


def test_the_smallest_numbers_become_zero() -> None:
    tiny = np.float32([[1e-42, -1e-40]])
    for name in ("int8", "fp8"):
        assert not dequantised(tiny, TensorScheme(name)).any()


def test_narrow_floats_meet_their_largest_value() -> None:
    x = np.float32([[1.0, -3.0], [100.0, 7.0]])
    scales = float_scales(x, TensorScheme("fp8"))
    assert scales.tolist() == [[np.float32(3 / 448)], [np.float32(100 / 448)]]
    assert np.abs(scaled_down(x, scales)).max() == pytest.approx(448.0)
    error = np.abs(dequantised(x, TensorScheme("fp8_e4m3")) / x - 1.0)
    assert error.max() <= 2.0**-4


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.float32, (2, 9), elements=st.floats(-100, 100, width=32)),
    st.sampled_from([4, 8]), st.booleans(),
)  # fmt: skip
def test_clipping_by_error_is_never_worse(x: np.ndarray, bits: int, symmetric: bool) -> None:
    def errors(clip: str) -> np.ndarray:
        scheme = TensorScheme(f"int{bits}", "group", 4, clip, symmetric)  # type: ignore[arg-type]
        difference = (dequantised(x, scheme).astype(np.float64) - x) ** 2
        return np.add.reduceat(difference, [0, 4, 8], axis=1)

    plain, searched = errors("absmax"), errors("mse")
    assert (searched <= plain * (1 + 1e-12)).all()


@settings(max_examples=60, deadline=None)
@given(arrays(np.float32, (3, 7), elements=st.floats(-1000, 1000, width=32)), st.booleans())
def test_errors_stay_within_half_a_step(x: np.ndarray, symmetric: bool) -> None:
    found = quantize_integers(x, TensorScheme("int8", symmetric=symmetric))
    # Zero points are rounded too: up to another half a step at the ends of the range.
    steps = 0.5 if symmetric else 1.0
    assert (np.abs(found.values() - x) <= found.scales * steps * 1.001 + 1e-30).all()


def test_smoothing_by_hand() -> None:
    weight = np.float32([[1.0, -4.0, 0.0, 2.0], [0.5, 2.0, 0.0, -1.0]])
    factors = smoothing_factors([16.0, 1.0, 3.0, 0.0], weight, 0.5)
    assert factors.tolist() == [4.0, 0.5, 1.0, 1.0]
    assert smoothing_factors([16.0, 1.0, 3.0, 5.0], weight, 1.0).tolist() == [16.0, 1.0, 1.0, 5.0]
    assert smoothing_factors([16.0, 1.0, 3.0, 5.0], weight, 0.0).tolist() == [1.0, 0.25, 1.0, 0.5]


@pytest.mark.parametrize(
    ("largest", "weight", "alpha", "words"),
    [
        ([1.0, 2.0], [[1.0]], 0.5, "do not belong together"),
        ([1.0], [[1.0]], -0.1, "alpha is -0.1"),
        ([1.0], [[1.0]], math.nan, "alpha is nan"),
        ([math.nan], [[1.0]], 0.5, "finite"),
        ([-1.0], [[1.0]], 0.5, "at least 0"),
        ([1.0], [[math.inf]], 0.5, "finite"),
    ],
)
def test_smoothing_refuses(
    largest: list[float], weight: list[list[float]], alpha: float, words: str
) -> None:
    with pytest.raises(WorkloadError, match=words):
        smoothing_factors(largest, weight, alpha)


def test_only_matrices_have_codes() -> None:
    with pytest.raises(WorkloadError, match="no matrix"):
        quantize_integers(np.ones(3), INT4)
    with pytest.raises(WorkloadError, match="no integer codes"):
        quantize_integers(np.ones((2, 3)), TensorScheme("fp8"))
