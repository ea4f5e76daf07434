"""SmoothQuant's factors: one set per input, shared by every matmul that reads it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from accelsim.arithmetic import FP32
from accelsim.errors import WorkloadError
from accelsim.functional.quant.schemes import Scheme, parse_scheme
from accelsim.functional.quant.smooth import smoothing_factors
from accelsim.functional.transformer.layers import Setting
from accelsim.scenarios.calibration import CALIBRATION_TOKENS, activation_ranges, smoothing_of
from accelsim.workload.config import ModelConfig
from accelsim.workload.layer_config import MlpConfig, MoeConfig, NormConfig
from accelsim.workload.texts import packaged_text
from tests.unit.scenarios.tiny_study import CONFIG, Letters, tiny_decoder, tiny_study, with_context

LINEARS = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
WRITERS = ("attn_norm", "attn", "ffn_norm", "ffn_act")
SMOOTH = parse_scheme("smoothquant")
_GELU = MlpConfig(48, gated=False, activation="gelu", bias=True)
UNGATED = replace(CONFIG, mlp=_GELU, norm=NormConfig("layernorm", bias=True))
Floats = NDArray[np.float32]


def factors_of(config: ModelConfig = CONFIG, scheme: Scheme = SMOOTH) -> dict[str, Floats]:
    found = smoothing_of(tiny_decoder(config), scheme)
    assert found is not None
    return found


def test_every_linear_of_every_layer_has_factors_of_its_width() -> None:
    factors = factors_of()
    shapes = tiny_decoder().weights.shapes
    assert set(factors) == {f"blk.{i}.{name}.weight" for i in (0, 1) for name in LINEARS}
    for name, values in factors.items():
        assert values.shape == (shapes[name][1],)
        assert values.dtype == np.float32
        assert ((values > 0) & np.isfinite(values)).all()
        assert values.std() > 0


def test_matmuls_that_read_one_input_share_its_factors() -> None:
    factors = factors_of()
    for group in (("attn_q", "attn_k", "attn_v"), ("ffn_gate", "ffn_up")):
        for name in group:
            found = factors[f"blk.1.{name}.weight"]
            assert np.array_equal(found, factors[f"blk.1.{group[0]}.weight"])
    assert not np.array_equal(factors["blk.0.attn_q.weight"], factors["blk.1.attn_q.weight"])
    assert not np.array_equal(factors["blk.0.attn_q.weight"], factors["blk.0.ffn_up.weight"])


def test_layers_without_a_gate_have_no_factors_for_it() -> None:
    factors = factors_of(UNGATED)
    assert "blk.0.ffn_up.weight" in factors
    assert "blk.0.ffn_gate.weight" not in factors
    assert not any(name.endswith("bias") for name in factors)


def test_ranges_are_the_largest_magnitudes_of_each_channel() -> None:
    model, tokens = tiny_decoder(), [3, 30, 0, 7, 7, 36]
    seen: dict[str, Floats] = {}
    ranges = activation_ranges(model, tokens)
    model.logits(tokens, Setting(FP32, observe=seen.__setitem__))
    assert set(ranges) == {f"blk.{i}.{name}" for i in (0, 1) for name in WRITERS}
    for name, peaks in ranges.items():
        assert np.array_equal(peaks, np.abs(seen[name]).max(axis=0))


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_factors_are_those_of_ranges_and_stacked_weights(alpha: float) -> None:
    model = tiny_decoder()
    tokens = Letters().encode(packaged_text("calibration"))[:CALIBRATION_TOKENS]
    assert len(tokens) == CALIBRATION_TOKENS
    peaks = activation_ranges(model, tokens)["blk.1.attn_norm"]
    stacked = np.concatenate([model.weights.read(f"blk.1.attn_{part}.weight") for part in "qkv"])
    found = factors_of(scheme=replace(SMOOTH, smooth=alpha))
    assert np.array_equal(
        found["blk.1.attn_k.weight"], smoothing_factors(peaks, stacked, alpha)
    )  # fmt: skip


def test_a_short_context_calibrates_on_what_fits() -> None:
    assert set(factors_of(with_context(CONFIG, 8))) == set(factors_of())


def test_the_same_model_has_the_same_factors() -> None:
    first, second = factors_of(), factors_of()
    for name, values in first.items():
        assert values.tobytes() == second[name].tobytes()


@pytest.mark.parametrize("name", [None, "int8", "int4-g32", "fp8", "mxfp4-weight"])
def test_without_smoothing_nothing_is_calibrated(name: str | None) -> None:
    scheme = None if name is None else parse_scheme(name)
    assert smoothing_of(tiny_decoder(tokenizer=False), scheme) is None


@pytest.mark.parametrize(
    ("config", "tokenizer"),
    [
        (replace(CONFIG, mlp=None, moe=MoeConfig(4, 2, MlpConfig(16))), True),
        (replace(CONFIG, moe=MoeConfig(4, 2, MlpConfig(16), dense_layers=(0,))), True),
        (replace(CONFIG, norm=NormConfig(placement="post", final=False)), True),
        (CONFIG, False),
    ],
    ids=["experts", "some experts", "post-norm", "no tokenizer"],
)
def test_models_that_are_not_calibrated_are_refused(config: ModelConfig, tokenizer: bool) -> None:
    told = "tiny: SmoothQuant is calibrated on decoders with a norm before .*; take int8"
    with pytest.raises(WorkloadError, match=told):
        smoothing_of(tiny_decoder(config, tokenizer=tokenizer), SMOOTH)


def test_smoothing_helps_a_model_with_a_loud_channel() -> None:
    """Data as SmoothQuant was made for: a few channels of a norm's output are far larger."""
    rms = []
    for variant in ("int8", "smoothquant"):
        model = tiny_decoder()
        for name in ("blk.0.attn_norm.weight", "blk.1.ffn_norm.weight"):
            model.weights.read(name)[5] *= 200
        for name in ("attn_q", "attn_k", "attn_v"):
            model.weights.read(f"blk.0.{name}.weight")[:, 5] /= 200
        for name in ("ffn_gate", "ffn_up"):
            model.weights.read(f"blk.1.{name}.weight")[:, 5] /= 200
        rms.append(tiny_study(model=model).measure(variant).quality.rms)
    assert rms[1] < rms[0] / 2
