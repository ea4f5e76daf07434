"""Do blocks get the scales of the specifications, and elements the nearest values?"""

from __future__ import annotations

import math

import numpy as np
import pytest

from accelsim.errors import WorkloadError
from accelsim.formats import BLOCK_FORMATS
from accelsim.functional.block_formats import BlockScaled, quantize_blocks
from accelsim.functional.formats import decode, round_to

MX = [name for name in BLOCK_FORMATS if name != "nvfp4"]


def spread(*shape: int) -> np.ndarray:
    rng = np.random.default_rng(7)
    return (rng.standard_normal(shape) * np.exp2(rng.integers(-20, 20, shape))).astype(np.float32)


@pytest.mark.parametrize("name", MX)
@pytest.mark.parametrize("scale_rule", ["floor", "ceil"])
def test_mx_block_by_block(name: str, scale_rule: str) -> None:
    x = spread(3, 70)
    found = quantize_blocks(x, name, scale_rule=scale_rule)
    element = BLOCK_FORMATS[name].element
    values, scales = found.values(), found.scales()
    for row in range(3):
        for block, start in enumerate(range(0, 70, 32)):
            part = x[row, start : start + 32].astype(np.float64)
            most = np.abs(part).max()
            if scale_rule == "floor":
                exponent = math.floor(math.log2(most)) - math.floor(math.log2(element.max))
            else:
                exponent = math.ceil(math.log2(most / element.max))
            assert scales[row, block] == 2.0**exponent
            wanted = round_to(part / 2.0**exponent, element, saturate=True) * 2.0**exponent
            assert np.array_equal(values[row, start : start + 32], wanted.astype(np.float32))


def test_only_floor_saturates_elements() -> None:
    x = np.full(32, 7.9, np.float32)
    assert quantize_blocks(x, "mxfp4").values()[0] == 6.0
    assert quantize_blocks(x, "mxfp4", scale_rule="ceil").values()[0] == 8.0


def test_scale_of_largest_element_is_one_in_both_rules() -> None:
    x = np.full(32, 448.0, np.float32)
    for scale_rule in ("floor", "ceil"):
        assert quantize_blocks(x, "mxfp8", scale_rule=scale_rule).scales()[0] == 1.0


def test_nvfp4_block_by_block() -> None:
    x = np.random.default_rng(3).standard_normal((4, 40)).astype(np.float32)
    found = quantize_blocks(x, "nvfp4")
    tensor_scale = np.float32(np.abs(x).max() / np.float64(448 * 6))
    assert np.float32(found.tensor_scale) == tensor_scale
    for row in range(4):
        for block, start in enumerate(range(0, 40, 16)):
            part = x[row, start : start + 16].astype(np.float64)
            relative = np.abs(part).max() / (6 * np.float64(tensor_scale))
            scale = round_to(relative, "ue4m3", saturate=True)
            assert found.scales()[row, block] == scale
            step = float(scale) * float(tensor_scale)
            wanted = round_to(part / step, "fp4", saturate=True).astype(np.float64) * step
            assert np.array_equal(found.values()[row, start : start + 16], wanted.astype("f4"))


def test_a_known_tensor_scale_is_used() -> None:
    found = quantize_blocks(np.ones(16), "nvfp4", tensor_scale=0.5)
    assert found.tensor_scale == 0.5
    assert found.scales()[0] == round_to(1 / 3, "ue4m3")


@pytest.mark.parametrize("name", list(BLOCK_FORMATS))
def test_any_axis(name: str) -> None:
    x = spread(5, 37, 3)
    moved = quantize_blocks(np.moveaxis(x, 1, -1), name)
    found = quantize_blocks(x, name, axis=1)
    block = BLOCK_FORMATS[name].block
    assert found.scale_codes.shape == (5, -(-37 // block), 3)
    assert np.array_equal(np.moveaxis(found.values(), 1, -1), moved.values())
    assert np.array_equal(np.moveaxis(found.codes, 1, -1), moved.codes)


@pytest.mark.parametrize("name", list(BLOCK_FORMATS))
def test_a_second_time_changes_nothing(name: str) -> None:
    once = quantize_blocks(spread(4, 64), name)
    # The largest value may have become smaller, and the scale of an NVFP4 tensor with it.
    again = {"tensor_scale": once.tensor_scale} if name == "nvfp4" else {}
    assert np.array_equal(quantize_blocks(once.values(), name, **again).values(), once.values())


@pytest.mark.parametrize("name", list(BLOCK_FORMATS))
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_bad_value_spoils_its_block_only(name: str, bad: float) -> None:
    x = spread(2, 64)
    clean = x.copy()
    clean[0, : BLOCK_FORMATS[name].block] = 0
    x[0, 3] = bad
    x[0, :3] = 0
    values = quantize_blocks(x, name).values()
    block = BLOCK_FORMATS[name].block
    assert np.isnan(values[0, :block]).all()
    assert np.isfinite(values[0, block:]).all()
    wanted = quantize_blocks(clean, name).values()
    assert name == "nvfp4" or np.array_equal(values[1], wanted[1])


@pytest.mark.parametrize("name", list(BLOCK_FORMATS))
def test_zeros_tiny_and_huge_values(name: str) -> None:
    assert not quantize_blocks(np.zeros((2, 33)), name).values().any()
    assert quantize_blocks(np.zeros((2, 0)), name).values().shape == (2, 0)
    assert quantize_blocks(np.zeros((0, 5)), name).values().shape == (0, 5)
    tiny = quantize_blocks(np.full(32, 1e-45, np.float32), name).values()
    assert np.isfinite(tiny).all()
    huge = quantize_blocks(np.full(32, 3.4e38, np.float32), name).values()
    assert np.allclose(huge.astype(np.float64), 3.4e38, rtol=0.26)


def test_stochastic_rounding_keeps_the_mean_of_a_block() -> None:
    x = np.full((4000, 32), 2.3, np.float32)
    x[:, 0] = 6.0
    kept = quantize_blocks(x, "mxfp4", rounding="stochastic", seed=5).values()[:, 1:]
    assert set(np.unique(kept)) == {2.0, 3.0}
    assert abs(kept.mean() - 2.3) < 4 * math.sqrt(0.3 * 0.7 / kept.size)
    again = quantize_blocks(x, "mxfp4", rounding="stochastic", seed=5).values()[:, 1:]
    assert np.array_equal(kept, again)
    cut = quantize_blocks(x, "mxfp4", rounding="toward_zero").values()[:, 1:]
    assert (cut == 2.0).all()


def test_bytes_in_memory() -> None:
    assert quantize_blocks(np.ones((2, 64)), "mxfp4").stored_bytes == 2 * (32 + 2)
    assert quantize_blocks(np.ones((2, 64)), "nvfp4").stored_bytes == 2 * (32 + 4) + 4


def test_codes_of_others_are_read() -> None:
    codes = np.arange(16, dtype=np.uint8).reshape(1, 16)
    scaled = BlockScaled(BLOCK_FORMATS["nvfp4"], codes, np.array([[0x38]], np.uint8))
    assert np.array_equal(scaled.values(), decode(codes, "fp4"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fmt": "bf16"}, "'bf16' has no block scales: known: mxfp4"),
        ({"axis": 2}, "axis is 2, but the shape is"),
        ({"x": 1.0}, "axis is -1, but the shape is"),
        ({"scale_rule": "flor"}, "unknown scale_rule 'flor': did you mean 'floor'"),
        ({"fmt": "nvfp4", "scale_rule": "ceil"}, "scale_rule is of MX formats"),
        ({"tensor_scale": 1.0}, "mxfp8_e4m3 has no tensor scale"),
        ({"fmt": "nvfp4", "tensor_scale": 0.1}, "expected a positive fp32 value"),
        ({"fmt": "nvfp4", "tensor_scale": -1.0}, "expected a positive fp32 value"),
        ({"rounding": "stochastic"}, "needs a seed"),
    ],
)
def test_nonsense_is_refused(options: dict, message: str) -> None:
    given = {"x": np.ones((2, 32)), "fmt": "mxfp8"} | options
    with pytest.raises(WorkloadError, match=message):
        quantize_blocks(given.pop("x"), given.pop("fmt"), **given)


def test_arrays_that_do_not_belong_together_are_refused() -> None:
    known, codes = BLOCK_FORMATS["mxfp8_e4m3"], np.zeros((2, 64), np.uint8)
    with pytest.raises(WorkloadError, match="has scales of shape \\(2, 2\\)"):
        BlockScaled(known, codes, np.zeros((2, 3), np.uint8))
    with pytest.raises(WorkloadError, match="scale_codes of mxfp8_e4m3 are float32"):
        BlockScaled(known, codes, np.zeros((2, 2), np.float32))
