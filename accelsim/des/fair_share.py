"""Max-min fair rates of flows over shared resources: who gets how much when not all can have all.

References
----------
Bertsekas and Gallager, Data Networks, 2nd ed., section 6.5.2 (max-min flow control). Bonald and
Roberts, Multi-resource fairness, SIGMETRICS 2015 (flows that take unequal parts of resources: each
has a bottleneck, a full resource of which nobody takes more).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

OWN_LIMIT = ""
"""What limits a flow that no shared resource limits."""
_ALIKE = 1.0 + 1e-12
_ROUNDS, _SETTLED = 200, 1e-13


class Demand(NamedTuple):
    """What a flow takes of each resource per byte that it moves, and the most it can move.

    Attributes
    ----------
    limit : float
        Rate that the flow itself cannot pass [B/s]; may be infinite.
    takes : mapping of str to float
        Resource to bytes of it per byte of the flow, positive.
    flows : float
        How many equal flows this stands for; each of them gets the rate.
    level : int
        Flows share what those of lower levels leave, which may be nothing.
    weight : float
        How many parts of a resource each flow gets where others get one.
    """

    limit: float
    takes: Mapping[str, float]
    flows: float = 1
    level: int = 0
    weight: float = 1.0


def max_min_rates(
    demands: Sequence[Demand], capacity: Mapping[str, float]
) -> tuple[list[float], list[str]]:
    """Share capacities so that nobody can get more without taking from one who has no more.

    Parameters
    ----------
    demands : sequence of Demand
    capacity : mapping of str to float
        Of every resource [B/s], positive; may be infinite.

    Returns
    -------
    rates : list of float
        Of each flow [B/s]; infinite where nothing limits it.
    limits : list of str
        The resource that limits each flow, or `OWN_LIMIT`.

    Notes
    -----
    Fair is an equal part of the bytes of a resource, times the weight: one flow of weight 2 gets
    what two of weight 1 get together. Whoever cannot use his part, because of
    another resource or his own limit, leaves it to the others. So a resource that holds up all who
    take of it is shared out first, equally; then what is left of the others. Where flows hold each
    other up in a circle, the parts of all resources are found together: round by round each one is
    shared out among what the parts of the others let its users take, those who want less than a
    part first. Should the rounds not settle, all rise in proportion to their equal parts until a
    resource is full. Everybody gets at least an equal part of one resource that he takes of, or his
    own limit.
    """
    units = [
        demand._replace(limit=demand.limit / demand.weight, flows=demand.flows * demand.weight)
        for demand in demands
    ]
    rates, limits = _rates_of_units(units, capacity)
    whole = [
        demand.limit if limit == OWN_LIMIT else rate * demand.weight
        for demand, rate, limit in zip(demands, rates, limits, strict=True)
    ]
    return whole, limits


def _rates_of_units(
    demands: Sequence[Demand], capacity: Mapping[str, float]
) -> tuple[list[float], list[str]]:
    """Share out among flows of equal weight, of which there may be fractions."""
    left: dict[str, float] = {}
    rates = [0.0] * len(demands)
    limits = [OWN_LIMIT] * len(demands)
    levels = sorted({demand.level for demand in demands})
    for level in levels:
        rising = [i for i, demand in enumerate(demands) if demand.level == level]
        while rising:
            parts = _parts([demands[i] for i in rising], left, capacity)
            bounds = _bounds([demands[i] for i in rising], parts)
            stopped = _stopped([demands[i] for i in rising], bounds, left, capacity)
            for place, rate, limit in stopped:
                i = rising[place]
                rates[i], limits[i] = rate, limit
                for name, share in demands[i].takes.items():
                    room = left.get(name, capacity[name])
                    if not math.isinf(room):
                        left[name] = max(0.0, room - share * rate * demands[i].flows)
            done = {place for place, _, _ in stopped}
            rising = [i for place, i in enumerate(rising) if place not in done]
    return rates, limits


_Bound = tuple[float, str]
"""A rate that a flow cannot pass now, and what holds it up."""


def _parts(
    rising: Sequence[Demand], left: Mapping[str, float], capacity: Mapping[str, float]
) -> dict[str, float]:
    """Equal part of what is left of each resource for every rising flow that takes of it [B/s]."""
    users: dict[str, float] = {}
    for demand in rising:
        for name in demand.takes:
            users[name] = users.get(name, 0) + demand.flows
    return {name: left.get(name, capacity[name]) / count for name, count in users.items()}


def _bounds(rising: Sequence[Demand], parts: Mapping[str, float]) -> list[_Bound]:
    """Rate that parts of resources allow each flow, and the resource that allows no more."""
    bounds = []
    for demand in rising:
        rate, limit = demand.limit, OWN_LIMIT
        for name, share in demand.takes.items():
            if parts[name] < rate * share:
                rate, limit = parts[name] / share, name
        bounds.append((rate, limit))
    return bounds


def _stopped(
    rising: Sequence[Demand],
    bounds: Sequence[_Bound],
    left: Mapping[str, float],
    capacity: Mapping[str, float],
) -> list[tuple[int, float, str]]:
    """Flows whose rates are known now: place, rate and limit of each."""
    parts = _parts(rising, left, capacity)
    held = set(parts)
    for demand, (rate, _) in zip(rising, bounds, strict=True):
        held -= {
            name for name, share in demand.takes.items() if rate * share * _ALIKE < parts[name]
        }
    found = []
    for place, (demand, (rate, limit)) in enumerate(zip(rising, bounds, strict=True)):
        full = next((name for name in demand.takes if name in held), limit)
        if limit == OWN_LIMIT or full in held:
            found.append((place, rate, OWN_LIMIT if limit == OWN_LIMIT else full))
    return found or _settled(rising, left, capacity) or _in_a_circle(rising, bounds, left, capacity)


def _settled(
    rising: Sequence[Demand], left: Mapping[str, float], capacity: Mapping[str, float]
) -> list[tuple[int, float, str]]:
    """Parts at which each flow is held up where nobody has more; nothing if they do not settle."""
    parts = _parts(rising, left, capacity)
    names = sorted(parts)
    for _ in range(_ROUNDS):
        before = dict(parts)
        for name in names:
            wants = [
                (
                    min(_without(name, demand, parts), demand.limit) * demand.takes[name],
                    demand.flows,
                )
                for demand in rising
                if name in demand.takes
            ]
            parts[name] = _part(wants, left.get(name, capacity[name]))
        if all(math.isclose(parts[name], before[name], rel_tol=_SETTLED) for name in names):
            bounds = _bounds(rising, parts)
            return [(place, rate, limit) for place, (rate, limit) in enumerate(bounds)]
    return []


def _without(name: str, demand: Demand, parts: Mapping[str, float]) -> float:
    """Rate that the parts of all other resources allow a flow."""
    others = (parts[other] / share for other, share in demand.takes.items() if other != name)
    return min(others, default=math.inf)


def _part(wants: Sequence[tuple[float, float]], room: float) -> float:
    """Equal part of those who want more than it; infinite where all have what they want."""
    if math.isinf(room):
        return math.inf
    users = sum(flows for _, flows in wants)
    for want, flows in sorted(wants):
        if want * users > room:
            return room / users
        room -= want * flows
        users -= flows
    return math.inf


def _in_a_circle(
    rising: Sequence[Demand],
    bounds: Sequence[_Bound],
    left: Mapping[str, float],
    capacity: Mapping[str, float],
) -> list[tuple[int, float, str]]:
    """Raise all flows in proportion to their bounds until a resource is full, or one its limit."""
    taken: dict[str, float] = {}
    for demand, (rate, _) in zip(rising, bounds, strict=True):
        for name, share in demand.takes.items():
            taken[name] = taken.get(name, 0.0) + rate * share * demand.flows
    rooms = {name: left.get(name, capacity[name]) / use for name, use in taken.items()}
    own = [demand.limit / rate for demand, (rate, _) in zip(rising, bounds, strict=True)]
    grown = min(*rooms.values(), *own)
    full = [name for name, room in rooms.items() if room <= grown * _ALIKE]
    found = []
    for place, (demand, (rate, _)) in enumerate(zip(rising, bounds, strict=True)):
        limit = next((name for name in demand.takes if name in full), None)
        if own[place] <= grown:
            found.append((place, demand.limit, OWN_LIMIT))
        elif limit is not None:
            found.append((place, grown * rate, limit))
    return found
