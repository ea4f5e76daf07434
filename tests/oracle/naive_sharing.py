"""Transfers that share resources, slowly and exactly: a twin of `SharedBandwidth` without events.

Time and bytes are fractions. From one change to the next all flows move at their rates; the rates
are found from the words of the definition.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Way:
    """What a flow takes of each resource per byte, its own limit [B/s], if any, and its weight."""

    takes: Mapping[str, Fraction]
    limit: Fraction | None = None
    weight: Fraction = Fraction(1)


@dataclass(frozen=True)
class Transfer:
    """From when [s], how much [B] and which way."""

    start: Fraction
    size: Fraction
    way: Way


def fair_rates(ways: Sequence[Way], capacity: Mapping[str, Fraction]) -> list[Fraction]:
    """Fair rates [B/s]: a resource that holds up all who take of it is shared out by weight."""
    rates: dict[int, Fraction] = {}
    while len(rates) < len(ways):
        known = [rates.get(i, Fraction(0)) for i in range(len(ways))]
        rising = [i for i in range(len(ways)) if i not in rates]
        part = {}
        for name, bytes_per_s in capacity.items():
            users = sum(ways[i].weight for i in rising if name in ways[i].takes)
            if users:
                part[name] = (bytes_per_s - used(name, ways, known)) / users
        bound = {}
        for i in rising:
            allowed = [part[n] * ways[i].weight / share for n, share in ways[i].takes.items()]
            own = ways[i].limit
            bound[i] = min(allowed if own is None else [*allowed, own])
        fixed = {i: bound[i] for i in rising if bound[i] == ways[i].limit}
        for name, amount in part.items():
            users_of = [i for i in rising if name in ways[i].takes]
            if all(bound[i] * ways[i].takes[name] == amount * ways[i].weight for i in users_of):
                fixed |= {i: bound[i] for i in users_of}
        room = {name: capacity[name] - used(name, ways, known) for name in part}
        rates |= fixed or _settled(ways, rising, part, room)
    return [rates[i] for i in range(len(ways))]


def _settled(
    ways: Sequence[Way],
    rising: Sequence[int],
    part: Mapping[str, Fraction],
    room: Mapping[str, Fraction],
) -> dict[int, Fraction]:
    """Rates of who hold each other up in a circle: the parts of all resources, found in turns.

    A resource without a part has room for all that its users can take.
    """
    parts: dict[str, Fraction | None] = dict(part)
    before = None
    while parts != before:
        before = dict(parts)
        for name in sorted(parts):
            users = [ways[i] for i in rising if name in ways[i].takes]
            wants = [
                None if (rate := _rate(way, parts, name)) is None else rate * way.takes[name]
                for way in users
            ]
            parts[name] = _part(wants, [way.weight for way in users], room[name])
    rates = {i: _rate(ways[i], parts) for i in rising}
    return {i: rate for i, rate in rates.items() if rate is not None}


def _rate(way: Way, parts: Mapping[str, Fraction | None], but: str = "") -> Fraction | None:
    """What the parts of resources, but for one, allow; None: anything."""
    limits = [way.limit] if way.limit is not None else []
    for name, share in way.takes.items():
        part = parts[name]
        if name != but and part is not None:
            limits.append(part * way.weight / share)
    return min(limits, default=None)


def _part(
    wants: Sequence[Fraction | None], weights: Sequence[Fraction], room: Fraction
) -> Fraction | None:
    """The part of those who want more than it, to 25 digits; None where all have what they want."""
    greedy = list(zip(wants, weights, strict=True))
    while greedy:
        part = room / sum(weight for _, weight in greedy)
        modest = [want for want, weight in greedy if want is not None and want <= part * weight]
        if not modest:
            return Fraction(round(part * 10**25), 10**25)
        room -= sum(modest)
        greedy = [(want, w) for want, w in greedy if want is None or want > part * w]
    return None


def used(name: str, ways: Sequence[Way], rates: Sequence[Fraction]) -> Fraction:
    """What flows take of a resource [B/s]."""
    return sum(
        (way.takes.get(name, Fraction(0)) * rate for way, rate in zip(ways, rates, strict=True)),
        Fraction(0),
    )


def ends(transfers: Sequence[Transfer], capacity: Mapping[str, Fraction]) -> list[Fraction]:
    """When each transfer ends [s]."""
    left = [transfer.size for transfer in transfers]
    found: list[Fraction | None] = [None] * len(transfers)
    now = Fraction(0)
    while None in found:
        active = [
            i for i, transfer in enumerate(transfers) if found[i] is None and transfer.start <= now
        ]
        for i in [i for i in active if left[i] == 0]:
            found[i] = now
            active.remove(i)
        rates = fair_rates([transfers[i].way for i in active], capacity)
        changes = [now + left[i] / rate for i, rate in zip(active, rates, strict=True)]
        changes += [transfer.start for transfer in transfers if transfer.start > now]
        if not changes:
            break
        then = min(changes)
        for i, rate in zip(active, rates, strict=True):
            left[i] -= rate * (then - now)
        now = then
    return [end for end in found if end is not None]
