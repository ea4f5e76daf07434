"""Makes the results of an op: multiplies, finishes on the vector unit, stores, piece by piece."""

from __future__ import annotations

from collections import deque

from accelsim.des.buffers import Tokens
from accelsim.des.simulation import Steps
from accelsim.engine.event.journal import CODES, NOTHING
from accelsim.engine.event.loading import Loader
from accelsim.engine.event.machine import Engine
from accelsim.engine.event.plan import Service
from accelsim.engine.event.task import Task


class Maker:
    """Computes for one op, and stores what it made.

    Parameters
    ----------
    task : Task
    loader : Loader
    """

    def __init__(self, task: Task, loader: Loader) -> None:
        self._task = task
        self._loader = loader
        self._made = Tokens(task.sim, f"results of {task.label}")
        self._made_at: deque[tuple[int, int]] = deque()

    def compute(self) -> Steps:
        """Multiply each piece, and hand it on to the vector unit, whose end may lie ahead."""
        task, loader, env = self._task, self._loader, self._task.sim.env
        plan, ways, group = task.plan, task.ways, task.group
        # Operands of matrix work are used up by the matrix units, however fast these are.
        multiplies, finishes = plan.matrix.flop > 0.0, plan.vector.total_ps > 0
        stores = plan.store.size_bytes > 0.0
        if not task.ready.processed:
            yield task.ready
        ends: deque[int] = deque([0] * plan.buffers, plan.buffers)
        finished: deque[int] = deque([NOTHING] * plan.buffers, plan.buffers)
        last = NOTHING
        for piece in range(plan.pieces):
            if not loader.loaded.take():
                yield loader.loaded.wait()
            last = loader.pieces[piece]
            if multiplies:
                if ends[0] > env.now:  # results of earlier pieces still fill their buffers
                    yield env.timeout(ends[0] - env.now)
                last = task.journal.later(finished[0], last)
                if plan.matrix.total_ps:
                    last = self._serve(group.matrix, ways.matrix_ps[piece], plan.matrix, last)
                    yield env.timeout(group.matrix.server.free_at_ps - env.now)
                loader.used_up(piece, last)
            if finishes:
                last = self._serve(group.vector, ways.vector_ps[piece], plan.vector, last)
                ends.append(group.vector.server.free_at_ps)
                finished.append(last)
                if not multiplies:
                    yield env.timeout(ends[-1] - env.now)
            if not multiplies:
                loader.used_up(piece, last)
            if stores:
                self._made_at.append((max(ends[-1], env.now), last))
                self._made.give()
        if not stores:
            if ends[-1] > env.now:
                yield env.timeout(ends[-1] - env.now)
            task.finish(last)

    def store(self) -> Steps:
        """Write the results of each piece when they are there and the piece before is written."""
        task, env, plan = self._task, self._task.sim.env, self._task.plan
        last = NOTHING
        for _ in range(plan.pieces):
            if not self._made.take():
                yield self._made.wait()
            made_ps, maker = self._made_at.popleft()
            if made_ps > env.now:
                yield env.timeout(made_ps - env.now)
            cause = task.journal.later(last, maker)
            flow = task.chip.transfers.transfer(task.ways.store, plan.store.size_bytes)
            yield flow
            last = task.moved(task.group.store_track, flow, plan.store, cause)
        task.finish(last)

    def _serve(self, engine: Engine, service_ps: int, work: Service, cause: int) -> int:
        """Take the engine's next turn; return the piece of work."""
        task, code = self._task, CODES[work.resource]
        cause = task.journal.later(cause, engine.last_piece)
        end_ps = engine.server.reserve(service_ps, task.label)
        start_ps = end_ps - service_ps
        if not task.has_started:
            task.start(start_ps)
        piece = task.journal.add(
            (task.index, engine.track, start_ps, end_ps, work.flop, work.energy_j, cause, code)
        )
        engine.last_piece = piece
        return piece
