"""Network files: YAML with ``kind: network``, every key understood or refused with its line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from accelsim.documents import Document, Path_, dotted, read_yaml
from accelsim.errors import WorkloadError, suggest
from accelsim.files import find_data
from accelsim.workload.layers import LAYERS, Features, Layer
from accelsim.workload.networks import INPUT, NOTE_LIMIT, Network, place
from accelsim.workload.sizes import NAME_LIMIT, check_text, shown

FOLDER = "workloads/networks"
KIND = "network"
_TELLING = ("kind", "layers")
_KEYS = (
    "kind", "name", "title", "source", "note", "status", "parameters", "batch", "dtype",
    "weight_dtype", "input", "layers",
)  # fmt: skip
_WORDS = ("name", "status", "dtype", "weight_dtype")
_TEXTS = ("title", "source", "note")
_INPUT_KEYS = ("features", "channels", "height", "width", "steps")


_Made = TypeVar("_Made")


def network_files() -> dict[str, Path]:
    """Map the name of every packaged network to its file."""
    return find_data(FOLDER, ".yaml")


def load_network(name_or_path: str | Path) -> Network:
    """Return a packaged network, or the one that a YAML file describes.

    Parameters
    ----------
    name_or_path : str or Path
        A name such as ``"resnet50"``, or a file with ``kind: network`` (docs/networks.md).

    Raises
    ------
    WorkloadError
        If there is no such network, or the file is not understood; names file and line.
    """
    text = str(name_or_path)
    packaged = network_files()
    if text not in packaged and Path(text).suffix.lower() not in {".yaml", ".yml"}:
        raise WorkloadError(
            f"unknown network '{text}': {suggest(text, packaged)} Or give the path of a YAML file."
        )
    path = packaged.get(text, Path(text))
    return read_network(read_yaml(path, WorkloadError), path.stem)


def is_network(document: Document) -> bool:
    """Tell whether a YAML file means to be a network: models have neither a kind nor layers."""
    return isinstance(document.tree, dict) and not document.tree.keys().isdisjoint(_TELLING)


def read_network(document: Document, name: str) -> Network:
    """Build a network from its file; `name` is for files that do not say.

    Raises
    ------
    WorkloadError
        Names file, line, key, what was got and what is expected.
    """
    tree = _mapping(document, (), _KEYS)
    if tree.get("kind") != KIND:
        raise _error(document, ("kind",), f"got {shown(tree.get('kind'))}, expected '{KIND}'")
    for key in _WORDS:
        if key in tree:
            _made(document, (key,), partial(check_text, key, tree[key]))
    texts = {key: _text(document, key) for key in _TEXTS if key in tree}
    for key in ("input", "layers"):
        if key not in tree:
            raise _error(document, (), f"the key '{key}' is missing")
    sample, layers = _input(document), _layers(document)
    chosen = {key: tree[key] for key in ("batch", "dtype", "weight_dtype") if key in tree}
    notes = (texts["note"],) if "note" in texts else ()
    network = _made(
        document, (), lambda: Network(tree.get("name", name), sample, layers, notes=notes, **chosen)
    )
    stated = tree.get("parameters")
    if stated is not None and stated != network.parameters:
        words = f"{shown(stated)} stated, but the layers have {network.parameters}"
        raise _error(document, ("parameters",), words)
    return network


def _text(document: Document, key: str) -> str:
    """Return prose on one line: YAML may break it where it likes."""
    given = document.tree[key]
    text = " ".join(given.split()) if isinstance(given, str) else given
    _made(document, (key,), partial(check_text, key, text, NOTE_LIMIT))
    return str(text)


def _input(document: Document) -> Features:
    given = _mapping(document, ("input",), _INPUT_KEYS)
    if ("features" in given) == ("channels" in given):
        words = "expected either features (a vector) or channels, height and width"
        raise _error(document, ("input",), words)
    sizes = {("channels" if key == "features" else key): value for key, value in given.items()}
    return _made(document, ("input",), lambda: Features(**sizes))


def _layers(document: Document) -> tuple[Layer, ...]:
    """Read the layers, and place each behind those before it, so that errors have its line."""
    listed = document.tree["layers"]
    if not isinstance(listed, list) or not listed:
        raise _error(document, ("layers",), "expected a list of layers")
    layers: list[Layer] = []
    known, before = {INPUT: _input(document)}, INPUT
    for index in range(len(listed)):
        keys = ("layers", index)
        layer = _layer(document, keys)
        known[layer.name] = _made(
            document, keys, partial(place, layer, layer.sources or (before,), known)
        )
        layers.append(layer)
        before = layer.name
    return tuple(layers)


def _layer(document: Document, keys: Path_) -> Layer:
    given = _mapping(document, keys)
    kind = given.get("type")
    if "type" not in given:
        raise _error(document, keys, f"the key 'type' is missing; {suggest('', LAYERS)}")
    made = LAYERS.get(kind) if isinstance(kind, str) else None
    if made is None:
        words = f"{shown(kind)}: {suggest(str(kind), LAYERS)}"
        raise _error(document, (*keys, "type"), words)
    known = {field.name: field for field in fields(made)}
    allowed = ("type", "from", *(name for name in known if name != "sources"))
    _mapping(document, keys, allowed)
    for name, field in known.items():
        if field.default is MISSING and name not in given:
            raise _error(document, keys, f"the key '{name}' of a layer of type {kind} is missing")
    values = {
        key: _value(document, (*keys, key), value)
        for key, value in given.items()
        if key in known and not (value is None and known[key].default is None)
    }
    sources = _sources(document, keys, given.get("from"))
    return _made(document, keys, lambda: made(sources=sources, **values))


def _sources(document: Document, keys: Path_, value: Any) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    if names is None:
        return ()
    if not names or not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        words = f"got {shown(value)}, expected a name or a list of at least one"
        raise _error(document, (*keys, "from"), words)
    return tuple(names)


def _value(document: Document, keys: Path_, value: Any) -> Any:
    """Turn the short forms of sizes to tuples: 3 is 3x3, padding 1 is 1 on all four sides."""
    match keys[-1]:
        case "filter" | "stride" | "dilation":
            return _sizes(document, keys, value, (2,))
        case "padding" if value != "same":
            sides = _sizes(document, keys, value, (2, 4))
            return sides if len(sides) == 4 else (sides[0], sides[0], sides[1], sides[1])
    return value


def _sizes(
    document: Document, keys: Path_, value: Any, lengths: tuple[int, ...]
) -> tuple[int, ...]:
    listed = value if isinstance(value, list) else [value] * lengths[-1]
    whole = all(isinstance(one, int) and not isinstance(one, bool) for one in listed)
    if not whole or len(listed) not in lengths:
        counts = " or ".join(map(str, lengths))
        words = f"got {shown(value)}, expected a whole number or a list of {counts}"
        raise _error(document, keys, words)
    return tuple(listed)


def _mapping(document: Document, keys: Path_, known: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the mapping at `keys`; where `known` are given, other keys are errors."""
    tree = document.tree
    for key in keys:
        tree = tree[key]
    if not isinstance(tree, dict):
        raise _error(document, keys, "expected keys and values")
    for key in tree:
        if known and key not in known:
            raise _error(document, (*keys, key), f"unknown key: {suggest(str(key), known)}")
    return tree


def _made(document: Document, keys: Path_, make: Callable[[], _Made]) -> _Made:
    """Construct something and say where in the file it stands if that fails."""
    try:
        return make()
    except WorkloadError as problem:
        raise WorkloadError(f"{document.where(keys)}: {problem}") from None


def _error(document: Document, keys: Path_, words: str) -> WorkloadError:
    path = dotted(keys)
    label = path if len(path) <= NAME_LIMIT else shown(path)
    return WorkloadError(f"{document.where(keys)}: {label}{': ' if keys else ''}{words}")
