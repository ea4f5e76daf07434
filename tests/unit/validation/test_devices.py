"""Which chip a device is, what a chip extends, and which of its scalars were fitted."""

from __future__ import annotations

from pathlib import Path

import pytest

from accelsim.arch.loader import load_chip
from accelsim.errors import AccelsimError
from accelsim.validation.devices import chip_of_device, chips_of_devices, fitted_scalars, lineage


@pytest.mark.parametrize(
    ("device", "chip"),
    [("A100_SXM_80GB", "a100_sxm_80gb"), ("h100-sxm", "h100_sxm"), ("a40", "a40"), ("X1", None)],
)
def test_devices(device: str, chip: str | None) -> None:
    assert chip_of_device(device) == chip


def test_an_unknown_device_is_refused_with_the_nearest() -> None:
    with pytest.raises(AccelsimError, match="device 'h100_sxn' is no chip: did you mean"):
        chips_of_devices(["a40", "h100_sxn"])


def test_lineage_and_fitted_scalars_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        'extends: a100_sxm_80gb\nname: mine\nsources: {fit: "us"}\ncalibration:\n'
        '  matrix_efficiency: {value: 0.8, source: fit, status: measured, note: "fitted to us"}\n'
        '  kernel_overhead: {value: 3 us, source: fit, status: measured, note: "a clock"}\n'
        '  memory_latency: {value: 1 us, source: fit, status: measured, note: "fitted to us"}\n'
    )
    assert lineage(str(path)) == ("mine", "a100_sxm_80gb", "a100_sxm_40gb")
    assert lineage(load_chip(str(path)))[:2] == ("mine", "a100_sxm_80gb")
    assert fitted_scalars(load_chip(str(path))) == ("matrix_efficiency", "memory_latency_s")
    # A microbenchmark is no fit.
    assert "kernel_overhead_s" not in fitted_scalars(load_chip(str(path)))


def test_a_chip_is_not_fitted_by_what_it_extends() -> None:
    assert "matrix_efficiency" in fitted_scalars(load_chip("h100_sxm"))
    heir = load_chip("h200_sxm")
    assert heir.calibration.matrix_efficiency == load_chip("h100_sxm").calibration.matrix_efficiency
    assert fitted_scalars(heir) == ()
    changed = load_chip("h100_sxm", {"calibration.matrix_efficiency": 0.9})
    assert "matrix_efficiency" not in fitted_scalars(changed)
