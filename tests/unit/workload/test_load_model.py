"""Are models found by name, by file and by folder, and are near misses told?"""

from __future__ import annotations

from pathlib import Path

import pytest

from accelsim.errors import WorkloadError
from accelsim.workload.models import load_model, model_files
from tests.unit.workload.hf_configs import TINY_LLAMA, write

YAML = """\
name: mine
source: invented
parameters: 115008
config:
  model_type: llama
  hidden_size: 64
  intermediate_size: 128
  num_hidden_layers: 2
  num_attention_heads: 4
  vocab_size: 256
"""


def test_packaged_models_are_listed_with_their_files() -> None:
    files = model_files()
    assert {"gpt2", "llama3.1-8b", "deepseek-v3"} <= set(files)
    assert all(path.is_file() for path in files.values())
    assert all(load_model(name).name == name for name in files)


def test_near_names_are_suggested() -> None:
    with pytest.raises(WorkloadError, match=r"'llama3\.1-8b'"):
        load_model("lama3.1-8b")


def test_hugging_face_file_and_folder(tmp_path: Path) -> None:
    folder = tmp_path / "tiny-llama"
    folder.mkdir()
    write(folder, TINY_LLAMA, "config.json")
    assert load_model(folder / "config.json").name == "tiny-llama"
    assert load_model(folder) == load_model(folder / "config.json")


def test_yaml_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(YAML)
    model = load_model(path)
    # 2 tables 256 x 64; per layer q k v o 4 x 64 x 64, network 3 x 64 x 128, norms 2 x 64; norm.
    assert model.parameters == 2 * 256 * 64 + 2 * (4 * 64 * 64 + 3 * 64 * 128 + 128) + 64
    assert model.name == "mine"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("parameters: 115008", "parameters: 115009", r"mine\.yaml:3: parameters"),
        ("source: invented", "sauce: invented", r"mine\.yaml:2: unknown key 'sauce'"),
        ("hidden_size: 64", "hidden_size: .nan", r"mine\.yaml:6: config\.hidden_size"),
        ("hidden_size: 64", "hidden_size: 64\n  d_model: 64", r"mine\.yaml:7: config\.d_model"),
        ("name: mine", "name: 7", "name: 7"),
        ("config:", "confi:", "unknown key 'confi'"),
    ],
)
def test_bad_yaml_is_told_with_its_line(old: str, new: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(YAML.replace(old, new, 1))
    with pytest.raises(WorkloadError, match=says):
        load_model(path)


def test_missing_files_and_code_in_yaml(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match="cannot read"):
        load_model(tmp_path / "nope.json")
    path = tmp_path / "evil.yaml"
    path.write_text("!!python/object/apply:os.system ['touch pwned']\n")
    with pytest.raises(WorkloadError, match="tag"):
        load_model(path)
    path.write_text("just text\n")
    with pytest.raises(WorkloadError, match="expected the keys"):
        load_model(path)
    path.write_text("name: x\n")
    with pytest.raises(WorkloadError, match="'config' is missing"):
        load_model(path)
