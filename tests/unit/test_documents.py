"""Hostile text in, plain data or one error with file and line out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.documents import Document, dotted, parse_yaml, read_json, read_text, read_yaml
from accelsim.errors import SpecError, WorkloadError


def yaml(text: str) -> Document:
    return parse_yaml(text, "chip.yaml", SpecError)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a: 1", {"a": 1}),
        ("a: 1.5", {"a": 1.5}),
        ("a: 80e9", {"a": 80e9}),
        ("a: 1e-3", {"a": 1e-3}),
        ("a: -7", {"a": -7}),
        ("a: 0x10", {"a": 16}),
        ("a: 0o17", {"a": 15}),
        ("a: 017", {"a": 17}),  # YAML 1.2: a leading zero is not octal
        ("a: true\nb: False", {"a": True, "b": False}),
        ("a: null\nb: ~\nc:", {"a": None, "b": None, "c": None}),
        ("a: no\nb: on", {"a": "no", "b": "on"}),  # YAML 1.2: not booleans
        ("a: 80 GB", {"a": "80 GB"}),
        ("a: '1'", {"a": "1"}),
        ("a: 2022-03-22", {"a": "2022-03-22"}),
        ("a: [1, {b: 2}]", {"a": [1, {"b": 2}]}),
        ("x: &x {b: 1}\ny: *x", {"x": {"b": 1}, "y": {"b": 1}}),
        ("1: a", {"1": "a"}),
        ("", None),
    ],
)
def test_plain_data_is_read(text: str, tree: Any) -> None:
    assert yaml(text).tree == tree


def test_a_byte_order_mark_is_no_content(tmp_path: Path) -> None:
    file = tmp_path / "marked"
    file.write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_json(file, SpecError).tree == {"a": 1}
    assert read_yaml(file, SpecError).tree == {"a": 1}


def test_every_value_knows_its_line() -> None:
    document = yaml("name: x\nmemory:\n  type: sram\n  stacks:\n    - 1\n    - 2\n")
    assert document.where(("memory", "type")) == "chip.yaml:3"
    assert document.where(("memory", "stacks", 1)) == "chip.yaml:6"
    assert document.where(("memory", "missing", "deeper")) == "chip.yaml:2"
    assert document.where() == "chip.yaml:1"


def test_without_lines_the_file_is_named() -> None:
    assert Document({}, "a.json").where(("x",)) == "a.json"


def test_dotted_path() -> None:
    assert dotted(("core", "matrix", 0, "rows")) == "core.matrix.0.rows"


HOSTILE_YAML = [
    ("!!python/object/apply:os.system ['touch pwned']", r":1: the tag .* is not allowed"),
    ("a: !!python/name:os.system", r":1: the tag .* is not allowed"),
    ("a: 1\nb: !secret x", r":2: the tag '!secret' is not allowed"),
    ("a: !!binary aGVsbG8=", r":1: the tag '!!binary' is not allowed"),
    ("a: !!set {x, y}", r":1: the tag .* is not allowed"),
    ("a: 1\nb: 2\na: 3", r":3: the key 'a' stands twice"),
    ("m:\n  a: 1\n  a: 1", r":3: the key 'a' stands twice"),
    ("? [a, b]\n: 1", r":1: a key must be plain text"),
    ("a: [1, 2", r"not valid YAML"),
    ("a: 1\n b: 2", r":2: not valid YAML.*indented unlike"),
    ("a: b: 2", r":1: not valid YAML.*two ': '"),
    ("a 1\nb: 2", r":2: not valid YAML.*follows a key without one"),
    ("m:\n    a: 1\n  b: 2", r":3: not valid YAML: expected <block end>.*the indentation of this"),
    ("m:\n  - 1\n - 2", r":3: not valid YAML.*indentation of this line does not match"),
    ("a: 1\n- b", r":2: not valid YAML.*indentation"),
    ("- a\nb: 1", r":2: not valid YAML.*indentation"),
    ("a: 'x' y", r":1: not valid YAML.*behind a closing quote"),
    ("a: [1\nb: 2", r":2: not valid YAML.*opens in line 1 lacks a comma"),
    ("a: 1\nb: 'x\nc: 3", r"not valid YAML.*quote that opens in line 2"),
    ("a: @x", r":1: not valid YAML.*put the text in quotes"),
    ("a:\n  b: 1\n\tc: 2", r":3: not valid YAML.*indent with spaces"),
    ("a:\t1\n\tb: 2", r"not valid YAML"),
    ("a: *nowhere", r":1: not valid YAML"),
    ("a: 1\n---\nb: 2", r"not valid YAML"),
    ("a: \x00", r"not valid YAML"),
    ("a: !!int twelve", r":1: 'twelve' is not a number"),
    ("a: " + "9" * 5000, r":1: '9{40}' is not a number"),
    ("a: &a [*a]", r"nested too deeply or expands without bound"),
    ("[" * 40 + "]" * 40, r"nested too deeply"),
    ("[" * 5000, r"not valid YAML"),
]


@pytest.mark.parametrize(("text", "says"), HOSTILE_YAML, ids=lambda value: repr(value)[:30])
def test_hostile_yaml_is_one_error_with_the_place(text: str, says: str) -> None:
    with pytest.raises(SpecError, match=says) as caught:
        yaml(text)
    assert str(caught.value).startswith("chip.yaml")
    assert "\n" not in str(caught.value)


def test_an_alias_bomb_does_not_explode() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
    with pytest.raises(SpecError, match="expands without bound"):
        yaml("\n".join(lines))


@given(st.text(max_size=80))
def test_any_text_is_data_or_one_error(text: str) -> None:
    try:
        yaml(text)
    except SpecError as error:
        assert str(error).startswith("chip.yaml")


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e300, 1e300) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(tree=st.dictionaries(st.text(), JSON_VALUES, max_size=4))
def test_json_reads_back(tree: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("json") / "a.json"
    path.write_text(json.dumps(tree), encoding="utf-8")
    assert read_json(path, WorkloadError).tree == tree


HOSTILE_JSON = [
    ('{"a": 1,\n"b": }', r"a\.json:2: not valid JSON: .*column"),
    ('{"model_type": "llama",', r"a\.json:1: not valid JSON"),
    ("", r"a\.json:1: not valid JSON"),
    ('{"a": NaN}', r"NaN is not a JSON number"),
    ('{"a": -Infinity}', r"-Infinity is not a JSON number"),
    ('{"a": {"b": 1, "b": 2}}', r"the key 'b' stands twice"),
    ("[" * 100_000, r"nested too deeply"),
    ('{"a": ' + "9" * 5000 + "}", r"nested too deeply or a number too long"),
]


@pytest.mark.parametrize(("text", "says"), HOSTILE_JSON, ids=lambda value: repr(value)[:30])
def test_hostile_json_is_one_error(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(WorkloadError, match=says):
        read_json(path, WorkloadError)


def test_an_overflowing_json_number_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"a": 1e999}')
    with pytest.raises(WorkloadError, match="number"):
        read_json(path, WorkloadError)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"cannot read .*nope\.yaml: No such file"):
        read_yaml(tmp_path / "nope.yaml", SpecError)


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="cannot read"):
        read_text(tmp_path, SpecError)


def test_bytes_that_are_not_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(b"a: \xff\xfe")
    with pytest.raises(SpecError, match="not UTF-8"):
        read_yaml(tmp_path / "x.yaml", SpecError)


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    with path.open("wb") as file:
        file.truncate(9 * 2**20)
    with pytest.raises(SpecError, match="larger than 8 MiB"):
        read_yaml(path, SpecError)
