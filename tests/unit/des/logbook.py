"""What the scenarios share: a log of (name, time), and processes that write into it."""

from __future__ import annotations

from simpy.events import Event

from accelsim.des.simulation import Simulation, Steps

Log = list[tuple[str, int]]


def noted(sim: Simulation, log: Log, name: str, event: Event) -> None:
    """Write down when an event happens."""
    event.callbacks.append(lambda _: log.append((name, sim.now_ps)))


def after(sim: Simulation, delay_ps: int, steps: Steps) -> Steps:
    """The steps, begun later."""
    yield sim.timeout(delay_ps)
    yield from steps
