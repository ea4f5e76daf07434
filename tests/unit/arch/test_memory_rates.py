"""The law of long transfers, and where rates are kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from accelsim.arch.loader import load_chip, load_memory
from accelsim.arch.memory_rates import (
    CACHE_VARIABLE,
    MemoryRates,
    TransferLaw,
    cache_folder,
    known_rates,
    rates_entry,
    rates_key,
)

RATES = MemoryRates(0.9, 0.8, 0.1, ((64.0, 0.4), (1024.0, 0.8)))


def test_the_law_adds_reads_writes_and_turning() -> None:
    assert RATES.cost(90.0, 0.0) == pytest.approx(100.0)
    assert RATES.cost(0.0, 80.0) == pytest.approx(100.0)
    assert RATES.cost(90.0, 80.0) == pytest.approx(100.0 + 100.0 + 8.0)
    assert RATES.share(0.5) == pytest.approx(1 / (0.5 / 0.9 + 0.5 / 0.8 + 0.05))


def test_random_blocks_lie_between_the_sizes_simulated() -> None:
    assert RATES.random_share(64) == pytest.approx(0.4)
    assert RATES.random_share(256) == pytest.approx(0.6)  # half way by logarithm
    assert RATES.random_share(8) == pytest.approx(0.4)
    assert RATES.random_share(1 << 20) == pytest.approx(0.8)


def test_without_rates_every_byte_is_alike() -> None:
    law = TransferLaw.of(100e9, 0.9, None)
    assert law.seconds(45e9, 45e9) == pytest.approx(1.0)


@pytest.mark.parametrize("efficiency", [0.5, 0.85, 0.95, 1.0])
def test_the_law_keeps_to_a_stated_efficiency_and_below_the_peak(efficiency: float) -> None:
    law = TransferLaw.of(100e9, efficiency, RATES)
    assert law.seconds(200e9 / 3, 100e9 / 3) == pytest.approx(1.0 / efficiency)
    for reads, writes in ((100e9, 0.0), (0.0, 100e9), (50e9, 50e9)):
        assert law.seconds(reads, writes) >= 1.0


def test_the_key_forgets_what_does_not_matter_and_keeps_what_does() -> None:
    memory = load_memory("hbm3_6400")
    assert rates_key(memory) == rates_key(memory.model_copy(update={"name": "mine", "sources": {}}))
    assert rates_key(memory) != rates_key(memory.model_copy(update={"stack_ids": 4}))
    assert rates_key(memory) != rates_key(load_memory("hbm3_5200"))


def test_a_chip_without_calibrated_memory_takes_the_bank_model() -> None:
    chip = load_chip("a100_sxm_40gb")
    assert chip.calibration.memory_efficiency is None
    assert chip.memory_rates is not None
    assert chip.memory_efficiency == pytest.approx(chip.memory_rates.triad)
    reads, copies = chip.transfers.seconds(2e9, 0.0), chip.transfers.seconds(1e9, 1e9)
    assert reads < copies


def test_a_measured_efficiency_holds_at_two_reads_to_a_write() -> None:
    chip = load_chip("wormhole")
    assert chip.memory_efficiency == 0.90
    peak_s = 3e9 / chip.bandwidth_bytes_per_s
    assert chip.transfers.seconds(2e9, 1e9) == pytest.approx(peak_s / 0.90)


def test_kept_rates_are_found_and_damaged_ones_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    memory = load_memory("hbm3_6400").model_copy(update={"stack_ids": 4, "capacity_bytes": 2**35})
    path = cache_folder() / f"{rates_key(memory)}.json"
    assert known_rates(memory) is None
    path.parent.mkdir()
    for text in ("", "{}", "[1]", '{"read": 2, "write": 1, "turnaround": 0, "random": [[64, 1]]}'):
        path.write_text(text)
        assert known_rates(memory) is None
    path.write_text(json.dumps(rates_entry(RATES)))
    assert known_rates(memory) == RATES
