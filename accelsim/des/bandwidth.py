"""Bandwidth that flows share max-min fairly: memory channels, caches, networks, links."""

from __future__ import annotations

import math
from collections.abc import Mapping
from heapq import heapify, heappop, heappush

from simpy.events import Event

from accelsim.des.fair_share import Demand, max_min_rates
from accelsim.des.flows import Flow, Lane, Resource, Route
from accelsim.des.simulation import Simulation
from accelsim.des.tracer import SILENT
from accelsim.errors import SimulationError
from accelsim.units import PS_PER_S

# Time that rounding may leave of a flow [ps]: far more than floats lose, and far less than 1 ps.
_ROUNDING_PS = 1e-3
_MOST_KNOWN = 1024
_COUNT_BITS = 24

__all__ = ["Flow", "Resource", "Route", "SharedBandwidth"]


class _Mix:
    """A set of flows: how many are in each lane, and the rates that follow from it.

    Attributes
    ----------
    counts : int
        Number of flows in every lane, as digits of one integer.
    rates : list or None
        Lane, rate [B/ps] and what limits it; None until somebody asks.
    used : dict of str to float
        Use of each resource [1].
    plus, minus : dict of Lane to _Mix
        With one flow of a lane more, or less: so that a known mix is found without its counts.
    """

    __slots__ = ("counts", "minus", "plus", "rates", "used")

    def __init__(self, counts: int) -> None:
        self.counts = counts
        self.rates: list[tuple[Lane, float, str]] | None = None if counts else []
        self.used: dict[str, float] = {}
        self.plus: dict[Lane, _Mix] = {}
        self.minus: dict[Lane, _Mix] = {}


class SharedBandwidth:
    """Resources that flows share, each flow at its max-min fair rate at every moment.

    Parameters
    ----------
    sim : Simulation
    name : str
        For errors.

    Notes
    -----
    A fluid model: a flow has a rate, not packets; rates change when a flow starts or ends. Starts
    are whole picoseconds; an end is told at the first picosecond from it on.
    """

    def __init__(self, sim: Simulation, name: str) -> None:
        self._sim = sim
        self._env = sim.env
        self.name = name
        self._resources: dict[str, Resource] = {}
        self._lanes: dict[tuple[frozenset[tuple[str, float]], float, int, float], Lane] = {}
        self._busy: dict[Lane, None] = {}
        self._mix = _Mix(0)
        self._known = {0: self._mix}
        self._rates: list[tuple[Lane, float, str]] = []
        self._since_ps = 0
        self._soonest_ps = math.inf
        self._moving_ps = 0.0
        self._started = 0
        self._settling = False
        self._wake_event: Event | None = None
        self._spare_event: Event | None = None
        self._wake_ps = 0
        self._shown: dict[str, float] = {}

    def resource(self, name: str, bytes_per_s: float) -> Resource:
        """Add a resource.

        Raises
        ------
        SimulationError
            If the name is taken or the capacity is not positive.
        """
        if name in self._resources:
            raise SimulationError(f"{self.name} has a resource '{name}' already")
        if not name or not bytes_per_s > 0.0:
            raise SimulationError(
                f"{self.name}: capacity of '{name}' is {bytes_per_s} B/s, expected a name and "
                "more than 0"
            )
        made = Resource(name, bytes_per_s)
        self._resources[name] = made
        return made

    def route(
        self,
        name: str,
        takes: Mapping[Resource, float],
        limit_bytes_per_s: float = math.inf,
        *,
        level: int = 0,
        weight: float = 1.0,
    ) -> Route:
        """Make a way through resources.

        Parameters
        ----------
        name : str
        takes : mapping of Resource to float
            Bytes of each per byte of a flow, positive.
        limit_bytes_per_s : float
            That no flow of this route can pass [B/s].
        level : int
            Its flows get what those of lower levels leave.
        weight : float
            How many parts of a resource each of its flows gets where others get one, positive.

        Raises
        ------
        SimulationError
            If a share, weight or limit is not positive, or a resource is not of this object.
        """
        given = {**{f"{r.name} ": share for r, share in takes.items()}, "weight ": weight}
        wrong = [f"{what}{value}" for what, value in given.items() if not 0.0 < value < math.inf]
        if wrong or not limit_bytes_per_s > 0.0:
            raise SimulationError(
                f"route {name}: expected positive shares, weight and limit, got "
                f"{', '.join(wrong) or f'{limit_bytes_per_s} B/s'}"
            )
        foreign = [r.name for r in takes if self._resources.get(r.name) is not r]
        if foreign:
            raise SimulationError(f"route {name}: {self.name} did not make {', '.join(foreign)}")
        shares = {resource.name: share for resource, share in takes.items()}
        key = (frozenset(shares.items()), limit_bytes_per_s, level, weight)
        if key not in self._lanes:
            unit = 1 << (_COUNT_BITS * len(self._lanes))
            lane = Lane(Demand(limit_bytes_per_s, shares, level=level, weight=weight), unit)
            self._lanes[key] = lane
            for resource, share in takes.items():
                resource.takers.append((lane, share))
        return Route(name, dict(takes), self._lanes[key], self)

    def transfer(self, route: Route, size_bytes: float) -> Flow:
        """Start a flow.

        Raises
        ------
        SimulationError
            If the size is negative or not finite, or the route is another's.
        """
        now = self._env.now
        flow = Flow(self._env, route, size_bytes, now)
        if not 0.0 < size_bytes < math.inf:
            if size_bytes != 0.0:
                raise SimulationError(
                    f"{route.name}: a transfer of {size_bytes} B, expected a finite size from 0 B"
                )
            flow.finish(now, {})
            flow.succeed(flow)
            return flow
        if route.owner is not self:
            raise SimulationError(f"{route.name}: {self.name} did not make this route")
        if now > self._since_ps:
            self._advance_and_tell()
        self._enter(flow, size_bytes)
        return flow

    def reroute(self, flow: Flow, route: Route) -> None:
        """Let a flow go on another way, at another level for example; nothing if it has ended."""
        self._advance_and_tell()
        if flow.end_ps:
            return
        lane = flow.route.lane
        place = next(i for i, entry in enumerate(lane.flows) if entry[2] is flow)
        left_bytes = lane.flows.pop(place)[0] - lane.moved_bytes
        heapify(lane.flows)
        self._leave(lane)
        lane.note(self._moving_ps)
        before = flow.slowed_ps
        spent = {name: time - before.get(name, 0.0) for name, time in lane.slowed_ps.items()}
        flow.route = route
        self._enter(flow, left_bytes)
        entered = route.lane.slowed_ps
        for name, time in spent.items():
            flow.slowed_ps[name] = entered.setdefault(name, 0.0) - time

    def _enter(self, flow: Flow, left_bytes: float) -> None:
        """Put a flow on its lane."""
        lane = flow.route.lane
        if lane.flows:
            lane.note(self._moving_ps)
            flow.slowed_ps = dict(lane.slowed_ps)
        else:
            lane.moved_bytes = 0.0  # floats stay small where a lane comes to rest now and then
            lane.slowed_ps.clear()
            lane.noted_ps = self._moving_ps
            flow.slowed_ps = {}
            self._busy[lane] = None
        self._started += 1
        heappush(lane.flows, (lane.moved_bytes + left_bytes, self._started, flow))
        mix = self._mix
        self._mix = mix.plus.get(lane) or self._other_mix(mix.plus, lane, lane.unit)
        if not self._settling:
            self._settle_soon()

    def _leave(self, lane: Lane) -> None:
        """Take note that a flow has left a lane."""
        mix = self._mix
        self._mix = mix.minus.get(lane) or self._other_mix(mix.minus, lane, -lane.unit)
        if not lane.flows:
            del self._busy[lane]

    def _other_mix(self, ways: dict[Lane, _Mix], lane: Lane, change: int) -> _Mix:
        """Find a mix by its counts, and remember the way to it."""
        counts = self._mix.counts + change
        found = self._known.get(counts)
        if found is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known = {}
            found = self._known[counts] = _Mix(counts)
        ways[lane] = found
        return found

    def _advance_and_tell(self) -> None:
        """Bring all flows up to date in the middle of something else: ends are told after it."""
        for flow in self._advance():
            flow.succeed(flow)

    def _advance(self) -> list[Flow]:
        """Let all flows move from the last change until now; return those that have arrived.

        Flows arrive between picoseconds. From then on the others have their new rates: that an end
        is told up to 1 ps late slows nobody down.
        """
        now = self._env.now
        elapsed: float = now - self._since_ps
        self._since_ps = now
        arrived: list[Flow] = []
        while self._soonest_ps <= elapsed + _ROUNDING_PS:
            step = min(self._soonest_ps, elapsed)
            elapsed -= step
            self._move(step)
            ended = self._end_arrived()
            if not ended:
                break
            arrived += ended
            if elapsed <= _ROUNDING_PS:
                return arrived
            self._share()
        self._move(elapsed)
        return arrived

    def _move(self, elapsed_ps: float) -> None:
        """Let all flows move for some time at their rates."""
        if elapsed_ps <= 0.0:
            return
        self._soonest_ps -= elapsed_ps
        self._moving_ps += elapsed_ps
        for lane, rate, _limit in self._rates:
            lane.moved_bytes += rate * elapsed_ps

    def _end_arrived(self) -> list[Flow]:
        """End the flows that have nothing left, in the order in which they started."""
        ended: list[tuple[int, Flow, Lane]] = []
        for lane, rate, _limit in self._rates:
            flows = lane.flows
            if not flows:
                continue
            reached = lane.moved_bytes + rate * _ROUNDING_PS
            while flows and flows[0][0] <= reached:
                _end, turn, flow = heappop(flows)
                ended.append((turn, flow, lane))
                self._leave(lane)
        if len(ended) > 1:
            ended.sort()
        now = self._env.now
        for _turn, flow, lane in ended:
            lane.note(self._moving_ps)
            flow.finish(now, lane.slowed_ps)
        return [flow for _turn, flow, _lane in ended]

    def _settle_soon(self) -> None:
        self._settling = True
        self._env.at_end(self._settle)

    def _settle(self) -> None:
        """Find the rates of the flows there are now, and wake up when the next of them ends."""
        self._settling = False
        self._since_ps = now = self._env.now
        self._share()
        if self._sim.tracer is not SILENT:
            self._sample(self._mix.used)
        soonest = self._soonest_ps
        wake_ps = -1 if soonest == math.inf else now + max(0, math.ceil(soonest - _ROUNDING_PS))
        if self._wake_event is not None:
            if self._wake_ps == wake_ps:
                return
            self._env.cancel(self._wake_event)
            self._wake_event = None
        if wake_ps >= 0:
            event, self._spare_event = self._spare_event, None
            if event is None:
                event = self._env.call(self._wake, wake_ps - now)
            else:
                self._env.again(event, [self._wake], wake_ps - now)
            self._wake_event, self._wake_ps = event, wake_ps

    def _wake(self, event: Event) -> None:
        self._wake_event, self._spare_event = None, event
        arrived = self._advance()
        if not self._settling:
            self._settle_soon()
        for flow in arrived:
            self._env.happen(flow, flow)

    def _share(self) -> None:
        """Give every flow its rate, and find out how long the first needs from now on."""
        rates = self._mix.rates
        if rates is None:
            rates = self._share_out()
        self._rates = rates
        soonest = math.inf
        for lane, rate, limit in rates:
            if lane.limit != limit:
                lane.note(self._moving_ps)
                lane.limit = limit
            if rate == 0.0:  # lower levels take all that there is
                continue
            needed = (lane.flows[0][0] - lane.moved_bytes) / rate
            if needed < soonest:  # noqa: PLR1730  (min is a call, and this is the inner loop)
                soonest = needed
        self._soonest_ps = soonest

    def _share_out(self) -> list[tuple[Lane, float, str]]:
        """Find the rates of all flows, and the share of each resource in use."""
        lanes = list(self._busy)
        demands = [lane.demand._replace(flows=len(lane.flows)) for lane in lanes]
        capacity = {
            name: self._resources[name].bytes_per_s for demand in demands for name in demand.takes
        }
        rates, limits = max_min_rates(demands, capacity)
        used: dict[str, float] = {}
        for demand, rate in zip(demands, rates, strict=True):
            for name, share in demand.takes.items():
                if math.isfinite(capacity[name]):
                    part = share * rate * demand.flows / capacity[name]
                    used[name] = used.get(name, 0.0) + part
        per_ps = [rate / PS_PER_S for rate in rates]
        self._mix.used = used
        self._mix.rates = list(zip(lanes, per_ps, limits, strict=True))
        return self._mix.rates

    def _sample(self, used: Mapping[str, float]) -> None:
        """Tell the tracer the share of every resource whose use has changed."""
        for name in self._resources:
            share = used.get(name, 0.0)
            if self._shown.get(name) != share:
                self._shown[name] = share
                self._sim.tracer.sample(name, self._env.now, share)
