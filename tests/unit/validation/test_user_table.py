"""Is a user's table read as meant, and is every mistake in it named with its place?"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from accelsim.errors import AccelsimError, WorkloadError
from accelsim.validation.user_table import read_user_csv, user_table


def frame(**columns: object) -> pd.DataFrame:
    return pd.DataFrame({"op": ["add", "add"], "rows": [8, 8], "cols": [64, 128], **columns})


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("column", "cell", "seconds"),
    [("measured_s", 2e-5, 2e-5), ("measured_us", 20, 2e-5), ("measured_ms", 0.02, 2e-5),
     ("latency_us", "20", 2e-5)],
)  # fmt: skip
def test_times_have_the_unit_of_their_column(column: str, cell: object, seconds: float) -> None:
    found = user_table(frame(**{column: [cell, cell]}), "a40", "graph").frame
    assert found["measured_s"].tolist() == pytest.approx([seconds] * 2)
    assert found["chip"].tolist() == ["a40", "a40"]
    assert found["launch"].tolist() == ["graph", "graph"]


def test_rows_may_say_device_and_launch(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "op,m,n,k,device,launch,measured_us\n"
        "gemm,1,64,64,H100_SXM_80GB,eager,20\nmatmul,1,64,64,,,30\n",
    )
    found = read_user_csv(path, "a40", "graph").frame
    assert found["chip"].tolist() == ["h100_sxm", "a40"]
    assert found["launch"].tolist() == ["eager", "graph"]
    assert found["suite"].tolist() == ["gemm", "gemm"]
    assert found["place"].tolist() == [f"{path}:2", f"{path}:3"]


def test_ops_and_formats_have_one_name_each() -> None:
    table = pd.DataFrame({
        "op": ["GEMM", "matmul", " gemm"], "dtype": ["BF16", "bf16", "bfloat16"],
        "m": 8, "n": 64, "k": 64, "measured_us": 5.0,
    })  # fmt: skip
    found = user_table(table, "a40", "graph").frame
    assert set(found["op"]) == {"matmul"}
    assert set(found["dtype"]) == {"bf16"}
    assert set(found["suite"]) == {"gemm"}


def test_rows_without_a_time_are_counted_and_left_out() -> None:
    found = user_table(frame(measured_us=[20, None]), "a40", "graph")
    assert len(found.frame) == 1
    [left] = found.left_out
    assert (left.rows, left.reason) == (1, "no time in 'measured_us'")


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"measured_us": [20, 0]}, r"row 1: measured_us is '0', expected a positive time"),
        ({"measured_us": [-1, -2]}, r"row 0: measured_us is '-1'.*\(2 such rows\)"),
        ({"measured_us": [20, "fast"]}, "row 1: measured_us is 'fast'"),
        ({"measured_us": [20, float("inf")]}, "expected a positive time"),
        (
            {"measured_us": [20, 1e-300]},
            "row 1: measured_us is '1e-300', expected a time from 1 ns",
        ),
        (
            {"measured_s": [1, 9e10]},
            "row 1: measured_s is '9.*expected a time from 1 ns to 100,000",
        ),
        ({"measured_us": [20, 5], "dtype": ["bf16", "bf15"]}, "row 1: unknown dtype 'bf15'"),
        ({"measured_us": [None, float("nan")]}, "no row has a time in 'measured_us'"),
        ({}, "has no measured time: give one column of measured_s"),
        ({"measured_us": [1, 2], "latency_us": [1, 2]}, "has measured_us and latency_us"),
        ({"measured_us": [1, 2], "colz": [1, 2]}, "unknown column 'colz': did you mean 'cols'"),
        ({"measured_us": [1, 2], "launch": ["graph", "lazy"]}, "row 1: launch 'lazy'"),
        ({"measured_us": [1, 2], "device": ["a40", "a41"]}, "device 'a41' is no chip"),
        ({"measured_us": [1, 2], "op": ["add", ""]}, "row 1: op is missing"),
    ],
)
def test_a_bad_table_is_refused_with_its_place(columns: dict[str, object], told: str) -> None:
    with pytest.raises(AccelsimError, match=told):
        user_table(frame(**columns), "a40", "graph")


def test_a_column_that_stands_twice_is_refused() -> None:
    twice = frame(measured_us=[1, 2])
    twice = pd.concat([twice, twice[["cols"]]], axis=1)
    with pytest.raises(WorkloadError, match="the column 'cols' stands twice"):
        user_table(twice, "a40", "graph")


def test_an_empty_table_and_one_without_ops_are_refused() -> None:
    with pytest.raises(WorkloadError, match="no rows"):
        user_table(frame(measured_us=[1, 2]).iloc[:0], "a40", "graph")
    with pytest.raises(WorkloadError, match="the column 'op' is missing"):
        user_table(frame(measured_us=[1, 2]).drop(columns="op"), "a40", "graph")


def test_a_table_must_say_where_it_was_measured() -> None:
    with pytest.raises(WorkloadError, match="does not say where it was measured"):
        user_table(frame(measured_us=[1, 2]), None, "graph")


def test_an_unknown_launch_is_refused() -> None:
    with pytest.raises(WorkloadError, match="unknown launch 'lazy'"):
        user_table(frame(measured_us=[1, 2]), "a40", "lazy")


def test_a_malformed_csv_names_its_line(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match=r"mine.csv:2: 2 fields, the header has 3"):
        read_user_csv(written(tmp_path, "op,rows,measured_us\nadd,8\n"), "a40", "graph")
    with pytest.raises(WorkloadError, match="unknown column 'speed'"):
        read_user_csv(written(tmp_path, "op,speed\nadd,8\n"), "a40", "graph")
