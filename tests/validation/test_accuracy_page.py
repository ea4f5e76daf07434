"""Does `make accuracy` write a whole page, and do the readers take the rows that they should?"""

from __future__ import annotations

from pathlib import Path

import pytest

from accelsim.arch.loader import load_chip
from accelsim.validation.folder import FOLDER_SUITES, read_folder
from accelsim.validation.published import published_figures
from accelsim.validation.silicon import SUITES
from tests.validation import refresh_accuracy
from tests.validation.ablations import ABLATIONS
from tests.validation.refresh_accuracy import page, read_reasons


def test_the_page_of_packaged_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refresh_accuracy, "silicon_folder", lambda: None)
    text = page(None, tmp_path)
    assert text.startswith("# Accuracy\n")
    assert "{" not in text
    for part in ("published_attention", "## Worst rows", "roofline MAPE", "accelsim 0."):
        assert part in text
    assert {path.name for path in tmp_path.iterdir()} == {
        "error-vs-size.png", "predicted-vs-measured.png",
    }  # fmt: skip


def test_reasons_are_those_of_classes_that_exist() -> None:
    published = published_figures()
    known = {*FOLDER_SUITES, *SUITES, *published.frame["suite"]}
    known |= {run.labels["suite"] for run in published.runs}
    assert set(read_reasons()) <= known


@pytest.mark.parametrize("name", sorted(ABLATIONS))
def test_an_ablation_changes_some_chip(name: str) -> None:
    chips = [load_chip(name) for name in ("h100_sxm", "a100_sxm_80gb", "v100_pcie", "mi210")]
    changed = [ABLATIONS[name].change(chip) for chip in chips]
    assert [chip.name for chip in changed] == [chip.name for chip in chips]
    assert any(after != before for after, before in zip(changed, chips, strict=True))


@pytest.mark.shared
def test_rows_taken_from_the_reference_data(shared_dir: Path) -> None:
    found = read_folder(shared_dir / "silicon")
    counts = found.frame.groupby(["suite", "device", "dtype"]).size().to_dict()
    # Rows that the limits of accelsim.validation.rules leave, counted independently.
    assert counts["gemm", "A100_SXM_80GB", "bf16"] == 454
    assert counts["gemm", "H100_SXM_80GB", "bf16"] == 360
    assert counts["gemm_fp32", "MI210_64GB", "fp32"] == 1906
    assert counts["attention_generation", "H100_SXM_80GB", "bf16"] == 696
    assert counts["moe", "H100_SXM_80GB", "fp8"] == 242
    assert sum(part.rows for part in found.left_out) > 10_000
