"""Raw trees to validated models, and validation errors in the words of the spec's author."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from accelsim.documents import Document, Path_, dotted
from accelsim.errors import SpecError, suggest

_SHOWN_PROBLEMS = 6
_Model = TypeVar("_Model", bound=BaseModel)
# What pydantic adds to the place of an error and the file does not hold: the member of a union,
# and the remark that a key is wrong.
_NOT_IN_THE_FILE = frozenset({
    "systolic", "tensor_core", "by_name", "by_table", "chain", "fused_sum", "pairwise_sum",
    "two_stage_sum", "integer", "[key]",
})  # fmt: skip
# Kinds of pydantic's errors in the words of the spec's author; braces are the error's own values.
_EXPECTED = {
    **dict.fromkeys(("bool_type", "bool_parsing"), "expected true or false"),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "expected a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "expected a number"),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "expected a mapping"),
    **dict.fromkeys(("list_type", "tuple_type"), "expected a list"),
    "string_type": "expected text",
    "string_too_long": "expected at most {max_length} characters",
    "string_pattern_mismatch": "expected text of the pattern {pattern}",
    "literal_error": "expected {expected}",
    "finite_number": "expected a finite number",
    "greater_than_equal": "expected {ge} or more",
    "less_than_equal": "expected {le} or less",
    "too_short": "expected at least {min_length}, it holds {actual_length}",
    "too_long": "expected at most {max_length}, it holds {actual_length}",
}  # fmt: skip
_LONGEST_SHOWN = 60


def validate(model: type[_Model], document: Document) -> _Model:
    """Validate a raw tree; problems are named with file, line, dotted path and nearest key."""
    try:
        return model.model_validate(document.tree)
    except ValidationError as problem:
        found = problem.errors(include_url=False)
        raise SpecError(_listed(model, document, found)) from None


def _listed(model: type[BaseModel], document: Document, errors: Sequence[Any]) -> str:
    """Name all problems on one line, a wrong value before what is still missing around it."""
    rank = {"value_error": 0, "extra_forbidden": 1, "missing": 3}
    ranked = sorted(errors, key=lambda error: rank.get(error["type"], 2))
    words = list(dict.fromkeys(_explain(model, document, error) for error in ranked))
    absent = [dotted(_keys(e, document.tree)) for e in ranked if e["type"] == "missing"]
    if len(absent) > 1:
        words[-len(absent) :] = [
            f"{document.where(())} required keys are missing: {', '.join(absent)}"
        ]
    words = [words[0], *(word.replace(f"{document.path}:", "line ", 1) for word in words[1:])]
    more = len(words) - _SHOWN_PROBLEMS
    return "; ".join(words[:_SHOWN_PROBLEMS]) + (f"; {more} more problems" if more > 0 else "")


def _keys(error: Any, tree: Any) -> Path_:
    """Place of an error in the file, where a key may have the name of what pydantic adds."""
    keys: list[str | int] = []
    *before, last = error["loc"]
    for key in before:
        held = tree[key] if isinstance(tree, dict) and key in tree else None
        if isinstance(tree, list) and isinstance(key, int) and key < len(tree):
            held = tree[key]
        if key in _NOT_IN_THE_FILE and not isinstance(held, dict | list):
            continue
        keys.append(key)
        tree = held
    named = error["type"] in ("extra_forbidden", "missing") or last not in _NOT_IN_THE_FILE
    return (*keys, last) if named else tuple(keys)


def _explain(model: type[BaseModel], document: Document, error: Any) -> str:
    keys, kind = _keys(error, document.tree), error["type"]
    place = f"{document.where(keys)} {dotted(keys)}"
    if kind == "extra_forbidden":
        known = _known_keys(model, keys[:-1])
        return f"{place}: unknown key '{keys[-1]}', {suggest(str(keys[-1]), known)}"
    if kind == "missing":
        return f"{place}: the required key '{keys[-1]}' is missing"
    if kind == "union_tag_not_found":
        return f"{place}: the required key {error['ctx']['discriminator']} is missing"
    if kind == "union_tag_invalid":
        tag, word = error["ctx"]["tag"], error["ctx"]["discriminator"].strip("'")
        known = str(error["ctx"]["expected_tags"]).replace("'", "").split(", ")
        return f"{place}: unknown {word} '{tag}', {suggest(tag, known)}"
    if kind not in _EXPECTED:
        return f"{place}: {str(error['msg']).removeprefix('Value error, ')}"
    return f"{place}: {_EXPECTED[kind].format(**error.get('ctx', {}))}{_got(error['input'])}"


def _got(value: Any) -> str:
    """Show a plain value; a mapping or list would only repeat what stands in the file."""
    if isinstance(value, dict | list):
        return ""
    shown = "nothing" if value is None else repr(value)
    return f" (got {shown if len(shown) <= _LONGEST_SHOWN else shown[:_LONGEST_SHOWN] + '...'})"


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
                inner = inner or part.get("additionalProperties")
                if isinstance(inner, dict):
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
