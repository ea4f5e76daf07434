"""Models from folders and GGUF files: the same logits as from the weights themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accelsim.errors import WorkloadError
from accelsim.functional.loading import load_weights
from accelsim.functional.rope import RopeScaling
from accelsim.functional.transformer.decoder import DecoderModel
from accelsim.functional.transformer.names import hf_name, tensor_shapes
from tests.unit.functional.transformer.tiny_models import CONFIGS, LLAMA, Table, tiny
from tests.unit.functional.weights.writer import Gguf, Tensor, safetensors

TOKENS = [3, 30, 0, 7, 12]
LLAMA_JSON: dict[str, Any] = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 24,
    "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 6, "vocab_size": 37, "max_position_embeddings": 32,
    "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": False,
    "hidden_act": "silu", "torch_dtype": "float32",
}  # fmt: skip


def _folder(path: Path, config: dict[str, Any], without: str = "") -> Path:
    header, data = {}, b""
    for name, values in Table(tensor_shapes(LLAMA)).held.items():
        if name == without:
            continue
        place = [len(data), len(data) + values.nbytes]
        shape = list(values.shape)
        header[hf_name(name, "llama")] = {"dtype": "F32", "shape": shape, "data_offsets": place}
        data += values.tobytes()
    folder = path / "tiny"
    folder.mkdir(exist_ok=True)
    (folder / "model.safetensors").write_bytes(safetensors(header, data))
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_a_folder_of_safetensors_is_the_model(tmp_path: Path) -> None:
    model = load_weights(_folder(tmp_path, LLAMA_JSON))
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
    model = load_weights(_folder(tmp_path, LLAMA_JSON | change))
    assert isinstance(model, DecoderModel)
    assert np.array_equal(model.logits(TOKENS), tiny(**constants).logits(TOKENS))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"rms_norm_eps": -1.0}, "eps of the norms is -1.0, expected a positive number"),
        ({"rope_theta": "big"}, "rope_theta"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "rope scaling 'yarn' is not exec"),
        ({"rope_scaling": {"rope_type": "linear"}}, "factor"),
        ({"rope_scaling": {"rope_type": "linear", "factor": "4x"}}, "factor"),
        ({"rope_scaling": {"rope_type": "linear", "factor": -2.0}}, "factor"),
        ({"rope_scaling": ["linear"]}, "rope"),
        ({"rope_parameters": 5}, "rope"),
        ({"hidden_size": 48}, "the model's configuration says"),
        ({"num_hidden_layers": 3}, r"layers\.2"),
        ({"model_type": "gemma2"}, "gemma2|can be timed, not executed"),
    ],
)
def test_configs_that_do_not_fit_are_refused(
    tmp_path: Path, change: dict[str, Any], told: str
) -> None:
    with pytest.raises(WorkloadError, match=told):
        load_weights(_folder(tmp_path, LLAMA_JSON | change))


def test_a_missing_tensor_is_named_as_the_file_would(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match=r"model\.layers\.1\.mlp\.up_proj\.weight"):
        load_weights(_folder(tmp_path, LLAMA_JSON, without="blk.1.ffn_up.weight"))


KEYS: dict[str, tuple[str, Any]] = {
    "llama.block_count": ("u32", 2), "llama.embedding_length": ("u32", 24),
    "llama.attention.head_count": ("u32", 4), "llama.attention.head_count_kv": ("u32", 2),
    "llama.feed_forward_length": ("u32", 40), "llama.context_length": ("u32", 32),
    "llama.attention.layer_norm_rms_epsilon": ("f32", 1e-5),
    "llama.rope.freq_base": ("f32", 10000.0), "llama.rope.dimension_count": ("u32", 6),
    "tokenizer.ggml.model": ("text", "gpt2"), "tokenizer.ggml.pre": ("text", "smollm"),
    "tokenizer.ggml.merges": ("array", ("text", ["a b"])),
    "tokenizer.ggml.tokens": ("array", ("text", [chr(97 + i) for i in range(26)] + ["ab"])),
    "tokenizer.ggml.token_type": ("array", ("i32", [1] * 27)),
}  # fmt: skip


def _gguf(path: Path, family: str = "llama", tied: bool = False, **change: Any) -> Path:
    keys = {name.replace("llama.", f"{family}."): value for name, value in KEYS.items()}
    keys |= {name.replace("__", "."): value for name, value in change.items()}
    config = CONFIGS["tied" if tied else "llama"]
    tensors = tuple(
        Tensor(name, tuple(reversed(values.shape)), 0, values.tobytes())
        for name, values in Table(tensor_shapes(config)).held.items()
    )
    given = tuple((name, *value) for name, value in keys.items() if value is not None)
    file = path / "tiny.gguf"
    file.write_bytes(Gguf((("general.architecture", "text", family), *given), tensors).bytes())
    return file


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
        ({"llama__rope__scaling__type": ("text", "yarn")}, "stretched by 'yarn'"),
        ({"llama__rope__scaling__type": ("array", ("u32", [1, 2]))}, "stretched by"),
        ({"llama__rope__scaling__attn_factor": ("f32", 1.5)}, "attn_factor"),
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
        load_weights(_folder(tmp_path, LLAMA_JSON | change))
    with pytest.raises(WorkloadError, match="compression_config: not understood"):
        load_weights(_folder(tmp_path, LLAMA_JSON | {"compression_config": {}}))


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
