"""Closed-form time of collectives inside one level or across levels: latency plus bandwidth.

The model is alpha-beta: a step costs one message latency, a byte costs one over the bandwidth of
a chip into the level. Topologies and contention deepen with the network engine.
"""

from __future__ import annotations

import math
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
    Several levels work hierarchically: reduce-scatter
    inwards, all-reduce of the shard outwards, all-gather back.

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
        seconds = share / (level.bandwidth_bytes_per_s * _usable_share(level))
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


def _usable_share(level: Level) -> float:
    """Share of an inner chip's bandwidth that a collective can use.

    Without wrap-around the corner of a 2D mesh has two links of four, and every byte of a
    collective must also reach the corner.
    """
    return 0.5 if level.topology == "mesh2d" and min(level.shape) > 1 else 1.0


def _bisection_s(level: Level, members: int, size_bytes: float) -> float:
    """Time of an all-to-all's traffic through the narrowest cut of a torus or mesh [s].

    Notes
    -----
    Of the n S bytes a quarter crosses the middle of the longest axis in each direction, over n / a
    links on a mesh and twice as many with wrap-around (a: length of that axis).
    """
    if level.topology in _SWITCHED or members < 4:
        return 0.0
    axes = len(level.shape)
    whole = members == level.size
    longest = max(level.shape) if whole else math.ceil(math.pow(members, 1.0 / axes) - 1e-9)
    wraps = 1 if level.topology == "mesh2d" or not whole else 2
    link = level.bandwidth_bytes_per_s / (2 * axes)
    return members * size_bytes / 4 / (wraps * members / longest * link)


def _steps(level: Level, members: int) -> int:
    """Message latencies one after another: 1 through a switch, else around the rings."""
    if level.topology in _SWITCHED:
        return 1
    if members == level.size:
        return sum(axis - 1 for axis in level.shape)
    side = math.ceil(math.pow(members, 1.0 / len(level.shape)) - 1e-9)  # of a cubic part
    return min(members - 1, (side - 1) * len(level.shape))
