"""A simulation: integer picoseconds, named processes, and a verdict when nothing moves any more."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from operator import index
from typing import Any

from simpy.events import Condition, Event, Process

from accelsim.des.event_calendar import EventCalendar
from accelsim.des.tracer import SILENT, Tracer
from accelsim.errors import SimulationError

__all__ = ["Event", "Simulation", "Steps"]

_MOST_NAMED = 8
_FEW = 1024

Steps = Generator[Event, Any, Any]


class Simulation:
    """Runs processes in simulated time.

    Parameters
    ----------
    seed : int
        Of all random streams.
    tracer : Tracer
        Is told of every span of work; by default nobody is.

    Notes
    -----
    Time is an integer number of picoseconds, so that equal times are equal and the same input gives
    the same order of events.
    """

    def __init__(self, seed: int = 0, tracer: Tracer = SILENT) -> None:
        self.env = EventCalendar()
        self.tracer = tracer
        self._seed = seed
        self._processes: dict[Process, str] = {}
        self._endless: set[Process] = set()
        self._tidy_at = _FEW

    @property
    def now_ps(self) -> int:
        """The time [ps]."""
        return self.env.now

    @property
    def events(self) -> int:
        """Events that were scheduled so far."""
        return self.env.scheduled

    def start(self, name: str, steps: Steps, endless: bool = False) -> Process:
        """Start a process; its name is for the report of a deadlock.

        Parameters
        ----------
        name : str
        steps : generator of Event
        endless : bool
            It serves whoever comes: that it waits when nothing is left to happen is no deadlock.
            Every other process has to end.
        """
        if not isinstance(steps, Generator):
            raise SimulationError(
                f"{name}: expected a generator of events, got {steps!r}: call the function"
            )
        process = self.env.process(steps)
        if endless:
            self._endless.add(process)
        self._processes[process] = name
        if len(self._processes) >= self._tidy_at:
            self._processes = {p: name for p, name in self._processes.items() if p.is_alive}
            self._tidy_at = max(_FEW, 2 * len(self._processes))
        return process

    def timeout(self, delay_ps: int) -> Event:
        """Return an event `delay_ps` from now.

        Raises
        ------
        SimulationError
            If that is in the past, or no whole number.
        """
        return self.env.timeout(whole_ps(delay_ps, "a timeout"))

    def event(self, reason: str | Callable[[], str]) -> Event:
        """Return an event that somebody will trigger.

        Parameters
        ----------
        reason : str or function that returns it
            What its waiters wait for. A function is asked when a deadlock is reported.
        """
        event = Event(self.env)
        event.reason = reason  # type: ignore[attr-defined]
        return event

    def random(self, stream: str) -> random.Random:
        """Return the generator of a named stream, at its start: equal seeds and names give equal
        numbers, and what one stream gives does not depend on the use of another.
        """
        return random.Random(f"{self._seed}/{stream}")

    def run(self, until_ps: int | None = None) -> int:
        """Run until nothing is left to happen, or until just before a time; return the time [ps].

        Parameters
        ----------
        until_ps : int, optional
            What happens at this very time is left for the next call.

        Raises
        ------
        SimulationError
            If nothing is left to happen and processes still wait: a deadlock. Names them, and what
            each waits for. Or if `until_ps` has passed.
        """
        if until_ps is not None and until_ps <= self.now_ps:
            raise SimulationError(
                f"run until {until_ps} ps, but it is {self.now_ps} ps: give a later time"
            )
        self.env.run(until_ps)
        if until_ps is None or self.env.peek() == float("inf"):
            self._refuse_deadlock()
        return self.now_ps

    def _refuse_deadlock(self) -> None:
        self._processes = {p: name for p, name in self._processes.items() if p.is_alive}
        blocked = [process for process in self._processes if process not in self._endless]
        if not blocked:
            return
        waits = [f"{self._processes[p]} waits for {self._awaited(p.target)}" for p in blocked]
        more = f"; and {len(waits) - _MOST_NAMED} more" if len(waits) > _MOST_NAMED else ""
        raise SimulationError(
            f"deadlock at {self.now_ps} ps: nothing is left to happen, but "
            f"{'; '.join(waits[:_MOST_NAMED])}{more}"
        )

    def _awaited(self, event: Event) -> str:
        """Say in words what a process waits for."""
        if isinstance(event, Process):
            return f"the end of {self._processes.get(event, 'a process without a name')}"
        if isinstance(event, Condition):
            missing = [self._awaited(part) for part in event._events if not part.triggered]
            word = " and " if event._evaluate is Condition.all_events else " or "
            return word.join(missing)
        reason = getattr(event, "reason", type(event).__name__)
        return str(reason() if callable(reason) else reason)


def whole_ps(time_ps: int, name: str, server: str = "") -> int:
    """Return a duration as an integer of Python: those of NumPy overflow.

    Parameters
    ----------
    time_ps : int
        Whole, 0 or more [ps].
    name, server : str
        What takes so long, and on what, for an error.

    Raises
    ------
    SimulationError
    """
    try:
        whole = index(time_ps)
        if whole >= 0:
            return whole
        expected = "0 or more"
    except TypeError:
        expected = "a whole number"
    where = f" on {server}" if server else ""
    raise SimulationError(f"{name} takes {time_ps} ps{where}, expected {expected}")
