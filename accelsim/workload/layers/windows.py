"""Convolutional and pooling layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from accelsim.workload.conv import SIDES, ConvShape, check_sides
from accelsim.workload.layers.base import (
    Features,
    Formats,
    Layer,
    Lowered,
    activated,
    check_activation,
    joined,
)
from accelsim.workload.ops import Conv, Pool
from accelsim.workload.sizes import check_flags, check_sizes

Pair = tuple[int, int]
Padding = tuple[int, int, int, int] | Literal["same"]


@dataclass(frozen=True, kw_only=True)
class ConvLayer(Layer):
    """A convolution.

    Attributes
    ----------
    out : int
        Output channels.
    filter, stride, dilation : (int, int)
        Along height and width.
    padding : (int, int, int, int) or "same"
        Top, bottom, left, right; ``same`` makes the output the input over the stride, rounded up.
    groups : int
    bias, norm : bool
        A bias; a batch norm, folded into the filters.
    activation : str or None
    """

    kind: ClassVar[str] = "conv"

    out: int
    filter: Pair = (1, 1)
    stride: Pair = (1, 1)
    padding: Padding = (0, 0, 0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    bias: bool = False
    norm: bool = False
    activation: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self, "out", "groups")
        check_flags(self, "bias", "norm")
        check_activation(self, self.activation)
        _check_window(self)

    def output(self, given: Sequence[Features]) -> Features:
        """A feature map of `out` channels."""
        return _map_of(self._shape(joined(given), 1), joined(given).steps)

    def lower(self, given: Sequence[Features], formats: Formats, after: tuple[str, ...]) -> Lowered:
        """One convolution over all samples and steps."""
        source = joined(given)
        shape = self._shape(source, formats.batch * source.steps)
        conv = Conv(
            name=self.name, after=after, shape=shape, dtype=formats.dtype,
            weight_dtype=formats.weight_dtype, bias=self.bias, norm=self.norm,
        )  # fmt: skip
        rows = shape.output_elements // self.out
        return Lowered((conv, *activated(self, self.activation, (rows, self.out), formats)))

    def _shape(self, source: Features, batch: int) -> ConvShape:
        return _window(self, source, batch, self.out, self.groups)


@dataclass(frozen=True, kw_only=True)
class PoolLayer(Layer):
    """The maximum or the mean of windows.

    Attributes
    ----------
    filter : (int, int) or None
        None means the whole map.
    stride : (int, int)
    padding : (int, int, int, int) or "same"
    """

    kind: ClassVar[str] = "pool"
    dilation: ClassVar[Pair] = (1, 1)

    filter: Pair | None = None
    stride: Pair = (1, 1)
    padding: Padding = (0, 0, 0, 0)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_window(self)

    def output(self, given: Sequence[Features]) -> Features:
        """A feature map of the same channels."""
        return _map_of(self._shape(joined(given), 1), joined(given).steps)

    def lower(self, given: Sequence[Features], formats: Formats, after: tuple[str, ...]) -> Lowered:
        """One pooling over all samples and steps."""
        source = joined(given)
        shape = self._shape(source, formats.batch * source.steps)
        return Lowered((Pool(name=self.name, after=after, shape=shape, dtype=formats.dtype),))

    def _shape(self, source: Features, batch: int) -> ConvShape:
        return _window(self, source, batch, source.channels, source.channels)


def _check_window(layer: ConvLayer | PoolLayer) -> None:
    """Require positive whole numbers, before `same` padding computes with them."""
    whole_map = isinstance(layer, PoolLayer) and layer.filter is None
    for name, (least, sides) in SIDES.items():
        value = getattr(layer, name)
        if not (name == "padding" and value == "same") and not (name == "filter" and whole_map):
            check_sides(f"{type(layer).__name__}.{name}", value, least, sides)


def _map_of(shape: ConvShape, steps: int) -> Features:
    return Features(shape.out_channels, shape.out_height, shape.out_width, steps)


def _window(
    layer: ConvLayer | PoolLayer, source: Features, batch: int, out: int, groups: int
) -> ConvShape:
    size = (source.height, source.width)
    taps = layer.filter or size
    padding = layer.padding
    if padding == "same":
        sides = [
            max(0, (-(-n // step) - 1) * step + gap * (tap - 1) + 1 - n)
            for n, step, gap, tap in zip(size, layer.stride, layer.dilation, taps, strict=True)
        ]
        # The odd zero goes to the bottom and the right, as in TensorFlow.
        padding = (sides[0] // 2, -(-sides[0] // 2), sides[1] // 2, -(-sides[1] // 2))
    return ConvShape(
        batch, source.channels, out, *size, *taps, stride=layer.stride, padding=padding,
        dilation=layer.dilation, groups=groups,
    )  # fmt: skip
