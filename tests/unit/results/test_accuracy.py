"""Are errors summarised as the docs say, and tables grouped, ordered and plain?"""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from accelsim.results.accuracy import (
    SIZE_BUCKETS,
    ValidationResult,
    error_summary,
    error_table,
    size_buckets,
)


def rows_of(suite: str, measured_s: list[float], predicted_s: list[float]) -> pd.DataFrame:
    frame = pd.DataFrame({"measured_s": measured_s, "predicted_s": predicted_s})
    return frame.assign(
        suite=suite, device="card", chip="a40", dtype="bf16", fitted=False, op="add",
        roofline_s=0.5 * frame["measured_s"], bound="memory",
        size=size_buckets(frame["measured_s"].to_numpy()),
        error=frame["predicted_s"] / frame["measured_s"] - 1,
    )  # fmt: skip


@pytest.fixture
def result() -> ValidationResult:
    rows = pd.concat([
        rows_of("second", [2e-3, 5e-6], [1e-3, 5e-6]),
        rows_of("first", [1e-5, 1e-4, 1e-3, 9e-6], [1.1e-5, 0.5e-4, 1.3e-3, 9e-6]),
    ], ignore_index=True)  # fmt: skip
    left_out = pd.DataFrame(
        [("first", "card", "why", 3)], columns=["suite", "device", "reason", "rows"]
    )
    return ValidationResult(rows, left_out, {"a40": ()}, {"accelsim": "1"})


def test_errors_are_relative_and_signed() -> None:
    found = error_summary(np.array([1.09, 0.7, 2.0, 1.0]), np.ones(4))
    assert found["mape"] == pytest.approx((0.09 + 0.3 + 1.0) / 4)
    assert found["median"] == pytest.approx(0.195)
    assert found["bias"] == pytest.approx(0.1975)
    assert found["p90"] == pytest.approx(0.3 + 0.7 * 0.7)
    assert (found["within_10"], found["within_25"]) == (0.5, 0.5)


def test_sizes_are_ranges_of_the_measured_time() -> None:
    assert size_buckets(np.array([9e-6, 1e-5, 1e-4, 1e-3])) == list(SIZE_BUCKETS)


def test_the_roofline_stands_beside(result: ValidationResult) -> None:
    table = error_table(result.rows, ("suite",))
    assert list(table["suite"]) == ["second", "first"]
    assert list(table["rows"]) == [2, 4]
    assert table["roofline_mape"].tolist() == [0.5, 0.5]


def test_sizes_come_short_ones_first_in_the_order_of_classes(result: ValidationResult) -> None:
    found = list(zip(result.size_table["suite"], result.size_table["size"], strict=True))
    assert found == [
        ("second", "< 10 us"), ("second", "> 1 ms"),
        ("first", "< 10 us"), ("first", "10-100 us"), ("first", "0.1-1 ms"), ("first", "> 1 ms"),
    ]  # fmt: skip


def test_the_worst_are_those_with_the_largest_ratio(result: ValidationResult) -> None:
    worst = result.worst(2)
    assert worst["suite"].tolist() == ["second", "second", "first", "first"]
    assert worst["error"].tolist() == pytest.approx([-0.5, 0.0, -0.5, 0.3])


def test_the_tidy_table_says_all_where_it_does_not_split(result: ValidationResult) -> None:
    tidy = result.tidy()
    whole = tidy[(tidy["suite"] == "first") & (tidy["size"] == "all")]
    assert whole["rows"].tolist() == [4]
    by_size = tidy[(tidy["suite"] == "first") & (tidy["device"] == "all")]
    assert by_size["rows"].sum() == 4


def test_the_result_is_plain_json(result: ValidationResult) -> None:
    data = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert data["rows"] == 6
    assert data["left_out"] == [{"suite": "first", "device": "card", "reason": "why", "rows": 3}]
    assert len(data["worst"]) == 6
