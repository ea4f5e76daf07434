"""Rates derived by simulation: for memories that no file of rates knows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from accelsim.arch.loader import load_memory, load_system
from accelsim.arch.memory_rates import CACHE_VARIABLE, known_rates
from accelsim.scenarios.memory_rates import with_memory_rates
from accelsim.timing.dram import effective

_DERIVE = effective.derive_rates


def test_rates_of_a_memory_of_ones_own_are_derived_once_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(effective, "derive_rates", lambda m: _DERIVE(m, 2_000))
    tall = load_memory("hbm3_6400").model_copy(update={"stack_ids": 4, "capacity_bytes": 2**35})
    assert known_rates(tall) is None
    rates = effective.effective_rates(tall)
    assert known_rates(tall) == rates
    (kept,) = tmp_path.rglob("*.json")
    assert json.loads(kept.read_text())["read"] == rates.read


def test_an_unwritable_cache_costs_time_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file"))
    monkeypatch.setattr(effective, "derive_rates", lambda m: _DERIVE(m, 2_000))
    tall = load_memory("hbm3_6400").model_copy(update={"stack_ids": 4, "capacity_bytes": 2**35})
    assert 0.5 < effective.effective_rates(tall).read < 1.0


def test_a_system_of_packaged_parts_needs_no_simulation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(effective, "derive_rates", lambda m: pytest.fail("simulated"))
    system = load_system("dgx_h100")
    assert with_memory_rates(system) is system


def test_longer_queues_and_closed_rows_cost_what_they_should() -> None:
    memory = load_memory("hbm2_2400")
    shallow = effective.Controller()
    copy = effective.streams(1, 1, 20_000)
    deep = effective.bandwidth_share(memory, copy)
    assert deep > effective.bandwidth_share(memory, copy, shallow) + 0.03
