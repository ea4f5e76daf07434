"""Issues the ops of a program to a group of cores: in program order, a few ahead of their turn."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from accelsim.des.buffers import Tokens
from accelsim.des.components import Port
from accelsim.des.simulation import Steps
from accelsim.engine.event.folding import FoldBook
from accelsim.engine.event.issuing import Issuer
from accelsim.engine.event.journal import OpRecord, Where
from accelsim.engine.event.loading import Loader
from accelsim.engine.event.machine import IN_FLIGHT, IN_QUEUE, ChipModel, CoreGroup
from accelsim.engine.event.making import Maker
from accelsim.engine.event.network import Network
from accelsim.engine.event.plan import ALL, ENTRY, OpPlan, Program
from accelsim.engine.event.scene import Scene
from accelsim.engine.event.sending import send
from accelsim.engine.event.task import Task, Ways, ways_of

_PARITIES = 2  # a repeat and the next may be under way together: each has its own way


@dataclass(frozen=True)
class Partners:
    """What sequencers of the same program share.

    Attributes
    ----------
    folds : FoldBook
    network : Network
    """

    folds: FoldBook
    network: Network


class Sequencer:
    """Runs a program on one group of cores of one chip.

    Parameters
    ----------
    scene : Scene
    place : (ChipModel, CoreGroup)
    program : (Program, Partners)
    ranks : (int, int)
        Its place among all sequencers, and among its partners.

    Attributes
    ----------
    began_ps, ended_ps : float
        In simulated time; infinite until it ends [ps].
    """

    def __init__(
        self,
        scene: Scene,
        place: tuple[ChipModel, CoreGroup],
        program: tuple[Program, Partners],
        ranks: tuple[int, int],
    ) -> None:
        self.scene = scene
        self.chip, self.group = place
        self.program, self._partners = program
        self.index, self.member = ranks
        self.began_ps = 0
        self.ended_ps = math.inf
        self._jumped_ps = 0
        hosted = any(sum(op.host_ps) for block in self.program.blocks for op in block.ops)
        self._room = Tokens(
            scene.sim,
            f"room for an op on {self.group.name}",
            IN_QUEUE if hosted and self.group.in_order else IN_FLIGHT,
        )
        self._port: Port = self._partners.network.port_for(self.chip.component)
        self._ways: dict[tuple[int, int, int], Ways] = {}
        self._last: Task | None = None
        self._writer: Task | None = None
        self._issuer = Issuer(scene)
        self._queues: dict[bool, Task] = {}
        self._holding: deque[Task] = deque()

    def run(self, start_ps: int, everybody: Sequence[Sequencer]) -> Steps:
        """Issue all ops; `everybody` are the sequencers of the whole simulation."""
        folds = self._partners.folds
        if start_ps:
            yield self.scene.sim.timeout(start_ps)
        self.began_ps = self.scene.sim.now_ps
        self._issuer.begin()
        for place, block in enumerate(self.program.blocks):
            repeat = 0
            while folds.goes_on(self.member, place, repeat, self._alone_since_ps(everybody)):
                seen = folds.seen[self.member][place]
                seen.issued_ps.append(self.scene.sim.now_ps)
                seen.left.append(len(block.ops))
                yield from self._issue_block(place, repeat)
                repeat += 1
            self._jumped_ps += folds.jump_ps(place)
        for task in tuple(self._holding):
            if not task.done.processed:
                yield task.done
        self.ended_ps = self.scene.sim.now_ps

    @property
    def length_ps(self) -> float:
        """From begin to end, what was jumped over included [ps]."""
        return self.ended_ps - self.began_ps + self._jumped_ps

    def jumps(self) -> list[tuple[int, int, int]]:
        """Of each block: repeats simulated, repeats jumped over, and their period [ps]."""
        folds = self._partners.folds
        return [
            (limit, block.repeat - limit, period_ps)
            for block, limit, period_ps in zip(
                self.program.blocks, folds.limits, folds.periods_ps, strict=True
            )
        ]

    def _alone_since_ps(self, everybody: Sequence[Sequencer]) -> float:
        """When the last rival ended; infinite while one is at work, or still to come [ps].

        Rivals are on a chip of its own or of a partner, for whom it waits in collectives.
        """
        mine = {one.chip.index for one in everybody if one._partners is self._partners}
        rivals = (
            one for one in everybody
            if one.chip.index in mine and one._partners is not self._partners
        )  # fmt: skip
        return max((rival.ended_ps for rival in rivals), default=0.0)

    def _issue_block(self, block: int, repeat: int) -> Steps:
        entry, issuer = self._last, self._issuer
        tasks: list[Task] = []
        for place, plan in enumerate(self.program.blocks[block].ops):
            if plan.host_ps[0]:
                yield self.scene.sim.timeout(plan.host_ps[0])
            issuer.host_done()
            if not self._room.take():
                yield self._room.wait()
            held_bytes = yield from self._hold(plan)
            needs = [tasks[i] for i in plan.after if i >= 0]
            if ENTRY in plan.after and entry is not None:
                needs.append(entry)
            if ALL in plan.after:
                needs += [task for task in self._holding if not task.done.processed]
            tasks.append(self._begin(plan, (block, repeat, place), needs, held_bytes))
            if plan.host_ps[1]:
                yield self.scene.sim.timeout(plan.host_ps[1])

    def _hold(self, plan: OpPlan) -> Steps:
        """Reserve what the op needs on the chip; one that finds it idle takes what there is."""
        memory = self.group.memory
        if memory is None:
            return 0
        size = min(plan.held_bytes, memory.capacity_bytes)
        while True:
            if all(task.done.processed for task in self._holding):
                size = min(size, memory.capacity_bytes - memory.used_bytes)
            if memory.try_allocate(plan.name, size):
                return size
            yield memory.next_free()

    def _begin(
        self, plan: OpPlan, where: tuple[int, int, int], needs: list[Task], held_bytes: int
    ) -> Task:
        block, repeat, place = where
        here = Where(self.chip.index, self.index, block, repeat, place)
        record = OpRecord(plan.name, plan.kind, here)
        ways = self._ways_of(plan, block, place, repeat)
        task = Task(self.scene, (self.chip, self.group), (plan, ways, record))
        task.held_bytes = held_bytes
        if self.group.in_order:
            # Collectives have a queue of their own.
            queue = plan.members > 0
            if queue in self._queues:
                needs.append(self._queues[queue])
            self._queues[queue] = task
        self._issuer.issue(task, self.group.launch_track, self.group.last_freed)
        self._start(task, needs)
        task.done.callbacks.append(lambda _: self._retire(task))
        self._holding.append(task)
        self._last = task
        return task

    def _start(self, task: Task, needs: list[Task]) -> None:
        """Start all who work on an op."""
        start, name = self.scene.sim.start, task.label
        start(f"{name}: wait", task.wait(needs))
        if task.plan.members:
            key = task.record.where[2:]
            start(f"{name}: send", send(task, self._port, key))
            return
        waits = any(not need.done.triggered for need in needs)
        loader = Loader(task, waits=waits, writer=self._writer)
        if task.plan.writes_weights:
            self._writer = task
        maker = Maker(task, loader)
        start(f"{name}: load", loader.run())
        start(f"{name}: compute", maker.compute())
        if task.plan.store.size_bytes:
            start(f"{name}: store", maker.store())

    def _ways_of(self, plan: OpPlan, block: int, place: int, repeat: int) -> Ways:
        key = (block, place, repeat % _PARITIES)
        ways = self._ways.get(key)
        if ways is None:
            own = self.chip.own_resources(f"{self.group.name}/{key}", plan)
            ways = self._ways[key] = ways_of(plan, self.chip, own)
        return ways

    def _retire(self, task: Task) -> None:
        """Make room; results stay on the chip until the op after their maker has ended."""
        record = task.record
        seen = self._partners.folds.seen[self.member][record.where.block]
        seen.op_ended(record.where.repeat, self.scene.sim.now_ps)
        self._issuer.made_room = record.last_piece
        self._room.give()
        if self.scene.progress is not None:
            self.scene.progress(record.end_ps + self._jumped_ps)
        holding = self._holding
        self._give_back(task, min(task.held_bytes, task.plan.kept_bytes))
        while len(holding) > 1 and holding[0].done.triggered and holding[1].done.triggered:
            self._give_back(holding.popleft(), 0)

    def _give_back(self, task: Task, kept_bytes: int) -> None:
        """Free what a task holds of the memory but for some bytes."""
        memory = self.group.memory
        if memory is not None:
            memory.free(task.plan.name, task.held_bytes - kept_bytes)
            task.held_bytes = kept_bytes
