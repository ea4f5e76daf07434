"""``accelsim validate`` and ``accelsim calibrate`` as a user meets them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from accelsim.validation import silicon
from accelsim.validation import validate as module
from tests.unit.cli.conftest import Cli
from tests.unit.validation.synthetic import CHIP, adds, gemms, measured


@pytest.fixture(autouse=True)
def without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "silicon_folder", lambda: None)
    monkeypatch.setattr(silicon, "silicon_folder", lambda: None)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    ops = pd.concat([gemms(30), adds(30)], ignore_index=True)
    path = tmp_path / "mine.csv"
    measured(ops, memory_efficiency=0.7, kernel_overhead_s=5e-6).to_csv(path, index=False)
    return path


def test_published_figures_come_with_the_package(cli: Cli) -> None:
    done = cli("validate")
    assert done.status == 0
    assert "published_attention" in done.out
    assert "roofline MAPE" in done.out
    assert "Worst 3 of each class" in done.out
    assert "published figures only; millions of measured kernels: pip install" in done.err


def test_json_holds_tables_worst_rows_and_versions(cli: Cli) -> None:
    done = cli("validate", "published_stream", "--json", "-", "--worst", 2, "--plots", "plots")
    assert done.status == 0
    assert set(done.data) == {"versions", "rows", "errors", "worst", "left_out", "fitted"}
    assert len(done.data["worst"]) == 2
    assert "pictures in plots: predicted-vs-measured.png, error-vs-size.png" in done.err
    line = done.data["errors"][0]
    assert {"suite", "device", "dtype", "mape", "median", "p90", "bias", "roofline_mape"} <= set(
        line
    )


def test_a_table_of_ones_own(cli: Cli, table: Path) -> None:
    done = cli("validate", "--data", table, "--on", CHIP, "--worst", 0, "--rows", "all")
    assert done.status == 0
    assert "gemm" in done.out
    assert "Worst" not in done.out
    assert done.err == ""


def test_calibrate_then_use_the_chip(cli: Cli, table: Path, tmp_path: Path) -> None:
    out = tmp_path / "my_card.yaml"
    done = cli("calibrate", CHIP, "--data", table, "-o", out)
    assert done.status == 0
    assert "not determined" in done.out
    assert "→" in done.out
    assert f"written to {out}" in done.err
    after = cli("validate", "--data", table, "--on", out, "--json", "-").data
    before = cli("validate", "--data", table, "--on", CHIP, "--json", "-").data
    assert after["errors"][0]["mape"] < before["errors"][0]["mape"]
    # What the data do not determine is inherited, and not fitted to them.
    assert "kernel_overhead_s" in after["fitted"]["my_card"]
    assert "host_dispatch_s" not in after["fitted"]["my_card"]
    assert "host_dispatch_s" in before["fitted"][CHIP]
    assert cli("show", out).status == 0


def test_calibrate_as_json(cli: Cli, table: Path) -> None:
    data = cli("calibrate", CHIP, "--data", table, "--rows", 20, "--seed", 2, "--json", "-").data
    assert data["chip"] == CHIP
    assert data["rows"] == 20
    assert data["output"] is None
    assert {fit["name"] for fit in data["scalars"]} >= {"matrix_efficiency", "kernel_overhead_s"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("validate", "gamm"), "unknown suite 'gamm'"),
        (("validate", "--data", "nowhere"), "neither a folder nor a .csv file"),
        (("validate", "--data", "mine.csv"), "does not say where it was measured"),
        (("validate", "--rows", "some"), "--rows 'some' is no positive whole number"),
        (("validate", "--rows", "0"), "--rows '0'"),
        (("validate", "--on", "h100_sxn"), "unknown chip or system 'h100_sxn'"),
        (("validate", "--json", "mine.csv", "--data", "mine.csv"), "is an input of this command"),
        (("calibrate", "h100_sxn", "--data", "mine.csv"), "unknown chip 'h100_sxn'"),
        (("calibrate", CHIP), "Missing option '--data'"),
        (("calibrate", CHIP, "--data", "mine.csv", "-o", "mine.txt"), "ends in .yaml"),
        (("calibrate", CHIP, "--data", "mine.csv", "-o", "mine.csv"), "is an input"),
        (("calibrate", CHIP, "--data", "mine.csv", "--test-share", "2"), "test_share is 2"),
        (("calibrate", CHIP, "--data", "nowhere.csv"), "cannot read nowhere.csv"),
    ],
)
def test_bad_usage_is_one_paragraph(cli: Cli, table: Path, arguments: tuple, told: str) -> None:
    done = cli(*arguments)
    assert done.status == 2
    assert told in done.err
    assert done.err.count("\n") == 1
    assert done.out == ""
