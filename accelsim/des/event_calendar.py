"""SimPy's list of coming events, plus two things it lacks: plain callbacks and cancelling."""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import copy
from heapq import heapify, heappop, heappush

import simpy
from simpy.events import NORMAL, Event

LAST = int(NORMAL) + 1
"""Priority of what happens when all else of an instant has: SimPy takes low numbers first."""
_FEW = 64


class EventCalendar(simpy.Environment):
    """A SimPy environment whose scheduled calls can be cancelled.

    Notes
    -----
    A cancelled event must not move the clock: a simulation would seem to end when a plan that was
    given up would have come true. It stays on SimPy's heap, marked as processed, until it comes
    to the top or until half of the heap is cancelled; so the heap stays proportional to what is
    really planned.
    """

    def __init__(self) -> None:
        super().__init__(0)
        self._cancelled = 0

    @property
    def now(self) -> int:
        """The time [ps]."""
        return self._now  # type: ignore[return-value]

    @property
    def scheduled(self) -> int:
        """Events that were scheduled so far."""
        return next(copy(self._eid))

    def call(
        self, callback: Callable[[Event], None], delay_ps: int = 0, priority: int = NORMAL
    ) -> Event:
        """Call a function some time from now; it gets the event, which can be cancelled."""
        event = Event(self)
        event.callbacks.append(callback)
        event._ok, event._value = True, None  # as SimPy's own Timeout does
        heappush(self._queue, (self._now + delay_ps, priority, next(self._eid), event))  # type: ignore[misc]
        return event

    def again(self, event: Event, callbacks: list[Callable[[Event], None]], priority: int) -> None:
        """Let an event of `call` that has happened happen once more, now."""
        event.callbacks = callbacks
        heappush(self._queue, (self._now, priority, next(self._eid), event))  # type: ignore[misc]

    def happen(self, event: Event, value: object) -> None:
        """Let an event happen at once, inside of the one that happens now."""
        event._ok, event._value = True, value
        callbacks = event.callbacks
        event.callbacks = None  # type: ignore[assignment]
        for callback in callbacks:
            callback(event)

    def cancel(self, event: Event) -> None:
        """Forget a scheduled call. It must be one of `call` that has not happened."""
        event.callbacks = None  # type: ignore[assignment]
        self._cancelled += 1
        if self._cancelled > _FEW and 2 * self._cancelled > len(self._queue):
            self._queue[:] = [entry for entry in self._queue if entry[3].callbacks is not None]
            heapify(self._queue)
            self._cancelled = 0

    def peek(self) -> float:
        """Time of the next event [ps]; infinite if there is none."""
        self._drop_cancelled()
        return super().peek()

    def step(self) -> None:
        """Let the next event happen."""
        self._drop_cancelled()
        super().step()

    def run(self, until: int | None = None) -> None:  # type: ignore[override]
        """Let events happen until there are none, or until just before a time [ps].

        The same as SimPy's, as one loop: `step` for every event costs a tenth of a simulation. A
        failed process raises its own exception, where SimPy makes a new one.
        """
        queue = self._queue
        end = math.inf if until is None else until
        while queue and queue[0][0] < end:
            time, _, _, event = heappop(queue)
            callbacks = event.callbacks
            if callbacks is None:
                self._cancelled -= 1
                continue
            self._now = time
            event.callbacks = None  # type: ignore[assignment]
            for callback in callbacks:
                callback(event)
            if not event._ok and not event.defused:
                raise event._value
        if until is not None:
            self._now = until

    def _drop_cancelled(self) -> None:
        queue = self._queue
        while queue and queue[0][3].callbacks is None:
            heappop(queue)
            self._cancelled -= 1
