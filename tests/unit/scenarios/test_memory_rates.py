"""Memories that no file of rates knows, in a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from accelsim.arch.loader import load_system
from accelsim.arch.memory_rates import CACHE_VARIABLE
from accelsim.errors import SpecError
from accelsim.scenarios.memory_rates import with_memory_rates

MEMORY = "extends: hbm3_6400\nname: mine\ntitle: mine\n"
# A chip whose family states no memory_efficiency either.
CHIP = "extends: b200_sxm\nname: own\ntitle: own\nmemory: {type: mine.yaml}\n"


def system_with(folder: Path, memory: str, chip: str = CHIP) -> str:
    (folder / "mine.yaml").write_text(MEMORY + memory)
    (folder / "own.yaml").write_text(chip)
    return str(folder / "own.yaml")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))


def test_a_memory_beside_the_chip_is_simulated_and_kept(tmp_path: Path) -> None:
    system = load_system(system_with(tmp_path, "timing: {tRFC: 1200 ns, tRFCpb: 200 ns}\n"))
    assert system.chip.memory_rates is None
    known = with_memory_rates(system).chip
    assert known.memory_rates is not None
    assert known.memory_efficiency < 0.7  # refresh takes 1200 of 3900 ns
    assert load_system(str(tmp_path / "own.yaml")).chip.memory_rates == known.memory_rates


def test_a_standard_of_ones_own_takes_a_command_a_clock(tmp_path: Path) -> None:
    system = load_system(system_with(tmp_path, "standard: WIDE9\nclock_ratio: 4\n"))
    assert 0.8 < with_memory_rates(system).chip.memory_efficiency < 1.0


def test_what_the_bank_model_cannot_run_needs_an_efficiency(tmp_path: Path) -> None:
    odd = "stack_ids: 3\ncapacity: 24 GiB\n"
    with pytest.raises(SpecError, match=r"3 stack ids.*state calibration\.memory_efficiency"):
        with_memory_rates(load_system(system_with(tmp_path, odd)))
    stated = CHIP + "calibration: {memory_efficiency: 0.8}\n"
    system = with_memory_rates(load_system(system_with(tmp_path, odd, stated)))
    assert system.chip.memory_efficiency == 0.8
