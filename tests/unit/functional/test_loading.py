"""Models from folders and GGUF files: the same logits as from the weights themselves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accelsim.errors import WorkloadError
from accelsim.functional.loading import load_weights
from accelsim.functional.rope_frequencies import RopeScaling
from accelsim.functional.transformer.decoder import DecoderModel
from accelsim.functional.weights.hf_rope import hf_rope
from tests.unit.functional.model_files import LLAMA_JSON, held_of, write_folder, write_gguf
from tests.unit.functional.transformer.tiny_models import CONFIGS, LLAMA, tiny
from tests.unit.functional.weights.writer import Gguf, safetensors

TOKENS = [3, 30, 0, 7, 12]
_YARN = {"rope_type": "yarn", "factor": 4.0}


def test_a_folder_of_safetensors_is_the_model(tmp_path: Path) -> None:
    model = load_weights(write_folder(tmp_path, LLAMA_JSON))
    assert isinstance(model, DecoderModel)
    assert (model.name, model.context, model.tokenizer) == ("tiny", 32, None)
    assert np.array_equal(model.logits(TOKENS), tiny().logits(TOKENS))


@pytest.mark.parametrize(
    ("change", "constants"),
    [({"rms_norm_eps": 0.5}, {"eps": 0.5}), ({"rope_theta": 50.0}, {"rope_theta": 50.0})],
)
def test_constants_come_from_the_config(
    tmp_path: Path, change: dict[str, Any], constants: dict[str, Any]
) -> None:
    model = load_weights(write_folder(tmp_path, LLAMA_JSON | change))
    assert isinstance(model, DecoderModel)
    assert np.array_equal(model.logits(TOKENS), tiny(**constants).logits(TOKENS))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"rms_norm_eps": -1.0}, "eps of the norms is -1.0, expected a positive number"),
        ({"rope_theta": "big"}, "rope_theta"),
        (
            {"rope_scaling": {"type": "dynamic", "factor": 4.0}},
            "rope scaling 'dynamic' is not exec",
        ),
        ({"rope_scaling": {"rope_type": "yarn"}}, "factor"),
        ({"rope_scaling": _YARN | {"factor": 1e300}}, "expected positive numbers"),
        ({"rope_scaling": _YARN | {"beta_slow": 32}}, "32.0 to 32.0 turns"),
        ({"rope_scaling": _YARN | {"mscale": "1"}}, "mscale of 'yarn' is '1'"),
        ({"rope_scaling": _YARN | {"attention_factor": -1}}, "attention_factor of 'yarn' is -1"),
        ({"rope_scaling": _YARN | {"truncate": 1}}, "truncate of .yarn. is 1, expected true"),
        ({"rope_scaling": _YARN | {"llama_4_scaling_beta": 0.1}}, "'llama_4_scaling_beta', which"),
        ({"rope_scaling": {"rope_type": "linear", "factor": 0.5}}, "makes a frequency of 2"),
        ({"rope_scaling": {"rope_type": "linear"}}, "factor"),
        ({"rope_scaling": {"rope_type": "linear", "factor": "4x"}}, "factor"),
        ({"rope_scaling": {"rope_type": "linear", "factor": -2.0}}, "factor"),
        ({"rope_scaling": ["linear"]}, "rope"),
        ({"rope_parameters": 5}, "rope"),
        ({"hidden_size": 48}, "the model's configuration says"),
        ({"num_hidden_layers": 3}, r"layers\.2"),
        (
            {"num_hidden_layers": 1},
            r"layers\.1.* config.json does not have: num_hidden_layers is 1",
        ),
        ({"model_type": "gemma2"}, r"no tensor is named .*\.post_attention_layernorm"),
    ],
)
def test_configs_that_do_not_fit_are_refused(
    tmp_path: Path, change: dict[str, Any], told: str
) -> None:
    with pytest.raises(WorkloadError, match=told):
        load_weights(write_folder(tmp_path, LLAMA_JSON | change))


def test_a_missing_tensor_is_named_as_the_file_would(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match=r"model\.layers\.1\.mlp\.up_proj\.weight"):
        load_weights(write_folder(tmp_path, LLAMA_JSON, without="blk.1.ffn_up.weight"))


def _gguf(path: Path, family: str = "llama", tied: bool = False, **change: Any) -> Path:
    return write_gguf(path, held_of(CONFIGS["tied" if tied else "llama"]), family, **change)


@pytest.mark.parametrize(("family", "style"), [("llama", "interleaved"), ("qwen2", "neox")])
@pytest.mark.parametrize("tied", [False, True])
def test_a_gguf_file_is_the_model(tmp_path: Path, family: str, style: str, tied: bool) -> None:
    model = load_weights(_gguf(tmp_path, family, tied))
    assert isinstance(model, DecoderModel)
    assert model.tokenizer is not None
    expected = tiny(CONFIGS["tied" if tied else "llama"], rope_style=style)
    assert np.abs(model.logits(TOKENS) - expected.logits(TOKENS)).max() < 1e-5


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"llama__block_count": None}, "llama.block_count is None"),
        ({"llama__block_count": ("u32", 3)}, r"no tensor is named blk\.2\.\*; .* of 2 layers"),
        (
            {
                "llama__block_count": ("u32", 10**9),
                "llama__attention__sliding_window": ("u32", 4),
            },
            r"block_count is 1000000000, but no tensor is named blk\.2\.\*",
        ),
        ({"llama__rope__dimension_count": ("u32", 10**6)}, "1000000 elements of every head of 6"),
        ({"llama__rope__dimension_count": ("u32", 5)}, "expected an even number from 2 to 6"),
        ({"llama__embedding_length": ("f32", 24.5)}, "expected a whole number"),
        ({"llama__attention__head_count": ("text", "4")}, "expected a positive number"),
        ({"llama__attention__head_count": ("u32", 3)}, "not a multiple|configuration says"),
        ({"llama__feed_forward_length": ("u32", 41)}, "the model's configuration says"),
        ({"llama__context_length": ("i32", -5)}, "expected a positive number"),
        ({"llama__rope__freq_base": ("f32", float("nan"))}, "expected a positive number"),
        ({"llama__rope__scaling__type": ("text", "longrope")}, "stretched by 'longrope'"),
        ({"llama__rope__scaling__type": ("array", ("u32", [1, 2]))}, "stretched by"),
        ({"llama__rope__scaling__attn_factor": ("f32", -1.5)}, "attn_factor is -1.5, expected"),
        ({"llama__rope__scaling__attn_factor": ("f32", 1e30)}, "attn_factor"),
        ({"llama__block_count": ("u32", 1)}, r"tensors of layer 1 .* block_count is 1"),
        ({"llama__expert_count": ("u32", 4)}, "expert_count is 4, but 0 of 2 layers have a router"),
        ({"llama__rope__scale_linear": ("f32", -2.0)}, "rope.scale_linear is -2.0, expected a pos"),
        (
            {"llama__rope__scale_linear": ("array", ("f32", [1, 2]))},
            "rope.scale_linear is .* a pos",
        ),
        ({"llama__attention__value_length": ("u32", 8)}, "the model's configuration says"),
    ],
)
def test_gguf_files_that_do_not_fit_are_refused(
    tmp_path: Path, change: dict[str, Any], told: str
) -> None:
    with pytest.raises(WorkloadError, match=told):
        load_weights(_gguf(tmp_path, **change))


STRETCHED = {
    "as of old": {"scale_linear": ("f32", 4.0)},
    "a factor alone": {"scaling__factor": ("f32", 4.0)},
    "by type": {"scaling__factor": ("f32", 4.0), "scaling__type": ("text", "linear")},
    "both keys": {"scaling__factor": ("f32", 4.0), "scale_linear": ("f32", 2.0)},
    "by none": {"scaling__factor": ("f32", 4.0), "scaling__type": ("text", "none")},
    "by one": {"scale_linear": ("f32", 1.0)},
    "by zero": {"scale_linear": ("f32", 0.0)},
}


@pytest.mark.parametrize("case", STRETCHED)
def test_linear_scaling_is_read_under_either_key(tmp_path: Path, case: str) -> None:
    keys = {f"llama__rope__{key}": value for key, value in STRETCHED[case].items()}
    found = load_weights(_gguf(tmp_path, **keys)).spec.constants.rope_scaling
    expected = None if case in ("by none", "by one", "by zero") else RopeScaling("linear", 4.0)
    assert found == expected


YARN_KEYS = {
    "llama__rope__scaling__type": ("text", "yarn"), "llama__rope__scaling__factor": ("f32", 4.0),
    "llama__rope__scaling__original_context_length": ("u32", 8),
}  # fmt: skip
YARN = RopeScaling("yarn", 4.0, 1.0, 32.0, 8, 1.1386294361119891)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, YARN),
        ({"type": "yarn"}, YARN),
        ({"attention_factor": 0.75}, replace(YARN, attention_factor=0.75)),
        ({"beta_fast": 16, "beta_slow": 2}, replace(YARN, low_freq_factor=2, high_freq_factor=16)),
        ({"mscale": 1.0, "mscale_all_dim": 1.0}, replace(YARN, attention_factor=1.0)),
        ({"mscale": 2, "mscale_all_dim": 1}, replace(YARN, attention_factor=1.1217511437)),
        ({"mscale": 0.7}, YARN),
        ({"original_max_position_embeddings": None}, replace(YARN, original_positions=32)),
    ],
)
def test_yarn_of_a_config(tmp_path: Path, change: dict[str, Any], expected: RopeScaling) -> None:
    scaling = _YARN | {"original_max_position_embeddings": 8} | change
    model = load_weights(write_folder(tmp_path, LLAMA_JSON | {"rope_scaling": scaling}))
    assert isinstance(model, DecoderModel)
    found = model.spec.constants.rope_scaling
    assert found is not None
    assert found.attention_factor == pytest.approx(expected.attention_factor, rel=1e-6)
    assert replace(found, attention_factor=1.0) == replace(expected, attention_factor=1.0)
    assert not np.array_equal(model.logits(TOKENS), tiny().logits(TOKENS))
    assert np.array_equal(model.logits(TOKENS), tiny(rope_scaling=found).logits(TOKENS))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, YARN),
        ({"attn_factor": ("f32", 0.5)}, replace(YARN, attention_factor=1.1386294361119891 / 2)),
        (
            {"yarn_beta_fast": ("f32", 16), "yarn_beta_slow": ("f32", 2)},
            replace(YARN, low_freq_factor=2, high_freq_factor=16),
        ),
        ({"yarn_log_multiplier": ("f32", 0)}, YARN),
        ({"original_context_length": None}, replace(YARN, original_positions=32)),
        ({"factor": ("f32", 1)}, None),
        (
            {"type": None, "attn_factor": ("f32", 1.5)},
            RopeScaling("linear", 4.0, attention_factor=1.5),
        ),
    ],
)
def test_yarn_of_a_gguf_file(
    tmp_path: Path, change: dict[str, Any], expected: RopeScaling | None
) -> None:
    keys = YARN_KEYS | {f"llama__rope__scaling__{key}": value for key, value in change.items()}
    assert load_weights(_gguf(tmp_path, **keys)).spec.constants.rope_scaling == expected


def test_yarn_that_is_bent_further_is_refused(tmp_path: Path) -> None:
    for key in ("yarn_log_multiplier", "yarn_ext_factor"):
        change = {f"llama__rope__scaling__{key}": ("f32", 0.5)}
        with pytest.raises(WorkloadError, match=f"{key} is 0.5, expected"):
            load_weights(_gguf(tmp_path, **YARN_KEYS, **change))


def _with_table(
    path: Path, factors: list[float], shape: tuple[int, ...] = (3,), **keys: Any
) -> Path:
    table = np.array(factors, np.float32).reshape(shape)
    return write_gguf(path, held_of(LLAMA) | {"rope_freqs.weight": table}, **keys)


def test_a_table_of_rotary_factors_is_executed(tmp_path: Path) -> None:
    model = load_weights(_with_table(tmp_path, [1, 2.5, 8]))
    assert isinstance(model, DecoderModel)
    scaling = RopeScaling("table", factors=(1.0, 2.5, 8.0))
    assert model.spec.constants.rope_scaling == scaling
    wanted = tiny(rope_style="interleaved", rope_scaling=scaling).logits(TOKENS)
    assert np.array_equal(model.logits(TOKENS), wanted)
    assert not np.array_equal(tiny(rope_style="interleaved").logits(TOKENS), wanted)


@pytest.mark.parametrize(
    ("factors", "shape", "keys", "told"),
    [
        ([1, float("nan"), 8], (3,), {}, r"factor 1 of 3 .* is nan"),
        ([0, 1, 8], (3,), {}, "factor 0 of 3 .* is 0.0"),
        ([1, 1, float("inf")], (3,), {}, "factor 2 of 3 .* is inf"),
        ([1, 1, -1], (3,), {}, "is -1.0, expected a positive"),
        ([1, 1], (2,), {}, r"has shape \[2\], expected \[3\]"),
        ([1] * 6, (2, 3), {}, r"has shape \[2, 3\], expected \[3\]"),
        ([0.5, 1, 1], (3,), {}, "a frequency of 2, limit 1"),
        (
            [1, 1, 8],
            (3,),
            {"llama__rope__scale_linear": ("f32", 4)},
            "by the table .* and by a fac",
        ),
    ],
)
def test_tables_that_do_not_fit_are_refused(
    tmp_path: Path, factors: list[float], shape: tuple[int, ...], keys: dict[str, Any], told: str
) -> None:
    with pytest.raises(WorkloadError, match=f"tiny.gguf: .*{told}"):
        load_weights(_with_table(tmp_path, factors, shape, **keys))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("rope_factors_long.weight", "stretched by the table 'rope_factors_long.weight'"),
        ("blk.1.ffn_up.scale", r"1 tensors have no place .* first 'blk\.1\.ffn_up\.scale'"),
        ("blk.0.attn_q.bias", r"no tensor is named 'blk\.0\.attn_k\.bias'"),
        ("blk.1.ffn_up.bias", "have no place in a model of architecture 'llama'"),
        ("blk.2.ffn_up.weight", r"tensors of layer 2 \(blk\.2\.\*\), but block_count is 2"),
        ("blk.99999999999999999999.x", "tensors of layer 99999999999999999999"),
        ("blk.x.y", "have no place"),
        ("blk.0.nextn.eh_proj.weight", "no tensor|layer 0 predicts tokens further ahead"),
    ],
)
def test_tensors_that_would_be_left_out_are_refused(tmp_path: Path, name: str, told: str) -> None:
    held = held_of(LLAMA) | {name: np.ones(24, np.float32)}
    with pytest.raises(WorkloadError, match=told):
        load_weights(write_gguf(tmp_path, held))


@pytest.mark.parametrize("counted", [True, False])
def test_layers_that_predict_further_tokens_are_left_out(tmp_path: Path, counted: bool) -> None:
    held = held_of(LLAMA)
    held |= {n.replace("blk.1.", "blk.2."): x for n, x in held.items() if n.startswith("blk.1.")}
    held["blk.2.nextn.eh_proj.weight"] = np.ones((24, 48), np.float32)
    keys = {"llama__block_count": ("u32", 3 if counted else 2)}
    model = load_weights(write_gguf(tmp_path, held, **keys, llama__nextn_predict_layers=("u32", 1)))
    assert isinstance(model, DecoderModel)
    assert model.spec.config.n_layers == 2
    wanted = tiny(rope_style="interleaved").logits(TOKENS)
    assert np.array_equal(model.logits(TOKENS), wanted)


def test_extra_layers_that_the_file_announces_are_left_out(tmp_path: Path) -> None:
    held = held_of(LLAMA)
    extra = {n.replace("blk.1.", "blk.2."): x for n, x in held.items() if n.startswith("blk.1.")}
    file = write_gguf(tmp_path, held | extra, llama__nextn_predict_layers=("u32", 1))
    assert load_weights(file).spec.config.n_layers == 2
    for bad in (("i32", -1), ("f32", 0.5), ("text", "1")):
        with pytest.raises(WorkloadError, match=r"nextn_predict_layers is .*, expected a"):
            load_weights(write_gguf(tmp_path, held | extra, llama__nextn_predict_layers=bad))


def _tokens(count: int) -> dict[str, Any]:
    names = (
        [chr(97 + i) for i in range(26)] + ["ab"] + [f"ba{chr(70 + i)}" for i in range(27, count)]
    )
    return {
        "tokenizer__ggml__tokens": ("array", ("text", names)),
        "tokenizer__ggml__token_type": ("array", ("i32", [1] * 27 + [4] * (count - 27))),
    }


def test_rows_beyond_the_tokenizer_are_text_all_the_same(tmp_path: Path) -> None:
    model = load_weights(_gguf(tmp_path))
    assert model.tokenizer is not None
    assert model.tokenizer.vocabulary_size == 27 < model.spec.config.vocab_size
    assert model.tokenizer.decode([0, 36, 1], unknown="replace") == "a\ufffdb"


def test_tokens_beyond_the_rows_are_an_error_where_they_are_used(tmp_path: Path) -> None:
    model = load_weights(_gguf(tmp_path, **_tokens(40)))
    assert isinstance(model, DecoderModel)
    assert model.tokenizer is not None
    assert model.logits(model.tokenizer.encode("abaj")).shape == (2, 37)
    with pytest.raises(WorkloadError, match="token 39 is not below the vocabulary of 37"):
        model.logits(model.tokenizer.encode("abam"))


def test_a_quantised_folder_is_refused(tmp_path: Path) -> None:
    change = {"quantization_config": {"quant_method": "fp8"}}
    with pytest.raises(WorkloadError, match=r"quantization_config.*'fp8' is not understood"):
        load_weights(write_folder(tmp_path, LLAMA_JSON | change))
    with pytest.raises(WorkloadError, match="compression_config: not understood"):
        load_weights(write_folder(tmp_path, LLAMA_JSON | {"compression_config": {}}))


def test_an_architecture_that_is_no_text_is_refused(tmp_path: Path) -> None:
    numbers = (("general.architecture", "array", ("u32", [1, 2])),)
    (tmp_path / "a.gguf").write_bytes(Gguf(numbers).bytes())
    with pytest.raises(WorkloadError, match=r"architecture '\[1 2\]' is not executed"):
        load_weights(tmp_path / "a.gguf")


def test_another_architecture_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match=r"architecture 'lama' is not executed: .*llama"):
        load_weights(_gguf(tmp_path, "lama"))


def test_a_safetensors_file_alone_says_no_model(tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    file.write_bytes(safetensors({"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}},
                                 b"\0" * 4))  # fmt: skip
    with pytest.raises(WorkloadError, match=r"give the folder with its config\.json|config\.json"):
        load_weights(file)


@pytest.mark.parametrize("kind", ["yarn", "llama3"])
def test_stretched_positions_need_the_context_of_training(kind: str) -> None:
    raw = {"model_type": "llama", "rope_scaling": {"rope_type": kind, "factor": 4.0}}
    with pytest.raises(WorkloadError, match="None], expected positive numbers"):
        hf_rope(raw, Path("config.json"))
    assert hf_rope(
        raw | {"rope_scaling": {"rope_type": "linear", "factor": 4.0}}, Path("c")
    ).scaling
