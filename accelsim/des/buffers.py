"""Bounded room: tokens for equal places, and bytes of a memory that users allocate."""

from __future__ import annotations

from collections import deque

from simpy.events import Event

from accelsim.des.simulation import Simulation
from accelsim.errors import SimulationError


class Tokens:
    """A pile of equal tokens that one side gives and the other takes, in order of asking.

    Two piles make a bounded buffer: free places, and places that are filled.

    Parameters
    ----------
    sim : Simulation
    name : str
        What a token stands for, for the report of a deadlock.
    count : int
        Tokens at the start.
    """

    def __init__(self, sim: Simulation, name: str, count: int = 0) -> None:
        if count < 0:
            raise SimulationError(f"{name}: {count} tokens, expected 0 or more")
        self._sim = sim
        self.name = name
        self.count = count
        self._waiting: deque[Event] = deque()

    def take(self) -> bool:
        """Take a token if there is one that nobody waits for."""
        if self.count == 0:
            return False
        self.count -= 1
        return True

    def wait(self) -> Event:
        """Take a token as soon as there is one; the event is that moment."""
        event = self._sim.event(self.name)
        if self.take():
            event.succeed()
        else:
            self._waiting.append(event)
        return event

    def give(self) -> None:
        """Add a token, or hand it to who has waited longest."""
        if self._waiting:
            self._waiting.popleft().succeed()
        else:
            self.count += 1


class ByteStore:
    """A memory of which parts are allocated under a name, first come first served.

    Parameters
    ----------
    sim : Simulation
    name : str
    capacity_bytes : int
        Positive [B].

    Notes
    -----
    Bytes are counted, places are not: fragmentation is not modelled.
    """

    def __init__(self, sim: Simulation, name: str, capacity_bytes: int) -> None:
        if capacity_bytes <= 0:
            raise SimulationError(f"{name}: capacity is {capacity_bytes} B, expected more than 0")
        self._sim = sim
        self.name = name
        self.capacity_bytes = capacity_bytes
        self.used_bytes = 0
        self.most_bytes = 0
        self.holders: dict[str, int] = {}
        self._waiting: deque[tuple[str, int, Event]] = deque()
        self._change: Event | None = None

    def next_free(self) -> Event:
        """Return the moment at which somebody next gives something back."""
        if self._change is None:
            self._change = self._sim.event(lambda: f"room in {self.name} (held: {self._held()})")
        return self._change

    def try_allocate(self, holder: str, size_bytes: int) -> bool:
        """Allocate now, if it fits and nobody waits for room.

        Raises
        ------
        SimulationError
            If it is less than nothing.
        """
        if size_bytes < 0:
            raise SimulationError(f"{holder} asks for {size_bytes} B of {self.name}")
        if self._waiting or self.used_bytes + size_bytes > self.capacity_bytes:
            return False
        self._hold(holder, size_bytes)
        return True

    def allocate(self, holder: str, size_bytes: int) -> Event:
        """Allocate as soon as it fits; the event is that moment.

        Raises
        ------
        SimulationError
            If it can never fit, or is less than nothing.
        """
        if size_bytes > self.capacity_bytes:
            raise SimulationError(
                f"{holder} asks for {size_bytes} B of {self.name}, which has "
                f"{self.capacity_bytes} B: use smaller tiles or a larger memory"
            )
        event = self._sim.event(lambda: f"{size_bytes} B of {self.name} (held: {self._held()})")
        if self.try_allocate(holder, size_bytes):
            event.succeed()
        else:
            self._waiting.append((holder, size_bytes, event))
        return event

    def free(self, holder: str, size_bytes: int) -> None:
        """Give back a part of what a holder has.

        Raises
        ------
        SimulationError
            If it has less, or the part is less than nothing.
        """
        held = self.holders.get(holder, 0)
        if not 0 <= size_bytes <= held:
            raise SimulationError(
                f"{holder} frees {size_bytes} B of {self.name} but holds {held} B"
            )
        self.used_bytes -= size_bytes
        if held == size_bytes:
            self.holders.pop(holder, None)
        else:
            self.holders[holder] = held - size_bytes
        while self._waiting and self.used_bytes + self._waiting[0][1] <= self.capacity_bytes:
            next_holder, size, event = self._waiting.popleft()
            self._hold(next_holder, size)
            event.succeed()
        if self._change is not None:
            self._change.succeed()
            self._change = None
        self._sample()

    def _hold(self, holder: str, size_bytes: int) -> None:
        self.used_bytes += size_bytes
        self.most_bytes = max(self.most_bytes, self.used_bytes)
        self.holders[holder] = self.holders.get(holder, 0) + size_bytes
        self._sample()

    def _sample(self) -> None:
        self._sim.tracer.sample(self.name, self._sim.now_ps, float(self.used_bytes))

    def _held(self) -> str:
        return ", ".join(f"{size} B by {holder}" for holder, size in self.holders.items()) or "none"
