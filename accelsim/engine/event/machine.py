"""The hardware of the simulation: chips with groups of cores, memory, shared buffer and links."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from accelsim.arch.chip import Chip
from accelsim.des.bandwidth import Resource, Route, SharedBandwidth
from accelsim.des.buffers import ByteStore
from accelsim.des.components import Component
from accelsim.des.servers import FifoServer
from accelsim.des.simulation import Event, Simulation
from accelsim.engine.event.journal import NOTHING
from accelsim.engine.event.plan import LINK, OpPlan, Stream
from accelsim.engine.event.scene import Scene
from accelsim.engine.event.streams import capacities
from accelsim.results.execution import Track

OWN, AHEAD = 0, 1
"""Levels of transfers: of ops that run, and of ops that are fetched ahead with what is left."""
IN_FLIGHT = 4
"""Ops that a group of cores has been given and not ended, in program order."""
IN_QUEUE = 32
"""The same where a host launches them: kernels wait behind one another."""


class FetchQueue:
    """Ops that wait to be fetched ahead: one at a time, in program order.

    Attributes
    ----------
    left_by : int
        The piece of work with which the last op left.
    """

    def __init__(self, sim: Simulation, name: str) -> None:
        self._sim = sim
        self._name = name
        self._waiting: deque[object] = deque()
        self._change: Event | None = None
        self.left_by = NOTHING

    def join(self, op: object) -> None:
        """Queue up."""
        self._waiting.append(op)

    def is_turn_of(self, op: object) -> bool:
        """Tell whether an op is the first of those that wait."""
        return self._waiting[0] is op

    def changed(self) -> Event:
        """Return the moment when somebody next leaves."""
        if self._change is None:
            self._change = self._sim.event(f"the turn to fetch ahead on {self._name}")
        return self._change

    def leave(self, op: object, by: int) -> None:
        """Leave the queue, fetched or not, with the end of a piece of work."""
        self._waiting.remove(op)
        self.left_by = by
        if self._change is not None:
            self._change.succeed()
            self._change = None


class Engine:
    """An exclusive engine with its track; remembers what it did last."""

    def __init__(self, scene: Scene, chip: int, group: Component, kind: str) -> None:
        part = Component(scene.sim, kind, group)
        self.server = FifoServer(scene.sim, part.path)
        self.track = scene.journal.add_track(Track(chip, group.name, kind))
        self.last_piece = NOTHING


class CoreGroup:
    """Equal cores that run the same op together.

    Parameters
    ----------
    scene : Scene
    chip : int
    part : Component
    room_bytes : int
        Of the memory that software manages on the chip; 0 where caches do [B].

    Attributes
    ----------
    matrix, vector : Engine
    launch_track, load_track, store_track : int
    memory : ByteStore or None
    fetching : FetchQueue
        Ops whose data may come ahead, in program order.
    last_load, last_freed : int
        The last piece that was loaded, and the last that made room in `memory`.
    """

    def __init__(self, scene: Scene, chip: int, part: Component, room_bytes: int) -> None:
        journal = scene.journal
        self.name = part.name
        self.launch_track = journal.add_track(Track(chip, part.name, "launch", exclusive=False))
        self.load_track = journal.add_track(Track(chip, part.name, "load", exclusive=False))
        self.matrix = Engine(scene, chip, part, "matrix")
        self.vector = Engine(scene, chip, part, "vector")
        self.store_track = journal.add_track(Track(chip, part.name, "store", exclusive=False))
        path = f"{part.path}/memory"
        self.memory = ByteStore(scene.sim, path, room_bytes) if room_bytes else None
        self.fetching = FetchQueue(scene.sim, part.path)
        self.last_load = NOTHING
        self.last_freed = NOTHING

    @property
    def in_order(self) -> bool:
        """Whether each op starts after the one before, needed or not: kernels in one queue."""
        return self.memory is None


@dataclass(frozen=True, eq=False)
class ChipModel:
    """One chip: bandwidth that all its cores share, its links, its groups of cores."""

    index: int
    chip: Chip
    component: Component
    transfers: SharedBandwidth
    resources: dict[str, Resource]
    groups: tuple[CoreGroup, ...]
    network_track: int

    def own_resources(self, name: str, plan: OpPlan) -> dict[str, Resource]:
        """Make what limits the transfers of one op alone: a second of its time per second."""
        kinds = dict.fromkeys((*plan.load.own_s, *plan.store.own_s))
        return {kind: self.transfers.resource(f"{name}: {kind}", 1.0) for kind in kinds}

    def route(
        self,
        name: str,
        stream: Stream,
        own: Mapping[str, Resource],
        *,
        level: int = OWN,
        weight: float = 1.0,
    ) -> Route:
        """Make the way of an op's transfers; `own` is what its loads and stores share."""
        takes = {self.resources[key]: share for key, share in stream.takes.items()}
        for key, seconds in stream.own_s.items():
            if seconds > 0.0:
                takes[own[key]] = seconds / stream.size_bytes
        return self.transfers.route(name, takes, level=level, weight=weight)


def build_chip(
    scene: Scene,
    index: int,
    chip: Chip,
    *,
    groups: Mapping[str, float],
    ideal: frozenset[str] = frozenset(),
) -> ChipModel:
    """Build one chip.

    Parameters
    ----------
    scene : Scene
    index : int
        Of the chip in the system.
    chip : Chip
    groups : mapping of str to float
        Its groups of cores, and the share that each has of the memory that software manages.
    ideal : frozenset of str
        Bandwidths that never limit.
    """
    component = Component(scene.sim, f"chip{index}")
    shared = SharedBandwidth(scene.sim, component.path)
    resources = {
        name: shared.resource(name, math.inf if name in ideal else rate)
        for name, rate in {**capacities(chip), LINK: 1.0}.items()
    }
    room_bytes = chip.on_chip_bytes if chip.software_managed else 0.0
    made = tuple(
        CoreGroup(
            scene, index, Component(scene.sim, name, component), math.floor(share * room_bytes)
        )
        for name, share in groups.items()
    )
    network = scene.journal.add_track(Track(index, "links", "network", exclusive=False))
    return ChipModel(index, chip, component, shared, resources, tuple(made), network)
