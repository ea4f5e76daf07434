"""The transfers of an op: what loads and stores take of main memory, shared buffer and ports."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from accelsim.arch.action_energy import energy_per_action
from accelsim.arch.chip import Chip
from accelsim.engine.event.plan import LATENCY, MEMORY, PORTS, POWER, SHARED, Stream
from accelsim.kernels.machine import weigh
from accelsim.mapping.fusion import Group
from accelsim.results.costs import Activity
from accelsim.workload.ops import Gather

_CLOSE = 1.25
"""Time of the main memory over that of its bytes from which on bandwidth is not what limits."""


@dataclass(frozen=True)
class Demand:
    """What an op asks for.

    Attributes
    ----------
    own_s : mapping of str to float
        That ``matrix``, ``vector``, `MEMORY` and `SHARED` need alone [s].
    power_s : float
        Least time in which the board can deliver the op's energy [s].
    kernel_s : float
        The op's time without the gap before it [s].
    streamed_s : float
        That its bytes need of the main memory at full bandwidth [s].
    has_rivals : bool
        Others draw power meanwhile: its energy is delivered as its loads move. Else a limit is
        that of the op alone, and the clock of its units follows it.
    """

    own_s: Mapping[str, float]
    power_s: float
    kernel_s: float
    streamed_s: float = 0.0
    has_rivals: bool = False

    @property
    def slows_units(self) -> bool:
        """Whether the units are as slow as the power limit makes them."""
        return self._power_bound and not self.has_rivals

    @property
    def awaits_memory(self) -> bool:
        """Whether the latency of the memory, and not its bandwidth, makes its time long."""
        return self.own_s[MEMORY] > _CLOSE * self.streamed_s

    @property
    def times_s(self) -> dict[str, float]:
        """Times of the resources, the power limit's on the units that do the work [s]."""
        times = dict(self.own_s)
        if self.has_rivals:
            times[POWER] = self.power_s
        elif self._power_bound:
            times["matrix" if self._multiplies else "vector"] = self.power_s
        return times

    @property
    def rest_s(self) -> float:
        """What is left of the op's time beyond its longest resource [s]."""
        return max(0.0, self.kernel_s - max(self.times_s.values()))

    def contended(self, contention_s: float) -> Demand:
        """Return the same with its longest time lengthened by contention inside the op."""
        if self._power_bound:
            return replace(self, power_s=self.power_s + contention_s)
        longest = max(self.own_s, key=self.own_s.__getitem__)
        return replace(self, own_s={**self.own_s, longest: self.own_s[longest] + contention_s})

    def without(self, ideal: frozenset[str]) -> Demand:
        """Return the same with resources that need no time; faster units draw no more power."""
        memory_s = self.own_s[MEMORY]
        if LATENCY in ideal:
            memory_s = min(memory_s, self.streamed_s)
        if MEMORY in ideal and not (self.awaits_memory and LATENCY not in ideal):
            memory_s = 0.0
        own = {name: 0.0 if name in ideal else time for name, time in self.own_s.items()}
        own[MEMORY] = memory_s
        return replace(self, own_s=own, power_s=0.0 if "power" in ideal else self.power_s)

    @property
    def _power_bound(self) -> bool:
        return self.power_s > max(self.own_s.values())

    @property
    def _multiplies(self) -> bool:
        return self.own_s["matrix"] > 0.0 or self.own_s["vector"] == 0.0


def capacities(chip: Chip) -> dict[str, float]:
    """Capacity of what the transfers of a chip share [B/s], [W]; main memory in bytes read."""
    found = {MEMORY: chip.transfers.read_bytes_per_s}
    if chip.spec.shared is not None:
        efficiency = chip.calibration.shared_efficiency
        found[SHARED] = chip.spec.shared.bandwidth_bytes_per_s * efficiency
    found[PORTS] = chip.port_bytes_per_s * chip.spec.cores
    deliverable_w = energy_per_action(chip).deliverable_w
    if math.isfinite(deliverable_w):
        found[POWER] = deliverable_w
    return found


def streamed_s(activity: Activity, chip: Chip) -> float:
    """Time of an op's bytes at the full bandwidth of the main memory [s]."""
    law = chip.transfers
    reads, writes = activity.dram_read_bytes, activity.dram_write_bytes
    return weigh(reads, writes, law.write_ratio, law.turn_ratio) / law.read_bytes_per_s


class Moves(NamedTuple):
    """Transfers of an op.

    Attributes
    ----------
    load, store : Stream
    early, late : Stream
        The loads in two parts: what needs no result of other ops (weights, the cache so far), and
        the rest. Empty where nothing can come ahead.
    """

    load: Stream
    store: Stream
    early: Stream
    late: Stream


def streams(
    group: Group, activity: Activity, demand: Demand, chip: Chip, *, busy: bool = False
) -> Moves:
    """Loads and stores of a whole op.

    Parameters
    ----------
    group : Group
    activity : Activity
    demand : Demand
    chip : Chip
    busy : bool
        The main memory is busy for all of its time, whatever the bytes: banks, not what the op can
        ask for, make it long.

    Notes
    -----
    Bytes written count as the bytes read that take as long, turning the bus included
    (`accelsim.arch.memory_rates`). Loads and stores share the op's time of main memory and of the
    shared buffer by their bytes. Where that time is longer than the bandwidths explain, the op
    itself cannot ask for more, and leaves the rest to others. Operands are taken to be read from
    the shared buffer equally often.
    """
    law, prices = chip.transfers, energy_per_action(chip)
    reads, writes = activity.dram_read_bytes, activity.dram_write_bytes
    written = weigh(reads, writes, law.write_ratio, law.turn_ratio) - reads
    made = group.traffic.outputs + group.traffic.cache_write + group.traffic.weights_written
    inner = activity.shared_bytes or group.traffic.total
    stored = min(made, inner)
    inner_j = prices.shared_j_per_byte if activity.shared_bytes else 0.0
    whole = _Bytes(reads + written, inner)
    load, store = _Bytes(reads, inner - stored), _Bytes(written, stored)
    read_j, write_j = prices.dram_read_j_per_byte, prices.dram_write_j_per_byte
    room = capacities(chip)
    cause = LATENCY if demand.awaits_memory and not busy else MEMORY

    def stream(part: _Bytes, moved_bytes: float, joules: float, *, power_s: float = 0.0) -> Stream:
        times_s = _times_s(part, whole, demand)
        if power_s:
            times_s[POWER] = power_s
        if busy:
            part = part._replace(busy=times_s[MEMORY] * room[MEMORY])
        energy_j = moved_bytes * joules + part.inner * inner_j
        return _stream(part, times_s, room, cause, (moved_bytes, energy_j))

    outer, inner = _early_shares(group) if chip.software_managed else (0.0, 0.0)
    early = _Bytes(load.outer * outer, load.inner * inner)
    late = _Bytes(load.outer - early.outer, load.inner - early.inner)
    power_s = demand.power_s if demand.has_rivals else 0.0
    return Moves(
        load=stream(load, reads, read_j, power_s=power_s),
        store=stream(store, writes, write_j),
        early=stream(early, early.outer, read_j) if early.outer else Stream(),
        late=stream(late, late.outer, read_j) if early.outer else Stream(),
    )


def _early_shares(group: Group) -> tuple[float, float]:
    """Shares of the loads, of main memory and inside the chip, that may come ahead.

    Which rows a gather reads is a result itself.
    """
    ready = 0.0 if isinstance(group.head, Gather) else _ready_bytes(group)
    inputs = group.traffic.inputs
    if not ready:
        return 0.0, 0.0
    return ready / (ready + (0.0 if group.input_on_chip else inputs)), ready / (ready + inputs)


def _ready_bytes(group: Group) -> float:
    """Bytes that an op reads and no op of the program makes: weights, and the cache so far."""
    return group.traffic.weights + group.traffic.cache_read


class _Bytes(NamedTuple):
    """Bytes of main memory (as bytes read), and bytes inside the chip.

    `busy` are the bytes for which the main memory has no time meanwhile, if they are more.
    """

    outer: float
    inner: float
    busy: float = 0.0


def _times_s(part: _Bytes, whole: _Bytes, demand: Demand) -> dict[str, float]:
    """Share of a part in an op's times of main memory and of the way inside [s]."""
    outer = part.outer / whole.outer if whole.outer else 0.5
    inner = part.inner / whole.inner if whole.inner else 0.5
    times_s = demand.times_s
    return {MEMORY: times_s[MEMORY] * outer, SHARED: times_s[SHARED] * inner}


def _stream(
    part: _Bytes,
    times_s: dict[str, float],
    room: dict[str, float],
    cause: str,
    told: tuple[float, float],
) -> Stream:
    """Say what a byte takes of each bandwidth; never more than its own time explains.

    `cause` names what limits the op's own use of the main memory.
    """
    size = part.outer or part.inner or 1.0
    wanted = {MEMORY: max(part.outer, part.busy), SHARED: part.inner, PORTS: part.inner}
    takes = {}
    for name, rate in room.items():
        most = times_s.get(SHARED if name == PORTS else name, 0.0) * rate
        if min(wanted.get(name, most), most) > 0.0:
            takes[name] = min(wanted.get(name, most), most) / size
    moves = max(times_s.values()) > 0.0
    own_s = {cause if name == MEMORY else name: time for name, time in times_s.items()}
    return Stream(size if moves else 0.0, takes, own_s, *told)
