"""Do the layers of a topology cost what the models of arrays and buffers say, no more, no less?"""

from __future__ import annotations

from dataclasses import replace

import pytest

import accelsim
from accelsim.arch.array import ArrayBuffers, ArrayFeatures, Sparsity, SystolicArray
from accelsim.arch.scalesim import ScaleSimConfig
from accelsim.errors import CapacityError, MappingError, SpecError
from accelsim.scenarios.layers import run_layers
from accelsim.timing.systolic_buffers import buffered_cycles
from accelsim.workload.conv import ConvShape, Gemm
from accelsim.workload.topology import Topology, TopologyLayer

ROOMY = ArrayBuffers(65536, 65536, 65536)
TIGHT = ArrayBuffers(4096, 4096, 4096, 4, 4, 4)
ARRAY = SystolicArray("ws", 8, 8, buffers=ROOMY)
NET = Topology(
    "net",
    (
        TopologyLayer("wide", Gemm(100, 40, 30, 1), where="net.csv:2"),
        TopologyLayer("pruned", Gemm(64, 16, 64, 1), sparsity=(2, 4), where="net.csv:3"),
        TopologyLayer("groups", Gemm(64, 16, 9, 4), where="net.csv:4"),
    ),
)


def test_without_a_limit_nothing_waits_and_the_closed_form_holds():
    report = run_layers(NET, ARRAY)
    for row in report.layers:
        m, n, k, repeat = row.layer.gemm
        assert row.cycles == repeat * accelsim.systolic_cycles("ws", 8, 8, m, n, k).cycles
        assert row.total_cycles == row.cycles
        assert row.macs == repeat * m * n * k
    assert report.stall_cycles == 0
    assert report.cycles == sum(row.cycles for row in report.layers)


def test_with_a_limit_stalls_are_those_of_the_buffers():
    array = replace(ARRAY, buffers=TIGHT)
    report = run_layers(NET, array)
    for row in report.layers:
        m, n, k, repeat = row.layer.gemm
        run = buffered_cycles(array, m, n, k)
        assert row.stall_cycles == repeat * run.stall_cycles
        assert row.total_cycles == repeat * run.total_cycles
        assert row.as_dict()["dram_reads_a_words"] == repeat * run.dram_reads_a
    assert report.stall_cycles > 0
    assert report.total_cycles > report.cycles > run_layers(NET, ARRAY).cycles


def test_without_buffers_there_is_no_main_memory_to_count():
    row = run_layers(NET, replace(ARRAY, buffers=None)).layers[0]
    assert row.buffered is None
    assert row.total_cycles == row.cycles
    assert row.as_dict()["dram_reads_a_words"] == 0


@pytest.mark.parametrize("buffers", [ROOMY, TIGHT])
@pytest.mark.parametrize("dataflow", ["ws", "os", "is"])
def test_parts_sum_to_the_cycles(dataflow, buffers):
    for row in run_layers(NET, SystolicArray(dataflow, 8, 8, buffers=buffers)).layers:
        assert sum(row.spent_cycles.values()) == pytest.approx(row.cycles)
        assert min(row.spent_cycles.values()) >= -1e-6 * row.cycles
        assert row.bound in row.spent_cycles
        assert row.utilization == pytest.approx(row.macs / (row.cycles * 64))


@pytest.mark.parametrize(
    ("gemm", "bound"),
    [
        (Gemm(4096, 8, 8, 1), "compute"),
        (Gemm(4096, 1, 8, 1), "mapping"),
        (Gemm(1, 64, 64, 1), "fill"),
    ],
)
def test_bounds_of_plain_cases(gemm, bound):
    assert run_layers(Topology("one", (TopologyLayer("x", gemm),)), ARRAY).layers[0].bound == bound


def test_the_port_that_stalls_is_the_bound():
    topology = Topology("one", (TopologyLayer("x", Gemm(4096, 8, 8, 1)),))
    starved = replace(ROOMY, a_words_per_cycle=1)
    row = run_layers(topology, replace(ARRAY, buffers=starved)).layers[0]
    assert row.bound == "stall_a"


def test_stalls_count_together_against_what_the_array_does():
    array = SystolicArray("ws", 16, 16, buffers=ArrayBuffers(32768, 32768, 16384, 8, 8, 8))
    stem = Topology("one", (TopologyLayer("stem", Gemm(2401, 16, 27, 1)),))
    row = run_layers(stem, array).layers[0]
    spent = row.spent_cycles
    assert max(spent, key=spent.__getitem__) == "compute"
    assert row.stall_cycles > spent["compute"]
    assert row.bound == max(("stall_a", "stall_b", "stall_c"), key=spent.__getitem__)


def test_sparsity_counts_where_it_is_supported():
    supported = run_layers(NET, ScaleSimConfig(ARRAY, sparse=True))
    halved = replace(ARRAY, features=ArrayFeatures(sparsity=Sparsity(2, 4)))
    pruned = TopologyLayer("pruned", Gemm(64, 16, 64, 1))
    assert supported.layers[1].cycles == run_layers(Topology("p", (pruned,)), halved).cycles
    assert supported.warnings == ()
    dense = run_layers(NET, ARRAY)
    assert dense.layers[1].cycles > supported.layers[1].cycles
    assert "not exploited" in dense.warnings[0]
    with pytest.raises(SpecError, match=r"net\.csv:3: pruned: an input stationary"):
        run_layers(NET, ScaleSimConfig(replace(ARRAY, dataflow="is"), sparse=True))


def test_a_layer_that_does_not_fit_is_named():
    with pytest.raises(CapacityError, match=r"net\.csv:2: wide: .*buffer of B"):
        run_layers(NET, replace(ARRAY, buffers=ArrayBuffers(4096, 8, 4096)))
    huge = Topology("huge", (TopologyLayer("x", Gemm(2**40, 2**40, 2**40, 1)),))
    with pytest.raises(MappingError, match="64 bits"):
        run_layers(huge, replace(ARRAY, buffers=None))


def test_the_table_has_a_row_per_layer_and_units_in_its_names():
    table = accelsim.run_layers(NET, ARRAY).table
    assert list(table["name"]) == ["wide", "pruned", "groups"]
    assert list(table["repeat"]) == [1, 1, 4]
    plain = {"name", "m", "n", "k", "repeat", "sparsity", "folds", "bound", "macs", "utilization"}
    plain |= {"mapping_efficiency", "sums_spilled"}
    assert all(name.endswith(("_cycles", "_words")) for name in set(table) - plain - {"cycles"})


def test_what_is_simplified_for_convolutions_is_said():
    def net(side: int) -> Topology:
        shape = ConvShape(1, 3, 8, 9, 9, side, 1)
        return Topology("net", (TopologyLayer("x", shape.gemm, shape),))

    assert run_layers(net(1), ARRAY).assumptions == ()
    assert "rows under one row of windows" in run_layers(net(2), ARRAY).assumptions[0]


def test_files_are_read(tmp_path):
    net, cfg = tmp_path / "net.csv", tmp_path / "array.cfg"
    net.write_text("a,1,2,3\n")
    cfg.write_text(
        "[architecture_presets]\nArrayHeight=2\nArrayWidth=2\nIfmapSramSzkB=1\nFilterSramSzkB=1\n"
        "OfmapSramSzkB=1\nMemoryBanks=1\nDataflow=ws\n[run_presets]\nInterfaceBandwidth=CALC\n"
    )
    report = accelsim.run_layers(str(net), cfg)
    assert report.topology == "net"
    assert report.array.name == "array"
    assert report.unused == ("MemoryBanks",)
    assert "no header" in report.warnings[0]
