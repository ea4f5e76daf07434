"""Ranges keep their unit and their type; columns of quantities get SI numbers."""

from __future__ import annotations

import pytest

from accelsim.explore.values import expand_range, si_values, text_of


@pytest.mark.parametrize(
    ("start", "stop", "num", "scale", "expected"),
    [
        (66, 264, 4, "linear", (66, 132, 198, 264)),
        (1, 256, 9, "log", (1, 2, 4, 8, 16, 32, 64, 128, 256)),
        (1, 3, 9, "linear", (1, 2, 3)),
        ("1 TB/s", "8 TB/s", 4, "log", ("1 TB/s", "2 TB/s", "4 TB/s", "8 TB/s")),
        ("8 GB", "2 GB", 3, "linear", ("8 GB", "5 GB", "2 GB")),
        (0.1, 0.3, 3, "linear", (0.1, 0.2, 0.3)),
    ],
)
def test_ranges(start, stop, num, scale, expected) -> None:
    values = expand_range(start, stop, num, scale)
    assert values == expected
    assert {type(value) for value in values} == {type(expected[0])}


@pytest.mark.parametrize(
    ("start", "stop", "scale", "says"),
    [
        ("1 TB/s", "800 GB/s", "linear", "same unit"),
        (1, "8 TB/s", "linear", "same unit"),
        (4, 4, "linear", "two ends"),
        (0, 8, "log", "positive"),
        ("fast", "faster", "linear", "neither"),
        (True, 8, "linear", "neither"),
    ],
)
def test_bad_ranges(start, stop, scale, says) -> None:
    with pytest.raises(ValueError, match=says):
        expand_range(start, stop, 3, scale)


def test_si_column_is_named_with_the_suffix_of_its_unit() -> None:
    name, numbers = si_values("memory.bandwidth", ("500 GB/s", "2 TB/s"))
    assert name == "memory.bandwidth_bytes_per_s"
    assert numbers == pytest.approx([5e11, 2e12])
    assert si_values("clock", ("1.5 GHz",)) == ("clock_hz", [1.5e9])


@pytest.mark.parametrize("values", [(1, 2), ("hbm3_5200", "hbm2_2400"), ("2 TB/s", "80 GB"), ()])
def test_no_si_column_for_anything_else(values) -> None:
    assert si_values("memory.type", values) is None


def test_text_of_structured_values_is_json() -> None:
    assert text_of([8]) == "[8]"
    assert text_of({"b": 1, "a": "x"}) == '{"a": "x", "b": 1}'
    assert text_of("2 TB/s") == "2 TB/s"
    assert text_of(None) is None
