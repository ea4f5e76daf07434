"""What all parts of one simulation share: its clock, its journal, and who is told of the time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from accelsim.des.simulation import Simulation
from accelsim.engine.event.journal import Journal

Progress = Callable[[int], None]
"""Called with the time of the run [ps]."""
DOUBLE = 2
"""Buffers of double buffering: one is filled while the other is used."""


@dataclass(frozen=True)
class Scene:
    """One simulation.

    Attributes
    ----------
    sim : Simulation
    journal : Journal
    progress : callable or None
    buffers : int
        Pieces of an op that may be loaded before the first of them is used up: 2 is double
        buffering.
    """

    sim: Simulation
    journal: Journal = field(default_factory=Journal)
    progress: Progress | None = None
    buffers: int = DOUBLE
