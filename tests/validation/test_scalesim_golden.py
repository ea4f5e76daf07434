"""Through its own files: are cycles, utilisation and SRAM accesses those of SCALE-Sim 3.0.0?

Every golden row (one real run each, ../shared/reference/scalesim) goes the way of a user: its layer
into a topology, its hardware into a .cfg, and out of the report files with SCALE-Sim's columns.
Exact, but for relative 1e-9 of ratios. Stalls and DRAM follow another model and are explained in
test_scalesim_stalls.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from accelsim.report.scalesim_reports import write_scalesim_reports
from accelsim.scenarios.layers import run_layers

pytestmark = pytest.mark.shared

CONV_COLUMNS = {
    "layer": "Layer name", "ifmap_h": "IFMAP Height", "ifmap_w": "IFMAP Width",
    "filt_h": "Filter Height", "filt_w": "Filter Width", "channels": "Channels",
    "num_filters": "Num Filter", "stride": "Strides",
}  # fmt: skip
GEMM_COLUMNS = {"layer": "Layer", "M": "M", "N": "N", "K": "K"}
HARDWARE = [
    "dataflow", "rows", "cols", "mode", "sram_ifmap_kB", "sram_filter_kB", "sram_ofmap_kB",
    "read_bandwidth",
]  # fmt: skip
CFG = """\
[general]
run_name = golden
[architecture_presets]
ArrayHeight : {rows}
ArrayWidth : {cols}
IfmapSramSzkB : {sram_ifmap_kB}
FilterSramSzkB : {sram_filter_kB}
OfmapSramSzkB : {sram_ofmap_kB}
IfmapOffset : 0
FilterOffset : 10000000
OfmapOffset : 20000000
Dataflow : {dataflow}
Bandwidth : {read_bandwidth}
MemoryBanks : 1
[run_presets]
InterfaceBandwidth : {mode}
"""
SRAM_TIMES = [
    f"sram_{operand}_{edge}_cycle"
    for operand in ("ifmap", "filter", "ofmap")
    for edge in ("start", "stop")
]


def imported(golden: pd.DataFrame, columns: dict[str, str], folder: Path) -> pd.DataFrame:
    """Our reports for rows of equal hardware, beside the golden columns."""
    topology = golden[list(columns)].rename(columns=columns)
    topology.to_csv(folder / "net.csv", index=False, lineterminator=",\n")
    hardware = golden.iloc[0][HARDWARE].to_dict()
    (folder / "array.cfg").write_text(CFG.format(**hardware))
    report = run_layers(folder / "net.csv", folder / "array.cfg")
    tables = [
        pd.read_csv(path, skipinitialspace=True).iloc[
            :, 1:-1
        ]  # no LayerID, nothing after the comma
        for path in write_scalesim_reports(report, folder)
    ]
    return pd.concat([golden.reset_index(drop=True), *tables], axis=1)


@pytest.fixture(scope="module")
def rows(shared_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    folder = shared_dir / "scalesim"
    gemm = pd.read_csv(folder / "gemm.csv").assign(layer="x")
    conv = pd.read_csv(folder / "conv.csv")
    parts = []
    for golden, columns in ((gemm, GEMM_COLUMNS), (conv, CONV_COLUMNS)):
        for _, group in golden.groupby(HARDWARE):
            parts.append(imported(group, columns, tmp_path_factory.mktemp("golden")))
    return pd.concat(parts, ignore_index=True)


def assert_equal(rows: pd.DataFrame, ours: pd.Series, theirs: pd.Series) -> None:
    off = (ours - theirs).abs() > 1e-9 * theirs.abs()
    assert not off.any(), rows.loc[off, HARDWARE].assign(ours=ours[off], theirs=theirs[off])


def test_every_row_was_imported(rows: pd.DataFrame) -> None:
    assert len(rows) == 806 + 56


def test_cycles_without_stalls(rows: pd.DataFrame) -> None:
    ours = rows["Total Cycles"] - rows["Stall Cycles"]
    assert_equal(rows, ours, rows["total_cycles"] - rows["stall_cycles"])


def test_nothing_stalls_in_calc_mode(rows: pd.DataFrame) -> None:
    calc = rows[rows["mode"] == "CALC"]
    assert len(calc) == 377 + 56
    assert_equal(calc, calc["Stall Cycles"], calc["stall_cycles"])
    assert_equal(calc, calc["Overall Util %"], calc["overall_util_pct"])
    assert_equal(calc, calc["Avg IFMAP SRAM BW"], calc["avg_sram_ifmap_bw"])
    assert_equal(calc, calc["Avg FILTER SRAM BW"], calc["avg_sram_filter_bw"])


def test_mapping_and_compute_utilisation(rows: pd.DataFrame) -> None:
    assert_equal(rows, rows["Mapping Efficiency %"], rows["mapping_eff_pct"])
    assert_equal(rows, rows["Compute Util %"], rows["compute_util_pct"])


def test_sram_accesses(rows: pd.DataFrame) -> None:
    assert_equal(rows, rows["SRAM IFMAP Reads"], rows["sram_ifmap_reads"])
    assert_equal(rows, rows["SRAM Filter Reads"], rows["sram_filter_reads"])
    stationary = rows[rows["dataflow"] != "os"]
    assert_equal(stationary, stationary["SRAM OFMAP Writes"], stationary["sram_ofmap_writes"])


def test_output_stationary_writes_without_their_extra_ones(rows: pd.DataFrame) -> None:
    """Their issue 166: F (R + C) writes more than there are results."""
    mine = rows[rows["dataflow"] == "os"]
    pes = mine["rows"] * mine["cols"]
    # Compute Util % = 100 M N K / (F R C L) has the folds F in it, L = K + R + C - 2.
    extra = mine["sram_ofmap_writes"] - mine["SRAM OFMAP Writes"]
    folds = extra / (mine["rows"] + mine["cols"])
    assert (folds % 1 == 0).all()
    covered = 100 * mine["SRAM OFMAP Writes"] / (folds * pes)
    assert_equal(mine, covered, mine["mapping_eff_pct"])


def test_first_and_last_cycles_of_sram_accesses(rows: pd.DataFrame) -> None:
    """Where nothing waits; theirs count reads from 1 and writes from 0.

    Theirs leave out inputs beyond the edge, so rows whose last filter position hangs over it are
    not compared.
    """
    stride = rows["stride"].fillna(1)
    over_h = (rows["ifmap_h"] - rows["filt_h"]).fillna(0) % stride
    over_w = (rows["ifmap_w"] - rows["filt_w"]).fillna(0) % stride
    calc = rows[(rows["mode"] == "CALC") & (over_h == 0) & (over_w == 0)]
    assert len(calc) == 377 + 27
    for name in SRAM_TIMES:
        level, operand, edge, _ = name.split("_")
        title = {"ifmap": "IFMAP", "filter": "Filter", "ofmap": "OFMAP"}[operand]
        assert_equal(calc, calc[f"{level.upper()} {title} {edge.title()} Cycle"], calc[name])


def test_resnet18_layers_in_one_network(shared_dir: Path, tmp_path: Path) -> None:
    """The 14 layers of ResNet-18 with golden rows, run as one topology."""
    golden = pd.read_csv(shared_dir / "scalesim" / "conv.csv").query("dataflow == 'ws'")
    golden = golden[golden["layer"].str.startswith("resnet18_full")]
    rows = imported(golden, CONV_COLUMNS, tmp_path)
    report = run_layers(tmp_path / "net.csv", tmp_path / "array.cfg")
    assert len(rows) == 14
    assert report.total_cycles - len(rows) == golden["total_cycles"].sum()
