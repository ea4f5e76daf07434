"""Recurrent layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from accelsim.workload.layers.base import Features, Formats, Layer, Lowered, joined
from accelsim.workload.ops import MatMul, Op, Vector
from accelsim.workload.sizes import check_flags, check_sizes

_GATES = 4


@dataclass(frozen=True, kw_only=True)
class LstmLayer(Layer):
    """A long short-term memory over the steps of its input.

    Attributes
    ----------
    hidden : int
        Units.
    bias : bool
        One vector for the inputs and one for the state, as in PyTorch.
    last : bool
        Only the state after the last step goes on.

    Notes
    -----
    The products with the input need no state and are one matmul over all steps; those with the
    state follow one another, and each reads its weights again.
    """

    kind: ClassVar[str] = "lstm"

    hidden: int
    bias: bool = True
    last: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self, "hidden")
        check_flags(self, "bias", "last")

    def output(self, given: Sequence[Features]) -> Features:
        """The state of every step, or of the last."""
        return Features(self.hidden, steps=1 if self.last else joined(given).steps)

    def lower(self, given: Sequence[Features], formats: Formats, after: tuple[str, ...]) -> Lowered:
        """Input product, then state product and gates of every step."""
        source = joined(given)
        product = MatMul(
            name=f"{self.name}.input", after=after, m=formats.batch * source.steps,
            n=_GATES * self.hidden, k=source.per_step, dtype=formats.dtype,
            weight_dtype=formats.weight_dtype, bias=self.bias,
        )  # fmt: skip
        first = self._step(formats, owns=True)
        later = self._step(formats, owns=False) if source.steps > 1 else ()
        return Lowered((product, *first), later, source.steps - 1)

    def _step(self, formats: Formats, *, owns: bool) -> tuple[Op, ...]:
        state = MatMul(
            name=f"{self.name}.state", after=(), m=formats.batch, n=_GATES * self.hidden,
            k=self.hidden, dtype=formats.dtype, weight_dtype=formats.weight_dtype, bias=self.bias,
            owns_parameters=owns,
        )  # fmt: skip
        cell = Vector(
            name=self.name, after=(f"{self.name}.input", state.name), fn="lstm_cell",
            rows=formats.batch, cols=self.hidden, dtype=formats.dtype,
        )  # fmt: skip
        return state, cell
