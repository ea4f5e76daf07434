"""SimPy's list of coming events, with plain callbacks, cancelling, and calls when instants end."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from copy import copy
from heapq import heapify, heappop, heappush

import simpy
from simpy.events import NORMAL, Event

_FEW = 64


class EventCalendar(simpy.Environment):
    """A SimPy environment whose scheduled calls can be cancelled.

    Attributes
    ----------
    now : int
        The time [ps].

    Notes
    -----
    A cancelled event must not move the clock: a simulation would seem to end when a plan that was
    given up would have come true. It stays on SimPy's heap, marked as processed, until it comes
    to the top or until half of the heap is cancelled; so the heap stays proportional to what is
    really planned.
    """

    now: int = 0  # an attribute, since a property costs a twentieth of a simulation

    def __init__(self) -> None:
        super().__init__(0)
        self._cancelled = 0
        self._at_end: deque[Callable[[], None]] = deque()

    @property
    def scheduled(self) -> int:
        """Events that were scheduled so far."""
        return next(copy(self._eid))

    def timeout(self, delay: int = 0, value: object = None) -> Event:  # type: ignore[override]
        """Return an event some time from now; as SimPy's own, in half the time."""
        event = Event(self)
        event._ok, event._value = True, value
        heappush(self._queue, (self.now + delay, NORMAL, next(self._eid), event))
        return event

    def call(self, callback: Callable[[Event], None], delay_ps: int = 0) -> Event:
        """Call a function some time from now; it gets the event, which can be cancelled."""
        event = Event(self)
        event._ok, event._value = True, None  # as SimPy's own Timeout does
        self.again(event, [callback], delay_ps)
        return event

    def again(
        self, event: Event, callbacks: list[Callable[[Event], None]], delay_ps: int = 0
    ) -> None:
        """Let an event of `call` that has happened happen once more, some time from now."""
        event.callbacks = callbacks
        heappush(self._queue, (self.now + delay_ps, NORMAL, next(self._eid), event))

    def at_end(self, callback: Callable[[], None]) -> None:
        """Call a function when all else of this instant has happened."""
        self._at_end.append(callback)

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
        return self.now if self._at_end else super().peek()

    def step(self) -> None:
        """Let the next event happen."""
        self._drop_cancelled()
        if self._at_end and not (self._queue and self._queue[0][0] == self.now):
            self._at_end.popleft()()
            return
        if self._queue:
            self.now = self._queue[0][0]  # type: ignore[assignment]
        super().step()

    def run(self, until: int | None = None) -> None:  # type: ignore[override]
        """Let events happen until there are none, or until just before a time [ps].

        The same as SimPy's, as one loop: `step` for every event costs a tenth of a simulation. A
        failed process raises its own exception, where SimPy makes a new one.
        """
        queue, at_end = self._queue, self._at_end
        end = math.inf if until is None else until
        while True:
            if at_end and not (queue and queue[0][0] == self.now):
                at_end.popleft()()
                continue
            if not queue or queue[0][0] >= end:
                break
            time, _, _, event = heappop(queue)
            callbacks = event.callbacks
            if callbacks is None:
                self._cancelled -= 1
                continue
            self._now = self.now = time  # type: ignore[assignment]
            event.callbacks = None  # type: ignore[assignment]
            for callback in callbacks:
                callback(event)
            if not event._ok and not event.defused:
                raise event._value
        if until is not None:
            self._now = self.now = until

    def _drop_cancelled(self) -> None:
        queue = self._queue
        while queue and queue[0][3].callbacks is None:
            heappop(queue)
            self._cancelled -= 1
