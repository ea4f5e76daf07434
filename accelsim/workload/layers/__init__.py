"""The layers of a network without tokens: shapes in, shapes and ops out."""

from accelsim.workload.layers.base import Features, Formats, Layer, Lowered
from accelsim.workload.layers.dense import FcLayer, VectorLayer
from accelsim.workload.layers.recurrent import LstmLayer
from accelsim.workload.layers.windows import ConvLayer, PoolLayer

LAYERS: dict[str, type[Layer]] = {
    layer.kind: layer for layer in (FcLayer, ConvLayer, PoolLayer, LstmLayer, VectorLayer)
}

__all__ = [
    "LAYERS",
    "ConvLayer",
    "FcLayer",
    "Features",
    "Formats",
    "Layer",
    "Lowered",
    "LstmLayer",
    "PoolLayer",
    "VectorLayer",
]
