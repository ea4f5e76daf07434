"""Do the six production applications of the TPU v1 paper reach the published TOPS on our model?

The chip is calibrated on the paper's counters, not on these TOPS; the layer sizes are derived from
the paper's totals (workloads/networks). docs/networks.md tells what that means.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from accelsim.workload.layers import ConvLayer, FcLayer, LstmLayer, PoolLayer
from accelsim.workload.network_reader import load_network
from accelsim.workload.networks import forward_graph
from accelsim.workload.ops import Conv, MatMul, Vector
from tests.validation.tpu_v1_apps import apps, mean_error, tables

# Table 1 of the paper: fully connected, convolutional, vector and pooling layers; weights; batch.
TABLE_1 = {
    "mlp0": (5, 0, 0, 0, 20e6, 200),
    "mlp1": (4, 0, 0, 0, 5e6, 168),
    "lstm0": (24, 0, 34, 0, 52e6, 64),
    "lstm1": (37, 0, 19, 0, 34e6, 96),
    "cnn0": (0, 16, 0, 0, 8e6, 8),
    "cnn1": (4, 72, 0, 13, 100e6, 32),
}


@pytest.mark.shared
def test_published_tops_within_15_percent_mean_absolute_error(shared_dir: Path) -> None:
    found = apps(shared_dir)
    signed = ", ".join(f"{app.name} {100 * app.error:+.1f} %" for app in found)
    assert mean_error(found) <= 0.15, signed


@pytest.mark.shared
def test_weights_bound_what_they_bound_on_the_chip(shared_dir: Path) -> None:
    """The counters say that five of six wait for weights most of the time, and CNN0 never."""
    for app in apps(shared_dir):
        ours, paper = (s["weight_stall"] + s["weight_shift"] for s in (app.shares, app.published))
        assert (ours > 30) == (paper > 30), app
        assert sum(app.shares.values()) - app.shares["useful_MACs"] == pytest.approx(100)


@pytest.mark.shared
def test_the_page_shows_these_tables(shared_dir: Path) -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "networks.md"
    assert tables(apps(shared_dir)) in page.read_text("utf-8")


@pytest.mark.parametrize("name", sorted(TABLE_1))
def test_layers_weights_and_batch_are_those_of_the_paper(name: str) -> None:
    network = load_network(name)
    products, convs, vectors, pools, weights, batch = TABLE_1[name]
    layers = network.layers
    cells = sum(isinstance(layer, LstmLayer) for layer in layers)
    # A cell has a product of the input and one of the state.
    assert sum(isinstance(layer, FcLayer) for layer in layers) + 2 * cells == products
    assert sum(isinstance(layer, ConvLayer) for layer in layers) == convs
    assert sum(isinstance(layer, PoolLayer) for layer in layers) == pools
    if vectors:
        ops = [op for _, op in forward_graph(network).ops()]
        assert sum(isinstance(op, Vector) for op in ops) == vectors
    assert network.parameters == pytest.approx(weights, rel=0.025)
    assert network.batch == batch


@pytest.mark.parametrize("name", ["mlp0", "mlp1", "lstm0", "lstm1", "cnn0"])
def test_every_weight_is_used_as_often_as_table_1_says(name: str) -> None:
    network, macs_per_weight = load_network(name), {"cnn0": 8 * 19 * 19}
    graph = forward_graph(network)
    assert graph.flop / 2 / network.parameters == macs_per_weight.get(name, network.batch)


def test_cnn1_occupies_as_many_cells_per_weight_as_table_1_says() -> None:
    """Its 1750 operations per weight seem to be cells in use: see docs/networks.md."""
    graph = forward_graph(load_network("cnn1"))
    cells = 0
    for _, op in graph.ops():
        if isinstance(op, Conv):
            m, n, k, _ = op.shape.gemm
        elif isinstance(op, MatMul):
            m, n, k = op.m, op.n, op.k
        else:
            continue
        cells += m * -(-n // 256) * -(-k // 256) * 256 * 256
    assert cells / graph.parameters == pytest.approx(1750, rel=0.05)
