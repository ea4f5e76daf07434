"""Does a validation compare the right rows with the right predictions?"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import accelsim
from accelsim.arch.loader import load_system
from accelsim.errors import AccelsimError, WorkloadError
from accelsim.results.accuracy import ValidationResult
from accelsim.validation import validate as module
from accelsim.validation.validate import validate
from tests.unit.validation.parquet_files import silicon_like
from tests.unit.validation.synthetic import CHIP, adds, gemms, measured


@pytest.fixture(autouse=True)
def without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is installed here, the extra is absent unless a test brings its own."""
    monkeypatch.setattr(module, "silicon_folder", lambda: None)


@pytest.fixture(scope="module")
def published() -> ValidationResult:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "silicon_folder", lambda: None)
        return validate()


def test_published_figures_are_met(published: ValidationResult) -> None:
    """Not a bar, a smoke test: nothing is off by more than a factor of two."""
    assert (published.rows["error"].abs() < 1.0).all()
    assert set(published.suites) == {
        "published_attention", "published_stream", "published_layers", "published_networks",
    }  # fmt: skip
    assert (published.rows["roofline_s"] > 0).all()


def test_suites_and_chips_can_be_chosen() -> None:
    assert validate("published_st").suites == ("published_stream",)
    found = validate(on="mi210")
    assert set(found.rows["chip"]) == {"mi210"}
    with pytest.raises(WorkloadError, match="unknown suite 'gamm'"):
        validate("gamm")
    with pytest.raises(WorkloadError, match=r"pip install 'accelsim\[silicon\]'"):
        validate("moe")
    with pytest.raises(AccelsimError, match="no measurements of tpu_v4: there are some of"):
        validate(on="tpu_v4")


def test_the_extra_adds_its_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = silicon_like(tmp_path)
    monkeypatch.setattr(module, "silicon_folder", lambda: folder)
    found = validate("gemm", "moe", on="h100_sxm")
    assert found.suites == ("gemm", "gemm_fp8", "gemm_fp8_block", "moe")
    refused = found.left_out[found.left_out["reason"].str.contains("no int8|has no")]
    assert refused.empty
    assert "aiconfigurator-core" in found.versions


def test_collectives_are_predicted_on_systems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = silicon_like(tmp_path / "data")
    monkeypatch.setattr(module, "silicon_folder", lambda: folder)
    whole, chip = validate("all_reduce"), validate("all_reduce", on="h100_sxm")
    assert whole.rows["bound"].tolist() == chip.rows["bound"].tolist() == ["network"]
    # A slower network of one's own takes the place of the packaged one; a chip of one's own, none.
    slower = load_system("dgx_h100", {"levels.0.bandwidth": "100 GB/s"})
    assert validate("all_r", on=slower).rows["error"].item() > whole.rows["error"].item()
    own = tmp_path / "own.yaml"
    own.write_text("extends: h100_sxm\nname: own\n")
    left = validate("all_reduce", "moe", on=own).left_out.set_index("suite")["reason"]
    assert left["all_reduce"] == "of a system of chips, not of the chip alone"


def test_a_table_that_predictions_made_is_met_exactly() -> None:
    table = measured(pd.concat([gemms(20), adds(10)], ignore_index=True), scatter=0.0)
    found = validate(data=table, on=CHIP)
    assert found.rows["error"].abs().max() < 1e-9
    assert found.suites == ("gemm", "add")
    assert found.table["within_10"].tolist() == [1.0, 1.0]
    eager = validate(data=measured(adds(10), 0.0, "eager"), on=CHIP, launch="eager")
    assert eager.rows["error"].abs().max() < 1e-9


def test_a_chip_of_ones_own_is_compared_with_the_data_of_what_it_extends(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "extends: mi210\nname: mine\nsources: {fit: us}\ncalibration:\n"
        '  memory_efficiency: {value: 0.5, source: fit, status: measured, note: "fitted to us"}\n'
    )
    own, packaged = validate(on=path), validate(on="mi210")
    assert set(own.rows["chip"]) == {"mine"}
    assert (own.rows["predicted_s"].to_numpy() > packaged.rows["predicted_s"].to_numpy()).all()
    assert own.fitted == {"mine": ("memory_efficiency",)}
    assert own.table["fitted"].tolist() == [True]
    assert "matrix_efficiency" in packaged.fitted["mi210"]
    heir = tmp_path / "heir.yaml"
    heir.write_text("extends: mi210\nname: heir\n")
    assert validate(on=heir).table["fitted"].tolist() == [False]


def test_ops_that_a_chip_cannot_run_are_counted() -> None:
    table = pd.concat([gemms(5), gemms(5).assign(dtype="fp8")]).assign(measured_us=10.0)
    found = validate(data=table.reset_index(drop=True), on=CHIP)
    assert len(found.rows) == 5
    [left] = found.left_out.to_dict("records")
    assert left["rows"] == 5
    assert "has no fp8 matmul" in left["reason"]
    with pytest.raises(WorkloadError, match=r"nothing to compare.*has no fp8 matmul"):
        validate(data=gemms(5).assign(dtype="fp8", measured_us=10.0), on=CHIP)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"rows": -1}, "rows is -1"),
        ({"data": "nowhere"}, "neither a folder nor a .csv"),
        ({"data": "nowhere.csv", "on": CHIP}, "cannot read nowhere.csv"),
        ({"on": "h100_sxn"}, "unknown chip or system 'h100_sxn'"),
        ({"data": pd.DataFrame({"op": ["add"], "measured_us": [1.0]}), "on": CHIP}, "add needs"),
    ],
)
def test_bad_input_is_refused(options, told: str) -> None:
    with pytest.raises(AccelsimError, match=told):
        validate(**options)


def test_the_package_exports_it() -> None:
    assert accelsim.validate is validate
