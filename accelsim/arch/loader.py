"""Specs from files: found by path or name, extended, overridden, validated, resolved."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, Field, ValidationError

from accelsim.arch.chip import CalibrationValues, Chip
from accelsim.arch.fields import Fraction, Seconds, Section
from accelsim.arch.memory import MemorySpec
from accelsim.arch.provenance import UNSOURCED, collect
from accelsim.arch.schema import Calibration, ChipSpec
from accelsim.arch.system import System, SystemSpec
from accelsim.documents import Document, Path_, dotted, read_yaml
from accelsim.errors import SpecError, suggest
from accelsim.files import find_data

FOLDERS = {"chip": "chips", "system": "systems", "memory": "memory"}
_SHARED_WITH_NOTHING = ("sram", "host")
_Model = TypeVar("_Model", bound=BaseModel)


class Family(Section):
    """Default calibration of a family of chips; every scalar is set."""

    title: str
    matrix_efficiency: Fraction
    vector_efficiency: Fraction
    memory_efficiency: Fraction
    shared_efficiency: Fraction
    kernel_overhead_s: Seconds = Field(alias="kernel_overhead")
    host_dispatch_s: Seconds = Field(alias="host_dispatch")
    memory_latency_s: Seconds = Field(alias="memory_latency")


class _FamilyFile(Section):
    sources: dict[str, str]
    families: dict[str, Family]


def spec_files(kind: str) -> dict[str, Path]:
    """Map the names of all packaged and user specs of a kind to their files.

    Parameters
    ----------
    kind : str
        ``"chip"``, ``"system"`` or ``"memory"``.
    """
    return find_data(f"arch_specs/{FOLDERS[kind]}", ".yaml")


def is_path(name: str) -> bool:
    """Tell whether the user means a file rather than a packaged name."""
    return name.endswith((".yaml", ".yml", ".json")) or "/" in name or "\\" in name


def _locate(name: str, kind: str) -> Path:
    if is_path(name):
        return Path(name)
    files = spec_files(kind)
    if name not in files:
        listing = {"memory": "memories"}.get(kind, kind + "s")
        raise SpecError(
            f"unknown {kind} '{name}': {suggest(name, files)} "
            f"(see 'accelsim list {listing}', or give the path of a YAML file)"
        )
    return files[name]


@dataclass(frozen=True)
class _Stamp:
    """Cache key of a spec: a file that was edited since is another key."""

    name: str
    path: Path
    modified_ns: int

    @classmethod
    def of(cls, name: str, kind: str) -> _Stamp:
        path = _locate(name, kind)
        try:
            return cls(name, path, path.stat().st_mtime_ns)
        except OSError as error:
            raise SpecError(f"cannot read {path}: {error.strerror or error}") from None


def _read(name: str, kind: str, seen: tuple[str, ...] = ()) -> Document:
    path = _locate(name, kind)
    document = read_yaml(path, SpecError)
    if not isinstance(document.tree, dict):
        raise SpecError(f"{document.where()}: expected a mapping of {kind} fields")
    parent_name = document.tree.pop("extends", None)
    if parent_name is None:
        return document
    if not isinstance(parent_name, str) or str(path) in seen or len(seen) > 8:
        raise SpecError(f"{document.where(('extends',))}: 'extends' must name another {kind}")
    if is_path(parent_name):
        parent_name = str(path.parent / parent_name)
    parent = _read(parent_name, kind, (*seen, str(path)))
    return Document(_merge(parent.tree, document.tree), document.path, document.lines)


def _merge(base: Any, change: Any) -> Any:
    """Overlay `change` on `base`: mappings merge, everything else (lists too) is replaced."""
    both = isinstance(base, dict) and isinstance(change, dict)
    if not both or "value" in base or "value" in change:
        return copy.deepcopy(change)
    merged = {key: copy.deepcopy(value) for key, value in base.items()}
    for key, value in change.items():
        merged[key] = _merge(merged[key], value) if key in merged else copy.deepcopy(value)
    return merged


def override(tree: dict[str, Any], path: str, value: Any, where: str = "--set") -> None:
    """Set one value of a raw spec tree in place, by dotted path.

    Raises
    ------
    SpecError
        If a step of the path does not exist; the message names the nearest.
    """
    keys = path.split(".")
    node: Any = tree
    for depth, key in enumerate(keys):
        last = depth == len(keys) - 1
        at = f"{where}: '{path}'"
        if isinstance(node, list):
            if not key.isdigit() or int(key) >= len(node):
                raise SpecError(f"{at}: '{key}' is not an index below {len(node)}")
            index: Any = int(key)
        elif isinstance(node, dict):
            index = key
            if key not in node and not last:
                raise SpecError(f"{at}: no key '{key}', {suggest(key, node)}")
        else:
            raise SpecError(f"{at}: '{dotted(tuple(keys[:depth]))}' is a plain value")
        if last:
            old = node[index] if isinstance(node, list) else node.get(index)
            # Keep annotations such as basis; what changes is the number.
            annotated = isinstance(old, dict) and "value" in old and not isinstance(value, dict)
            node[index] = {**old, "value": value} if annotated else value
        else:
            node = node[index]


def validate(model: type[_Model], document: Document) -> _Model:
    """Validate a raw tree; the error names file, line, dotted path and the nearest key."""
    try:
        return model.model_validate(document.tree)
    except ValidationError as problem:
        # A wrong value says more than what is still missing around it.
        rank = {"value_error": 0, "extra_forbidden": 1, "missing": 3}
        errors = sorted(problem.errors(include_url=False), key=lambda e: rank.get(e["type"], 2))
        keys = tuple(k for k in errors[0]["loc"] if k not in ("systolic", "tensor_core"))
        more = f" ({len(errors) - 1} more problems in this file)" if len(errors) > 1 else ""
        raise SpecError(_explain(model, document, keys, errors[0]) + more) from None


def _explain(model: type[BaseModel], document: Document, keys: Path_, error: Any) -> str:
    place = f"{document.where(keys)} {dotted(keys)}"
    kind = error["type"]
    if kind == "extra_forbidden":
        known = _known_keys(model, keys[:-1])
        return f"{place}: unknown key '{keys[-1]}', {suggest(str(keys[-1]), known)}"
    if kind == "missing":
        return f"{place}: the required key '{keys[-1]}' is missing"
    message = str(error["msg"]).removeprefix("Value error, ")
    got = error.get("input")
    shown = f" (got {got!r})" if kind != "value_error" and isinstance(got, str | int) else ""
    return f"{place}: {message}{shown}"


def _known_keys(model: type[BaseModel], keys: Path_) -> list[str]:
    """Keys that the section at `keys` accepts, found through the JSON Schema."""
    schema = model.model_json_schema()
    definitions = schema.get("$defs", {})
    nodes = [schema]
    for key in keys:
        following: list[Any] = []
        for found in nodes:
            for part in _resolve(found, definitions):
                inner = part.get("items") if isinstance(key, int) else None
                inner = inner or part.get("properties", {}).get(key)
                if inner is not None:
                    following.append(inner)
        nodes = following
    parts = [part for node in nodes for part in _resolve(node, definitions)]
    return [key for part in parts for key in part.get("properties", {})]


def _resolve(node: Any, definitions: Mapping[str, Any]) -> list[Any]:
    """Follow references and alternatives of a JSON Schema node to plain object schemas."""
    if "$ref" in node:
        return _resolve(definitions[node["$ref"].rsplit("/", 1)[-1]], definitions)
    options = node.get("anyOf") or node.get("oneOf")
    if options:
        return [part for option in options for part in _resolve(option, definitions)]
    return [node]


def check_sources(document: Document) -> None:
    """Refuse a source key that is not declared and an estimate without its reasoning.

    Raises
    ------
    SpecError
        With file, line and dotted path.
    """
    sources = document.tree.get("sources") or {}
    if not isinstance(sources, dict):
        raise SpecError(f"{document.where(('sources',))}: 'sources' maps keys to texts")
    for row in collect(document.tree):
        if row.source != UNSOURCED and row.source not in sources:
            keys = tuple(int(k) if k.isdigit() else k for k in row.path.split("."))
            raise SpecError(
                f"{document.where(keys)} {row.path}: source '{row.source}' is not in 'sources', "
                f"{suggest(row.source, sources)}"
            )
        if row.status == "estimated" and not row.note:
            keys = tuple(int(k) if k.isdigit() else k for k in row.path.split("."))
            raise SpecError(
                f"{document.where(keys)} {row.path}: an estimated value needs a note with the "
                "reasoning"
            )


@cache
def _families() -> dict[str, Family]:
    path = find_data("arch_specs", ".yaml").get("families")
    if path is None:
        raise SpecError("arch_specs/families.yaml is missing from the installation")
    return validate(_FamilyFile, read_yaml(path, SpecError)).families


def _calibrate(own: Calibration, where: str) -> CalibrationValues:
    families = _families()
    if own.inherits not in families:
        raise SpecError(
            f"{where} calibration.inherits: unknown family '{own.inherits}', "
            f"{suggest(own.inherits, families)}"
        )
    family = families[own.inherits]
    names = [name for name in CalibrationValues.__dataclass_fields__ if name != "family"]
    values = {name: getattr(own, name) for name in names}
    inherited = {n: getattr(family, n) if v is None else v for n, v in values.items()}
    return CalibrationValues(own.inherits, **inherited)


def load_memory(name: str) -> MemorySpec:
    """Load a memory spec by packaged name or path.

    Raises
    ------
    SpecError
        If it is unknown or malformed.
    """
    return _load_memory(_Stamp.of(name, "memory"))


@cache
def _load_memory(stamp: _Stamp) -> MemorySpec:
    document = _read(stamp.name, "memory")
    check_sources(document)
    return validate(MemorySpec, document)


@cache
def _chip_document(stamp: _Stamp) -> Document:
    return _read(stamp.name, "chip")


def chip_from_document(document: Document) -> Chip:
    """Validate a raw chip tree and resolve its memory, calibration and provenance."""
    spec = validate(ChipSpec, document)
    check_sources(document)
    memory = None
    if spec.memory.type not in _SHARED_WITH_NOTHING:
        known = spec_files("memory")
        if spec.memory.type not in known:
            raise SpecError(
                f"{document.where(('memory', 'type'))} memory.type: unknown memory "
                f"'{spec.memory.type}', {suggest(spec.memory.type, [*known, 'sram', 'host'])}"
            )
        memory = load_memory(spec.memory.type)
    calibration = _calibrate(spec.calibration, document.where(("calibration", "inherits")))
    return Chip(spec, memory, calibration, collect(document.tree), document.path)


def load_chip(name: str, overrides: Mapping[str, Any] | None = None) -> Chip:
    """Load a chip by packaged name or path of a YAML file.

    Parameters
    ----------
    name : str
        For example ``"h100_sxm"`` or ``"my_chip.yaml"``.
    overrides : mapping of str to value, optional
        Dotted spec paths to new values, for example ``{"memory.bandwidth": "4 TB/s"}``.

    Returns
    -------
    Chip

    Raises
    ------
    SpecError
        If the name is unknown (the nearest are named) or the spec is wrong (file, line, path).
    """
    stamp = _Stamp.of(name, "chip")
    if not overrides:
        return _load_plain_chip(stamp)
    base = _chip_document(stamp)
    document = Document(copy.deepcopy(base.tree), base.path, base.lines)
    for path, value in overrides.items():
        override(document.tree, path, value, where=f"override of {base.path}")
    return chip_from_document(document)


@cache
def _load_plain_chip(stamp: _Stamp) -> Chip:
    return chip_from_document(_chip_document(stamp))


def load_system(name: str, overrides: Mapping[str, Any] | None = None) -> System:
    """Load a system by name or path; the name of a chip gives a system of one chip.

    Parameters
    ----------
    name : str
        Packaged name of a system or chip, or a YAML path.
    overrides : mapping of str to value, optional
        Dotted paths to new values; ``chip.`` in front reaches into the chip of a system.

    Raises
    ------
    SpecError
        If the name is unknown or the spec is wrong.
    """
    changes = dict(overrides or {})
    if not _is_system(name):
        plain = {key.removeprefix("chip."): value for key, value in changes.items()}
        return System.of_chip(load_chip(name, plain))
    base = _read(name, "system")
    document = Document(copy.deepcopy(base.tree), base.path, base.lines)
    chip_changes = {k.removeprefix("chip."): v for k, v in changes.items() if k.startswith("chip.")}
    for path, value in changes.items():
        if not path.startswith("chip."):
            override(document.tree, path, value, where=f"override of {base.path}")
    spec = validate(SystemSpec, document)
    check_sources(document)
    chip = load_chip(spec.chip, chip_changes)
    sources = tuple(f"{key}: {text}" for key, text in spec.sources.items())
    return System(spec.name, spec.title, chip, spec.levels, (*sources, *chip.source_texts))


def _is_system(name: str) -> bool:
    if is_path(name):
        tree = read_yaml(name, SpecError).tree
        return isinstance(tree, dict) and "levels" in tree
    if name in spec_files("system"):
        return True
    if name in spec_files("chip"):
        return False
    known = [*spec_files("chip"), *spec_files("system")]
    raise SpecError(
        f"unknown chip or system '{name}': {suggest(name, known)} "
        "(see 'accelsim list chips' and 'accelsim list systems', or give the path of a YAML file)"
    )
