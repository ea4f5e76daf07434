"""Brings in the operands of an op, piece by piece, and ahead of time what needs no results."""

from __future__ import annotations

from accelsim.des.bandwidth import Flow
from accelsim.des.buffers import Tokens
from accelsim.des.simulation import Steps
from accelsim.engine.event.journal import NOTHING
from accelsim.engine.event.plan import LATENCY, Stream
from accelsim.engine.event.task import Task


class Loader:
    """Loads for one op.

    Parameters
    ----------
    task : Task
    waits : bool
        The op has to wait for others: there may be time to fetch ahead.
    writer : Task or None
        The last op before it that writes weights: it may be those.

    Attributes
    ----------
    loaded : Tokens
        Pieces whose operands are there.
    pieces : list of int
        The work that brought each of them.
    """

    def __init__(self, task: Task, *, waits: bool, writer: Task | None = None) -> None:
        plan, sim = task.plan, task.sim
        self._task = task
        self._slots = Tokens(sim, f"a free buffer of {task.label}", plan.buffers)
        self.loaded = Tokens(sim, f"operands of {task.label}")
        self.pieces: list[int] = []
        self._freed_by = NOTHING
        self._ahead = 0
        self._coming: tuple[Flow, int] | None = None
        self._first_ps = plan.first_data_ps
        self._fetches = waits and task.group.memory is not None and plan.early.size_bytes > 0.0
        self._writer = writer
        if self._fetches:
            task.group.fetching.join(self)

    def run(self) -> Steps:
        """Load all pieces."""
        task, plan, env = self._task, self._task.plan, self._task.sim.env
        ways = task.ways
        if self._fetches:
            yield from self._fetch_ahead()
        if not task.ready.processed:
            yield task.ready
        cause = task.ready_by
        if plan.late.moved_bytes:  # inputs are asked for now, whatever came ahead
            self._first_ps = plan.first_data_ps
        if self._first_ps:
            start_ps = env.now
            yield env.timeout(self._first_ps)
            cause = task.note(task.group.load_track, start_ps, cause, LATENCY)
        for piece in range(plan.pieces):
            if self._coming is not None and piece == self._ahead:
                yield from self._arrive(*self._coming)
                cause = task.journal.later(cause, self.pieces[-1])
            ahead = piece < self._ahead
            if not ahead and not self._slots.take():
                yield self._slots.wait()
                cause = self._freed_by
            stream, way = (plan.late, ways.late) if ahead else (plan.load, ways.own)
            if stream.size_bytes:
                flow = task.chip.transfers.transfer(way, stream.size_bytes)
                yield flow
                cause = self._moved(cause, flow, stream)
            if ahead:
                self.pieces[piece] = task.journal.later(self.pieces[piece], cause)
            else:
                self.pieces.append(cause)
            self.loaded.give()

    def used_up(self, piece: int, by: int) -> None:
        """Give back the room of a piece's operands."""
        memory = self._task.group.memory
        if piece < self._ahead and memory is not None:
            self._task.group.last_freed = by
            memory.free(self._task.label, self._piece_bytes)
        else:
            self._freed_by = by
            self._slots.give()

    def _fetch_ahead(self) -> Steps:
        """Bring in pieces with the bandwidth that others leave, as long as memory has room."""
        task, plan, group = self._task, self._task.plan, self._task.group
        queue, memory = group.fetching, group.memory
        assert memory is not None
        while not (task.ready.triggered or queue.is_turn_of(self)):
            yield queue.changed() | task.ready
        if self._writer is not None and not self._writer.done.processed:
            yield self._writer.done | task.ready
        cause = task.journal.later(group.last_load, task.issued_by)
        cause = task.journal.later(cause, queue.left_by)
        while self._ahead < plan.pieces and not task.ready.triggered:
            if not memory.try_allocate(task.label, self._piece_bytes):
                yield memory.next_free() | task.ready
                cause = group.last_freed
                continue
            if self._first_ps:
                start_ps = task.sim.now_ps
                yield task.sim.timeout(self._first_ps) | task.ready
                self._first_ps -= task.sim.now_ps - start_ps
                cause = task.note(group.load_track, start_ps, cause, LATENCY)
                if task.ready.triggered:  # the rest is loaded as if nothing had come ahead
                    memory.free(task.label, self._piece_bytes)
                    break
            flow = task.chip.transfers.transfer(task.ways.ahead, plan.early.size_bytes)
            task.early, self._coming = flow, (flow, cause)
            yield flow | task.ready
            if not flow.triggered:  # the pieces that are there need not wait for it
                break
            yield from self._arrive(flow, cause)
            cause = self.pieces[-1]
        queue.leave(self, task.ready_by if task.ready.triggered else cause)

    def _arrive(self, flow: Flow, cause: int) -> Steps:
        """Wait for the end of a transfer ahead of time, and count its piece."""
        task = self._task
        if not flow.processed:
            yield flow
        task.early, self._coming = None, None
        self.pieces.append(self._moved(cause, flow, task.plan.early))
        self._ahead += 1

    @property
    def _piece_bytes(self) -> int:
        """What one piece that is fetched ahead fills of the chip's memory [B]."""
        return int(self._task.plan.early.moved_bytes) + 1

    def _moved(self, cause: int, flow: Flow, stream: Stream) -> int:
        task = self._task
        piece = task.moved(task.group.load_track, flow, stream, cause)
        task.group.last_load = piece
        return piece
