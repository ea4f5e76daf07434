"""Do the pictures of accuracy show every class and chip, and are the same data the same bytes?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from accelsim.report.accuracy_figures import accuracy_figures
from accelsim.report.accuracy_tables import class_table, left_out_table, shape_words, size_table
from accelsim.results.accuracy import ValidationResult, size_buckets


def result_of(rows: int, suites: int) -> ValidationResult:
    random = np.random.default_rng(5)
    parts = []
    for index in range(suites):
        measured_s = 10 ** random.uniform(-5.5, -1, rows)
        predicted_s = measured_s * np.exp(random.normal(-0.1, 0.2, rows))
        chip = random.choice(["a40", "h100_sxm"], rows)
        parts.append(pd.DataFrame({
            "suite": f"class_{index}", "device": chip, "chip": chip, "dtype": "bf16", "op": "add",
            "rows": 8, "cols": np.nan, "measured_s": measured_s, "predicted_s": predicted_s,
            "roofline_s": 0.5 * measured_s, "size": size_buckets(measured_s), "fitted": False,
            "error": predicted_s / measured_s - 1, "bound": "memory",
        }))  # fmt: skip
    left = [("class_0", "a40", "short", 2), ("class_0", "a40", "short", 3)]
    frame = pd.DataFrame(left, columns=["suite", "device", "reason", "rows"])
    return ValidationResult(pd.concat(parts, ignore_index=True), frame, {}, {"accelsim": "1"})


def test_pictures_of_several_classes(tmp_path: Path) -> None:
    made = accuracy_figures(result_of(60, 5), tmp_path)
    assert [path.name for path in made] == ["predicted-vs-measured.png", "error-vs-size.png"]
    assert all(path.stat().st_size > 20_000 for path in made)


def test_one_op_is_enough_and_the_same_data_give_the_same_bytes(tmp_path: Path) -> None:
    one, two = (accuracy_figures(result_of(1, 1), tmp_path / name) for name in "ab")
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]


def test_tables_say_what_was_compared_and_what_was_not() -> None:
    result = result_of(40, 2)
    table = class_table(result)
    assert [row[0] for row in table.rows] == ["class_0", "class_0", "class_1", "class_1"]
    assert table.breaks == (2,)
    assert all(row[1].endswith(("µs", "ms")) for row in size_table(result).rows)
    assert left_out_table(result.left_out).rows == (("class_0", "a40", "5", "short"),)


def test_an_op_in_words_leaves_empty_columns_out() -> None:
    row = {
        "op": "matmul",
        "dtype": "bf16",
        "m": 4.0,
        "n": 8,
        "k": float("nan"),
        "rows": "",
        "causal": True,
    }
    assert shape_words(row) == "matmul m=4 n=8 causal=True"
