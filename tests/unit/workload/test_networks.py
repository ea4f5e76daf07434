"""Do network files become the ops that they describe, and are mistakes in them found?"""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path

import pytest

from accelsim.errors import WorkloadError
from accelsim.workload.layers import ConvLayer, FcLayer, Features, LstmLayer, PoolLayer, VectorLayer
from accelsim.workload.models import load_model, load_workload
from accelsim.workload.network_reader import load_network, network_files
from accelsim.workload.networks import Network, forward_graph
from accelsim.workload.ops import Conv, MatMul, Pool, Vector

IMAGE = Features(3, 32, 32)


def network(*layers: object, given: Features = IMAGE, **fields: object) -> Network:
    return Network("net", given, layers, **fields)  # type: ignore[arg-type]


# Multiply-adds: torchvision's model table (GFLOPS of ResNet-18, ResNet-50 and AlexNet are
# multiply-adds there); Howard et al., arXiv 1704.04861, table 4. Parameters: torchvision's table;
# Keras states 4,253,864 for MobileNet, of which 21,888 are running statistics.
@pytest.mark.parametrize(
    ("name", "parameters", "giga_macs"),
    [
        ("alexnet", 61_100_840, 0.71),
        ("resnet18", 11_689_512, 1.81),
        ("resnet50", 25_557_032, 4.09),
        ("mobilenet_v1", 4_253_864 - 21_888, 0.569),
    ],
)
def test_published_counts(name: str, parameters: int, giga_macs: float) -> None:
    found = load_network(name)
    assert found.parameters == parameters
    assert found.macs / 1e9 == pytest.approx(giga_macs, abs=0.006)
    assert forward_graph(found).parameters == parameters


@pytest.mark.parametrize("name", sorted(network_files()))
def test_every_packaged_network_loads_under_its_name(name: str) -> None:
    found = load_workload(name)
    assert isinstance(found, Network)
    assert found == load_network(name)
    assert found.name == name


def test_shapes_follow_from_the_layers() -> None:
    found = network(
        ConvLayer(name="a", out=8, filter=(3, 3), stride=(2, 2), padding="same"),
        PoolLayer(name="b", filter=(2, 2), stride=(2, 2)),
        ConvLayer(name="c", sources=("b",), out=4),
        ConvLayer(name="d", sources=("b", "c"), out=5, filter=(3, 3)),
        PoolLayer(name="e"),
        FcLayer(name="f", out=10, copies=2),
        VectorLayer(name="g", fn="softmax"),
    )
    assert [(s.channels, s.height) for s in found.shapes.values()] == [
        (3, 32), (8, 16), (8, 8), (4, 8), (5, 6), (5, 1), (20, 1), (20, 1),
    ]  # fmt: skip
    assert found.parameters == 8 * 27 + 4 * 8 + 5 * 9 * 12 + 2 * 10 * 5


@pytest.mark.parametrize(("size", "stride", "before", "out"), [(224, 2, 0, 112), (7, 1, 1, 7)])
def test_same_padding_is_that_of_tensorflow(size: int, stride: int, before: int, out: int) -> None:
    layer = ConvLayer(name="a", out=1, filter=(3, 3), stride=(stride, stride), padding="same")
    graph = forward_graph(network(layer, given=Features(1, size, size)))
    ((_, op),) = graph.ops()
    assert isinstance(op, Conv)
    assert (op.shape.padding[0], op.shape.padding[1], op.shape.out_height) == (before, 1, out)


def test_ops_know_their_producers_and_formats() -> None:
    found = network(
        ConvLayer(name="a", out=8, norm=True, activation="relu"),
        ConvLayer(name="b", out=8, bias=True),
        VectorLayer(name="sum", sources=("a", "b"), fn="add"),
        PoolLayer(name="pool", filter=(3, 3), stride=(2, 2)),
        FcLayer(name="fc", out=10, bias=True),
        batch=4, dtype="w8a16", weight_dtype="int8",
    )  # fmt: skip
    graph = forward_graph(found)
    ops = {op.name: op for _, op in graph.ops()}
    assert [type(op) for op in ops.values()] == [Conv, Vector, Conv, Vector, Pool, MatMul]
    assert ops["b"].after == ("a.relu",)
    assert ops["sum"].after == ("a.relu", "b")
    assert ops["a"].after == ()
    assert ops["a"].parameters == 24 + 16
    assert ops["b"].traffic.weights == 64 + 8
    assert ops["b"].traffic.inputs == 2 * 4 * 8 * 32 * 32
    assert ops["b"].vector_flop == 4 * 8 * 32 * 32
    assert ops["pool"].vector_flop == 9 * 4 * 8 * 15 * 15
    assert graph.footprint.weights == 24 + 16 + 64 + 8 + 10 * 8 * 15 * 15 + 2 * 10
    assert (graph.batch, graph.phase, graph.dtype) == (4, "forward", "w8a16")
    wider = forward_graph(found, batch=1, dtype="bf16")
    assert wider.footprint.weights == 2 * found.parameters


def test_lstm_repeats_what_needs_the_state() -> None:
    # PyTorch: LSTM(20, 30) has 4 x 30 x (20 + 30) weights and 2 x 4 x 30 biases.
    found = network(
        LstmLayer(name="lstm", hidden=30, last=True),
        FcLayer(name="fc", out=7),
        given=Features(20, steps=5),
    )
    assert found.parameters == 4 * 30 * 50 + 240 + 7 * 30
    graph = forward_graph(found, batch=2)
    assert [(block.name, block.repeat) for block in graph.blocks] == [
        ("layers", 1), ("lstm.steps", 4), ("layers", 1),
    ]  # fmt: skip
    assert graph.parameters == found.parameters
    assert graph.flop == 2 * 2 * (5 * 4 * 30 * 50 + 7 * 30)
    assert [op.name for op in graph.blocks[1].ops] == ["lstm.state", "lstm"]


def test_a_layer_over_a_sequence_works_on_every_step() -> None:
    found = network(FcLayer(name="fc", out=7), given=Features(20, steps=5))
    assert found.macs == 5 * 20 * 7
    assert found.shapes["fc"] == Features(7, steps=5)


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ((FcLayer(name="a", out=1), FcLayer(name="a", out=1)), "two layers are called 'a'"),
        ((FcLayer(name="a", out=1, sources=("b",)),), "layer a reads 'b', which no layer before"),
        ((), "expected 1 to"),
        (
            (FcLayer(name="a", out=1, activation="relu"), FcLayer(name="a.relu", out=1)),
            "two ops are called 'a.relu': rename that layer",
        ),
        (
            (
                PoolLayer(name="a", filter=(2, 2)),
                ConvLayer(name="b", out=1, sources=("a", "input")),
            ),
            "layer b: its sources do not fit side by side",
        ),
        (
            (FcLayer(name="a", out=1), VectorLayer(name="b", fn="add", sources=("a", "input"))),
            "layer b: add reads layers of different shapes: 1x1x1 and 3x32x32",
        ),
        ((ConvLayer(name="a", out=1, filter=(99, 1)),), "layer a: filter_height 99 covers"),
    ],
)
def test_layers_that_do_not_fit_together(layers: tuple[object, ...], words: str) -> None:
    with pytest.raises(WorkloadError) as caught:
        network(*layers)
    assert f"net: {words}" in str(caught.value)


GOOD = """\
kind: network
batch: 8
dtype: int8
note: tiny
input: {channels: 3, height: 8, width: 8}
layers:
  - {name: a, type: conv, out: 4, filter: 3, stride: [2, 1], padding: [1, 0], activation: relu}
  - {name: b, type: pool, from: a}
  - {name: c, type: fc, from: [b], out: 10}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(text)
    return path


def test_a_file_of_the_user(tmp_path: Path) -> None:
    found = load_workload(write(tmp_path, GOOD))
    assert isinstance(found, Network)
    assert (found.name, found.batch, found.dtype, found.notes) == ("tiny", 8, "int8", ("tiny",))
    first = found.layers[0]
    assert isinstance(first, ConvLayer)
    assert (first.filter, first.stride, first.padding) == ((3, 3), (2, 1), (1, 1, 0, 0))
    assert found.shapes["a"] == Features(4, 4, 6)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("batch: 8", "bach: 8", "tiny.yaml:2: bach: unknown key: did you mean 'batch'?"),
        ("batch: 8", "batch: 0", "Network.batch is 0"),
        (
            "batch: 8",
            "parameters: 149",
            "tiny.yaml:2: parameters: 149 stated, but the layers have 1",
        ),
        ("int8", "int9", "unknown dtype 'int9'"),
        ("note: tiny", "note: [tiny]", "tiny.yaml:4: note is ['tiny'], expected text"),
        ("type: pool", "type: pol", "tiny.yaml:8: layers.1.type: 'pol': did you mean 'pool'?"),
        (
            "type: fc",
            "typ: fc",
            "tiny.yaml:9: layers.2: the key 'type' is missing; known: conv, fc",
        ),
        ("from: a", "form: a", "tiny.yaml:8: layers.1.form: unknown key: did you mean 'from'"),
        ("from: a", "from: d", "tiny.yaml:8: layer b reads 'd'"),
        ("from: a", "from: 3", "layers.1.from: got 3, expected a name or a list"),
        ("filter: 3", "filter: 3x3", "layers.0.filter: got '3x3', expected a whole number"),
        ("filter: 3", "filter: [3, 3, 3]", "layers.0.filter: got [3, 3, 3]"),
        ("filter: 3", "filter: 30", "tiny.yaml:7: layer a: filter_height 30"),
        (
            "activation: relu",
            "activation: rel",
            "ConvLayer.activation is 'rel': did you mean 'relu'",
        ),
        ("activation: relu", "norm: 1", "tiny.yaml:7: ConvLayer.norm is 1, expected true or false"),
        ("out: 10", "out: 1.5", "tiny.yaml:9: FcLayer.out is 1.5"),
        (", out: 10", "", "tiny.yaml:9: layers.2: the key 'out' of a layer of type fc is missing"),
        ("name: c", "name: input", "tiny.yaml:9: 'input' names the sample: rename that layer"),
        ("name: c", f"name: {81 * 'x'}", "expected text of 1 to 80 characters"),
        ("name: c", r'name: "c\e[2J"', r"FcLayer.name is 'c\x1b[2J', expected text"),
        ("batch: 8", r'name: "\u202e"', r"tiny.yaml:2: name is '\u202e', expected text"),
        ("note: tiny", rf'note: "{2000 * "x"}y"', "tiny.yaml:4: note is 'xxx"),
        (
            "type: conv",
            "type: [conv]",
            "tiny.yaml:7: layers.0.type: ['conv']: did you mean 'conv'?",
        ),
        ("padding: [1, 0]", "padding: [1, -1]", "tiny.yaml:7: ConvLayer.padding is -1"),
        ("[2, 1], padding: [1, 0]", "0, padding: same", "tiny.yaml:7: ConvLayer.stride is 0"),
        ("filter: 3", "filter: null", "layers.0.filter: got None, expected a whole number"),
        ("from: [b]", "from: []", "layers.2.from: got [], expected a name or a list of at least"),
        ("batch: 8", "batch: 100000001", "expected a whole number from 1 to 100000000"),
        ("name: c", "name: a", "tiny.yaml:9: two layers are called 'a'"),
        ("name: c", "name: 7", "tiny.yaml:9: FcLayer.name is 7, expected text"),
        ("channels: 3", "features: 3, channels: 3", "tiny.yaml:5: input: expected either features"),
        ("height: 8", "hight: 8", "tiny.yaml:5: input.hight: unknown key: did you mean 'height'"),
        ("input: {channels: 3, height: 8, width: 8}\n", "", "the key 'input' is missing"),
        ("layers:", "layers: []\nnote2:", "unknown key"),
        ("kind: network", "kind: net", "tiny.yaml:1: kind: got 'net', expected 'network'"),
        ("kind: network", "name: net", "kind: got None, expected 'network'"),
    ],
)
def test_mistakes_name_file_line_and_cure(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(WorkloadError) as caught:
        load_workload(path)
    assert words in str(caught.value)


# One layer of every type with every key, so that each can be replaced by nonsense.
FULL = {
    "kind": "network", "name": "n", "title": "t", "source": "s", "note": "o", "status": "u",
    "batch": 2, "dtype": "int8", "weight_dtype": "int8",
    "input": {"channels": 4, "height": 8, "width": 8, "steps": 3},
    "layers": [
        {"name": "a", "type": "conv", "from": "input", "out": 4, "filter": 3, "stride": 1,
         "padding": "same", "dilation": 1, "groups": 2, "bias": True, "norm": True,
         "activation": "relu"},
        {"name": "b", "type": "pool", "from": ["a"], "filter": 2, "stride": 2, "padding": 0},
        {"name": "c", "type": "vector", "from": "b", "fn": "tanh", "out": 2},
        {"name": "d", "type": "fc", "from": "c", "out": 4, "copies": 2, "bias": True,
         "activation": "gelu"},
        {"name": "e", "type": "lstm", "from": "d", "hidden": 4, "bias": True, "last": True},
    ],
}  # fmt: skip
NONSENSE = (
    None, [], {}, "", "x", -1, 0, 1, 1.5, 10**30, 2**31, -(2**63), float("inf"), float("nan"),
    True, False, "x" * 10**5, "\x1b[31m", "input", "same", [[]], [None], [["a"]], [1, [2]], [0, 0],
    [-1, 2, 3, 4], [1] * 1000, {"x": 1}, {"\x1b": [{}]}, [[[[1]]]],
)  # fmt: skip
PLACES = (
    *((key,) for key in FULL),
    *(("input", key) for key in FULL["input"]),
    *(("layers", index) for index in range(len(FULL["layers"]))),
    *(("layers", index, key) for index, layer in enumerate(FULL["layers"]) for key in layer),
)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: ".".join(map(str, place)))
def test_nonsense_is_a_network_or_one_sentence(
    tmp_path: Path, place: tuple[str | int, ...]
) -> None:
    refused = 0
    for value in NONSENSE:
        tree = copy.deepcopy(FULL)
        parent = tree
        for key in place[:-1]:
            parent = parent[key]
        parent[place[-1]] = value
        path = write(tmp_path, json.dumps(tree, indent=1).replace("Infinity", ".inf"))
        try:
            forward_graph(load_network(path))
        except WorkloadError as error:
            refused += 1
            assert re.match(rf"{re.escape(str(path))}:\d+: ", str(error))
            assert len(str(error)) < len(str(path)) + 400
    assert refused > len(NONSENSE) // 3


def test_numbers_too_long_to_print_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD.replace("batch: 8", f"batch: 0x{5000 * 'f'}"))
    with pytest.raises(WorkloadError, match=r"tiny.yaml:2: '0xf.*' is not a number"):
        load_network(path)


def test_products_of_the_users_sizes_are_bounded_with_their_layer(tmp_path: Path) -> None:
    text = GOOD.replace("width: 8", "width: 8, steps: 10000000")
    with pytest.raises(WorkloadError) as caught:
        load_network(write(tmp_path, text.replace("padding: [1, 0]", "padding: 9999")))
    assert "tiny.yaml:7: layer a: " not in str(caught.value)  # alone it would do
    assert "layer a, 1 samples of 10000000 steps: batch 10000000, out_height 1" in str(caught.value)


def test_null_means_the_default_where_that_is_nothing(tmp_path: Path) -> None:
    text = GOOD.replace("from: a", "filter: null, from: null")
    assert load_network(write(tmp_path, text)).layers[1] == PoolLayer(name="b")


def test_the_file_on_the_page_is_understood(tmp_path: Path) -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "networks.md"
    (text,) = re.findall(r"```yaml\n(.*?)```", page.read_text("utf-8"), flags=re.DOTALL)
    found = load_network(write(tmp_path, text))
    assert (found.name, found.batch, len(found.layers)) == ("tiny", 8, 5)


def test_names_of_networks_and_models_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match="unknown network 'resnet5': did you mean 'resnet50'"):
        load_network("resnet5")
    with pytest.raises(WorkloadError, match="did you mean 'resnet50'"):
        load_workload("resnet5")
    for name in ("resnet50", write(tmp_path, GOOD)):
        with pytest.raises(WorkloadError, match=r"without tokens: accelsim.load_network reads it"):
            load_model(name)
