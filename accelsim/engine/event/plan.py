"""What the event engine executes: ops as pipelines of equal pieces, in blocks that repeat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

MEMORY, SHARED, PORTS, LINK, POWER = "memory", "shared", "ports", "link", "power"
"""What ops share: bandwidth of the main memory, of the buffer of all cores, of the ways into cores,
of links, and the board's power. The capacity of links is one second per second: what a byte takes
of them depends on the collective. That of power is its limit; a byte takes what its op needs."""

LATENCY = "memory_latency"
"""What limits an op whose loads in flight are too few for the bandwidth of the main memory."""
ENTRY, ALL = -1, -2

DOUBLE = 2
"""Buffers of double buffering: one is filled while the other is used."""


@dataclass(frozen=True)
class Stream:
    """Transfers of an op, the same for each of its pieces.

    Attributes
    ----------
    size_bytes : float
        Of one piece; 0: nothing is moved [B].
    takes : mapping of str to float
        What one byte takes of `MEMORY`, `SHARED` and `PORTS` [B], `LINK` [s] and `POWER` [J].
    own_s : mapping of str to float
        Time of `MEMORY` (or `LATENCY`), `SHARED` and `POWER` that a piece needs when nobody else
        wants anything [s].
    moved_bytes : float
        Of one piece, for counting: main-memory bytes, or bytes sent [B].
    energy_j : float
        Of one piece [J].
    """

    size_bytes: float = 0.0
    takes: Mapping[str, float] = field(default_factory=dict)
    own_s: Mapping[str, float] = field(default_factory=dict)
    moved_bytes: float = 0.0
    energy_j: float = 0.0

    @property
    def alone_s(self) -> float:
        """Time of a piece when nobody else wants anything [s]."""
        return max(self.own_s.values(), default=0.0)

    def part(self, share: float) -> Stream:
        """A part of it that moves in the same way."""
        return Stream(
            self.size_bytes * share, self.takes,
            {name: seconds * share for name, seconds in self.own_s.items()},
            self.moved_bytes * share, self.energy_j * share,
        )  # fmt: skip

    def with_energy(self, more_j: float) -> Stream:
        """The same with some energy added [J]."""
        return replace(self, energy_j=self.energy_j + more_j)


@dataclass(frozen=True)
class Service:
    """Work of an op on an exclusive engine.

    Attributes
    ----------
    total_ps : int
        Of all pieces; 0: none [ps].
    resource : str
        What the time is spent on, for the critical path: ``matrix``, ``vector`` or ``power``.
    flop, energy_j : float
        Of one piece [1], [J].
    """

    total_ps: int = 0
    resource: str = ""
    flop: float = 0.0
    energy_j: float = 0.0

    def pieces_ps(self, pieces: int) -> list[int]:
        """Durations of the pieces: whole picoseconds that add up to the total."""
        total = self.total_ps
        return [total * (i + 1) // pieces - total * i // pieces for i in range(pieces)]


@dataclass(frozen=True)
class OpPlan:
    """One op as a pipeline: load, multiply, finish on the vector unit, store, piece by piece.

    Attributes
    ----------
    name, kind : str
    pieces : int
    after : tuple of int
        Places in the block of the ops whose results it reads; `ENTRY` is the block's input, made by
        the last op before the block, and `ALL` everything that was issued before.
    launch_ps : int
        From the end of what it waits for to its own start [ps].
    host_ps : tuple of int
        Work of the host before the launch and after it [ps].
    first_data_ps : int
        Latency of the first transfer [ps].
    load, store, send : Stream
    early, late : Stream
        The load in two parts: what needs no result of other ops (weights, cache) and may come
        ahead, and what has to follow then. `early` is empty if nothing may.
    writes_weights : bool
        Nothing of ops behind it may come ahead before it has ended.
    matrix, vector : Service
    kept_bytes : int
        Results that stay on the chip until the op after it has ended [B].
    buffer_bytes : int
        One buffer of the operands, of all cores [B].
    buffers : int
        Pieces that may be loaded before the first of them is used up: 2 is double buffering.
    members : int
        Chips of a collective, 0 for work of a chip alone.
    wait_ps : int
        Latencies of a collective's steps [ps].
    """

    name: str
    kind: str
    pieces: int
    after: tuple[int, ...]
    launch_ps: int = 0
    host_ps: tuple[int, int] = (0, 0)
    first_data_ps: int = 0
    load: Stream = Stream()
    store: Stream = Stream()
    send: Stream = Stream()
    early: Stream = Stream()
    late: Stream = Stream()
    writes_weights: bool = False
    matrix: Service = Service()
    vector: Service = Service()
    kept_bytes: int = 0
    buffer_bytes: int = 0
    buffers: int = DOUBLE
    members: int = 0
    wait_ps: int = 0

    @property
    def held_bytes(self) -> int:
        """What it fills of a memory that software manages, while it runs [B]."""
        return self.kept_bytes + self.buffers * self.buffer_bytes


@dataclass(frozen=True)
class PlanBlock:
    """Ops in program order, executed `repeat` times."""

    name: str
    ops: tuple[OpPlan, ...]
    repeat: int = 1


@dataclass(frozen=True)
class Program:
    """What one group of cores executes: blocks, one after another."""

    name: str
    blocks: tuple[PlanBlock, ...]
