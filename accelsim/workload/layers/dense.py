"""Fully connected and elementwise layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from accelsim.errors import WorkloadError
from accelsim.workload.layers.base import (
    Features,
    Formats,
    Layer,
    Lowered,
    activated,
    check_activation,
    joined,
)
from accelsim.workload.ops import VECTOR_FUNCTIONS, MatMul, Vector
from accelsim.workload.sizes import check_flags, check_sizes, check_word

_OF_TWO = ("add", "sub", "mul", "div")


@dataclass(frozen=True, kw_only=True)
class FcLayer(Layer):
    """Fully connected: every output from every input of a step.

    Attributes
    ----------
    out : int
        Outputs of one matrix.
    copies : int
        Matrices of this size side by side that read the same input and are tiled each on its
        own, such as the gates of an LSTM.
    bias : bool
    activation : str or None
    """

    kind: ClassVar[str] = "fc"

    out: int
    copies: int = 1
    bias: bool = False
    activation: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self, "out", "copies")
        check_flags(self, "bias")
        check_activation(self, self.activation)

    def output(self, given: Sequence[Features]) -> Features:
        """A vector per step."""
        return Features(self.out * self.copies, steps=joined(given).steps)

    def lower(self, given: Sequence[Features], formats: Formats, after: tuple[str, ...]) -> Lowered:
        """One matmul, batched over the copies."""
        source = joined(given)
        rows = formats.batch * source.steps
        product = MatMul(
            name=self.name, after=after, m=rows, n=self.out, k=source.per_step, batch=self.copies,
            dtype=formats.dtype, weight_dtype=formats.weight_dtype, bias=self.bias,
        )  # fmt: skip
        return Lowered(
            (product, *activated(self, self.activation, (rows, self.out * self.copies), formats))
        )


@dataclass(frozen=True, kw_only=True)
class VectorLayer(Layer):
    """An elementwise or row-wise function of one layer, or of two of the same shape.

    Attributes
    ----------
    fn : str
        A key of `VECTOR_FUNCTIONS`; ``add``, ``sub``, ``mul`` and ``div`` read two layers.
    out : int or None
        Channels of the result where they differ (``lstm_cell`` makes one out of four).
    """

    kind: ClassVar[str] = "vector"

    fn: str
    out: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_word(self, "fn", tuple(VECTOR_FUNCTIONS))
        if self.out is not None:
            check_sizes(self, "out")
        expected = 2 if self.fn in _OF_TWO else 1
        if max(1, len(self.sources)) != expected:
            raise WorkloadError(f"{self.fn} reads {expected} layers, got {len(self.sources) or 1}")

    def output(self, given: Sequence[Features]) -> Features:
        """The shape of the sources, or `out` channels of it."""
        if len(set(given)) != 1:
            shapes = " and ".join(f"{s.channels}x{s.height}x{s.width}" for s in given)
            raise WorkloadError(f"{self.fn} reads layers of different shapes: {shapes}")
        first = given[0]
        return Features(self.out or first.channels, first.height, first.width, first.steps)

    def lower(self, given: Sequence[Features], formats: Formats, after: tuple[str, ...]) -> Lowered:
        """One vector op."""
        made = self.output(given)
        rows = formats.batch * made.steps * made.height * made.width
        return Lowered((
            Vector(name=self.name, after=after, fn=self.fn, rows=rows, cols=made.channels,
                   dtype=formats.dtype),
        ))  # fmt: skip
