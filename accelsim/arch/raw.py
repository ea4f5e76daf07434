"""Raw specs: files found by name or path, laid over the specs they extend, changed by path."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from accelsim.arch.provenance import OVERRIDE, UNSOURCED, Provenance, collect
from accelsim.documents import Document, Path_, dotted, read_yaml
from accelsim.errors import SpecError, suggest
from accelsim.files import find_data

FOLDERS = {"chip": "chips", "system": "systems", "memory": "memory"}
_MAX_ANCESTORS = 8


@dataclass(frozen=True, eq=False)  # identity: a raw spec is a cache key
class RawSpec:
    """A spec before validation.

    Attributes
    ----------
    document : Document
        The merged tree; lines are those of the file itself, not of what it extends.
    provenance : tuple of Provenance
        One row per value, each with the annotations of the file that states it.
    files : tuple of (Path, int)
        Every file that was read and its time of change [ns]: what a cache must watch.
    """

    document: Document
    provenance: tuple[Provenance, ...]
    files: tuple[tuple[Path, int], ...]

    def is_current(self) -> bool:
        """Tell whether none of the files has changed since."""
        return all(_modified_ns(path) == stamp for path, stamp in self.files)


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


def locate(name: str, kind: str) -> Path:
    """Return the file of a spec named by the user.

    Raises
    ------
    SpecError
        If the name is unknown; the nearest are named.
    """
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


_cache: dict[Path, RawSpec] = {}


def read_raw(name: str, kind: str) -> RawSpec:
    """Read a spec and what it extends; unchanged files are not parsed twice.

    Raises
    ------
    SpecError
        If the file is missing or malformed, or the chain of `extends` is broken.
    """
    path = locate(name, kind)
    known = _cache.get(path)
    if known is None or not known.is_current():
        known = _cache[path] = _read(path, kind, ())
    return known


def shared_stamp() -> tuple[tuple[Path, int], ...]:
    """Files that every chip draws on (memories, families, energy) and when they changed [ns]."""
    folders = ("arch_specs/memory", "arch_specs/energy", "arch_specs")
    files = [path for folder in folders for path in find_data(folder, ".yaml").values()]
    return tuple((path, _modified_ns(path)) for path in files)


def _modified_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return -1  # reading it will say why


def _read(path: Path, kind: str, below: tuple[Path, ...]) -> RawSpec:
    stamp = (path, _modified_ns(path))
    document = read_yaml(path, SpecError)
    if not isinstance(document.tree, dict):
        raise SpecError(f"{document.where()}: expected a mapping of {kind} fields")
    parent_name = document.tree.pop("extends", None)
    if parent_name is None:
        return RawSpec(document, collect(document.tree), (stamp,))
    if not isinstance(parent_name, str) or path in below or len(below) > _MAX_ANCESTORS:
        raise SpecError(f"{document.where(('extends',))}: 'extends' must name another {kind}")
    if is_path(parent_name):
        parent_name = str(path.parent / parent_name)
    parent = _read(locate(parent_name, kind), kind, (*below, path))
    base = parent.document.tree
    rows = collect(document.tree)
    tree = _merge(base, document.tree)
    return RawSpec(
        Document(tree, document.path, document.lines),
        _merge_rows(parent.provenance, rows, document.tree),
        (stamp, *parent.files),
    )


def _merge(base: Any, change: Any) -> Any:
    """Overlay `change` on `base`: mappings merge, everything else (lists too) is replaced."""
    both = isinstance(base, dict) and isinstance(change, dict)
    if not both or "value" in base or "value" in change:
        return copy.deepcopy(change)
    merged = {key: copy.deepcopy(value) for key, value in base.items()}
    for key, value in change.items():
        merged[key] = _merge(merged[key], value) if key in merged else copy.deepcopy(value)
    return merged


def _merge_rows(
    base: tuple[Provenance, ...], change: tuple[Provenance, ...], tree: Any
) -> tuple[Provenance, ...]:
    """Keep the rows of inherited values as their own file annotates them."""
    kept = [row for row in base if not _replaced(row.path.split("."), tree)]
    return tuple(sorted((*kept, *change), key=lambda row: row.path))


def _replaced(keys: list[str], tree: Any) -> bool:
    """Tell whether the overlay `tree` states a value or list at `keys` or above."""
    for key in keys:
        if not isinstance(tree, dict) or "value" in tree:
            return True
        if key not in tree:
            return False
        tree = tree[key]
    return True


def override(raw: RawSpec, changes: Mapping[str, Any]) -> RawSpec:
    """Return the spec with some values changed, each by dotted path.

    Parameters
    ----------
    raw : RawSpec
    changes : mapping of str to value
        For example ``{"memory.bandwidth": "4 TB/s", "core.matrix.0.rows": 256}``.

    Raises
    ------
    SpecError
        If a step of a path does not exist; the message names the nearest.
    """
    tree = copy.deepcopy(raw.document.tree)
    rows = {row.path: row for row in raw.provenance}
    lines = dict(raw.document.lines)
    for path, value in changes.items():
        _set(tree, path, value, f"override of {raw.document.path}")
        lines[as_keys(path)] = f"override of {raw.document.tree.get('name', path)}"
        rows[path] = Provenance(path, str(value), OVERRIDE, "invented", "", "changed for this run")
    document = Document(tree, raw.document.path, lines)
    return replace(raw, document=document, provenance=tuple(rows.values()))


def as_keys(path: str) -> Path_:
    """Split a dotted path to keys and indices."""
    return tuple(int(key) if key.isdigit() else key for key in path.split("."))


def _set(tree: Any, path: str, value: Any, where: str) -> None:
    keys = path.split(".")
    node = tree
    for depth, key in enumerate(keys):
        last = depth == len(keys) - 1
        at = f"{where}: '{path}'"
        index: Any = key
        if isinstance(node, list):
            if not key.isdigit() or int(key) >= len(node):
                raise SpecError(f"{at}: '{key}' is not an index below {len(node)}")
            index = int(key)
        elif not isinstance(node, dict):
            raise SpecError(f"{at}: '{dotted(tuple(keys[:depth]))}' is a plain value")
        elif key not in node and not last:
            raise SpecError(f"{at}: no key '{key}', {suggest(key, node)}")
        if last:
            old = node[index] if isinstance(node, list) else node.get(index)
            # Keep annotations such as basis; what changes is the number.
            annotated = isinstance(old, dict) and "value" in old and not isinstance(value, dict)
            node[index] = {**old, "value": value} if annotated else value
        else:
            node = node[index]


def check_sources(raw: RawSpec) -> None:
    """Refuse a source key that is not declared and an estimate without its reasoning.

    Raises
    ------
    SpecError
        With file, line and dotted path.
    """
    document = raw.document
    sources = document.tree.get("sources") or {}
    if not isinstance(sources, dict):
        raise SpecError(f"{document.where(('sources',))}: 'sources' maps keys to texts")
    for row in raw.provenance:
        if row.source not in (UNSOURCED, OVERRIDE) and row.source not in sources:
            keys = _source_key(document.tree, row)
            raise SpecError(
                f"{document.where(keys)} {dotted(keys)}: source '{row.source}' is not in "
                f"'sources', {suggest(row.source, sources)}"
            )
        if row.status == "estimated" and not row.note:
            place = f"{document.where(as_keys(row.path))} {row.path}"
            raise SpecError(f"{place}: an estimated value needs a note with the reasoning")


def _source_key(tree: Any, row: Provenance) -> Path_:
    """Return where the source of a value is named: beside it, or in a section around it."""
    found = keys = as_keys(row.path)
    for depth in range(len(keys) + 1):
        if isinstance(tree, dict) and str(tree.get("source")) == row.source:
            found = (*keys[:depth], "source")
        try:
            tree = tree[keys[depth]]
        except (IndexError, KeyError, TypeError):  # the end, or a key that looks like an index
            break
    return found
