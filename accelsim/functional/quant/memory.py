"""The memory that holds weights: gives back what was stored, or what bit flips made of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accelsim.functional.block_formats import BlockScaled

if TYPE_CHECKING:
    from accelsim.functional.quant.codes import IntegerCodes

Floats = NDArray[np.float32]


class Damage(Protocol):
    """What strikes stored bits (`accelsim.functional.faults.FaultInjector` is one)."""

    def weights(
        self, name: str, values: Floats, fmt: str, *, scale: ArrayLike | None = None
    ) -> Floats:
        """Strike values of a scalar format, times a scale."""

    def codes(self, target: Any, name: str, codes: NDArray[Any], fmt: str) -> NDArray[Any]:
        """Strike codes."""

    def blocks(self, target: Any, name: str, held: BlockScaled, step: int = 0) -> BlockScaled:
        """Strike elements and scales of a block format."""


class Changes(NamedTuple):
    """Values of a tensor that memory gives back as others.

    Attributes
    ----------
    indices : array of int64
        In the flat tensor, ascending.
    values : array of float32
    """

    indices: NDArray[np.int64] = np.empty(0, np.int64)
    values: Floats = np.empty(0, np.float32)

    def whole(self, given: Floats) -> Floats:
        """Return the tensor as it is read."""
        if not len(self.indices):
            return given
        read = given.copy()
        read.flat[self.indices] = self.values
        return read

    def rows(self, numbers: NDArray[np.int64], given: Floats) -> Floats:
        """Return rows [len(numbers), width] of a matrix as they are read."""
        width = given.shape[1]
        first, last = np.searchsorted(self.indices, [numbers * width, (numbers + 1) * width])
        if (first == last).all():
            return given
        read = given.copy()
        for row, number, start, stop in zip(read, numbers, first, last, strict=True):
            row[self.indices[start:stop] - number * width] = self.values[start:stop]
        return read


@dataclass(frozen=True)
class Memory:
    """Where a tensor lies.

    Attributes
    ----------
    name : str
    damage : Damage or None
        None: memory keeps what it is given.
    """

    name: str = ""
    damage: Damage | None = None

    def floats(self, values: Floats, fmt: str, *, scale: Floats | None = None) -> Floats:
        """Give back values of a scalar format, times a scale that is not struck."""
        if self.damage is None:
            return values
        return self.damage.weights(self.name, values, fmt, scale=scale)

    def bias(self, values: Floats) -> Floats:
        """Give back the bias of a matmul: fp32 words, as they are added."""
        return replace(self, name=f"{self.name}.bias").floats(values, "fp32")

    def integers(self, held: IntegerCodes, fmt: str) -> IntegerCodes:
        """Give back integer codes; scales and zero points are not struck."""
        if self.damage is None:
            return held
        return replace(held, codes=self.damage.codes("weights", self.name, held.codes, fmt))

    def blocks(self, held: BlockScaled) -> BlockScaled:
        """Give back a tensor in a block format."""
        return held if self.damage is None else self.damage.blocks("weights", self.name, held)


INTACT = Memory()
