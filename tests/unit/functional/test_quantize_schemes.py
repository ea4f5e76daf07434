"""Names and validity of quantisation schemes."""

from __future__ import annotations

import pytest

from accelsim.errors import WorkloadError
from accelsim.functional.quant.schemes import SCHEME_NAMES, Scheme, TensorScheme, parse_scheme

INT8 = TensorScheme("int8")
TOKENS = TensorScheme("int8", "token")


@pytest.mark.parametrize(
    ("text", "scheme"),
    [
        ("int8", Scheme(INT8, TOKENS)),
        ("SmoothQuant", Scheme(INT8, TOKENS, 0.5)),
        ("smoothquant:0.7", Scheme(INT8, TOKENS, 0.7)),
        ("int8-weight", Scheme(INT8)),
        ("int4-weight", Scheme(TensorScheme("int4", "group", 128))),
        ("int4-g32", Scheme(TensorScheme("int4", "group", 32))),
        ("int4-g128-mse", Scheme(TensorScheme("int4", "group", 128, "mse"))),
        ("int4-asym-g64", Scheme(TensorScheme("int4", "group", 64, symmetric=False))),
        ("fp8", Scheme(TensorScheme("fp8_e4m3"), TensorScheme("fp8_e4m3", "token"))),
        ("fp8-tensor", Scheme(TensorScheme("fp8", "tensor"), TensorScheme("fp8", "tensor"))),
        ("mxfp4", Scheme(TensorScheme("mxfp4", "block"), TensorScheme("mxfp4", "block"))),
        ("nvfp4-weight", Scheme(TensorScheme("nvfp4", "block"))),
    ],
)
def test_names(text: str, scheme: Scheme) -> None:
    assert parse_scheme(text) == scheme


@pytest.mark.parametrize("name", SCHEME_NAMES)
def test_every_listed_name_is_one(name: str) -> None:
    assert parse_scheme(name).describe().startswith("weights ")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("int9", "did you mean 'int8'"),
        ("awq", "unknown quantisation scheme 'awq'"),
        ("", "unknown quantisation scheme"),
        ("int4-g0", "at least 1 value"),
        ("int4-g32-g64", "a suffix twice"),
        ("int4-wight", "did you mean 'weight'"),
        ("int8-g128x", "has 'g128x'"),
        ("bf16", "at most 8 bits"),
        ("bf16-weight", "at most 8 bits"),
        ("ue8m0", "no format to quantise to"),
        ("fp8-mse", "neither clip 'mse' nor zero points"),
        ("mxfp4-g16", "a scale per 32 values of its own"),
        ("mxfp8-tensor", "a scale per 32 values of its own"),
        ("int8-asym", "weight-only"),
        ("smoothquant:-1", "alpha from 0 to 1"),
        ("smoothquant:much", "is no alpha"),
        ("smoothquant:nan", "alpha from 0 to 1"),
    ],
)
def test_bad_names_are_refused(text: str, words: str) -> None:
    with pytest.raises(WorkloadError, match=words):
        parse_scheme(text)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: TensorScheme("int8", "row"), "granularities are"),  # type: ignore[arg-type]
        (lambda: TensorScheme("int8", clip="best"), "clips"),  # type: ignore[arg-type]
        (lambda: TensorScheme("int8", "group"), "at least 1 value"),
        (lambda: TensorScheme("int8", "channel", 32), "other granularities have group 0"),
        (lambda: TensorScheme("int8", "group", True), "at least 1 value"),
        (lambda: TensorScheme("int7"), "unknown number format"),
        (lambda: Scheme(TOKENS), "weights have no tokens"),
        (lambda: Scheme(INT8, INT8), "no scales per channel"),
        (lambda: Scheme(TensorScheme("int4"), TOKENS), "operands of one format"),
        (lambda: Scheme(TensorScheme("int8", "group", 64), TOKENS), "one scale"),
        (lambda: Scheme(INT8, smooth=0.5), "needs quantised activations"),
        (lambda: Scheme(INT8, TOKENS, 1.5), "smooth is 1.5"),
    ],
)
def test_bad_schemes_are_refused(make: object, words: str) -> None:
    with pytest.raises(WorkloadError, match=words):
        make()  # type: ignore[operator]


@pytest.mark.parametrize(
    ("text", "weights", "activations"),
    [
        ("int8", 8.0, 8.0),
        ("int4-g128", 4.25, None),
        ("int4-g32-asym", 5.125, None),
        ("int8-weight", 8.0, None),
        ("mxfp4", 4.25, 4.25),
        ("nvfp4-weight", 4.5, None),
    ],
)
def test_bits_per_value(text: str, weights: float, activations: float | None) -> None:
    scheme = parse_scheme(text)
    assert (scheme.weight_bits, scheme.activation_bits) == (weights, activations)


def test_words() -> None:
    assert parse_scheme("smoothquant").describe() == (
        "weights int8 with a scale per channel; activations int8 with a scale per token; "
        "SmoothQuant with alpha 0.5"
    )
    assert parse_scheme("int4-g32-asym-mse").describe() == (
        "weights int4 with a scale per 32 values, zero points, MSE-optimal clipping; activations "
        "as they are"
    )
