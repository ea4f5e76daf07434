"""Gemma, Phi-3, GPT-2 and gpt-oss from files, whose tensors are fused, transposed or offset."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accelsim.errors import WorkloadError
from accelsim.functional.loading import load_weights, random_model
from accelsim.functional.transformer.decoder import DecoderModel
from accelsim.functional.transformer.spec import Constants, Spec
from accelsim.workload.attention_config import WindowConfig
from accelsim.workload.layer_config import HeadConfig
from tests.unit.functional.family_files import (
    FAMILIES,
    YARN,
    gguf_arrays,
    held_arrays,
    hf_arrays,
    wanted_model,
)
from tests.unit.functional.model_files import Held, write_folder, write_gguf
from tests.unit.workload.hf_configs import PUBLISHED

TOKENS = [3, 30, 0, 7, 12, 36, 1]


def _folder(path: Path, name: str, held: Held | None = None, **change: Any) -> DecoderModel:
    stored = hf_arrays(name) if held is None else held
    found = load_weights(write_folder(path, FAMILIES[name].json | change, stored))
    assert isinstance(found, DecoderModel)
    return found


@pytest.mark.parametrize("arithmetic", ["fp32", "h100_sxm"])
@pytest.mark.parametrize("name", list(FAMILIES))
def test_a_folder_gives_the_bits_of_arrays_at_once_and_token_by_token(
    tmp_path: Path, name: str, arithmetic: str
) -> None:
    model = _folder(tmp_path, name)
    wanted = wanted_model(name).logits(TOKENS, arithmetic)
    assert np.array_equal(model.logits(TOKENS, arithmetic), wanted)
    session = model.session(arithmetic)
    steps = np.concatenate([session.logits([token]) for token in TOKENS])
    assert np.array_equal(steps, wanted)


def _gguf(path: Path, name: str, held: Held | None = None, **change: Any) -> DecoderModel:
    family = {"gemma3_text": "gemma3", "gpt_oss": "gpt-oss"}.get(name, name)
    held = held_arrays(name) if held is None else held
    keys = (FAMILIES[name].gguf or {}) | {k.replace("__", "."): v for k, v in change.items()}
    found = load_weights(
        write_gguf(path, held, family, **{f"{family}.{key}": value for key, value in keys.items()})
    )
    assert isinstance(found, DecoderModel)
    return found


@pytest.mark.parametrize("name", ["phi3", "gpt2"])
def test_fused_tensors_of_gguf_files_are_cut(tmp_path: Path, name: str) -> None:
    wanted = wanted_model(name).logits(TOKENS)
    assert np.array_equal(_gguf(tmp_path, name, gguf_arrays(name)).logits(TOKENS), wanted)


def test_gpt_oss_comes_from_gguf(tmp_path: Path) -> None:
    model = _gguf(tmp_path, "gpt_oss", gguf_arrays("gpt_oss"))
    # Windows begin with the first layer here, unlike in the tiny model of the folder.
    spec = model.spec
    assert spec.config.attention.window == WindowConfig(3, (0,))
    attention = replace(FAMILIES["gpt_oss"].config.attention, window=WindowConfig(3, (0,)))
    wanted = DecoderModel(
        "tiny",
        Spec(replace(FAMILIES["gpt_oss"].config, attention=attention), Constants()),
        wanted_model("gpt_oss").weights,
    )
    assert np.array_equal(model.logits(TOKENS), wanted.logits(TOKENS))
    other = _gguf(tmp_path, "gpt_oss", gguf_arrays("gpt_oss"), expert_gating_func=("u32", 1))
    assert other.spec.config.moe is not None
    assert other.spec.config.moe.routing.scores == "softmax"
    with pytest.raises(WorkloadError, match="sliding_window_pattern is 6, expected 2"):
        _gguf(
            tmp_path, "gpt_oss", gguf_arrays("gpt_oss"),
            attention__sliding_window_pattern=("u32", 6),
        )  # fmt: skip


def test_gemma_comes_from_gguf(tmp_path: Path) -> None:
    wanted = wanted_model("gemma2", score_cap=0.75, query_size=None).logits(TOKENS)
    assert np.array_equal(_gguf(tmp_path, "gemma2").logits(TOKENS), wanted)
    # Of six layers one has no window: of two layers none.
    model = _gguf(tmp_path, "gemma3_text")
    window = model.spec.config.attention.window
    assert window is not None
    assert (window.size, window.layers) == (3, (0, 1))
    assert model.spec.constants.local_rope_theta == 5e3
    assert not model.spec.config.head.softcap
    capped = _gguf(tmp_path, "gemma3_text", final_logit_softcapping=("f32", 0.5))
    assert np.abs(capped.logits(TOKENS)).max() < 0.5
    told = "attn_logit_softcapping is 50.0, expected none"
    with pytest.raises(WorkloadError, match=told):
        _gguf(tmp_path, "gemma3_text", attn_logit_softcapping=("f32", 50.0))


def test_what_a_gemma2_file_leaves_out(tmp_path: Path) -> None:
    gone = {"attn_logit_softcapping": None, "final_logit_softcapping": None,
            "attention__sliding_window": None}  # fmt: skip
    model = _gguf(tmp_path, "gemma2", **gone)
    window = model.spec.config.attention.window
    assert window is not None
    assert (window.size, window.layers) == (4096, (0,))
    assert (model.spec.constants.score_cap, model.spec.constants.logit_cap) == (50.0, 30.0)
    plain = {key: value for key, value in FAMILIES["gemma2"].json.items() if "softcap" not in key}
    config = load_weights(write_folder(tmp_path, plain, hf_arrays("gemma2"))).spec.config
    assert (config.attention.softcap, config.head.softcap) == (True, True)
    none = dict.fromkeys(("attn_logit_softcapping", "final_logit_softcapping"))
    config = _folder(tmp_path, "gemma2", **none).spec.config
    assert (config.attention.softcap, config.head.softcap) == (False, False)


@pytest.mark.parametrize("value", [0, -1.0, "50", True, [50.0], float("nan"), float("inf"), 1e-9])
@pytest.mark.parametrize("key", ["attn_logit_softcapping", "final_logit_softcapping"])
def test_caps_that_are_no_caps_are_refused(tmp_path: Path, key: str, value: Any) -> None:
    with pytest.raises(WorkloadError, match=r"softcapping|NaN|Infinity|a cap of 1e-09"):
        _folder(tmp_path, "gemma2", **{key: value})
    if isinstance(value, int | float) and not isinstance(value, bool):
        with pytest.raises(WorkloadError, match=rf"{key} is|a cap of 9\.99.*e-10"):
            _gguf(tmp_path, "gemma2", **{key: ("f32", value)})


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("gemma2", {"query_pre_attn_scalar": 0}, "query_pre_attn_scalar is 0, expected"),
        ("gemma2", {"use_bidirectional_attention": True}, "True is not understood"),
        ("gemma3_text", {"attn_logit_softcapping": 50.0}, "50.0 is not understood, only None is"),
        ("gemma3_text", {"rope_local_base_freq": -1}, "rope_local_base_freq is -1, expected"),
        ("gemma3_text", {"rope_parameters": {"sliding_attention": {"rope_type": "linear"}}},
         "stretched positions of sliding layers are not executed"),
        ("gemma3_text", {"rope_parameters": {"full_attention": 5}}, "are tables of values"),
        ("gpt2", {"scale_attn_weights": False}, "scale_attn_weights False is not executed"),
        ("gpt2", {"scale_attn_by_inverse_layer_idx": True}, "True is not executed, only False is"),
        ("gpt2", {"n_layer": 1}, r"'transformer\.h\.1\..*' is of a layer"),
        ("phi3", {"rope_scaling": {"type": "longrope", "long_factor": [1.0]}},
         "rope scaling 'longrope' is not executed"),
        ("gpt_oss", {"swiglu_limit": 0}, "swiglu_limit is 0, expected a positive number"),
        ("gpt_oss", {"rope_scaling": YARN | {"truncate": "no"}}, "'no', expected true or false"),
    ],
)  # fmt: skip
def test_configs_that_do_not_fit_are_refused(
    tmp_path: Path, name: str, change: dict[str, Any], told: str
) -> None:
    with pytest.raises(WorkloadError, match=told):
        _folder(tmp_path, name, **change)


@pytest.mark.parametrize(
    ("name", "tensor", "shape", "wanted"),
    [
        ("phi3", "model.layers.1.self_attn.qkv_proj.weight", (47, 24), "[48, 24]"),
        ("phi3", "model.layers.0.mlp.gate_up_proj.weight", (40, 24), "[80, 24]"),
        ("gpt_neox", "gpt_neox.layers.0.attention.query_key_value.bias", (71,), "[72]"),
        ("gpt2", "transformer.h.0.attn.c_attn.weight", (72, 24), "[24, 72]"),
        ("gpt2", "transformer.h.1.attn.c_attn.bias", (24,), "[72]"),
        ("gpt2", "transformer.h.1.mlp.c_proj.weight", (24, 40), "[40, 24]"),
        ("gpt_oss", "model.layers.0.mlp.experts.gate_up_proj", (5, 32, 24), "[5, 24, 32]"),
        ("gpt_oss", "model.layers.0.mlp.experts.gate_up_proj", (4, 24, 32), "[5, 24, 32]"),
        ("gpt_oss", "model.layers.0.mlp.experts.gate_up_proj_bias", (5, 31), "[5, 32]"),
        ("gpt_oss", "model.layers.1.mlp.experts.down_proj", (16, 24), "[5, 16, 24]"),
        ("gpt_oss", "model.layers.1.self_attn.sinks", (5,), "[4]"),
        ("gemma2", "model.layers.1.post_feedforward_layernorm.weight", (23,), "[24]"),
    ],
)
def test_fused_tensors_of_another_shape_are_refused(
    tmp_path: Path, name: str, tensor: str, shape: tuple[int, ...], wanted: str
) -> None:
    held = hf_arrays(name)
    assert tensor in held
    whole = str(list(held[tensor].shape))
    assert whole == wanted
    held[tensor] = np.ones(shape, np.float32)
    with pytest.raises(WorkloadError) as refused:
        _folder(tmp_path, name, held)
    assert f"'{tensor}' has shape {list(shape)}" in str(refused.value)
    assert f"says {wanted}" in str(refused.value)
    del held[tensor]
    with pytest.raises(WorkloadError, match=f"no tensor is named '{tensor}'"):
        _folder(tmp_path, name, held)


def test_mxfp4_codes_of_gpt_oss_are_refused(tmp_path: Path) -> None:
    held = hf_arrays("gpt_oss")
    codes = "model.layers.0.mlp.experts.gate_up_proj_blocks"
    held[codes] = held.pop(codes.removesuffix("_blocks"))
    with pytest.raises(WorkloadError, match=rf"packed codes beside '{codes}'.* not applied here"):
        _folder(tmp_path, "gpt_oss", held)


@pytest.mark.parametrize("prefix", ["language_model.", "model.language_model."])
def test_the_text_model_of_a_gemma3_with_images(tmp_path: Path, prefix: str) -> None:
    family = FAMILIES["gemma3_text"]
    outer = {"model_type": "gemma3", "architectures": ["Gemma3ForConditionalGeneration"],
             "text_config": family.json, "vision_config": {"num_hidden_layers": 27},
             "torch_dtype": "bfloat16"}  # fmt: skip
    folder = write_folder(tmp_path, family.json, hf_arrays("gemma3_text"))
    (folder / "config.json").write_text(json.dumps(outer))
    file = folder / "model.safetensors"
    size = int.from_bytes(file.read_bytes()[:8], "little")
    header = json.loads(file.read_bytes()[8 : 8 + size])
    bare = prefix == "model.language_model."
    renamed = {
        prefix + (name.removeprefix("model.") if bare else name): value
        for name, value in header.items()
    }
    renamed["vision_tower.vision_model.encoder.layers.26.bias"] = {
        "dtype": "F32", "shape": [0], "data_offsets": [0, 0],
    }  # fmt: skip
    text, data = json.dumps(renamed).encode(), file.read_bytes()[8 + size :]
    file.write_bytes(len(text).to_bytes(8, "little") + text + data)
    model = load_weights(folder)
    assert isinstance(model, DecoderModel)
    assert np.array_equal(model.logits(TOKENS), wanted_model("gemma3_text").logits(TOKENS))


def test_where_the_norms_of_opt_stand(tmp_path: Path) -> None:
    held = hf_arrays("opt")
    behind = {
        name.replace("attn_norm", "attn_output_norm").replace("ffn_norm", "layer_output_norm"): x
        for name, x in held.items()
        if not name.startswith("output_norm")
    }
    without = {name: x for name, x in held.items() if not name.startswith("output_norm")}
    for change, arrays, expected in (
        ({"_remove_final_layer_norm": False}, held, ("pre", True)),
        ({"_remove_final_layer_norm": True}, without, ("pre", False)),
        ({"do_layer_norm_before": False, "_remove_final_layer_norm": False}, behind,
         ("post", False)),
    ):  # fmt: skip
        norm = _folder(tmp_path, "opt", arrays, **change).spec.config.norm
        assert (norm.placement, norm.final) == expected


def test_a_rotated_share_may_stand_with_the_other_positions(tmp_path: Path) -> None:
    model = _folder(tmp_path, "phi3", partial_rotary_factor=None,
                    rope_parameters={"partial_rotary_factor": 0.7, "rope_theta": 1e4})  # fmt: skip
    assert model.spec.rotary_size == 4


def test_gelu_is_by_tanh_or_erf_as_the_config_says(tmp_path: Path) -> None:
    names = ("gelu_new", "gelu", "gelu_python", "gelu_fast", "gelu_pytorch_tanh")
    found = [_folder(tmp_path, "gpt2", activation_function=name).spec for name in names]
    assert [spec.constants.gelu_erf for spec in found] == [False, True, True, False, False]
    # Gemma's hidden_act is a relic.
    assert not _folder(tmp_path, "gemma2", hidden_act="gelu").spec.constants.gelu_erf


def test_untied_heads_are_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    head = rng.standard_normal((37, 24)).astype(np.float32)
    held = hf_arrays("gpt2") | {"lm_head.weight": head}
    model = _folder(tmp_path, "gpt2", held, tie_word_embeddings=False)
    assert model.spec.config.head == HeadConfig(tied=False)
    wanted = model.session().hidden(TOKENS) @ head.T
    assert np.allclose(model.logits(TOKENS), wanted, atol=1e-5)


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_every_config_that_is_read_runs_with_random_weights(tmp_path: Path, name: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(PUBLISHED[name][0]))
    shapes = random_model(path, layers=2).weights.shapes
    assert shapes["blk.1.attn_q.weight"][1] == shapes["token_embd.weight"][1]


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 40), st.sampled_from((2**31, 10**300, "5")),
    st.floats(allow_nan=False, allow_infinity=False), st.just([4.0]), st.just({"rope_theta": 4}),
)  # fmt: skip
NAMES = (
    "attn_logit_softcapping", "final_logit_softcapping", "query_pre_attn_scalar", "rope_theta",
    "rope_local_base_freq", "rope_parameters", "sliding_window", "swiglu_limit", "swiglu_alpha",
    "partial_rotary_factor", "hidden_activation", "layer_norm_epsilon", "n_inner", "layer_types",
)  # fmt: skip


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(list(FAMILIES)),
    change=st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=2),
)
def test_damaged_configs_run_or_are_refused(
    tmp_path: Path, name: str, change: dict[str, Any]
) -> None:
    try:
        model = _folder(tmp_path, name, **change)
    except WorkloadError as problem:
        assert "tiny" in str(problem)
        return
    assert model.logits([3]).shape == (1, 37)
