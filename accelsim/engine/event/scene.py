"""What all parts of one simulation share: its clock, its journal, and who is told of the time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from accelsim.des.simulation import Simulation
from accelsim.engine.event.journal import Journal

Progress = Callable[[int], None]
"""Called with the time of the run [ps]."""


@dataclass(frozen=True)
class Scene:
    """One simulation.

    Attributes
    ----------
    sim : Simulation
    journal : Journal
    progress : callable or None
    """

    sim: Simulation
    journal: Journal = field(default_factory=Journal)
    progress: Progress | None = None
