"""What an engine says of one op: activity counts, time, bound and energy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

BOUNDS = ("compute", "load", "vector", "special", "memory", "latency", "l2", "network", "power",
          "overhead")  # fmt: skip


class Activity(NamedTuple):
    """Counts of one op on one device: what energy is priced from.

    Attributes
    ----------
    macs : dict of str to float
        Multiply-adds of the matrix units by dtype, useful ones.
    vector_flop, special : float
        Work of the vector unit.
    dram_read_bytes, dram_write_bytes : float
        Traffic of the main memory [B].
    shared_bytes, scratchpad_bytes : float
        Traffic of the shared buffer and of the scratchpads [B].
    link_bytes : float
        Bytes sent to other devices [B].
    """

    macs: Mapping[str, float] = {}
    vector_flop: float = 0.0
    special: float = 0.0
    dram_read_bytes: float = 0.0
    dram_write_bytes: float = 0.0
    shared_bytes: float = 0.0
    scratchpad_bytes: float = 0.0
    link_bytes: float = 0.0

    @property
    def dram_bytes(self) -> float:
        """Main memory traffic [B]."""
        return self.dram_read_bytes + self.dram_write_bytes


class Described(Protocol):
    """What can say itself in words: a mapping."""

    def describe(self) -> str:
        """Say it in words, for tables."""


class OpCost(NamedTuple):
    """Time and activity of one execution of one op (or fused group) on one device.

    Attributes
    ----------
    name, kind : str
        Of the op; fused ops are named ``"a+b"``.
    flop : float
        Matrix FLOP.
    times_s : dict of str to float
        Time that each resource alone would need [s]; keys are `BOUNDS`.
    latency_s : float
        Time of the op [s].
    bound : str
        The resource that decides: the largest entry of `times_s`.
    activity : Activity
        Counts.
    placed : Described, str or None
        The mapping, or its name; None where there is none.
    """

    name: str
    kind: str
    flop: float
    times_s: dict[str, float]
    latency_s: float
    bound: str
    activity: Activity
    placed: Described | str | None = None

    @property
    def mapping(self) -> str:
        """The mapping in words, empty where there is none."""
        if self.placed is None or isinstance(self.placed, str):
            return self.placed or ""
        return self.placed.describe()
