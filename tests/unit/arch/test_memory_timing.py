"""Do timings in nanoseconds and clocks become the clocks of the datasheet?"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from accelsim.arch.delays import Delay, DelayText
from accelsim.arch.dram_timing import (
    TIMING_NAMES,
    clock_period_s,
    resolved_cycles,
    transfers_per_clock,
)
from accelsim.arch.loader import load_memory, spec_files
from accelsim.arch.memory import MemorySpec
from accelsim.errors import SpecError
from tests.unit.arch.small_memory import SMALL_MEMORY, spoiled_memory, write_memory

MEMORIES = tuple(spec_files("memory"))


# --- one delay


@pytest.mark.parametrize(
    ("text", "delay"),
    [
        ("14 nCK", Delay(14)),
        ("14nCK", Delay(14)),
        ("14 ns", Delay(0, 14e-9)),
        ("3.9 us", Delay(0, 3.9e-6)),
        ("max(4 nCK, 7.5 ns)", Delay(4, 7.5e-9)),
        ("max(7.5 ns, 4 nCK)", Delay(4, 7.5e-9)),
        ("0 nCK", Delay()),
    ],
)
def test_a_delay_is_read_as_the_datasheet_writes_it(text: str, delay: Delay) -> None:
    read = DelayText(positive=False).read(text)
    assert read.clocks == delay.clocks
    assert read.time_s == pytest.approx(delay.time_s)
    assert DelayText(positive=False).read(read.text) == read


@pytest.mark.parametrize(
    ("time_ns", "period_ns", "cycles"),
    [
        (14.0, 1.0, 14),
        (14.001, 1.0, 14),  # within the guard of 0.01 clocks
        (14.02, 1.0, 15),
        (19.375, 0.625, 31),
        (0.1 + 0.2, 0.1, 3),  # a quotient of 3.0000000000000004
        (0.0, 0.5, 0),
    ],
)
def test_a_time_takes_whole_clocks(time_ns: float, period_ns: float, cycles: int) -> None:
    assert Delay(0, time_ns * 1e-9).cycles(period_ns * 1e-9) == cycles


def test_the_larger_of_clocks_and_time_holds() -> None:
    delay = Delay(4, 7.5e-9)
    assert delay.cycles(3e-9) == 4
    assert delay.cycles(1e-9) == 8
    assert delay.seconds(3e-9) == pytest.approx(12e-9)


# --- a small memory by hand


def test_the_small_memory_by_hand(tmp_path: Path) -> None:
    memory = load_memory(write_memory(tmp_path))
    assert clock_period_s(memory) == pytest.approx(0.5e-9)
    assert (memory.bus_bits, memory.banks, memory.rows_per_bank) == (32, 8, 65536)
    assert memory.channel_capacity_bytes == 2**30
    n = resolved_cycles(memory)
    assert n["nBL"] == 4
    assert (n["nCL"], n["nCWL"], n["nRRDS"], n["nREFI"]) == (20, 16, 5, 7800)
    # What the file leaves out.
    assert (n["nRCDWR"], n["nRPab"], n["nRC"]) == (20, 20, 60 + 20)
    assert (n["nCCDL"], n["nCCDR"], n["nCCDS_WR"], n["nCCDL_WR"]) == (4, 4, 4, 4)
    assert (n["nRRDL"], n["nWTRL"], n["nRFCpb"], n["nREFIpb"], n["nRREFD"]) == (5, 5, 700, 975, 5)
    assert n["nRTW"] == 20 + 4 + 2 - 16
    assert n["nCS"] == 2
    assert not any(n[key] for key in ("nPPD", "nAAD", "nWCKPST", "nBLmax"))
    assert not any(n[key] for key in ("nPBR2PBR", "nPBR2ACT"))


@pytest.mark.parametrize(
    ("standard", "expected"),
    [("HBM2", 20 + 4 + 2 - 16), ("DDR5", 20 + 4 + 4 - 16), ("LPDDR4", 20 + 4 + 2 - 16)],
)
def test_read_to_write_follows_the_standard(standard: str, expected: int, tmp_path: Path) -> None:
    text = spoiled_memory("standard: DDR4", f"standard: {standard}")
    assert resolved_cycles(load_memory(write_memory(tmp_path, text)))["nRTW"] == expected


def test_read_to_write_of_graphics_memory_is_the_latency_and_one(tmp_path: Path) -> None:
    text = spoiled_memory("standard: DDR4", "standard: GDDR5\nclock_ratio: 2")
    assert resolved_cycles(load_memory(write_memory(tmp_path, text)))["nRTW"] == 21


def test_refresh_intervals_are_averages_and_round_to_the_nearest_clock(tmp_path: Path) -> None:
    text = spoiled_memory("tREFI: 3900 ns", "tREFI: 3900.2 ns\n  tREFIpb: 487.3 ns")
    n = resolved_cycles(load_memory(write_memory(tmp_path, text)))
    assert (n["nREFI"], n["nREFIpb"]) == (7800, 975)


def test_an_unknown_standard_states_its_clock_ratio_and_turnaround(tmp_path: Path) -> None:
    text = spoiled_memory("standard: DDR4", "standard: HBM9\nclock_ratio: 2")
    text = text.replace("  tCL: 10 ns", "  tCL: 10 ns\n  tRTW: 9 nCK")
    assert resolved_cycles(load_memory(write_memory(tmp_path, text)))["nRTW"] == 9


@pytest.mark.parametrize("both", [False, True])
def test_a_file_states_timing_or_an_efficiency(tmp_path: Path, both: bool) -> None:
    start, end = SMALL_MEMORY.index("timing:"), SMALL_MEMORY.index("read_energy:")
    text = SMALL_MEMORY[:start] + SMALL_MEMORY[end:] if not both else SMALL_MEMORY
    text += "streaming_efficiency: 0.9\n" if both else ""
    with pytest.raises(SpecError, match="streaming_efficiency: state either timing"):
        load_memory(write_memory(tmp_path, text))


def test_a_file_without_timing_loads(tmp_path: Path) -> None:
    start, end = SMALL_MEMORY.index("timing:"), SMALL_MEMORY.index("read_energy:")
    text = SMALL_MEMORY[:start] + SMALL_MEMORY[end:] + "streaming_efficiency: 0.9\n"
    memory = load_memory(write_memory(tmp_path, text))
    assert memory.timing is None
    with pytest.raises(SpecError, match="memory 'small' has no timing: give it the section"):
        resolved_cycles(memory)


# --- the packaged memories


@pytest.mark.parametrize("name", MEMORIES)
def test_a_packaged_memory_has_whole_rows_clocks_and_energies(name: str) -> None:
    memory = load_memory(name)
    n = resolved_cycles(memory)
    assert set(n) == {"nBL", *(f"n{key[1:]}" for key in TIMING_NAMES)}
    assert all(isinstance(value, int) and value >= 0 for value in n.values())
    assert memory.rows_per_bank >= 8192
    assert memory.command_energy is not None
    assert n["nBL"] * n["nRTW"] > 0
    # The bus is the bound of streaming, not the column commands.
    assert n["nCCDS"] == n["nBL"]


@pytest.mark.parametrize("name", MEMORIES)
def test_banks_and_stack_ids_are_bit_fields(name: str) -> None:
    memory = load_memory(name)
    for count in (memory.channels, memory.stack_ids, memory.bank_groups, memory.banks_per_group):
        assert count & (count - 1) == 0, f"{name}: {count} is no power of two"


READ_ENERGY_TOLERANCE = 0.01
# Where the file says why its streaming figure is more than the sum of the commands.
OTHER_READ_ENERGY = {"ddr3_2133", "ddr4_2400", "ddr4_3200", "ddr5_4800", "ddr5_6400"}
BITS_PER_ACTIVATION = 751  # of HBM in O'Connor et al.: 909 pJ for 1.21 pJ/bit


@pytest.mark.parametrize("name", MEMORIES)
def test_read_energy_is_the_sum_of_its_commands(name: str) -> None:
    memory = load_memory(name)
    energy = memory.command_energy
    assert energy is not None
    bits = BITS_PER_ACTIVATION if memory.standard.startswith("HBM") else 8 * memory.page_bytes
    total = (energy.read_j_per_byte + energy.io_j_per_byte) / 8 + energy.activate_j / bits
    stated = memory.read_energy_j_per_byte / 8
    if name in OTHER_READ_ENERGY:
        assert total < stated
        assert "read_energy" in str(energy.note)
    else:
        assert total == pytest.approx(stated, rel=READ_ENERGY_TOLERANCE)


@pytest.mark.parametrize("name", MEMORIES)
def test_energies_are_plausible(name: str) -> None:
    memory = load_memory(name)
    energy = memory.command_energy
    assert energy is not None
    per_kib = energy.activate_j / (memory.page_bytes / 1024)
    assert 0.4e-9 < per_kib < 2e-9, f"{name}: {per_kib:.3g} J per KiB of an activated row"
    assert energy.active_standby_w > energy.standby_w
    # A refresh renews some rows of every bank, each for no more than an activation of it.
    assert 4 * energy.activate_j < energy.refresh_j < 128 * energy.activate_j


# --- equal to the reference

PRESETS = {
    "hbm2_2000": "HBM2",
    "hbm3_6400": "HBM3",
    "hbm4_8000": "HBM4",
    "ddr5_4800": "DDR5",
    "gddr6_14000": "GDDR6",
    "lpddr5_6400": "LPDDR5",
}
# Our names of the reference's parameters, where they differ; none for what no command here uses.
RENAMED = {
    "nBL_min": ["nBL"],
    "nBL_max": ["nBLmax"],
    "nRCD": ["nRCDRD", "nRCDWR"],
    "nRTPL": ["nRTP"],
    "nRFCab": ["nRFC"],
    "rate": [],
    "tCK_ps": [],
    "nCAS": [],
    "nRFMab": [],
    "nRFMpb": [],
}
LEVELS = {
    "PseudoChannel": "pseudo_channels",
    "Sid": "stack_ids",
    "Rank": "ranks",
    "BankGroup": "bank_groups",
    "Bank": "banks_per_group",
    "Row": "rows_per_bank",
}


@pytest.fixture(scope="module")
def presets(shared_dir: Path) -> dict[str, Any]:
    text = (shared_dir / "dram" / "presets.yaml").read_text(encoding="utf-8")
    read: dict[str, Any] = YAML(typ="safe").load(text)
    return read


@pytest.mark.shared
@pytest.mark.parametrize("name", PRESETS)
def test_clocks_equal_those_of_the_reference(name: str, presets: dict[str, Any]) -> None:
    memory, preset = load_memory(name), presets[PRESETS[name]]
    ours, theirs = resolved_cycles(memory), preset["timing_CK"]
    expected = {key: theirs[other] for other in theirs for key in RENAMED.get(other, [other])}
    # Its interval of HBM2 is that of both pseudo-channels; its LPDDR5 refreshes two banks at once.
    expected.pop("nREFIpb", None)
    assert {key: ours[key] for key in expected} == expected
    assert ours["nREFIpb"] == math.ceil(ours["nREFI"] / memory.banks)
    assert clock_period_s(memory) * 1e12 == pytest.approx(preset["tCK_ps"])
    assert theirs.get("nCAS", 0) == 0


@pytest.mark.shared
@pytest.mark.parametrize("name", PRESETS)
def test_organisation_equals_that_of_the_reference(name: str, presets: dict[str, Any]) -> None:
    memory, there = load_memory(name), presets[PRESETS[name]]["organization"]
    ours = {level: getattr(memory, LEVELS[level]) for level in there["levels"] if level in LEVELS}
    assert ours == {level: count for level, count in there["levels"].items() if level in LEVELS}
    assert memory.bus_bits == there["channel_width_bits"]
    assert memory.page_bytes == there["row_bytes_per_bank"]
    assert memory.access_bytes == there["tx_bytes"]


def test_the_data_rate_of_a_clock_is_stated_or_known() -> None:
    assert transfers_per_clock("HBM3", None) == 4
    assert transfers_per_clock("HBM3", 8) == 8
    with pytest.raises(SpecError, match="clock_ratio: unknown for the standard 'XDR'"):
        transfers_per_clock("XDR", None)


def test_a_spec_is_frozen_and_its_capacity_known() -> None:
    memory = load_memory("hbm3_6400")
    unknown = MemorySpec.model_construct(**{**dict(memory), "capacity_bytes": None})
    with pytest.raises(SpecError, match="memory 'hbm3_6400': capacity: not stated"):
        _ = unknown.rows_per_bank
    with pytest.raises(SpecError, match="memory 'hbm3_6400': capacity: not stated"):
        _ = unknown.channel_capacity_bytes
