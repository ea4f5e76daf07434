"""What every layer of a network has: sources, a shape of its result, and ops."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from accelsim.errors import WorkloadError, suggest
from accelsim.workload.ops import Op, Vector
from accelsim.workload.sizes import check_sizes, check_text, shown

ACTIVATIONS = ("relu", "sigmoid", "tanh", "gelu", "silu")


@dataclass(frozen=True)
class Features:
    """What one sample looks like between two layers.

    Attributes
    ----------
    channels, height, width : int
        A feature map; a plain vector has height and width 1.
    steps : int
        Length of a sequence of such maps.
    """

    channels: int
    height: int = 1
    width: int = 1
    steps: int = 1

    def __post_init__(self) -> None:
        check_sizes(self, "channels", "height", "width", "steps")

    @property
    def per_step(self) -> int:
        """Values of one step."""
        return self.channels * self.height * self.width


@dataclass(frozen=True)
class Formats:
    """How many samples, and in which formats: `dtype` of arithmetic and activations."""

    batch: int
    dtype: str
    weight_dtype: str


@dataclass(frozen=True)
class Lowered:
    """Ops of a layer, and those that follow `times` times because each step needs the last."""

    ops: tuple[Op, ...]
    repeated: tuple[Op, ...] = ()
    times: int = 0

    @property
    def macs(self) -> int:
        """Multiply-adds of all of them."""
        flop = sum(op.flop for op in self.ops) + self.times * sum(op.flop for op in self.repeated)
        return round(flop / 2)

    @property
    def parameters(self) -> int:
        """Parameters; repeated ops use those of the first."""
        return round(sum(op.parameters for op in self.ops))


@dataclass(frozen=True, kw_only=True)
class Layer(ABC):
    """A layer of a network.

    Attributes
    ----------
    name : str
        Unique in the network.
    sources : tuple of str
        Layers that it reads, side by side along channels, or ``input``; none given means the
        layer before.
    """

    kind: ClassVar[str]

    name: str
    sources: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_text(f"{type(self).__name__}.name", self.name)

    @abstractmethod
    def output(self, given: Sequence[Features]) -> Features:
        """Shape of the result, from the shapes of the sources."""

    @abstractmethod
    def lower(self, given: Sequence[Features], formats: Formats, after: tuple[str, ...]) -> Lowered:
        """Ops of the layer; `after` names the ops that made its sources."""


def joined(given: Sequence[Features]) -> Features:
    """Put feature maps of the same size side by side along channels.

    Raises
    ------
    WorkloadError
        If height, width or steps differ.
    """
    first = given[0]
    for other in given[1:]:
        if (other.height, other.width, other.steps) != (first.height, first.width, first.steps):
            raise WorkloadError(
                f"its sources do not fit side by side: {first.height}x{first.width} and "
                f"{other.height}x{other.width}, {first.steps} and {other.steps} steps"
            )
    channels = sum(one.channels for one in given)
    return Features(channels, first.height, first.width, first.steps)


def activated(
    layer: Layer, activation: str | None, size: tuple[int, int], formats: Formats
) -> tuple[Op, ...]:
    """Return the activation of a layer's result of `size` rows and columns, if there is one."""
    if activation is None:
        return ()
    rows, cols = size
    name = f"{layer.name}.{activation}"
    return (
        Vector(name=name, after=(layer.name,), fn=activation, rows=rows, cols=cols,
               dtype=formats.dtype),
    )  # fmt: skip


def check_activation(layer: Layer, activation: str | None) -> None:
    """Require an activation that is known, or none."""
    if activation is not None and activation not in ACTIVATIONS:
        raise WorkloadError(
            f"{type(layer).__name__}.activation is {shown(activation)}: "
            f"{suggest(str(activation), ACTIVATIONS)}"
        )
