"""A file that many chips draw on (memory, families, energy) was edited: is it seen?"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from accelsim.arch.energy import load_energy_table
from accelsim.arch.loader import load_chip
from accelsim.files import SEARCH_PATH_VARIABLE, find_data


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    later = path.stat().st_mtime_ns + 10**9
    os.utime(path, ns=(later, later))


@pytest.fixture
def own_specs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of all specs that hides the packaged ones."""
    packaged = find_data("arch_specs", ".yaml")["families"].parent
    shutil.copytree(packaged, tmp_path / "arch_specs")
    monkeypatch.setenv(SEARCH_PATH_VARIABLE, str(tmp_path))
    return tmp_path / "arch_specs"


def test_an_unchanged_chip_is_the_same_object(own_specs: Path) -> None:
    assert load_chip("h100_sxm") is load_chip("h100_sxm")


def test_an_edited_memory_is_seen(own_specs: Path) -> None:
    before = load_chip("h100_sxm").memory
    edit(own_specs / "memory" / "hbm3_5200.yaml", "5.2 Gb/s", "2.6 Gb/s")
    after = load_chip("h100_sxm").memory
    assert before is not None and after is not None
    assert after.bandwidth_bytes_per_s == pytest.approx(before.bandwidth_bytes_per_s / 2)


def test_an_edited_family_is_seen(own_specs: Path) -> None:
    # A chip that states no overhead of its own.
    before = load_chip("b200_sxm").calibration.kernel_overhead_s
    edit(
        own_specs / "families.yaml",
        "kernel_overhead: {value: 1.9 us",
        "kernel_overhead: {value: 3.8 us",
    )
    assert load_chip("b200_sxm").calibration.kernel_overhead_s == pytest.approx(2 * before)


def test_an_edited_energy_table_is_seen(own_specs: Path) -> None:
    before = load_energy_table().wire_j_per_byte_m
    edit(own_specs / "energy" / "logic.yaml", "60 fJ/bit/mm", "30 fJ/bit/mm")
    assert load_energy_table().wire_j_per_byte_m == pytest.approx(before / 2)
