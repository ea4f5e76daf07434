"""Hostile text in, plain data out: YAML 1.2 and JSON with the line of every value.

Only mappings, lists and scalars of the YAML core schema are accepted: a tag that would construct
an object, a duplicate key, an alias bomb or a file of absurd size is an error, never executed.
"""

from __future__ import annotations

import json
import math
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from accelsim.errors import AccelsimError

Path_ = tuple[str | int, ...]
_MAX_BYTES = 8 * 2**20
_MAX_NODES = 200_000
_MAX_DEPTH = 32
_MAX_DIGITS = 400
_CORE = "tag:yaml.org,2002:"
_UNSHOWN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode categories that steer a terminal or hide in it instead of being seen."""
_INDENTATION = "the indentation of this line does not match that of the lines above"
_YAML_HINTS = (
    ("found '<block", _INDENTATION),
    ("found '-'", _INDENTATION),
    ("found '?'", _INDENTATION),
    ("found '<scalar>'", "text stands behind a closing quote or bracket"),
    (
        "mapping values are not",
        "this line is indented unlike those above, has two ': ' (quote the text), or follows a key "
        "without one",
    ),
    ("could not find expected ':'", "this line or the one above is a key without ': '"),
    (r"found character '\t'", "indent with spaces, not with tabs"),
    ("that cannot start", "put the text in quotes"),
    ("expected ',' or", "the bracket that opens in line {opened} lacks a comma or its end"),
    ("found unexpected end of stream", "the quote that opens in line {opened} is not closed"),
)
"""What the YAML reader says, by a part of it, and what an author most likely did."""


@dataclass(frozen=True)
class Document:
    """Plain data with a place for every part of it.

    Attributes
    ----------
    tree : Any
        Nested dict, list, str, int, float, bool and None.
    path : str
        The file the data came from, as the user named it.
    lines : dict
        1-based line of the value at each path of keys and indices (empty for JSON); a text in
        place of a line says where else the value comes from.
    """

    tree: Any
    path: str
    lines: dict[Path_, int | str] = field(default_factory=dict)

    def where(self, keys: Path_ = ()) -> str:
        """Return ``file:line`` of the value at `keys`, or of its nearest known ancestor."""
        for end in range(len(keys), -1, -1):
            line = self.lines.get(keys[:end])
            if line is not None:
                return f"{self.path}:{line}" if isinstance(line, int) else line
        return self.path


def dotted(keys: Path_) -> str:
    """Join keys and indices to a dotted path such as ``core.matrix.0.rows``."""
    return ".".join(str(key) for key in keys)


def read_text(path: str | Path, error: type[AccelsimError]) -> str:
    """Read a UTF-8 file of bounded size, or raise `error` with the reason."""
    file = Path(path)
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise error(f"{path}: larger than {_MAX_BYTES // 2**20} MiB, not read as text data")
        return file.read_text(encoding="utf-8-sig")  # a byte order mark is no content
    except OSError as problem:
        raise error(f"cannot read {path}: {problem.strerror or problem}") from None
    except UnicodeDecodeError:
        raise error(f"{path}: not UTF-8 text") from None


def printable(text: str) -> str:
    """Return `text` with a question mark for every character that would steer a terminal."""
    if text.isprintable():
        return text
    return "".join("?" if unicodedata.category(sign) in _UNSHOWN else sign for sign in text)


def require_printable(text: str, where: str, error: type[AccelsimError]) -> None:
    """Raise `error` if text that will be shown has control characters, tabs included."""
    for sign in "" if text.isprintable() else text:
        if unicodedata.category(sign) in _UNSHOWN:
            raise error(
                f"{where}: the control character U+{ord(sign):04X} stands in the line: names and "
                "values are plain text"
            )


def read_json(path: str | Path, error: type[AccelsimError]) -> Document:
    """Read a JSON object; NaN, infinities and duplicate keys are errors."""
    text = read_text(path, error)

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        tree = dict(items)
        if len(tree) != len(items):
            keys = [key for key, _ in items]
            twice = sorted({key for key in keys if keys.count(key) > 1})
            raise error(f"{path}: the key '{twice[0]}' stands twice in one object")
        return tree

    def constant(name: str) -> Any:
        raise error(f"{path}: {name} is not a JSON number")

    def number(text: str) -> float:
        value = float(text)
        return value if math.isfinite(value) else constant(text)

    try:
        tree = json.loads(text, object_pairs_hook=pairs, parse_constant=constant,
                          parse_float=number)  # fmt: skip
    except json.JSONDecodeError as problem:
        where = f"{path}:{problem.lineno}"
        raise error(f"{where}: not valid JSON: {problem.msg} (column {problem.colno})") from None
    except (RecursionError, ValueError):
        raise error(f"{path}: not usable JSON: nested too deeply or a number too long") from None
    return Document(tree, str(path))


def read_yaml(path: str | Path, error: type[AccelsimError]) -> Document:
    """Read a YAML 1.2 file of plain data and remember the line of every value."""
    text = read_text(path, error)
    return parse_yaml(text, str(path), error)


def parse_yaml(text: str, path: str, error: type[AccelsimError]) -> Document:
    """Parse YAML 1.2 text; `path` names it in messages."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        root = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        where = f"{path}:{mark.line + 1}" if mark else path
        said = str(problem.problem or problem.context)
        opened = problem.context_mark.line + 1 if problem.context_mark else "?"
        hints = (f" ({text.format(opened=opened)})" for part, text in _YAML_HINTS if part in said)
        raise error(f"{where}: not valid YAML: {said}{next(hints, '')}") from None
    except (YAMLError, ValueError, RecursionError) as problem:
        reason = str(problem).splitlines()[0] if str(problem) else "unreadable"
        raise error(f"{path}: not valid YAML: {reason}") from None
    reader = _Reader(path, error)
    return Document(reader.convert(root, (), 0), path, reader.lines)


class _Reader:
    """Turns YAML nodes to plain data, checking size, tags and duplicate keys on the way."""

    def __init__(self, path: str, error: type[AccelsimError]) -> None:
        self.path = path
        self.error = error
        self.lines: dict[Path_, int | str] = {}
        self._nodes = 0

    def convert(self, node: Any, keys: Path_, depth: int) -> Any:
        if node is None:
            return None
        line = node.start_mark.line + 1
        self.lines[keys] = line
        self._nodes += 1
        if self._nodes > _MAX_NODES or depth > _MAX_DEPTH:
            raise self.error(f"{self.path}:{line}: nested too deeply or expands without bound")
        kind = type(node).__name__
        tag = str(node.tag)
        if kind == "MappingNode" and tag == _CORE + "map":
            return self._mapping(node, keys, depth)
        if kind == "SequenceNode" and tag == _CORE + "seq":
            return [self.convert(v, (*keys, i), depth + 1) for i, v in enumerate(node.value)]
        if kind == "ScalarNode" and tag.startswith(_CORE):
            return self._scalar(node.value, tag.removeprefix(_CORE), line)
        raise self.error(f"{self.path}:{line}: the tag '{tag}' is not allowed in a data file")

    def _mapping(self, node: Any, keys: Path_, depth: int) -> dict[str, Any]:
        tree: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if type(key_node).__name__ != "ScalarNode":
                raise self.error(f"{self.path}:{line}: a key must be plain text")
            key = str(key_node.value)
            if key in tree:
                raise self.error(f"{self.path}:{line}: the key '{key}' stands twice")
            tree[key] = self.convert(value_node, (*keys, key), depth + 1)
            self.lines[(*keys, key)] = line
        return tree

    def _scalar(self, text: str, tag: str, line: int) -> Any:
        try:
            if tag in {"int", "float"} and len(text) > _MAX_DIGITS:
                raise ValueError  # hexadecimal ones could not even be printed
            match tag:
                case "null":
                    return None
                case "bool":
                    return text.lower() == "true"
                case "int":
                    return int(text.replace("_", ""), 0 if text[:2] in {"0x", "0o"} else 10)
                case "float":
                    return float(
                        text.replace("_", "").replace(".inf", "inf").replace(".nan", "nan")
                    )
                case "str" | "timestamp":
                    return text
        except ValueError:
            raise self.error(f"{self.path}:{line}: '{text[:40]}' is not a number") from None
        raise self.error(f"{self.path}:{line}: the tag '!!{tag}' is not allowed in a data file")
