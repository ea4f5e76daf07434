"""Why an op was issued when it was: the host had worked until then, or it had to wait for room."""

from __future__ import annotations

from accelsim.engine.event.journal import CODES, NOTHING
from accelsim.engine.event.scene import Scene
from accelsim.engine.event.task import Task


class Issuer:
    """Remembers what each op had to wait for before it was issued.

    Parameters
    ----------
    scene : Scene

    Attributes
    ----------
    made_room : int
        The piece of work that last ended an op, and so made room for another.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._cause = NOTHING
        self._since_ps = self._worked_ps = 0
        self.made_room = NOTHING

    def begin(self) -> None:
        """The host begins."""
        self._since_ps = self._scene.sim.now_ps

    def host_done(self) -> None:
        """The host has done what comes before a launch."""
        self._worked_ps = self._scene.sim.now_ps

    def issue(self, task: Task, track: int, freed: int) -> None:
        """Write down why a task is issued now; `freed` is what last made room in memory."""
        journal, now = self._scene.journal, self._scene.sim.now_ps
        if self._worked_ps > self._since_ps:
            times = (self._since_ps, self._worked_ps)
            self._cause = journal.add(
                (task.index, track, *times, 0.0, 0.0, self._cause, CODES["launch"])
            )
        if now > self._worked_ps:
            self._cause = journal.later(journal.later(self._cause, freed), self.made_room)
        self._since_ps = now
        task.issued_by = self._cause
