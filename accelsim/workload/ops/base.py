"""What every op has: a name, its dependencies, counts and compulsory traffic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

from accelsim.dtypes import dtype as find_dtype
from accelsim.errors import WorkloadError

Shard = Literal["none", "column", "row", "heads", "experts", "vocab"]


def nbytes(elements: float, dtype: str) -> float:
    """Bytes of `elements` values stored as `dtype`."""
    return elements * find_dtype(dtype).bytes


def require_positive(op: object, *names: str) -> None:
    """Refuse an op whose named sizes are not all positive.

    Raises
    ------
    WorkloadError
        Naming the op, the field and its value.
    """
    for name in names:
        value = getattr(op, name)
        if not value > 0:
            label = getattr(op, "name", type(op).__name__)
            raise WorkloadError(f"{label}: {name} is {value}, expected a positive number")


class Traffic(NamedTuple):
    """Compulsory bytes of one op by role; each operand is counted once.

    Attributes
    ----------
    weights, weights_written : float
        Parameters (gradients, optimizer state) read and written [B].
    inputs, outputs : float
        Activations read and written [B].
    cache_read, cache_write : float
        KV cache read and written [B].
    """

    weights: float = 0.0
    inputs: float = 0.0
    outputs: float = 0.0
    cache_read: float = 0.0
    cache_write: float = 0.0
    weights_written: float = 0.0

    @property
    def total(self) -> float:
        """All bytes [B]."""
        activations = self.inputs + self.outputs + self.cache_read + self.cache_write
        return self.weights + self.weights_written + activations


@dataclass(frozen=True)
class Op:
    """What every op has.

    Attributes
    ----------
    name : str
        Unique within its block, for example ``"attention.qkv"``.
    after : tuple of str or None
        Ops of the same block whose results this one needs; None means the op before it.
    shard : str
        How tensor parallelism may split the op (see `accelsim.parallel.tensor`).
    kept : bool
        The result waits for a distant reader (an activation that the backward pass needs, a
        gradient): it is written to main memory even where the next op finds it on the chip.
    recalled : bool
        An input was made long before, mostly in an earlier block: inputs are read from main
        memory.
    useful : float
        Share of the FLOP that the model itself asks for: 0 where they are done again [1].
    """

    kind: ClassVar[str] = "op"

    name: str
    after: tuple[str, ...] | None = None
    shard: Shard = "none"
    kept: bool = False
    recalled: bool = False
    useful: float = 1.0

    @property
    def flop(self) -> float:
        """Matrix FLOP."""
        return 0.0

    @property
    def vector_flop(self) -> float:
        """Elementwise FLOP."""
        return 0.0

    @property
    def scaling_flop(self) -> float:
        """The part of `vector_flop` that matrix units do which scale blocks themselves."""
        return 0.0

    @property
    def special(self) -> float:
        """Special-function results (exp, rsqrt, tanh)."""
        return 0.0

    @property
    def parameters(self) -> float:
        """Parameters that this op owns."""
        return 0.0

    @property
    def traffic(self) -> Traffic:
        """Compulsory bytes by role."""
        return Traffic()
