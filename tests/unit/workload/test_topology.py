"""Is a SCALE-Sim topology read as its users mean it, and every mistake in it named?"""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.errors import WorkloadError
from accelsim.workload.conv import ConvShape, Gemm
from accelsim.workload.topology import Topology, TopologyLayer, load_topology

CONV = (
    "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, "
    "Strides,\n"
)


@pytest.fixture
def topology(tmp_path: Path):
    def read(text: str | bytes) -> Topology:
        path = tmp_path / "net.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_topology(path)

    return read


def gemms(topology: Topology) -> list[tuple[int, ...]]:
    return [tuple(layer.gemm) for layer in topology.layers]


def test_convolutions_become_matmuls(topology):
    read = topology(CONV + "conv1, 14, 12, 3, 3, 16, 32, 1,\nfc, 1, 1, 1, 1, 128, 10, 1\n")
    assert read.name == "net"
    assert [layer.name for layer in read.layers] == ["conv1", "fc"]
    assert gemms(read) == [(12 * 10, 32, 9 * 16, 1), (1, 10, 128, 1)]
    assert read.layers[0].conv.out_height == 12
    assert read.warnings == ()


def test_matmuls(topology):
    read = topology("Layer,M,N,K\nqk,128,64,32\npv,128,32,64,\n")
    assert gemms(read) == [(128, 64, 32, 1), (128, 32, 64, 1)]
    assert read.layers[0].conv is None


def test_a_depthwise_layer_with_one_channel(topology):
    assert gemms(topology(CONV + "dw,10,10,3,3,1,16,1,")) == [(64, 16, 9, 1)]


@given(size=st.integers(1, 40), filter_size=st.integers(1, 11), stride=st.integers(1, 5))
def test_a_window_that_hangs_over_the_edge_counts(tmp_path_factory, size, filter_size, stride):
    if filter_size > size:
        return
    path = tmp_path_factory.mktemp("net") / "net.csv"
    path.write_text(f"{CONV}x,{size},{size},{filter_size},{filter_size},1,1,{stride},")
    out = math.ceil((size - filter_size + stride) / stride)
    assert load_topology(path).layers[0].gemm.m == out * out


def test_columns_that_may_follow(topology):
    head = CONV.strip() + " Stride Width, Batch Size, Sparsity,\n"
    layer = topology(head + "x, 9, 9, 3, 3, 4, 8, 2, 3, 5, 2:4,\n").layers[0]
    assert layer.gemm == Gemm(5 * 4 * 3, 8, 36, 1)
    assert layer.sparsity == (2, 4)
    assert topology(head + "x, 9, 9, 3, 3, 4, 8, 2, , , 4:4").layers[0].sparsity is None
    assert topology("Layer,M,N,K,Sparsity\na,1,2,3,\nb,1,2,3,1:4").layers[1].sparsity == (1, 4)


def test_what_is_no_layer_is_skipped(topology):
    text = "Layer,M,N,K,\n\n,,,,\n# a remark, 1, 2\n\ta , 1, 2, 3,#dw\n   \nb,4,5,6,,,\n"
    read = topology(text)
    assert gemms(read) == [(1, 2, 3, 1), (4, 5, 6, 1)]
    assert [layer.where.rpartition(":")[2] for layer in read.layers] == ["5", "7"]


def test_names_may_repeat(topology):
    assert [x.name for x in topology("Layer,M,N,K\na,1,1,1\na,1,1,1").layers] == ["a", "a"]


def test_byte_order_mark_line_ends_and_spelling_do_not_matter(topology):
    text = "\ufefflayer_name,ifmap height,Ifmap-width,FILTER HEIGHT,filter width,channels,"
    text += "num filters,Stride\r\nx,5,5,3,3,2,6,1\r\n"
    assert gemms(topology(text)) == [(9, 6, 18, 1)]


def test_without_a_header_the_cells_decide_and_that_is_said(topology):
    read = topology("a,1,2,3\nb,4,5,6\n")
    assert len(read.layers) == 2
    assert "net.csv:1: no header" in read.warnings[0]
    assert topology("a,9,9,3,3,4,8,2,3,2:4").layers[0].gemm == Gemm(4 * 3, 8, 36, 1)
    assert topology("a,1,2,3,2:4").layers[0].sparsity == (2, 4)


def test_long_names_are_cut_and_tabs_are_blanks(topology):
    assert topology("Layer,M,N,K\n" + 500 * "x" + ",1,2,3").layers[0].name == 80 * "x"
    assert topology("Layer,M,N,K\nqk\tproj,1,2,3").layers[0].name == "qk proj"


ROW = "x,7,7,3,3,1,1,1"
MISTAKES = {
    "empty": ("", ("no rows",)),
    "only blanks": ("\n,,,\n", ("no rows",)),
    "only a header": (CONV, ("net.csv:1", "without layers")),
    "missing column": (CONV + "x,7,7,3,3,1,1,", ("net.csv:2", "no 'Strides'")),
    "missing column of a matmul": ("Layer,M,N,K\na,1,2,3\nb,1,2", ("net.csv:3", "no 'K'")),
    "blank cell": (CONV + "x,7,,3,3,1,1,1", ("net.csv:2", "no 'IFMAP Width'")),
    "no name": (CONV + ",7,7,3,3,1,1,1", ("net.csv:2", "no 'Layer name'")),
    "no number": (CONV + "x,7,seven,3,3,1,1,1", ("net.csv:2", "IFMAP Width is 'seven'")),
    "fraction": (CONV + "x,7,7.5,3,3,1,1,1", ("net.csv:2", "'7.5'", "whole number")),
    "zero": (CONV + "x,7,7,3,3,0,1,1", ("net.csv:2", "Channels is '0'")),
    "negative": (CONV + "x,7,7,3,3,1,1,-1", ("net.csv:2", "Strides is '-1'")),
    "too large": ("Layer,M,N,K\nx,1,2,9999999999999", ("net.csv:2", "K is")),
    "too large as a matmul": (
        CONV + "x,2000000,2000000,1,1,1,1,1", ("net.csv:2", "4000000000000 output positions"),
    ),
    "absurdly large": ("Layer,M,N,K\nx,1,2," + 5000 * "9", ("net.csv:2",)),
    "filter larger than the input": (
        CONV + "x,7,2,3,3,1,1,1", ("net.csv:2: x", "Filter Width 3", "IFMAP Width 2"),
    ),
    "columns in another order": ("Layer,M,K,N\nx,1,2,3", ("net.csv:1", "column 3", "'K'", "'N'")),
    "misspelt column": (
        CONV.replace("IFMAP W", "IMAP W") + ROW, ("net.csv:1", "'IMAP Width'", "'IFMAP Width'"),
    ),
    "column left out": ("Layer,M,N\nx,1,2", ("net.csv:1", "column 4", "missing", "'K'")),
    "unknown column": ("Layer,M,N,K,Sparsty\nx,1,2,3,1:2", ("did you mean 'Sparsity'",)),
    "column twice": ("Layer,M,N,K,Sparsity,Sparsity\nx,1,2,3", ("net.csv:2", "columns are")),
    "more cells than columns": ("Layer,M,N,K\nx,1,2,3,4", ("net.csv:2", "5 cells")),
    "neither form": ("x,1,2,3,4,5", ("net.csv:1", "5 sizes", "commas")),
    "semicolons": ("Layer;M;N;K\nx;1;2;3", ("net.csv:1", "neither", "commas")),
    "mistyped sizes for a header": ("l1,0x10,0x10,0x10\nb,1,2,3", ("net.csv:1", "'l1, 0x10")),
    "header in other words": ("Schicht,Zeilen,Spalten,Tiefe\na,1,2,3", ("net.csv:1", "titles")),
    "control character": ("Layer,M,N,K\na\x1b[2J,1,2,3", ("net.csv:2", "U+001B")),
    "no ratio": ("Layer,M,N,K,Sparsity\nx,1,2,3,half", ("net.csv:2", "'half'", "2:4")),
    "ratio above one": ("Layer,M,N,K,Sparsity\nx,1,2,3,4:2", ("net.csv:2", "4:2")),
    "zero ratio": ("Layer,M,N,K,Sparsity\nx,1,2,3,0:0", ("net.csv:2", "0:0")),
    "open quote": ('Layer,M,N,K\n"x,1,2,3\ny,1,2,3', ("net.csv:", "no 'M'")),
    "endless cell": ('Layer,M,N,K\n"' + 200_000 * "x", ("net.csv:2", "CSV")),
    "wrong encoding": (CONV.encode("utf-16"), ("net.csv", "not UTF-8")),
    "binary": (bytes(range(256)), ("net.csv", "not UTF-8")),
    "huge": (b"#" * (9 * 2**20), ("net.csv", "larger than")),
    "too many": ("Layer,M,N,K\n" + 20_001 * "x,1,1,1\n", ("more than 20000",)),
}  # fmt: skip


@pytest.mark.parametrize(("text", "words"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_named_with_file_and_line(topology, text, words):
    with pytest.raises(WorkloadError) as raised:
        topology(text)
    message = str(raised.value)
    assert all(word in message for word in words), message
    assert len(message) < 400


def test_a_missing_file(tmp_path):
    with pytest.raises(WorkloadError, match=r"cannot read .*net\.csv"):
        load_topology(tmp_path / "net.csv")


def test_layers_made_in_python_are_checked():
    with pytest.raises(WorkloadError, match="n is 0"):
        TopologyLayer("x", Gemm(1, 0, 1, 1))
    with pytest.raises(WorkloadError, match="not those of the convolution"):
        TopologyLayer("x", Gemm(1, 1, 1, 1), ConvShape(1, 1, 1, 3, 3, 3, 3))
    with pytest.raises(WorkloadError, match="3:2"):
        TopologyLayer("x", Gemm(1, 1, 1, 1), sparsity=(3, 2))
    with pytest.raises(WorkloadError, match="no layers"):
        Topology("empty", ())


@given(
    cells=st.lists(
        st.lists(st.sampled_from(["", "a", "M", "N", "K", "1", "3", "-1", "2:4", "#", '"', "\0"])),
        max_size=6,
    )
)
def test_any_text_is_read_or_refused(tmp_path_factory, cells):
    path = tmp_path_factory.mktemp("net") / "net.csv"
    path.write_text("\n".join(",".join(row) for row in cells))
    try:
        layers = load_topology(path).layers
    except WorkloadError as error:
        assert str(path) in str(error)
    else:
        assert all(min(layer.gemm) >= 1 for layer in layers)
