"""A network without tokens in tables and plain data: its layers, shapes and parameters."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from accelsim.report.tables import Column, Table, pairs_table
from accelsim.workload.layers import Features
from accelsim.workload.networks import Network


def network_data(network: Network) -> dict[str, Any]:
    """Plain data of ``accelsim show NETWORK --json``."""
    layers = [
        {
            "name": layer.name, "type": layer.kind, "output": asdict(network.shapes[layer.name]),
            "macs": lowered.macs, "parameters": lowered.parameters,
        }
        for layer, lowered in network.by_layer
    ]  # fmt: skip
    return {
        "kind": "network", "name": network.name, "parameters": network.parameters,
        "macs": network.macs, "batch": network.batch, "dtype": network.dtype,
        "weight_dtype": network.weight_dtype, "input": asdict(network.input), "layers": layers,
        "notes": list(network.notes),
    }  # fmt: skip


def network_tables(network: Network) -> tuple[Table, ...]:
    """Tables of ``accelsim show NETWORK``."""
    stored = "" if network.weight_dtype == network.dtype else f", weights {network.weight_dtype}"
    pairs = [
        ("model", "network without tokens"),
        ("parameters", f"{network.parameters:,}"),
        ("multiply-adds", f"{network.macs:,} per inference"),
        ("batch", f"{network.batch} unless told otherwise"),
        ("dtype", f"{network.dtype}{stored}"),
        ("input", _size(network.input)),
    ]
    pairs += [("note", note) for note in network.notes]
    columns = (
        Column("layer"), Column("type"), Column("output"),
        Column("multiply-adds", right=True), Column("parameters", right=True),
    )  # fmt: skip
    rows = tuple(
        (
            layer.name, layer.kind, _size(network.shapes[layer.name]),
            f"{lowered.macs:,}" if lowered.macs else "-",
            f"{lowered.parameters:,}" if lowered.parameters else "-",
        )
        for layer, lowered in network.by_layer
    )  # fmt: skip
    plural = "s" if len(network.layers) > 1 else ""
    title = f"{len(network.layers)} layer{plural}, one inference"
    return pairs_table(network.name, tuple(pairs)), Table(title, columns, rows)


def _size(shape: Features) -> str:
    steps = f"{shape.steps} steps of " if shape.steps > 1 else ""
    if shape.height == shape.width == 1:
        return f"{steps}{shape.channels:,}"
    return f"{steps}{shape.channels}x{shape.height}x{shape.width}"
