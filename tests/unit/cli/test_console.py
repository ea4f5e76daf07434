"""Are tables whole in a pipe, and do narrow terminals lose only what matters least?"""

from __future__ import annotations

import json
import math

import pandas as pd
import pytest

from accelsim.cli.console import (
    emit,
    fitting,
    frame_records,
    plain_table,
    refuse_targets,
    write_json,
)
from accelsim.cli.options import parse_overrides
from accelsim.errors import AccelsimError, SpecError
from accelsim.report.tables import Column, Table

TABLE = Table(
    "Things",
    (Column("name"), Column("size", right=True), Column("remark", rank=2), Column("x", rank=1)),
    (("a", "1 B", "r" * 500, "y"), ("longer", "20 B", "", "z")),
)


def test_plain_table_is_aligned_and_never_cut():
    text = plain_table(TABLE)
    assert text.splitlines()[0] == "Things"
    assert text.splitlines()[1].startswith("name    size  remark")
    assert "r" * 500 in text
    assert not any(line.endswith(" ") for line in text.splitlines())


@pytest.mark.parametrize(
    ("width", "titles"),
    [(1000, ["name", "size", "remark", "x"]), (40, ["name", "size", "x"]), (5, ["name", "size"])],
)
def test_columns_go_by_rank(width, titles):
    assert [column.title for column in fitting(TABLE, width).columns] == titles


def test_missing_values_of_a_frame_become_null():
    frame = pd.DataFrame({"a": [1.5, math.nan], "b": ["x", None], "c": [1, 2]})
    assert json.loads(json.dumps(frame_records(frame), allow_nan=False)) == [
        {"a": 1.5, "b": "x", "c": 1}, {"a": None, "b": None, "c": 2}
    ]  # fmt: skip


def test_json_has_no_nan(capsys):
    with pytest.raises(ValueError, match="Out of range"):
        write_json({"x": math.nan}, "-")
    assert capsys.readouterr().out == ""


def test_emit_shows_the_human_form_unless_stdout_is_json(capsys, tmp_path):
    emit({}, None, lambda: print("shown"))
    emit({}, str(tmp_path / "a.json"), lambda: print("shown"))
    assert capsys.readouterr().out == "shown\nshown\n"
    emit({}, "-", lambda: print("shown"))
    assert capsys.readouterr().out == "{}\n"


def test_overrides_read_numbers_truth_and_lists_but_keep_quantities():
    texts = ["cores=66", "a.b=4 TB/s", "c=true", "levels.0.shape=[4, 4]", "d=x=y"]
    assert parse_overrides(texts) == {
        "cores": 66, "a.b": "4 TB/s", "c": True, "levels.0.shape": [4, 4], "d": "x=y"
    }  # fmt: skip
    assert parse_overrides(None) == {}
    with pytest.raises(SpecError, match="PATH=VALUE"):
        parse_overrides(["cores"])


def test_targets_that_cannot_be_written_are_refused(tmp_path):
    file = tmp_path / "file"
    file.touch()
    for files, folders, says in (
        ([tmp_path], [], "is a folder"),
        ([], [file], "not a folder"),
        ([file / "x.json"], [], "not a folder"),
        ([], [file / "a" / "b"], "not a folder"),
    ):
        with pytest.raises(AccelsimError, match=says):
            refuse_targets(files, folders)


def test_targets_that_would_destroy_something_are_refused(tmp_path):
    source, link = tmp_path / "net.csv", tmp_path / "link.csv"
    source.touch()
    link.symlink_to(source)
    for files, folders, says in (
        ([source], [], "net.csv is an input"),
        ([tmp_path / "x" / ".." / "net.csv"], [], "is an input"),
        ([link], [], "link.csv is an input"),
        ([tmp_path / "z", "-", None, tmp_path / "." / "z"], [], "z would be written twice"),
        ([tmp_path / "z", tmp_path / "z" / "y"], [], "both a file and a folder"),
        ([tmp_path / "z"], [tmp_path / "z"], "both a file and a folder"),
        ([tmp_path / "z"], [tmp_path / "z" / "y"], "both a file and a folder"),
    ):
        with pytest.raises(AccelsimError, match=says):
            refuse_targets(files, folders, inputs=("gpt2", source))
    refuse_targets(["gpt2", tmp_path / "other"], [tmp_path], inputs=("gpt2", source))


def test_targets_that_can_be_written_are_not_refused(tmp_path):
    (tmp_path / "old").touch()
    files = [None, "-", "/dev/stdout", "x.json", tmp_path / "old", tmp_path / "new" / "x"]
    refuse_targets(files, [None, tmp_path, tmp_path / "a" / "b", "plots"])
