"""One execution of one op: what it waits for, and who works on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from accelsim.des.bandwidth import Flow, Resource, Route
from accelsim.des.simulation import Steps
from accelsim.engine.event.journal import CODES, NOTHING, OpRecord
from accelsim.engine.event.machine import AHEAD, ChipModel, CoreGroup
from accelsim.engine.event.plan import MEMORY, OpPlan, Stream
from accelsim.engine.event.scene import Scene

_LEAST_WEIGHT = 0.01


@dataclass(frozen=True, eq=False)
class Ways:
    """The ways of an op's transfers on one chip, and the durations of its pieces [ps]."""

    own: Route
    ahead: Route
    early: Route
    late: Route
    store: Route
    send: Route
    matrix_ps: list[int]
    vector_ps: list[int]


def ways_of(plan: OpPlan, chip: ChipModel, own: Mapping[str, Resource]) -> Ways:
    """Find the ways of a plan; loads and stores share `own`, what the op can ask for."""
    name, (loads, stores) = plan.name, _weights(plan)
    return Ways(
        own=chip.route(f"{name}: load", plan.load, own, weight=loads),
        ahead=chip.route(f"{name}: load ahead", plan.early, own, level=AHEAD, weight=loads),
        early=chip.route(f"{name}: load, begun ahead", plan.early, own, weight=loads),
        late=chip.route(f"{name}: load the rest", plan.late, own, weight=loads),
        store=chip.route(f"{name}: store", plan.store, own, weight=stores),
        send=chip.route(f"{name}: send", plan.send, {}),
        matrix_ps=plan.matrix.pieces_ps(plan.pieces),
        vector_ps=plan.vector.pieces_ps(plan.pieces),
    )


def _weights(plan: OpPlan) -> tuple[float, float]:
    """Weights of an op's loads and stores: their shares of what it needs most.

    So an op is one rival to others however it splits its transfers, and neither side takes what
    the other needs to keep up with it.
    """
    load_s, store_s = plan.load.own_s, plan.store.own_s
    both = {name: time + store_s.get(name, 0.0) for name, time in load_s.items()}
    most = max(both, key=both.__getitem__, default="")
    if not most or not both[most]:
        return 1.0, 1.0
    stores = min(max(store_s.get(most, 0.0) / both[most], _LEAST_WEIGHT), 1.0 - _LEAST_WEIGHT)
    return 1.0 - stores, stores


class Task:
    """An op under way on one group of cores of one chip.

    Parameters
    ----------
    scene : Scene
    place : (ChipModel, CoreGroup)
        Where it runs.
    work : (OpPlan, Ways, OpRecord)
        What it does, and where that is written down.

    Attributes
    ----------
    ready, done : Event
        All that it reads is there and its kernel has started; it has ended.
    issued_by, ready_by : int
        The pieces of work that it was issued by and became ready by.
    early : Flow or None
        A transfer of its data that is under way before it is ready.
    held_bytes : int
        What it fills of the memory that software manages [B].
    """

    def __init__(
        self,
        scene: Scene,
        place: tuple[ChipModel, CoreGroup],
        work: tuple[OpPlan, Ways, OpRecord],
    ) -> None:
        self.sim = scene.sim
        self.journal = scene.journal
        self.chip, self.group = place
        self.plan, self.ways, self.record = work
        self.index = self.journal.add_op(self.record)
        self.label = f"{self.plan.name}#{self.record.where.repeat}"
        self.ready = self.sim.event(lambda: f"{self.label} to be ready")
        self.done = self.sim.event(lambda: f"the end of {self.label}")
        self.issued_by = self.ready_by = NOTHING
        self.early: Flow | None = None
        self.held_bytes = 0
        self.has_started = False

    def wait(self, needs: Sequence[Task]) -> Steps:
        """Wait for all that the op reads, then for the start of its kernel."""
        for task in needs:
            if not task.done.processed:
                yield task.done
        record, plan = self.record, self.plan
        record.ready_ps = self.sim.now_ps
        cause = self.issued_by
        for task in needs:
            cause = self.journal.later(cause, task.record.last_piece)
        if plan.launch_ps:
            yield self.sim.timeout(plan.launch_ps)
            cause = self.note(self.group.launch_track, record.ready_ps, cause, "launch")
        self.ready_by = cause
        if self.early is not None:
            self.chip.transfers.reroute(self.early, self.ways.early)
        self.ready.succeed()

    def finish(self, last: int) -> None:
        """End, with the piece that ended last."""
        self.record.end_ps = self.sim.now_ps
        self.record.last_piece = last
        if not self.has_started:
            self.start(self.sim.now_ps)
        self.done.succeed()

    def start(self, start_ps: int) -> None:
        """Remember when the first work begins."""
        self.has_started = True
        self.record.start_ps = start_ps

    def note(self, track: int, start_ps: int, cause: int, spent_on: str) -> int:
        """Write down time until now in which nothing is moved, a latency; return its piece."""
        if not self.has_started and spent_on != "launch":
            self.start(start_ps)
        end_ps, code = self.sim.now_ps, CODES[spent_on]
        return self.journal.add((self.index, track, start_ps, end_ps, 0.0, 0.0, cause, code))

    def moved(self, track: int, flow: Flow, stream: Stream, cause: int) -> int:
        """Write down a transfer of a stream's piece; return the piece of work."""
        start_ps, slowed = flow.start_ps, flow.slowed_ps
        if not self.has_started:
            self.start(start_ps)
        limit = MEMORY
        if slowed:
            limit = next(iter(slowed)) if len(slowed) == 1 else max(slowed, key=slowed.__getitem__)
            limit = limit[limit.rfind(" ") + 1 :]
        told = (stream.moved_bytes, stream.energy_j, cause, CODES[limit])
        return self.journal.add((self.index, track, start_ps, flow.end_ps, *told))
