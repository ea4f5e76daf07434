"""Servers: engines that work on one thing at a time, in order of arrival or by priority."""

from __future__ import annotations

from heapq import heappop, heappush

from simpy.events import Event

from accelsim.des.simulation import Simulation, whole_ps
from accelsim.des.tracer import SILENT


class FifoServer:
    """Serves one customer at a time, in order of arrival.

    Parameters
    ----------
    sim : Simulation
    name : str
        The track of its spans.

    Notes
    -----
    The order and the times of service are known when a customer arrives, so that a visit is one
    event, at its end: ``start = max(arrival, end of the one before)``.
    """

    def __init__(self, sim: Simulation, name: str) -> None:
        self._env = sim.env
        self._tracer = sim.tracer
        self.name = name
        self.free_at_ps = 0
        self.busy_ps = 0
        self.waited_ps = 0
        self.served = 0

    def reserve(self, service_ps: int, label: str) -> int:
        """Take the next turn for `service_ps` from now on; return when it ends [ps].

        Raises
        ------
        SimulationError
            If the service takes less than no time.
        """
        service_ps = whole_ps(service_ps, label, self.name)
        now = self._env.now
        start = self.free_at_ps if self.free_at_ps > now else now
        end: int = start + service_ps
        self.free_at_ps = end
        self.busy_ps += service_ps
        self.waited_ps += start - now
        self.served += 1
        if self._tracer is not SILENT:
            self._tracer.span(self.name, label, start, end)
        return end

    def serve(self, service_ps: int, label: str) -> Event:
        """Take the next turn; the event is its end."""
        return self._env.timeout(self.reserve(service_ps, label) - self._env.now)


class PriorityServer:
    """Serves one customer at a time: the least `priority` of those who wait, then by arrival.

    Parameters
    ----------
    sim : Simulation
    name : str
        The track of its spans.

    Notes
    -----
    Whoever is being served is not interrupted, and a server that is free begins at once: who
    arrives later in the same instant, at whatever priority, finds it busy.
    """

    def __init__(self, sim: Simulation, name: str) -> None:
        self._sim = sim
        self.name = name
        self.busy_ps = 0
        self.waited_ps = 0
        self.served = 0
        self._queue: list[tuple[int, int, int, int, str, Event]] = []
        self._arrivals = 0
        self._working = False

    def serve(self, service_ps: int, label: str, priority: int = 0) -> Event:
        """Queue for `service_ps`; the event is its end."""
        service_ps = whole_ps(service_ps, label, self.name)
        done = self._sim.event(f"{label} on {self.name}")
        self._arrivals += 1
        entry = (priority, self._arrivals, self._sim.now_ps, service_ps, label, done)
        heappush(self._queue, entry)
        if not self._working:
            self._begin()
        return done

    def _begin(self) -> None:
        if not self._queue:
            self._working = False
            return
        self._working = True
        _, _, arrival_ps, service_ps, label, done = heappop(self._queue)
        now = self._sim.now_ps
        self.busy_ps += service_ps
        self.waited_ps += now - arrival_ps
        self.served += 1
        self._sim.tracer.span(self.name, label, now, now + service_ps)
        self._sim.env.call(lambda _: self._finish(done), service_ps)

    def _finish(self, done: Event) -> None:
        done.succeed()
        self._begin()
