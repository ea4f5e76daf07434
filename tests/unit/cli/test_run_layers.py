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
    assert data["array"]["buffers"]["a_words_per_cycle"] == 8
    assert data["array"]["double_buffer"] is False
    assert data["topology"] == "edge_cnn"
    assert len(data["layers"]) == 8
    assert {"name", "m", "n", "k", "repeat", "stall_cycles"} <= set(data["layers"][0])
    parts = ("compute_cycles", "prefetch_cycles", "stall_cycles", "drain_cycles")
    assert data["total_cycles"] == sum(layer["total_cycles"] for layer in data["layers"])
    assert all(d["total_cycles"] == sum(map(d.get, parts)) for d in (data, *data["layers"]))
    assert data["unused"] == ["IfmapOffset", "FilterOffset", "OfmapOffset", "MemoryBanks"]


def test_files_left_behind(cli, files):
    outcome = cli(*RUN, "--csv", "layers.csv", "--scalesim-reports", "reports")
    assert outcome.status == 0
    assert "COMPUTE_REPORT.csv" in outcome.err
    layers = pd.read_csv(files / "layers.csv")
    compute = pd.read_csv(files / "reports" / "COMPUTE_REPORT.csv", skipinitialspace=True)
    assert list(compute["Total Cycles (incl. prefetch)"] + 1) == list(layers["total_cycles"])
    running = layers["compute_cycles"] + layers["stall_cycles"]
    assert list(compute["Total Cycles"] + 1) == list(running)


def test_of_many_keys_without_effect_only_some_are_shown(cli, files):
    with (files / "edge_16x16.cfg").open("a") as cfg:
        cfg.write("[layout]\n" + "".join(f"{'z' * 100}{i} = 1\n" for i in range(50)))
    last = cli(*RUN).out.splitlines()[-1]
    assert last.startswith("Without effect here: IfmapOffset")
    assert last.endswith(" and 42 more (--json has all).")
    assert len(last) < 600
    assert len(cli(*RUN, "--json", "-").data["unused"]) == 54


def test_names_of_files_do_not_steer_the_terminal(cli, files):
    (files / "\x1b[31m.csv").write_text("no header, 1, 2, 3\n")
    outcome = cli("run", "\x1b[31m.csv", *RUN[2:], "--csv", "\x1b[1m.layers")
    assert outcome.out.startswith("?[31m on edge_16x16")
    assert "Warning: ?[31m.csv:1: no header" in outcome.out
    broken = cli("run", "\x1b[31m.csv", "--on", "\x1b[32m.cfg")
    assert "?[32m.cfg" in broken.err
    assert "\x1b" not in outcome.out + outcome.err + broken.err


def test_control_characters_in_files_are_refused(cli, files):
    (files / "edge_cnn.csv").write_text("Layer,M,N,K\nevil\x1b]0;x\x07,1,2,3\n")
    outcome = cli(*RUN)
    assert (outcome.status, outcome.out) == (2, "")
    assert "edge_cnn.csv:2: the control character U+001B" in outcome.err


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
    "topology as a target": ((*RUN, "--csv", "edge_cnn.csv"), ("edge_cnn.csv is an input",)),
    "array as a target": (
        (*RUN, "--json", "./x/../edge_16x16.cfg"), ("edge_16x16.cfg is an input",),
    ),
    "topology among the reports": (
        ("run", "COMPUTE_REPORT.csv", "--on", "edge_16x16.cfg", "--scalesim-reports", "."),
        ("COMPUTE_REPORT.csv is an input",),
    ),
    "one file for two": ((*RUN, "--csv", "z", "--json", "./z"), ("z would be written twice",)),
    "report and table in one file": (
        (*RUN, "--csv", "r/BANDWIDTH_REPORT.csv", "--scalesim-reports", "r"), ("written twice",),
    ),
    "file and folder": ((*RUN, "--csv", "z", "--scalesim-reports", "z"), ("file and a folder",)),
    "file for a folder": ((*RUN, "--scalesim-reports", "broken.csv"), ("not a folder",)),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "words"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_one_paragraph(cli, files, arguments, words):
    (files / "broken.csv").write_text("Layer,M,N,K\nx,1,2\n")
    (files / "COMPUTE_REPORT.csv").write_text("Layer,M,N,K\nx,1,2,3\n")
    before = {path: path.read_bytes() for path in files.iterdir()}
    outcome = cli(*arguments)
    assert outcome.status == 2
    assert outcome.out == ""
    assert outcome.err.count("\n") == 1
    assert all(word in outcome.err for word in words), outcome.err
    assert {path: path.read_bytes() for path in files.iterdir()} == before


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
