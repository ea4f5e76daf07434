"""Text with units to SI floats and back."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim import units
from accelsim.units import Dimension, format_si, parse_quantity


@pytest.mark.parametrize(
    ("text", "dimension", "si"),
    [
        ("2 us", units.TIME, 2e-6),
        ("2 µs", units.TIME, 2e-6),
        ("2 ms", units.TIME, 2e-3),  # milliseconds, not the plural of metre
        ("3 min", units.TIME, 180.0),
        ("2 h", units.TIME, 7200.0),
        ("0.5 ns", units.TIME, 0.5e-9),
        ("417 ps", units.TIME, 417e-12),
        ("1.83 GHz", units.FREQUENCY, 1.83e9),
        ("80 GB", units.INFORMATION, 80e9),
        ("80 GiB", units.INFORMATION, 80 * 2**30),
        ("228 KiB", units.INFORMATION, 228 * 1024),
        ("1 kB", units.INFORMATION, 1000.0),
        ("64 Mb", units.INFORMATION, 8e6),  # bits
        ("0 B", units.INFORMATION, 0.0),
        ("3.35 TB/s", units.BANDWIDTH, 3.35e12),
        ("800 GiB/s", units.BANDWIDTH, 800 * 2**30),
        ("5.2 Gb/s", units.BANDWIDTH, 0.65e9),
        ("128 B/cycle", units.BYTES_PER_CYCLE, 128.0),
        ("64 b/cycle", units.BYTES_PER_CYCLE, 8.0),
        ("989.4 TFLOP/s", units.COMPUTE_RATE, 989.4e12),
        ("92 TOP/s", units.COMPUTE_RATE, 92e12),
        ("4.5 PFLOP/s", units.COMPUTE_RATE, 4.5e15),
        ("700 W", units.POWER, 700.0),
        ("1.2 kW", units.POWER, 1200.0),
        ("0.34 pJ", units.ENERGY, 0.34e-12),
        ("30 fJ", units.ENERGY, 30e-15),
        ("3.9 pJ/bit", units.ENERGY_PER_BYTE, 31.2e-12),
        ("3.9 pJ/b", units.ENERGY_PER_BYTE, 31.2e-12),
        ("31.2 pJ/B", units.ENERGY_PER_BYTE, 31.2e-12),
        ("814 mm^2", units.AREA, 814e-6),
        ("7 nm", units.LENGTH, 7e-9),
        ("750 mV", units.VOLTAGE, 0.75),
        ("85 degC", units.TEMPERATURE, 85.0),
        ("25000 USD", units.CURRENCY, 25000.0),
        ("  1e3   GB / s ", units.BANDWIDTH, 1e12),
        ("-3 W", units.POWER, -3.0),  # the sign is the schema's business
        (".5 V", units.VOLTAGE, 0.5),
    ],
)
def test_reads_what_datasheets_write(text: str, dimension: Dimension, si: float) -> None:
    assert parse_quantity(text, dimension) == pytest.approx(si, rel=1e-14, abs=0)


@pytest.mark.parametrize(
    ("text", "dimension", "says"),
    [
        ("3.35 TiB", units.BANDWIDTH, "is a size"),
        ("3.35 TB/s", units.INFORMATION, "is a bandwidth"),
        ("3 GB/s/s", units.BANDWIDTH, "another kind of quantity"),
        ("3 TFLOP/s", units.BANDWIDTH, "is a compute rate"),
        ("700 J", units.POWER, "is a energy|is an energy"),
        ("3.35", units.BANDWIDTH, "has no unit"),
        ("12 furlong", units.LENGTH, "unknown unit 'furlong'"),
        ("12 KB", units.INFORMATION, "kB for 1000 bytes or KiB for 1024"),
        ("nan W", units.POWER, "not finite"),
        ("inf W", units.POWER, "not finite"),
        ("1e999 W", units.POWER, "not finite"),
        ("", units.POWER, "not a number with a unit"),
        ("W", units.POWER, "not a number with a unit"),
        ("seven W", units.POWER, "not a number with a unit"),
        ("1,000 W", units.POWER, "not a number with a unit"),
        ("2 ** 9 W", units.POWER, "not a number with a unit"),
        ("__import__('os')", units.POWER, "not a number with a unit"),
        ("1 m^99999999", units.AREA, "not a number with a unit"),
        ("1" * 61 + " W", units.POWER, "63 characters"),
    ],
)
def test_refuses_with_the_reason(text: str, dimension: Dimension, says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        parse_quantity(text, dimension)
    assert f"expected {dimension.article} {dimension.name} such as '{dimension.example}'" in str(
        caught.value
    )


@pytest.mark.parametrize("dimension", units._KNOWN, ids=lambda d: d.name)
def test_every_dimension_reads_its_own_example(dimension: Dimension) -> None:
    assert parse_quantity(dimension.example, dimension) > 0


@given(st.text(max_size=30))
def test_no_text_does_anything_but_parse_or_refuse(text: str) -> None:
    try:
        value = parse_quantity(text, units.BANDWIDTH)
    except ValueError:
        return
    assert math.isfinite(value)


@pytest.mark.parametrize(
    ("value", "unit", "digits", "text"),
    [
        (3.35e12, "B/s", 3, "3.35 TB/s"),
        (989.4e12, "FLOP/s", 4, "989.4 TFLOP/s"),
        (0.0, "s", 3, "0 s"),
        (1.0, "s", 3, "1.00 s"),
        (999.6, "W", 3, "1.00 kW"),  # rounding may cross to the next prefix
        (999.4, "W", 3, "999 W"),
        (-2e-6, "s", 2, "-2.0 µs"),
        (1e-15, "J", 3, "1.00 fJ"),
        (2.5e21, "B", 3, "2500 EB"),
        (12345.0, "B", 1, "10 kB"),
        (float("inf"), "s", 3, "inf s"),
        (float("nan"), "s", 3, "nan s"),
    ],
)
def test_writes_what_people_read(value: float, unit: str, digits: int, text: str) -> None:
    assert format_si(value, unit, digits) == text


WRITTEN = st.sampled_from(
    [("s", units.TIME), ("Hz", units.FREQUENCY), ("B", units.INFORMATION),
     ("B/s", units.BANDWIDTH), ("FLOP/s", units.COMPUTE_RATE), ("W", units.POWER),
     ("J", units.ENERGY), ("V", units.VOLTAGE)]
)  # fmt: skip


@given(
    value=st.floats(min_value=1e-14, max_value=1e20),
    sign=st.sampled_from([1.0, -1.0]),
    written=WRITTEN,
    digits=st.integers(min_value=2, max_value=12),
)
def test_what_is_written_reads_back(
    value: float, sign: float, written: tuple[str, Dimension], digits: int
) -> None:
    unit, dimension = written
    back = parse_quantity(format_si(sign * value, unit, digits), dimension)
    # Rounding to `digits` digits is off by at most half a unit of the last one.
    assert back == pytest.approx(sign * value, rel=0.5 * 10.0 ** (1 - digits) * (1 + 1e-9))


@given(value=st.floats(min_value=1e-14, max_value=9e20), digits=st.integers(3, 6))
def test_one_to_three_digits_stand_before_the_point(value: float, digits: int) -> None:
    number = format_si(value, "B", digits).split(" ")[0]
    assert 1 <= float(number) < 1000
    assert len(number.replace(".", "")) == digits
