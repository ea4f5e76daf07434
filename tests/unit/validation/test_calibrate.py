"""Does a calibration find known scalars, and admit what its data cannot tell?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import accelsim
from accelsim.arch.loader import load_chip
from accelsim.errors import AccelsimError, SpecError, WorkloadError
from accelsim.results.calibration import CalibrationResult
from accelsim.validation.calibrate import calibrate
from accelsim.validation.chip_file import write_chip_file
from accelsim.validation.devices import SCALARS, fitted_scalars
from tests.unit.validation.synthetic import CHIP, adds, gemms, measured

TRUTH = {"memory_efficiency": 0.75, "kernel_overhead_s": 5e-6}
MATRIX = {"matrix_efficiency": 0.65, **TRUTH}


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return measured(pd.concat([gemms(), adds()], ignore_index=True), **MATRIX)


@pytest.fixture(scope="module")
def found(table: pd.DataFrame) -> CalibrationResult:
    return calibrate(CHIP, table)


def test_known_scalars_are_recovered(found: CalibrationResult) -> None:
    for name, truth in MATRIX.items():
        assert found.values[name] == pytest.approx(truth, rel=0.03), name


@pytest.mark.parametrize(("chip", "truth"), [("h100_sxm", 0.55), ("b200_sxm", 0.50)])
def test_a_scalar_hidden_at_the_start_is_found(chip: str, truth: float) -> None:
    """Large products are power-limited at the chip's efficiency: no row feels it there."""
    random = np.random.default_rng(0)
    sizes = {name: 128 * random.integers(32, 64, 60) for name in ("m", "n", "k")}
    ops = pd.DataFrame({"op": "matmul", "dtype": "bf16", **sizes})
    found = calibrate(chip, measured(ops, 0.02, chip=chip, matrix_efficiency=truth))
    assert found.values["matrix_efficiency"] == pytest.approx(truth, rel=0.02)
    shared = load_chip(chip).calibration.shared_efficiency
    assert found.values.get("shared_efficiency", shared) == pytest.approx(shared, rel=0.05)


def test_repetitions_determine_no_more_than_one_row_each() -> None:
    few = measured(gemms(6), 0.01, **MATRIX)
    found = calibrate(CHIP, pd.concat([few] * 10, ignore_index=True))
    assert not found.values
    assert max(fit.felt_ops for fit in found.scalars) <= 6


def test_a_fit_that_ends_at_a_bound_is_none() -> None:
    """Vectors that move more bytes than the memory has bandwidth for."""
    large = pd.DataFrame({"op": "add", "dtype": "fp32", "rows": range(4096, 65536, 2048)})
    fast = measured(large.assign(cols=4096), 0.01, memory_efficiency=1.0)
    found = calibrate(CHIP, fast.assign(measured_us=0.7 * fast["measured_us"]))
    assert "the end of its range" in found.undetermined["memory_efficiency"]


def test_what_is_not_determined_stays_and_says_why(found: CalibrationResult) -> None:
    assert "launched by the host" in found.undetermined["host_dispatch_s"]
    assert {fit.name for fit in found.scalars} == set(SCALARS)
    for fit in found.scalars:
        if not fit.determined:
            assert fit.after == fit.before
            assert fit.reason


def test_rows_kept_aside_confirm_the_fit(found: CalibrationResult) -> None:
    errors = found.errors[found.errors["suite"] == "all"].set_index("split")
    assert errors["rows"].to_dict() == {"fit": 108, "test": 42}
    assert errors.loc["test", "after_mape"] < 0.05 < 0.2 < errors.loc["test", "before_mape"]
    assert abs(errors.loc["test", "after_bias"]) < 0.03


def test_the_same_seed_gives_the_same_result(found: CalibrationResult, table: pd.DataFrame) -> None:
    first, second = (calibrate(CHIP, table, rows=20, seed=3) for _ in range(2))
    assert first.to_dict() == second.to_dict()
    assert first.errors.to_dict() != found.errors.to_dict()


def test_a_chip_file_carries_values_data_and_status(
    found: CalibrationResult, tmp_path: Path
) -> None:
    path = write_chip_file(found, tmp_path / "My Card.yaml")
    chip = load_chip(str(path))
    assert chip.name == "my_card"
    for name, value in found.values.items():
        assert getattr(chip.calibration, name) == pytest.approx(value, rel=1e-9), name
    assert set(fitted_scalars(chip)) == set(found.values)
    packaged = load_chip(CHIP).calibration
    assert chip.calibration.host_dispatch_s == packaged.host_dispatch_s
    fitted = {f"calibration.{name.removesuffix('_s')}" for name in found.values}
    row = next(r for r in chip.provenance if r.path in fitted)
    assert row.status == "measured"
    assert "different ops that feel it" in row.note
    assert "host_dispatch: not determined" in path.read_text("utf-8")


def test_a_file_may_extend_a_file(found: CalibrationResult, table: pd.DataFrame, tmp_path) -> None:
    first = write_chip_file(found, tmp_path / "one" / "first.yaml")
    second = calibrate(first, table, rows=40)
    again = write_chip_file(second, tmp_path / "two" / "second.yaml")
    assert 'extends: "../one/first.yaml"' in again.read_text("utf-8")
    assert load_chip(str(again)).name == "second"


def test_eager_rows_alone_cannot_part_dispatch_from_overhead() -> None:
    eager = measured(adds(), launch="eager", **TRUTH)
    found = calibrate(CHIP, eager, launch="eager")
    held = {"host_dispatch_s", "kernel_overhead_s"} & set(found.undetermined)
    assert held
    assert any("cannot be told from" in found.undetermined[name] for name in held)


def test_a_fit_that_does_not_help_is_taken_back() -> None:
    """Times that have nothing to do with the ops: whatever is fitted fails on the rows aside."""
    noise = measured(adds(), scatter=2.0)
    found = calibrate(CHIP, noise)
    errors = found.errors[found.errors["suite"] == "all"].set_index("split")
    kept = errors.loc["test", "after_median"] <= 1.1 * errors.loc["test", "before_median"]
    assert kept or not found.values


def test_rows_of_other_devices_are_left_out(table: pd.DataFrame) -> None:
    mixed = table.assign(device=[CHIP] * 100 + ["h100_sxm"] * 50)
    found = calibrate(CHIP, mixed, rows=20)
    assert found.rows == 20
    left = found.left_out.set_index("reason")["rows"]
    assert left[f"measured on another device than {CHIP}"] == 50
    assert left["beyond a sample of 20 rows"] == 80


@pytest.mark.parametrize(
    ("change", "options", "told"),
    [
        (lambda t: t.iloc[:1], {}, "1 usable rows of a100_sxm_80gb: a fit needs at least 20"),
        (lambda t: t.iloc[:0], {}, "no rows"),
        (lambda t: t.assign(device="h100_sxm"), {}, "no row was measured on a100_sxm_80gb"),
        (lambda t: t.assign(dtype="fp8"), {}, r"0 usable rows.*has no fp8 matmul"),
        (lambda t: t.assign(m=0.5), {}, "row 0: m is 0.5"),
        (lambda t: t, {"test_share": 1.0}, "test_share is 1, expected 0 to 0.9"),
        (lambda t: t, {"seed": -1}, "seed is -1"),
        (lambda t: t, {"rows": 5}, "rows is 5, expected at least 20"),
        (lambda t: t, {"launch": "never"}, "unknown launch 'never'"),
    ],
)
def test_bad_input_is_refused(change, options, told: str) -> None:
    table = gemms(30).assign(measured_us=10.0)
    with pytest.raises(AccelsimError, match=told):
        calibrate(CHIP, change(table), **options)


def test_one_shape_again_and_again_determines_little() -> None:
    table = pd.DataFrame(
        {"op": "matmul", "m": 4096, "n": 4096, "k": [4096] * 30, "measured_us": 700.0}
    )
    found = calibrate(CHIP, table)
    # One number can fix one scalar at most.
    assert len(found.values) <= 1


def test_nothing_determined_writes_no_file(found: CalibrationResult, tmp_path: Path) -> None:
    nothing = CalibrationResult(
        CHIP, found.chip_path, (), found.errors, found.left_out, ("x",), 0, 30
    )
    with pytest.raises(SpecError, match="determine no scalar of a100_sxm_80gb"):
        write_chip_file(nothing, tmp_path / "mine.yaml")
    with pytest.raises(SpecError, match="ends in"):
        write_chip_file(found, tmp_path / "mine.txt")
    assert not list(tmp_path.iterdir())


def test_the_package_exports_it() -> None:
    assert accelsim.calibrate is calibrate
    with pytest.raises(WorkloadError):
        accelsim.calibrate(CHIP, pd.DataFrame({"op": []}))
