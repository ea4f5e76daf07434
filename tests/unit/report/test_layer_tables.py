"""Do tables of layers and SCALE-Sim's reports show what was computed, under the right names?"""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from accelsim.arch.array import ArrayBuffers, ArrayFeatures, SystolicArray
from accelsim.arch.scalesim import ScaleSimConfig
from accelsim.errors import SpecError
from accelsim.report.layer_tables import layers_table, spent_table, summary
from accelsim.report.scalesim_reports import write_scalesim_reports
from accelsim.scenarios.layers import run_layers
from accelsim.workload.conv import Gemm
from accelsim.workload.topology import Topology, TopologyLayer

ARRAY = SystolicArray("ws", 4, 4, buffers=ArrayBuffers(64, 64, 64, 2, 2, 2))
NET = Topology(
    "net",
    (TopologyLayer("a", Gemm(40, 12, 20, 1)), TopologyLayer("b", Gemm(5, 3, 8, 1), None, (1, 2))),
)


def test_the_table_has_a_column_of_sparsity_only_if_there_is_some():
    dense, sparse = run_layers(NET, ARRAY), run_layers(NET, ScaleSimConfig(ARRAY, sparse=True))
    assert "sparsity" not in [column.title for column in layers_table(dense).columns]
    assert [row[-1] for row in layers_table(sparse).rows] == ["", "1:2"]


def test_cells_are_those_of_the_report():
    report = run_layers(NET, ARRAY)
    table = layers_table(report)
    row = dict(zip([column.title for column in table.columns], table.rows[0], strict=True))
    assert row["cycles"] == f"{report.layers[0].total_cycles:,}"
    assert row["drain"] == f"{report.layers[0].drain_cycles:,}"
    assert row["bound"] == "stall C"
    shares = spent_table(report)
    assert sum(int(cells[1].replace(",", "")) for cells in shares.rows) == pytest.approx(
        report.total_cycles, abs=len(shares.rows)
    )
    pairs = dict(summary(report))
    assert pairs["partial sums spilled"].startswith("in 1 of 2 layers")
    assert pairs["bandwidth limit"] == "2 words/cycle for each operand"
    words = ("cycles", "  the array alone", "  prefetch", "  stalls", "  drain")
    total, *parts = (int(pairs[word].split()[0].replace(",", "")) for word in words)
    assert total == sum(parts) == report.total_cycles


@pytest.mark.parametrize(
    ("rates", "says"),
    [
        ((2, 4, None), "A 2 words/cycle, B 4 words/cycle, C none"),
        ((None, None, 1), "A none, B none, C 1 words/cycle"),
        ((None, None, None), "none"),
    ],
)
def test_every_port_has_its_own_limit(rates, says):
    array = replace(ARRAY, buffers=ArrayBuffers(64, 64, 64, *rates))
    assert dict(summary(run_layers(NET, array)))["bandwidth limit"] == says


def test_an_array_that_never_waits():
    report = run_layers(NET, replace(ARRAY, buffers=None))
    pairs = dict(summary(report))
    assert pairs["bandwidth limit"].startswith("none")
    assert pairs["DRAM traffic"] == "not modelled without buffers"
    assert layers_table(report).rows[0][-3:] == ("-", "-", "-")
    assert "partial sums spilled" not in pairs


def test_reports_have_the_names_and_the_punctuation_that_scripts_expect(tmp_path):
    report = run_layers(NET, ARRAY)
    paths = write_scalesim_reports(report, tmp_path / "new" / "folder")
    heads = {path.name: path.read_text().split("\n")[0] for path in paths}
    # SCALE-Sim 3: its README names the files, its issues quote the headers.
    assert heads["COMPUTE_REPORT.csv"] == (
        "LayerID, Total Cycles (incl. prefetch), Total Cycles, Stall Cycles, Overall Util %, "
        "Mapping Efficiency %, Compute Util %,"
    )
    assert heads["BANDWIDTH_REPORT.csv"] == (
        "LayerID, Avg IFMAP SRAM BW, Avg FILTER SRAM BW, Avg OFMAP SRAM BW, Avg IFMAP DRAM BW, "
        "Avg FILTER DRAM BW, Avg OFMAP DRAM BW,"
    )
    access = pd.read_csv(tmp_path / "new" / "folder" / "DETAILED_ACCESS_REPORT.csv")
    assert list(access)[1:4] == [
        " SRAM IFMAP Start Cycle", " SRAM IFMAP Stop Cycle", " SRAM IFMAP Reads",
    ]  # fmt: skip
    assert list(access)[-4:-1] == [
        " DRAM OFMAP Start Cycle", " DRAM OFMAP Stop Cycle", " DRAM OFMAP Writes",
    ]  # fmt: skip
    assert list(access["LayerID"]) == [0, 1]
    compute = pd.read_csv(tmp_path / "new" / "folder" / "COMPUTE_REPORT.csv")
    assert list(compute[" Total Cycles"]) == [row.running_cycles - 1 for row in report.layers]
    assert list(compute[" Stall Cycles"]) == [row.stall_cycles for row in report.layers]


def test_a_layer_of_a_single_cycle_divides_by_no_zero(tmp_path):
    one = Topology("one", (TopologyLayer("x", Gemm(1, 1, 1, 1)),))
    array = SystolicArray("os", 1, 1, buffers=ArrayBuffers(4, 4, 4))
    path = write_scalesim_reports(run_layers(one, array), tmp_path)[0]
    assert pd.read_csv(path)[" Overall Util %"][0] == 100


@pytest.mark.parametrize(
    "array",
    [
        replace(ARRAY, buffers=None),
        replace(ARRAY, features=ArrayFeatures(double_buffer=True)),
    ],
)
def test_arrays_that_the_reports_have_no_words_for(array, tmp_path):
    with pytest.raises(SpecError, match="JSON or CSV"):
        write_scalesim_reports(run_layers(NET, array), tmp_path)
    assert list(tmp_path.iterdir()) == []
