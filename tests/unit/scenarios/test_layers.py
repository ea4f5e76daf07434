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
        assert row.total_cycles == repeat * accelsim.systolic_cycles("ws", 8, 8, m, n, k).cycles
        assert row.running_cycles == row.compute_cycles == row.total_cycles
        assert row.macs == repeat * m * n * k
    assert report.stall_cycles == 0
    assert report.total_cycles == sum(row.total_cycles for row in report.layers)


def test_with_a_limit_stalls_are_those_of_the_buffers():
    array = replace(ARRAY, buffers=TIGHT)
    report = run_layers(NET, array)
    for row in report.layers:
        m, n, k, repeat = row.layer.gemm
        run = buffered_cycles(array, m, n, k, repeat=repeat)
        assert row.stall_cycles == run.stall_cycles
        assert row.total_cycles == run.total_cycles
        assert row.as_dict()["dram_reads_a_words"] == run.dram_reads_a
    assert report.stall_cycles > 0
    assert report.total_cycles == (
        report.prefetch_cycles + report.compute_cycles + report.stall_cycles + report.drain_cycles
    )
    assert report.compute_cycles == run_layers(NET, ARRAY).total_cycles
    assert report.utilization == pytest.approx(
        sum(row.macs for row in report.layers) / (64 * report.total_cycles)
    )


@pytest.mark.parametrize("dataflow", ["ws", "os", "is"])
def test_more_bandwidth_never_costs_cycles(dataflow):
    def total_cycles(rate: int) -> int:
        buffers = ArrayBuffers(4096, 4096, 4096, rate, rate, rate)
        return run_layers(NET, SystolicArray(dataflow, 8, 8, buffers=buffers)).total_cycles

    totals = [total_cycles(rate) for rate in (1, 2, 3, 4, 6, 8, 16, 64)]
    assert totals == sorted(totals, reverse=True)


def test_groups_share_arrays_and_hide_each_others_loads():
    shape = ConvShape(1, 8, 8, 6, 6, 3, 3, groups=8)
    array = replace(ARRAY, features=ArrayFeatures(arrays=4, double_buffer=True))
    for layer in (TopologyLayer("conv", shape.gemm, shape), TopologyLayer("gemm", shape.gemm)):
        row = run_layers(Topology("one", (layer,)), array).layers[0]
        alone = run_layers(
            Topology("one", (TopologyLayer("x", shape.gemm._replace(repeat=1)),)), array
        ).layers[0]
        assert row.macs == 8 * alone.macs == shape.macs
        assert row.total_cycles < 8 * alone.total_cycles


def test_without_buffers_there_is_no_main_memory_to_count():
    row = run_layers(NET, replace(ARRAY, buffers=None)).layers[0]
    assert row.buffered is None
    assert row.total_cycles == row.compute_cycles
    assert row.as_dict()["dram_reads_a_words"] is None
    assert row.as_dict()["sums_spilled"] is None


@pytest.mark.parametrize("buffers", [ROOMY, TIGHT])
@pytest.mark.parametrize("dataflow", ["ws", "os", "is"])
def test_parts_sum_to_the_cycles(dataflow, buffers):
    for row in run_layers(NET, SystolicArray(dataflow, 8, 8, buffers=buffers)).layers:
        assert sum(row.spent_cycles.values()) == pytest.approx(row.total_cycles)
        assert min(row.spent_cycles.values()) >= -1e-6 * row.total_cycles
        assert row.bound in row.spent_cycles
        assert row.utilization == pytest.approx(row.macs / (row.total_cycles * 64))


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


def test_waits_count_together_against_what_the_array_does():
    array = SystolicArray("ws", 16, 16, buffers=ArrayBuffers(32768, 32768, 1024, 8, 8, 12))
    topology = Topology("one", (TopologyLayer("x", Gemm(500, 16, 27, 1)),))
    row = run_layers(topology, array).layers[0]
    spent = row.spent_cycles
    assert max(spent, key=spent.__getitem__) == "compute"
    assert row.total_cycles - row.compute_cycles > spent["compute"]
    assert row.bound == "stall_c"


def test_an_array_that_only_waits_to_write_is_bound_by_that():
    array = replace(ARRAY, buffers=replace(ROOMY, c_words_per_cycle=1))
    row = run_layers(Topology("one", (TopologyLayer("x", Gemm(1000, 8, 8, 1)),)), array).layers[0]
    assert row.stall_cycles == 0
    assert row.bound == "drain"
    assert row.utilization == pytest.approx(row.macs / (row.total_cycles * 64))


def test_sparsity_counts_where_it_is_supported():
    supported = run_layers(NET, ScaleSimConfig(ARRAY, sparse=True))
    halved = replace(ARRAY, features=ArrayFeatures(sparsity=Sparsity(2, 4)))
    pruned = TopologyLayer("pruned", Gemm(64, 16, 64, 1))
    alone = run_layers(Topology("p", (pruned,)), halved)
    assert supported.layers[1].total_cycles == alone.total_cycles
    assert supported.warnings == ()
    dense = run_layers(NET, ARRAY)
    assert dense.layers[1].total_cycles > supported.layers[1].total_cycles
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
    assert all(name.endswith(("_cycles", "_words")) for name in set(table) - plain)


def test_what_is_simplified_for_convolutions_is_said():
    def net(side: int) -> Topology:
        shape = ConvShape(1, 3, 8, 9, 9, side, 1)
        return Topology("net", (TopologyLayer("x", shape.gemm, shape),))

    assert run_layers(net(1), ARRAY).assumptions == ()
    assert "as long as windows share" in run_layers(net(2), ARRAY).assumptions[0]


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
