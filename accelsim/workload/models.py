"""Models by name: packaged ones, Hugging Face config.json files, and YAML files of ours.

Transformers and networks without tokens share one space of names.
"""

from __future__ import annotations

from pathlib import Path

from accelsim.documents import Document, read_json, read_yaml
from accelsim.errors import WorkloadError, suggest
from accelsim.files import find_data
from accelsim.workload.config import ModelConfig
from accelsim.workload.hf_config import read_hf_config
from accelsim.workload.network_reader import is_network, load_network, network_files
from accelsim.workload.networks import Network

FOLDER = "workloads/models"
_KEYS = ("name", "config", "source", "note", "parameters", "active_parameters")


def model_files() -> dict[str, Path]:
    """Map the name of every packaged model to its file."""
    found = {**find_data(FOLDER, ".json"), **find_data(FOLDER, ".yaml")}
    return dict(sorted(found.items()))


def load_workload(name_or_path: str | Path) -> ModelConfig | Network:
    """Return a model or a network by name or path.

    Raises
    ------
    WorkloadError
        If there is no such model, network or file, or the file is not understood.
    """
    text = str(name_or_path)
    if text in model_files():
        return load_model(text)
    path = Path(text)
    looks_like_yaml = path.suffix.lower() in {".yaml", ".yml"} and path.is_file()
    if text in network_files() or (looks_like_yaml and is_network(read_yaml(path, WorkloadError))):
        return load_network(text)
    return load_model(text)


def load_model(name_or_path: str | Path) -> ModelConfig:
    """Return a packaged model, or the one that a file describes.

    Parameters
    ----------
    name_or_path : str or Path
        A name such as ``"llama3.1-8b"``; a Hugging Face ``config.json``; a folder that holds
        one; or a YAML file with ``name``, ``config`` (the fields of such a config) and,
        optionally, ``source``, ``note``, ``parameters`` and ``active_parameters``.

    Raises
    ------
    WorkloadError
        If there is no such model or file, or the file is not understood.
    """
    text = str(name_or_path)
    packaged = model_files()
    if text in packaged:
        return _read(packaged[text], text)
    path = Path(text)
    if path.is_dir() and (path / "config.json").is_file():
        return _read(path / "config.json", path.resolve().name)
    if path.suffix.lower() in {".json", ".yaml", ".yml"}:
        name = path.resolve().parent.name if path.name == "config.json" else path.stem
        return _read(path, name)
    if path.suffix.lower() == ".onnx":
        raise WorkloadError(f"{text}: reading ONNX graphs is not built yet; give a config.json")
    if text in network_files():
        raise WorkloadError(f"{text} is a network without tokens: accelsim.load_network reads it")
    raise WorkloadError(
        f"unknown model '{text}': {suggest(text, [*packaged, *network_files()])} "
        "Or give the path of a Hugging Face config.json or of a model YAML file."
    )


def _read(path: Path, name: str) -> ModelConfig:
    if path.suffix.lower() == ".json":
        return read_hf_config(read_json(path, WorkloadError), name)
    document = read_yaml(path, WorkloadError)
    tree = document.tree
    if is_network(document):
        raise WorkloadError(f"{path} is a network without tokens: accelsim.load_network reads it")
    if not isinstance(tree, dict):
        raise WorkloadError(f"{document.where()}: expected the keys {', '.join(_KEYS)}")
    for key in tree:
        if key not in _KEYS:
            where = document.where((key,))
            raise WorkloadError(f"{where}: unknown key '{key}': {suggest(key, _KEYS)}")
    if "config" not in tree:
        raise WorkloadError(f"{document.where()}: the key 'config' is missing")
    name = tree.get("name", name)
    if not isinstance(name, str):
        raise WorkloadError(f"{document.where(('name',))}: name: {name!r} is not text")
    model = read_hf_config(document, name, ("config",))
    _check_count(document, "parameters", model.parameters)
    _check_count(document, "active_parameters", model.active_parameters)
    return model


def _check_count(document: Document, key: str, counted: int) -> None:
    """Require a stated number of parameters to be the one that the architecture has."""
    stated = document.tree.get(key)
    if stated is not None and stated != counted:
        raise WorkloadError(
            f"{document.where((key,))}: {key}: {stated!r} stated, but the config has {counted}"
        )
