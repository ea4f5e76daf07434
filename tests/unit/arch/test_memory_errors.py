"""Is every way to write a memory wrongly one SpecError with file, line and dotted path?"""

from __future__ import annotations

from pathlib import Path

import pytest

from accelsim.arch.loader import load_memory
from accelsim.errors import SpecError
from tests.unit.arch.small_chip import line_of
from tests.unit.arch.small_memory import spoiled_memory, write_memory

# (what stands there, what replaces it, dotted path of the complaint, what it says)
CONTRADICTIONS = [
    ("tRAS: 30 ns", "tRAS: 30 ns\n  tRC: 38 ns", "timing.tRC",
     r"tRC of 38 ns is shorter than tRAS \+ tRP of 40 ns: a row cannot .* leave tRC out"),
    ("tRAS: 30 ns", "tRAS: 30 ns\n  tRC: 20 ns", "timing.tRC",
     "tRC of 20 ns is shorter than tRAS of 30 ns: .*make tRC 30 ns or more"),
    ("tRCDRD: 10 ns", "tRCDRD: 31 ns", "timing.tRAS", "tRAS of 30 ns is shorter than tRCDRD"),
    ("tRCDRD: 10 ns", "tRCDRD: 10 ns\n  tRCDWR: 62 nCK", "timing.tRAS", "shorter than tRCDWR"),
    ("tFAW: 15 ns", "tFAW: 2 ns", "timing.tFAW", "tFAW of 2 ns is shorter than tRRDS of 2.2 ns"),
    ("tCCDS: 4 nCK", "tCCDS: 4 nCK\n  tCCDL: 3 nCK", "timing.tCCDL", "shorter than tCCDS of 2 ns"),
    ("tCCDS: 4 nCK", "tCCDS: 4 nCK\n  tCCDL_WR: 1 nCK", "timing.tCCDL_WR", "than tCCDS_WR"),
    ("tFAW: 15 ns", "tFAW: 15 ns\n  tRRDL: 1 ns", "timing.tRRDL", "shorter than tRRDS"),
    ("tWTRS: 2.5 ns", "tWTRS: 2.5 ns\n  tWTRL: 1 ns", "timing.tWTRL", "shorter than tWTRS"),
    ("tRP: 10 ns", "tRP: 10 ns\n  tRPab: 9 ns", "timing.tRPab", "shorter than tRP"),
    ("tRFC: 350 ns", "tRFC: 350 ns\n  tRFCpb: 400 ns", "timing.tRFC", "shorter than tRFCpb"),
    ("tRFC: 350 ns", "tRFC: 3900 ns", "timing.tREFI",
     "tREFI of 3900 ns is no longer than tRFC of 3900 ns: the memory would only refresh"),
    ("  tCL: 10 ns", "  tCK: 0.6 ns\n  tCL: 10 ns", "timing.tCK",
     "0.6 ns contradicts the pin rate: 2 bits of a pin per clock are 0.5 ns"),
]  # fmt: skip

WRONG_TEXTS = [
    ("tCL: 10 ns", "tCL: 14 n CK", "timing.tCL", "'14 n CK' is not a number with a unit, .*14 nCK"),
    ("tCL: 10 ns", "tCL: 14 tCK", "timing.tCL", "unknown unit 'tCK', expected a time or a count"),
    ("tCL: 10 ns", "tCL: 14", "timing.tCL", "14 has no unit, expected a time or clocks"),
    ("tCL: 10 ns", "tCL: '14'", "timing.tCL", "'14' has no unit"),
    ("tCL: 10 ns", "tCL: 14.5 nCK", "timing.tCL", "no whole number of clocks, round up"),
    ("tCL: 10 ns", "tCL: 14 GB", "timing.tCL", "is a size, expected a time"),
    ("tCL: 10 ns", "tCL: -1 ns", "timing.tCL", "must not be negative"),
    ("tCL: 10 ns", "tCL: 0 ns", "timing.tCL", "must be positive"),
    ("tCL: 10 ns", "tCL: nan ns", "timing.tCL", "not finite"),
    ("tCL: 10 ns", "tCL: 2 s", "timing.tCL", "beyond 1000000 nCK or 1 ms"),
    ("tCL: 10 ns", "tCL: 9999999 nCK", "timing.tCL", "beyond 1000000 nCK or 1 ms"),
    ("tCL: 10 ns", "tCL: max(4 nCK, 5)", "timing.tCL", "has no unit"),
    ("tCL: 10 ns", "tCL: max(4 nCK)", "timing.tCL", "not a number with a unit"),
    ("tCL: 10 ns", "tCL: {value: 10 ns, sauce: sheet}", "timing.tCL", "did you mean 'source'"),
    ("tCL: 10 ns", "tCL: {value: 10 ns, status: estimated}", "timing.tCL", "needs a note"),
    ("tREFI: 3900 ns", "tREFI: 0 ns", "timing.tREFI", "must be positive"),
    ("tREFI: 3900 ns", "tREFI: 3900 ns\n  tRCDRW: 5 ns", "timing.tRCDRW",
     "unknown key 'tRCDRW', did you mean 'tRCDWR'"),
    ("  tREFI: 3900 ns\n", "", "timing.tREFI", "required key 'tREFI' is missing"),
]  # fmt: skip

ORGANISATION = [
    ("bank_groups: 2", "bank_groups: 0", "bank_groups", "0 is not between 1"),
    ("banks_per_group: 4", "banks_per_group: 0", "banks_per_group", "0 is not between 1"),
    ("banks_per_group: 4", "banks_per_group: 4\nstack_ids: 0", "stack_ids", "0 is not between 1"),
    ("page: 2 KiB", "page: 2 kB", "page", "2000 B is no power of two"),
    ("page: 2 KiB", "page: 16 B", "page", "16 B is no multiple of an access of 32 B"),
    ("access: 32 B", "access: 48 B", "access", "48 B is no power of two"),
    ("access: 32 B", "access: 4 B", "access", "4 B take 0.5 clocks on 32 pins, expected a whole"),
    ("channels: 1", "channels: 3", "device_bits", "32 pins do not divide among 3"),
    ("capacity: 1 GiB", "capacity: 1 GB", "capacity",
     "0.931323 GiB are 61035.2 rows of 2048 B in each of 8 banks, expected a whole number: use G"),
    ("capacity: 1 GiB", "capacity: 1 KiB", "capacity", "0.0625 rows"),
    ("standard: DDR4", "standard: HBM3\nclock_ratio: 2", "timing", "tRTW: missing, and HBM3 has"),
    ("standard: DDR4", "standard: XDR", "standard|clock_ratio", "unknown for the standard 'XDR'"),
    ("page: 2 KiB", "page: 2 KiB\nchanels: 2", "chanels", "did you mean 'channels'"),
    ("read_energy: 5 pJ/bit", "read_energy: 5 pJ/bit\ncommand_energy: {activate: 1 nJ/bit}",
     "command_energy.activate", "expected an energy"),
    ("read_energy: 5 pJ/bit", "read_energy: 5 pJ/bit\ncommand_energy: {activate: 1 nJ}",
     "command_energy", "required keys are missing"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "path", "says"),
    [*CONTRADICTIONS, *WRONG_TEXTS, *ORGANISATION],
    ids=lambda value: str(value)[:40],
)
def test_a_wrong_value_is_placed(old: str, new: str, path: str, says: str, tmp_path: Path) -> None:
    text = spoiled_memory(old, new)
    name = write_memory(tmp_path, text)
    with pytest.raises(SpecError, match=says) as caught:
        load_memory(name)
    message = str(caught.value)
    assert message.startswith(f"{name}:"), message
    assert any(f" {alternative}" in message for alternative in path.split("|")), message
    assert "\n" not in message


def test_the_line_is_that_of_the_parameter(tmp_path: Path) -> None:
    text = spoiled_memory("tRAS: 30 ns", "tRAS: 30 ns\n  tRC: 38 ns")
    name = write_memory(tmp_path, text)
    with pytest.raises(SpecError) as caught:
        load_memory(name)
    assert str(caught.value).startswith(f"{name}:{line_of(text, 'tRC: 38 ns')} timing.tRC: tRC of")


def test_several_contradictions_are_named_at_once(tmp_path: Path) -> None:
    text = spoiled_memory("tFAW: 15 ns", "tFAW: 1 ns").replace("tRFC: 350 ns", "tRFC: 4 us")
    with pytest.raises(SpecError, match=r"timing\.tFAW: .*; line \d+ timing\.tREFI: "):
        load_memory(write_memory(tmp_path, text))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("tFAW: 15 ns", "tFAW: 8 ns"),  # less than four tRRDS: not binding, hence no contradiction
        ("tRAS: 30 ns", "tRAS: 30 ns\n  tRC: 39.99 ns"),  # rounded to ps in the datasheet
        ("tCCDS: 4 nCK", "tCCDS: 4 nCK\n  tCCDL: 4 nCK"),
        ("capacity: 1 GiB", "capacity: 768 MiB"),  # 49152 rows, as dies of 24 Gb have
        ("  tCL: 10 ns", "  tCK: 0.499 ns\n  tCL: 10 ns"),
    ],
)
def test_what_datasheets_have_is_accepted(old: str, new: str, tmp_path: Path) -> None:
    assert load_memory(write_memory(tmp_path, spoiled_memory(old, new))).rows_per_bank > 0


def test_a_grade_that_changes_the_pin_rate_cannot_keep_a_stated_clock(tmp_path: Path) -> None:
    grade = tmp_path / "fast.yaml"
    grade.write_text("extends: ddr5_4800\nname: fast\npin_rate: 6 Gb/s\n", encoding="utf-8")
    with pytest.raises(SpecError, match=r"timing\.tCK: 0.416 ns contradicts the pin rate"):
        load_memory(str(grade))
    grade.write_text(
        "extends: ddr5_4800\nname: fast\npin_rate: 6 Gb/s\ntiming: {tCK: null}\n", encoding="utf-8"
    )
    assert load_memory(str(grade)).timing.tCK is None
