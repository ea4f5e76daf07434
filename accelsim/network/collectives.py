"""Closed-form time of collectives inside one level or across levels: latency plus bandwidth.

The model is alpha-beta: a step costs one message latency, a byte costs one over the bandwidth of
a chip into the level. Topologies and contention deepen with the network engine.
"""

from __future__ import annotations

from dataclasses import dataclass

from accelsim.arch.system import Level, System
from accelsim.errors import MappingError
from accelsim.workload.ops import Collective

_SWITCHED = ("switch", "fully_connected", "fat_tree", "dragonfly")


@dataclass(frozen=True)
class CollectiveCost:
    """Time of a collective and what one device sends.

    Attributes
    ----------
    latency_s : float
        Whole time [s].
    wire_s : float
        Share that bandwidth alone would need [s].
    sent_bytes : float
        By one device [B].
    algorithm : str
        In words.
    """

    latency_s: float
    wire_s: float
    sent_bytes: float
    algorithm: str


def spanned_levels(system: System, devices: int) -> list[tuple[Level, int]]:
    """Split `devices` over the levels, innermost first: (level, members used).

    Raises
    ------
    MappingError
        If the system has fewer chips, or the count does not fill inner levels evenly.
    """
    if devices > system.chips:
        raise MappingError(
            f"{devices} devices asked for, but {system.name} has {system.chips}; "
            "pick a larger system (accelsim list systems)"
        )
    spans: list[tuple[Level, int]] = []
    left = devices
    for level in system.levels:
        if left == 1:
            break
        used = min(left, level.size)
        if left % used:
            fitting = [d for d in range(1, level.size + 1) if left % d == 0]
            raise MappingError(
                f"{devices} devices do not fill whole groups of {level.size} "
                f"({level.name} of {system.name}); use a multiple of {level.size} "
                f"or at most {level.size} (for example {max(fitting)})"
            )
        spans.append((level, used))
        left //= used
    return spans


def collective_cost(op: Collective, system: System) -> CollectiveCost:
    """Cost of a collective among the first `op.devices` chips of `system`.

    Notes
    -----
    With n members, S bytes (counted as nccl-tests does), bandwidth B and latency a, a ring costs
    2 (n-1) (a + S / (n B)) for all_reduce, (n-1) (a + S / (n B)) for all_gather and
    reduce_scatter; behind a switch a direct exchange needs 2 (or 1) latencies for the same
    bytes. all_to_all sends (n-1)/n S, and a torus or mesh carries it through its narrowest cut.
    A part of a torus, mesh or fully connected level has only the links that lead to its members.
    Several levels work hierarchically: reduce-scatter inwards, all-reduce of the shard outwards,
    all-gather back.

    References
    ----------
    Thakur, Rabenseifner, Gropp: Optimization of collective communication operations in MPICH,
    IJHPCA 19 (2005).
    """
    if op.devices == 1:
        return CollectiveCost(0.0, 0.0, 0.0, "one device")
    spans = spanned_levels(system, op.devices)
    latency_s = wire_s = sent = 0.0
    size = op.size_bytes
    rounds = 2 if op.fn == "all_reduce" else 1
    words = []
    if op.fn == "send_recv":
        return _point_to_point(size, spans)
    for level, members in spans:
        if op.fn == "all_to_all":
            share, steps = size * (members - 1) / members, _steps(level, members)
        else:
            share = rounds * size * (members - 1) / members
            steps = rounds * _steps(level, members)
        sent += share
        seconds = share / (level.bandwidth_bytes_per_s * _usable_share(level, members))
        if op.fn == "all_to_all":
            seconds = max(seconds, _bisection_s(level, members, size))
        wire_s += seconds
        latency_s += steps * level.latency_s
        words.append(f"{members} over {level.name}")
        if op.fn in ("all_reduce", "reduce_scatter", "all_gather"):
            size /= members  # outer levels move the shard only
    return CollectiveCost(latency_s + wire_s, wire_s, sent, ", ".join(words))


def _point_to_point(size_bytes: float, spans: list[tuple[Level, int]]) -> CollectiveCost:
    """One message to the farthest partner: a hop per level, at the rate of the slowest."""
    wire_s = size_bytes / min(level.bandwidth_bytes_per_s for level, _ in spans)
    latency_s = sum(level.latency_s for level, _ in spans)
    return CollectiveCost(latency_s + wire_s, wire_s, size_bytes, f"over {spans[-1][0].name}")


@dataclass(frozen=True)
class _Axis:
    """One axis of a ring, mesh or torus: its length, the members on it and whether it closes."""

    length: int
    used: int
    wraps: bool

    @property
    def links(self) -> int:
        """Links of a chip that lead to other members along the axis: 2 around a whole ring."""
        if self.used == 1:
            return 0
        return 2 if self.wraps and self.used == self.length else 1


def _axes(level: Level, members: int) -> list[_Axis]:
    """Lay `members` as a block into the axes in order, on each the largest divisor that fits.

    Notes
    -----
    A count that makes no block (5 of 4 x 4) winds through the level as one open line.
    """
    axes, left = [], members
    for length in level.shape:
        used = max(d for d in range(1, min(left, length) + 1) if left % d == 0)
        axes.append(_Axis(length, used, level.topology != "mesh2d"))
        left //= used
    return axes if left == 1 else [_Axis(members, members, wraps=False)]


def _links(level: Level) -> int:
    """Links of a chip into a ring, mesh or torus, which share its bandwidth equally.

    Two per axis, but one where two chips of a mesh face each other.
    """
    mesh = level.topology == "mesh2d"
    return sum(1 if mesh and length == 2 else 2 for length in level.shape if length > 1)


def _usable_share(level: Level, members: int) -> float:
    """Share of a chip's bandwidth into the level that leads to other members.

    Notes
    -----
    All of it through a switch; one link per partner where all are connected; along an axis of a
    torus both links if the ring is whole and one if it is not. A mesh has no rings: its corner
    has one link per axis, and every byte of a collective must also reach the corner.

    From a power of two to the next, the share never falls where the axes are powers of two too.
    Between them it can: 9 of 4 x 4 close no ring where 8 do, and 5 are a line.
    """
    if members == 1:
        return 1.0  # a level of one member carries nothing
    if level.topology == "fully_connected":
        return (members - 1) / (level.size - 1)
    if level.topology in _SWITCHED or level.topology == "point_to_point":
        return 1.0
    return sum(axis.links for axis in _axes(level, members)) / _links(level)


def _bisection_s(level: Level, members: int, size_bytes: float) -> float:
    """Time of an all-to-all's traffic through the narrowest cut of a torus or mesh [s].

    Notes
    -----
    A cut across an axis with a members splits them into l = floor(a / 2) and h = a - l of every
    a. Of the n S bytes l h / a^2 cross it in each direction, over n / a links, or over twice as
    many where the axis is a whole ring.
    """
    if level.topology in _SWITCHED or members == 1:
        return 0.0
    link_bytes_per_s = level.bandwidth_bytes_per_s / _links(level)
    crossings = [
        (axis.used // 2) * (axis.used - axis.used // 2) / (axis.used * axis.links)
        for axis in _axes(level, members)
        if axis.used > 1
    ]
    return max(crossings) * size_bytes / link_bytes_per_s


def _steps(level: Level, members: int) -> int:
    """Message latencies one after another: 1 through a switch, else along the axes in use."""
    if level.topology in _SWITCHED:
        return 1
    return sum(axis.used - 1 for axis in _axes(level, members))
