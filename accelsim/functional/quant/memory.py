"""The memory that holds weights: gives back what was stored, or what bit flips made of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

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


@dataclass(frozen=True)
class Memory:
    """Where the weights of one matmul lie.

    Attributes
    ----------
    name : str
        Of the weights.
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

    def integers(self, held: IntegerCodes, fmt: str) -> IntegerCodes:
        """Give back integer codes; scales and zero points are not struck."""
        if self.damage is None:
            return held
        return replace(held, codes=self.damage.codes("weights", self.name, held.codes, fmt))

    def blocks(self, held: BlockScaled) -> BlockScaled:
        """Give back a tensor in a block format."""
        return held if self.damage is None else self.damage.blocks("weights", self.name, held)


INTACT = Memory()
