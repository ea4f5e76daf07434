"""What follows from a spec: peaks, ridge points, capacities, dtypes, provenance."""

from __future__ import annotations

from pathlib import Path

import pytest

from accelsim.arch.chip import Chip
from accelsim.arch.loader import load_chip
from accelsim.errors import MappingError
from tests.unit.arch.small_chip import spoiled, write_chip


@pytest.fixture
def chip(tmp_path: Path) -> Chip:
    return load_chip(write_chip(tmp_path))


def test_peak_is_two_flop_per_mac(chip: Chip) -> None:
    assert chip.peak_flop_per_s("bf16") == 2 * 16 * 2 * 1e9
    assert chip.peak_flop_per_s("int8") == 2 * chip.peak_flop_per_s("bf16")


def test_ridge_point(chip: Chip) -> None:
    assert chip.ridge_flop_per_byte("bf16") == pytest.approx(64e9 / 16e9)


def test_vector_rates(chip: Chip) -> None:
    assert chip.vector_flop_per_s("fp32") == 8 * 2 * 1e9
    assert chip.vector_flop_per_s("bf16") == chip.vector_flop_per_s("fp32")
    assert chip.special_per_s == 2 * 2 * 1e9


def test_capacities(chip: Chip) -> None:
    assert chip.capacity_bytes == 2e9
    assert chip.on_chip_bytes == 2**20 + 2 * 64 * 2**10


def test_links_add_up_per_direction(chip: Chip) -> None:
    assert chip.link_bandwidth_bytes_per_s() == 2 * 5e9 + 3e9


def test_calibration_is_the_chips_own_then_the_familys(chip: Chip) -> None:
    family = load_chip("h100_sxm").calibration
    assert chip.calibration.memory_efficiency == 0.5
    assert chip.calibration.host_dispatch_s > 0
    assert chip.calibration.family == family.family


def test_a_missing_dtype_says_what_would_stand_in(chip: Chip) -> None:
    says = r"small has no fp8 matmul; it would run as bf16: pass --emulate-dtype.*: int8, bf16"
    with pytest.raises(MappingError, match=says):
        chip.compute_dtype("fp8")
    assert chip.compute_dtype("fp8", emulate=True) == "bf16"


def test_a_dtype_that_nothing_can_emulate(chip: Chip) -> None:
    with pytest.raises(MappingError, match="nothing it has can stand in"):
        chip.compute_dtype("fp32", emulate=True)


def test_native_dtypes_need_no_emulation(chip: Chip) -> None:
    assert chip.compute_dtype("bfloat16") == "bf16"
    assert chip.dtypes == ("int8", "bf16")


def test_lanes_serve_what_the_matrix_units_do_not(tmp_path: Path) -> None:
    text = spoiled("special_per_cycle: 2", "special_per_cycle: 2\n    runs_matmul: true")
    chip = load_chip(write_chip(tmp_path, text))
    assert chip.matrix_unit("fp32") is None
    assert chip.matrix_unit("bf16") is not None
    assert chip.peak_flop_per_s("fp32") == chip.vector_flop_per_s("fp32")


def test_the_faster_of_two_units_serves_a_dtype(tmp_path: Path) -> None:
    second = "    - {style: tensor_core, count: 3, flop_per_cycle: {bf16: 100},"
    text = spoiled("  vector:\n", f"{second} tile: {{m: 4, n: 4, k: 4}}}}\n  vector:\n")
    chip = load_chip(write_chip(tmp_path, text))
    unit = chip.matrix_unit("bf16")
    assert unit is not None
    assert unit.style == "tensor_core"
    assert chip.peak_flop_per_s("bf16") == 300 * 2 * 1e9
    assert chip.peak_flop_per_s("int8") == 2 * 32 * 2 * 1e9


def test_every_value_has_a_provenance(chip: Chip) -> None:
    rows = {row.path: row for row in chip.provenance}
    assert rows["clock"].text == "1 GHz"
    assert rows["clock"].source == "sheet"
    assert rows["clock"].status == "published"
    assert rows["links.0.bandwidth"].basis == "bidirectional"
    assert (rows["power.idle"].status, rows["power.idle"].note) == ("estimated", "a fifth")
    assert rows["core.matrix.0.rows"].source == "sheet"
    assert "core.matrix.0.style" not in rows
    assert chip.source_texts == ("sheet: Datasheet of a chip that does not exist",)


def test_chips_are_frozen(chip: Chip) -> None:
    with pytest.raises(Exception, match="frozen"):
        chip.spec.cores = 3  # type: ignore[misc]
