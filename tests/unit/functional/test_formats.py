"""Do formats say what the specifications say, and do the functions refuse what makes no sense?"""

from __future__ import annotations

import numpy as np
import pytest

from accelsim.errors import WorkloadError
from accelsim.formats import BLOCK_FORMATS, FORMATS, BlockFormat, find_format
from accelsim.functional.formats import NonFinite, count_nonfinite, decode, encode, round_to

# Name: bits, bias, max, smallest normal, smallest subnormal, Inf, NaN.
# Data from OCP OFP8 v1.0, OCP MX v1.0, IEEE 754-2019 table 3.5, arXiv 2206.02915 (fnuz).
PUBLISHED = {
    "fp32": (32, 127, 3.4028234663852886e38, 2.0**-126, 2.0**-149, True, True),
    "tf32": (19, 127, (2 - 2.0**-10) * 2.0**127, 2.0**-126, 2.0**-136, True, True),
    "bf16": (16, 127, 3.3895313892515355e38, 2.0**-126, 2.0**-133, True, True),
    "fp16": (16, 15, 65504.0, 2.0**-14, 2.0**-24, True, True),
    "fp8_e4m3": (8, 7, 448.0, 2.0**-6, 2.0**-9, False, True),
    "fp8_e5m2": (8, 15, 57344.0, 2.0**-14, 2.0**-16, True, True),
    "fp8_e4m3fnuz": (8, 8, 240.0, 2.0**-7, 2.0**-10, False, True),
    "fp8_e5m2fnuz": (8, 16, 57344.0, 2.0**-15, 2.0**-17, False, True),
    "fp6_e3m2": (6, 3, 28.0, 0.25, 0.0625, False, False),
    "fp6_e2m3": (6, 1, 7.5, 1.0, 0.125, False, False),
    "fp4_e2m1": (4, 1, 6.0, 1.0, 0.5, False, False),
    "ue8m0": (8, 127, 2.0**127, 2.0**-127, None, False, True),
    "int8": (8, 0, 127.0, 1.0, None, False, False),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_ranges_are_the_published_ones(name: str) -> None:
    known = FORMATS[name]
    found = (known.bits, known.bias, known.max, known.smallest_normal, known.smallest_subnormal,
             known.has_inf, known.has_nan)  # fmt: skip
    assert found == PUBLISHED[name]


def test_block_formats_count_their_scales() -> None:
    bits = {name: known.bits for name, known in BLOCK_FORMATS.items()}
    assert bits == {"mxfp8_e4m3": 8.25, "mxfp8_e5m2": 8.25, "mxfp6_e3m2": 6.25,
                    "mxfp6_e2m3": 6.25, "mxfp4": 4.25, "nvfp4": 4.5}  # fmt: skip
    assert BLOCK_FORMATS["nvfp4"].max == 448 * 6


@pytest.mark.parametrize(
    ("alias", "name"),
    [("fp8", "fp8_e4m3"), (" E4M3 ", "fp8_e4m3"), ("bfloat16", "bf16"), ("xf32", "tf32"),
     ("mxfp8", "mxfp8_e4m3"), ("mxfp6", "mxfp6_e3m2"), ("fp4", "fp4_e2m1")],
)  # fmt: skip
def test_aliases(alias: str, name: str) -> None:
    assert find_format(alias).name == name


def test_an_unknown_name_is_corrected() -> None:
    with pytest.raises(WorkloadError, match=r"unknown number format 'fp8_e4': did you mean"):
        find_format("fp8_e4")


@pytest.mark.parametrize("name", ["fp32", "fp64", "int32", "int16", "int8", "tf32"])
def test_wide_formats_come_back(name: str) -> None:
    x = np.random.default_rng(0).integers(-1000, 1000, (3, 5))
    found = decode(encode(x, name), name)
    assert np.array_equal(found, np.clip(x, FORMATS[name].min, FORMATS[name].max))


def test_fp32_and_fp64_keep_every_bit() -> None:
    words = np.random.default_rng(0).integers(0, 2**63, 1000, dtype=np.uint64)
    with np.errstate(invalid="ignore"):
        assert np.array_equal(encode(words.view(np.float64), "fp64"), words)
    assert np.array_equal(encode(decode(words, "fp64"), "fp64"), words)
    singles = words.astype(np.uint32)
    assert np.array_equal(encode(decode(singles, "fp32"), "fp32"), singles)


def test_float64_to_fp32_is_a_cast() -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal(20_000) * np.exp2(rng.integers(-155, 132, 20_000))
    with np.errstate(over="ignore", under="ignore"):
        assert np.array_equal(round_to(x, "fp32"), x.astype(np.float32))
    assert np.isfinite(round_to(x, "fp32", rounding="toward_zero")).all()


def test_tf32_cuts_the_low_bits_of_words() -> None:
    assert decode(np.uint32(0x3F80_1FFF), "tf32") == 1.0
    assert encode(1 + 2.0**-11, "tf32") == 0x3F80_0000
    assert encode(np.float32(1 + 2.0**-10), "tf32") == 0x3F80_2000


def test_integers_saturate_and_count_nan_as_zero() -> None:
    x = [127.5, -128.5, 2.5, -0.5, np.nan, np.inf, -np.inf]
    assert encode(x, "int8").tolist() == [127, -128, 2, 0, 0, 127, -128]
    assert encode([3e9, -3e9], "int32").tolist() == [2**31 - 1, -(2**31)]
    assert encode([-128.9, 1.9], "int8", rounding="toward_zero").tolist() == [-128, 1]


def test_toward_zero_never_overflows_but_infinity_stays() -> None:
    x = np.array([1e30, -1e30, np.inf, np.nan], np.float32)
    found = round_to(x, "fp8_e5m2", rounding="toward_zero")
    assert found[:3].tolist() == [57344.0, -57344.0, np.inf]
    assert np.isnan(round_to(x, "fp8_e4m3", rounding="toward_zero")[2:]).all()


def test_zero_keeps_its_sign_where_the_format_does() -> None:
    x = np.array([-0.0, -1e-30], np.float32)
    for rounding in ("nearest_even", "toward_zero"):
        assert np.signbit(round_to(x, "fp8_e4m3", rounding=rounding)).all()
        assert not np.signbit(round_to(x, "fp8_e4m3fnuz", rounding=rounding)).any()
        assert not np.signbit(round_to(x, "int8", rounding=rounding)).any()


def test_an_array_that_cannot_change_is_not_copied() -> None:
    x = np.ones(4, np.float32)
    assert round_to(x, "fp32") is x
    assert encode(x, "fp32").base is not x
    out = np.empty(4, np.float32)
    assert round_to(x, "fp32", out=out) is out
    assert round_to([np.inf], "fp32", saturate=True)[0] == np.finfo(np.float32).max


def test_shapes_slices_and_places() -> None:
    x = np.random.default_rng(0).standard_normal((6, 8)).astype(np.float32)
    whole = round_to(x, "bf16")
    assert np.array_equal(round_to(x[::2, ::3], "bf16"), whole[::2, ::3])
    assert np.array_equal(round_to(x.T, "bf16"), whole.T)
    assert round_to(x, "bf16", out=x) is x
    assert np.array_equal(x, whole)
    assert round_to(1.3, "bf16").shape == ()
    assert round_to(np.zeros((0, 3)), "bf16").shape == (0, 3)
    assert round_to(np.ones(3, np.float16), "fp8").dtype == np.float32


def test_threads_change_nothing() -> None:
    x = np.random.default_rng(0).standard_normal(100_003).astype(np.float32)
    for name in ("bf16", "fp8"):
        parts = [round_to(part, name) for part in np.array_split(x, 11)]
        assert np.array_equal(round_to(x, name), np.concatenate(parts))


def test_count_nonfinite() -> None:
    x = np.array([[1, np.nan, np.inf], [-np.inf, 0, np.nan]], np.float32)
    assert count_nonfinite(x) == NonFinite(nan=2, inf=2)
    assert count_nonfinite([]) == (0, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fmt": "nvfp4"}, "nvfp4 shares a scale between 16 values: use quantize_blocks"),
        ({"fmt": 8}, "format is 8, expected a name"),
        ({"rounding": "up"}, "unknown rounding 'up': known: nearest_even, stochastic"),
        ({"rounding": "stochastic"}, "'stochastic' needs a seed"),
        ({"seed": 1}, "'nearest_even' uses no seed"),
        ({"rounding": "stochastic", "seed": -1}, "seed is -1, expected a whole number from 0"),
        ({"rounding": "stochastic", "seed": 1.5}, "seed is 1.5"),
        ({"x": [1j]}, "type complex128, expected real numbers"),
        ({"x": ["a"]}, "expected real numbers"),
        ({"x": [[1.0], [1.0, 2.0]]}, "must be numbers or an array of them"),
        ({"x": [2**60]}, "beyond 2\\^53"),
        ({"x": np.ones(2, np.longdouble)}, "type .*, expected real numbers of up to 64 bits"),
        ({"out": np.empty(3, np.float32)}, "expected float32 of \\(1,\\)"),
        ({"out": np.empty(1)}, "out is float64"),
    ],
)
def test_nonsense_is_refused(options: dict, message: str) -> None:
    given = {"x": [1.0], "fmt": "bf16"} | options
    with pytest.raises(WorkloadError, match=message):
        round_to(given.pop("x"), given.pop("fmt"), **given)


def test_a_slice_is_no_place_to_write() -> None:
    with pytest.raises(WorkloadError, match="out is not contiguous"):
        round_to(np.ones(3), "bf16", out=np.empty((3, 2), np.float32)[:, 0])


@pytest.mark.parametrize(
    ("codes", "name", "message"),
    [
        ([16], "fp4", "a code is 16, but those of fp4_e2m1 go from 0 to 15"),
        ([-1], "fp8", "a code is -1"),
        ([-9], "int4", "a code is -9, but those of int4 go from -8 to 7"),
        ([1.0], "fp8", "type float64, expected integers"),
    ],
)
def test_codes_that_are_none_are_refused(codes: list, name: str, message: str) -> None:
    with pytest.raises(WorkloadError, match=message):
        decode(codes, name)


def test_find_format_tells_scalars_from_blocks() -> None:
    assert isinstance(find_format("mxfp4"), BlockFormat)
