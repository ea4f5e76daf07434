"""Does docs/predict.md say what the table of ops really needs, and do its examples run?"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from accelsim.cli.main import run_cli
from accelsim.scenarios.op_table import COLUMNS, OP_FIELDS, RESULT_COLUMNS, read_ops

CHECKOUT = Path(__file__).resolve().parents[2]
PAGE = (CHECKOUT / "docs" / "predict.md").read_text("utf-8")


def documented() -> dict[str, tuple[tuple[str, ...], dict[str, str]]]:
    """Op to its required columns and its optional ones with their defaults, from the page."""
    found = {}
    for ops, needs, may in re.findall(r"^\| (`.*?) \| (`.*?) \| (.*?) \|$", PAGE, re.MULTILINE):
        required = tuple(re.findall(r"`(\w+)`", needs))
        optional = dict(re.findall(r"`(\w+)` \((\w+)\)", may))
        for op in re.findall(r"`(\w+)`", ops):
            found[op] = (required, optional)
    return found


def test_the_page_lists_every_op_and_its_columns() -> None:
    page = documented()
    assert page.pop("gemm") == page["matmul"]
    assert page == {n: (f.required, dict(f.optional)) for n, f in OP_FIELDS.items()}


def test_every_column_belongs_to_an_op() -> None:
    used = {c for f in OP_FIELDS.values() for c in (*f.required, *f.optional)}
    assert used | {"op"} == set(COLUMNS)
    assert all(f"`{name}`" in PAGE for name in RESULT_COLUMNS)


@pytest.mark.parametrize(("name", "on"), [("ops", "h100_sxm"), ("collectives", "dgx_h100")])
def test_the_example_tables_run(name: str, on: str, tmp_path: Path) -> None:
    table = CHECKOUT / "examples" / f"{name}.csv"
    out = tmp_path / "out.csv"
    assert run_cli(["predict", str(table), "--on", on, "-o", str(out)]) == 0
    assert len(out.read_text("utf-8").splitlines()) == len(read_ops(table)) + 1


def test_a_table_from_a_spreadsheet_is_read(tmp_path: Path) -> None:
    table = tmp_path / "excel.csv"
    table.write_bytes(b"\xef\xbb\xbfOP, M,N ,K\r\ngemm, 16 ,32,64\r\n")
    out = tmp_path / "out.csv"
    assert run_cli(["predict", str(table), "--on", "h100_sxm", "-o", str(out)]) == 0
    assert out.read_text("utf-8").startswith("op,m,n,k,latency_s")


def test_the_result_never_replaces_its_input(tmp_path: Path) -> None:
    table = tmp_path / "ops.csv"
    table.write_text("op,m,n,k\nmatmul,16,32,64\n")
    before = table.read_bytes()
    assert run_cli(["predict", str(table), "--on", "h100_sxm", "-o", str(table)]) == 2
    assert table.read_bytes() == before


def test_all_missing_columns_are_named_at_once(tmp_path: Path, capsys) -> None:
    table = tmp_path / "ops.csv"
    table.write_text("op,heads\nattention,8\n")
    assert run_cli(["predict", str(table), "--on", "h100_sxm"]) == 2
    assert "missing: head_dim, q_len" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options", [["--plots", "a_file"], ["--report", "a_folder"], ["--json", "a_folder"]]
)
def test_output_that_cannot_be_written_is_refused_first(
    options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a_file").write_text("")
    Path("a_folder").mkdir()
    assert run_cli(["run", "no-such-model", "--on", "h100_sxm", *options]) == 2
    assert "folder" in capsys.readouterr().err
