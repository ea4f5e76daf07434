"""Does ``accelsim run NET.csv --on ARRAY.cfg`` do what docs/scalesim.md says?"""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from accelsim.arch.scalesim import _MEANT
from accelsim.report.scalesim_reports import _ACCESS, _BANDWIDTH, _COMPUTE

CHECKOUT = Path(__file__).resolve().parents[3]
PAGE = (CHECKOUT / "docs" / "scalesim.md").read_text(encoding="utf-8")
RUN = ("run", "edge_cnn.csv", "--on", "edge_16x16.cfg")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for path in (CHECKOUT / "examples" / "scalesim").iterdir():
        shutil.copy(path, tmp_path)
    return tmp_path


def test_json(cli, files):
    data = cli(*RUN, "--json", "-").data
    assert data["array"]["rows"] == 16
    assert data["array"]["a_words_per_cycle"] == 8
    assert data["topology"] == "edge_cnn"
    assert len(data["layers"]) == 8
    assert {"name", "m", "n", "k", "repeat", "cycles", "stall_cycles"} <= set(data["layers"][0])
    assert data["total_cycles"] == sum(layer["total_cycles"] for layer in data["layers"])
    assert data["unused"] == ["IfmapOffset", "FilterOffset", "OfmapOffset", "MemoryBanks"]


def test_files_left_behind(cli, files):
    outcome = cli(*RUN, "--csv", "layers.csv", "--scalesim-reports", "reports")
    assert outcome.status == 0
    assert "COMPUTE_REPORT.csv" in outcome.err
    layers = pd.read_csv(files / "layers.csv")
    compute = pd.read_csv(files / "reports" / "COMPUTE_REPORT.csv", skipinitialspace=True)
    assert list(compute["Total Cycles"] + 1) == list(layers["cycles"])


MISTAKES = {
    "topology on a chip": (("run", "edge_cnn.csv", "--on", "h100_sxm"), ("ARRAY.cfg", "network")),
    "model on an array": (("run", "gpt2", "--on", "edge_16x16.cfg"), ("NET.csv", "'gpt2'")),
    "option of models": ((*RUN, "--phase", "decode"), ("--phase", "no meaning")),
    "parallelism": ((*RUN, "--tp", "1"), ("--tp",)),
    "reports of a model": (
        ("run", "gpt2", "--on", "h100_sxm", "--scalesim-reports", "x"), ("--scalesim-reports",),
    ),
    "no such topology": (("run", "none.csv", "--on", "edge_16x16.cfg"), ("none.csv",)),
    "no such array": (("run", "edge_cnn.csv", "--on", "none.cfg"), ("none.cfg",)),
    "broken topology": (("run", "broken.csv", "--on", "edge_16x16.cfg"), ("broken.csv:2", "'K'")),
    "folder for a file": ((*RUN, "--csv", "."), ("folder",)),
    "file for a folder": ((*RUN, "--scalesim-reports", "broken.csv"), ("not a folder",)),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "words"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_one_paragraph(cli, files, arguments, words):
    (files / "broken.csv").write_text("Layer,M,N,K\nx,1,2\n")
    before = set(files.iterdir())
    outcome = cli(*arguments)
    assert outcome.status == 2
    assert outcome.out == ""
    assert outcome.err.count("\n") == 1
    assert all(word in outcome.err for word in words), outcome.err
    assert set(files.iterdir()) == before


def test_the_page_explains_every_key_and_every_column():
    for key in (key for keys in _MEANT.values() for key in keys):
        assert f"`{key}`" in PAGE
    for column in {*_COMPUTE, *_BANDWIDTH}:
        assert f"`{column}`" in PAGE
    assert set(_ACCESS) == {
        "LayerID",
        *(
            f"{level} {operand} {what}"
            for level in ("SRAM", "DRAM")
            for operand, count in (("IFMAP", "Reads"), ("Filter", "Reads"), ("OFMAP", "Writes"))
            for what in ("Start Cycle", "Stop Cycle", count)
        ),
    }
