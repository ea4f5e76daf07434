"""Does `show` tell the layers of a network, and a run its unit of work?"""

from __future__ import annotations

import json

import pytest

from accelsim.report.network_tables import network_data, network_tables
from accelsim.report.words import answer, detail
from accelsim.scenarios.run import run
from accelsim.workload.network_reader import load_network, network_files


@pytest.mark.parametrize("name", sorted(network_files()))
def test_every_network_can_be_shown(name):
    network = load_network(name)
    data = json.loads(json.dumps(network_data(network), allow_nan=False))
    assert sum(layer["parameters"] for layer in data["layers"]) == network.parameters
    assert sum(layer["macs"] for layer in data["layers"]) == network.macs
    assert len(network_tables(network)[1].rows) == len(network.layers)


def test_layers_in_words():
    pairs, layers = network_tables(load_network("alexnet"))
    assert dict(pairs.rows)["parameters"] == "61,100,840"
    assert layers.rows[0] == ("conv1", "conv", "64x55x55", "70,276,800", "23,296")
    assert layers.rows[1] == ("pool1", "pool", "64x27x27", "-", "-")


def test_a_network_does_inferences_not_tokens():
    result = run("mlp1", "tpu_v1")
    words = dict(answer(result))
    assert words["throughput"].endswith(" inferences/s")
    assert words["energy"].endswith(" per inference")
    assert "token" not in detail(result)
