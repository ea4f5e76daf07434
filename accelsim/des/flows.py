"""What shares bandwidth: resources, routes through them, and flows on their way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from simpy.core import Environment
from simpy.events import Event

from accelsim.des.fair_share import Demand


class Resource:
    """Something of which many can take at once, up to its capacity.

    Attributes
    ----------
    name : str
    bytes_per_s : float
        Capacity; infinite for what is assumed never to limit [B/s].
    takers : list of (Lane, float)
        Who takes of it, and how many bytes of it per byte.
    """

    def __init__(self, name: str, bytes_per_s: float) -> None:
        self.name = name
        self.bytes_per_s = bytes_per_s
        self.takers: list[tuple[Lane, float]] = []

    @property
    def moved_bytes(self) -> float:
        """What flows have taken so far; flows under way count when they end [B]."""
        return sum(share * lane.ended_bytes for lane, share in self.takers)


class Flow(Event):
    """A transfer; as an event its end, whose value is the transfer itself.

    Attributes
    ----------
    route : Route
    size_bytes : float
    start_ps, end_ps : int
        The end is 0 until it is reached [ps].
    slowed_ps : dict of str to float
        Time during which each resource, and not its own limit, set the rate; whole at the end [ps].
    """

    __slots__ = ("end_ps", "route", "size_bytes", "slowed_ps", "start_ps")

    def __init__(self, env: Environment, route: Route, size_bytes: float, start_ps: int) -> None:
        self.env = env
        self.callbacks = []
        self.route = route
        self.size_bytes = size_bytes
        self.start_ps = start_ps
        self.end_ps = 0
        self.slowed_ps: dict[str, float] = {}

    @property
    def reason(self) -> str:
        """What its waiters wait for."""
        return self.route.name

    def finish(self, now_ps: int, slowed_ps: Mapping[str, float]) -> None:
        """Write down its end; `slowed_ps` is that of its lane, `self.slowed_ps` what was before."""
        before = self.slowed_ps
        if before:
            since = {name: time - before.get(name, 0.0) for name, time in slowed_ps.items()}
            self.slowed_ps = {name: time for name, time in since.items() if time > 0.0}
        elif slowed_ps:
            self.slowed_ps = dict(slowed_ps)
        self.end_ps = now_ps
        self.route.lane.ended_bytes += self.size_bytes


class Lane:
    """Flows that take the same of everything, and so move at one rate.

    What has to happen to a flow is kept as one number, fixed when it starts: how far the lane has
    to have moved when it ends. So time costs one addition per lane, however many flows it has.
    """

    __slots__ = (
        "demand", "ended_bytes", "flows", "limit", "moved_bytes", "noted_ps", "slowed_ps", "unit",
    )  # fmt: skip

    def __init__(self, demand: Demand, unit: int) -> None:
        self.demand = demand
        self.unit = unit
        self.flows: list[tuple[float, int, Flow]] = []
        self.moved_bytes = 0.0
        self.ended_bytes = 0.0
        self.slowed_ps: dict[str, float] = {}
        self.limit = ""
        self.noted_ps = 0.0

    def note(self, now_ps: float) -> None:
        """Add the time since the last note to that during which `limit` set the rate."""
        if self.limit:
            spent_ps = now_ps - self.noted_ps
            self.slowed_ps[self.limit] = self.slowed_ps.get(self.limit, 0.0) + spent_ps
        self.noted_ps = now_ps


@dataclass(frozen=True, eq=False)
class Route:
    """The way of equal flows: what they take of each resource, the lane that they share, and the
    `SharedBandwidth` that made it.
    """

    name: str
    takes: Mapping[Resource, float]
    lane: Lane = field(repr=False)
    owner: object = field(repr=False)
