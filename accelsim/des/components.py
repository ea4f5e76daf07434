"""The parts of a machine by name, and the ports through which they send messages."""

from __future__ import annotations

from collections import deque
from typing import Any

from simpy.events import Event

from accelsim.des.simulation import Simulation
from accelsim.errors import SimulationError


class Component:
    """A part of a machine, which may have parts and ports of its own.

    Parameters
    ----------
    sim : Simulation
    name : str
        Of this part, unique among the parts of its parent; without "/" and ".".
    parent : Component, optional
        That it is a part of.

    Attributes
    ----------
    children : dict of str to Component
    ports : dict of str to Port
    """

    def __init__(self, sim: Simulation, name: str, parent: Component | None = None) -> None:
        self.sim = sim
        self.name = _plain(name, "component")
        self.parent = parent
        self.children: dict[str, Component] = {}
        self.ports: dict[str, Port] = {}
        if parent is None:
            return
        if name in parent.children:
            raise SimulationError(f"{parent.path} has a part '{name}' already: give another name")
        parent.children[name] = self

    @property
    def path(self) -> str:
        """Names from the whole to this part, such as "chip0/cores/matrix"."""
        return self.name if self.parent is None else f"{self.parent.path}/{self.name}"

    def port(self, name: str, capacity: int = 1) -> Port:
        """Add a port.

        Parameters
        ----------
        name : str
        capacity : int
            Messages that its inbox has room for, positive.

        Raises
        ------
        SimulationError
            If the name is taken or malformed, or there is no room.
        """
        if name in self.ports:
            raise SimulationError(f"{self.path} has a port '{name}' already: give another name")
        made = self.ports[name] = Port(self, _plain(name, "port"), capacity)
        return made


class Port:
    """A named end of a component, with an inbox of bounded room.

    Made by `Component.port`, joined to another by `connect`.

    Notes
    -----
    A message takes its place in the inbox when it leaves, not when it arrives, so that none is ever
    lost. The news that a place is free needs no time. Messages, senders and receivers keep their
    order.
    """

    def __init__(self, component: Component, name: str, capacity: int) -> None:
        if capacity < 1:
            raise SimulationError(
                f"port {component.path}.{name}: room for {capacity} messages, expected 1 or more"
            )
        self.component = component
        self.path = f"{component.path}.{name}"
        self.capacity = capacity
        self._sim = component.sim
        self._free = capacity
        self._inbox: deque[Any] = deque()
        self._receivers: deque[Event] = deque()
        self._senders: deque[tuple[Any, Event]] = deque()
        self._peer: Port | None = None
        self._latency_ps = 0

    @property
    def peer(self) -> Port:
        """The other end.

        Raises
        ------
        SimulationError
            If there is none.
        """
        if self._peer is None:
            raise SimulationError(f"port {self.path} is not connected: use connect(a, b)")
        return self._peer

    def send(self, message: Any) -> Event:
        """Send as soon as the other end has room; the event is the moment at which it leaves."""
        peer = self.peer
        event = self._sim.event(f"{self.path}: room at {peer.path}")
        self._senders.append((message, event))
        if peer._free:
            self._depart()
        return event

    def receive(self) -> Event:
        """Take the next message; the event is that moment, and its value the message."""
        event = self._sim.event(f"{self.path}: a message from {self.peer.path}")
        self._receivers.append(event)
        if self._inbox:
            self._hand_over()
        return event

    def _depart(self) -> None:
        """Let the first message leave. There is room for it."""
        peer = self.peer
        message, event = self._senders.popleft()
        peer._free -= 1
        event.succeed()
        if self._latency_ps:
            self._sim.env.call(lambda _: peer._arrive(message), self._latency_ps)
        else:
            peer._arrive(message)

    def _arrive(self, message: Any) -> None:
        self._inbox.append(message)
        if self._receivers:
            self._hand_over()

    def _hand_over(self) -> None:
        """Give the first message to the first receiver, and its place to who waits for it."""
        self._receivers.popleft().succeed(self._inbox.popleft())
        self._free += 1
        if self.peer._senders:
            self.peer._depart()


def connect(a: Port, b: Port, latency_ps: int = 0) -> None:
    """Join two ports, both ways.

    Parameters
    ----------
    a, b : Port
    latency_ps : int
        From leaving one to lying in the inbox of the other [ps].

    Raises
    ------
    SimulationError
        If one is connected already, they are the same, or the latency is negative.
    """
    if a is b:
        raise SimulationError(f"port {a.path} cannot be connected to itself")
    if latency_ps < 0:
        raise SimulationError(
            f"{a.path} to {b.path}: latency is {latency_ps} ps, expected 0 or more"
        )
    for port, peer in ((a, b), (b, a)):
        if port._peer is not None:
            raise SimulationError(
                f"port {port.path} is connected to {port._peer.path} already, so not to {peer.path}"
            )
    a._peer, b._peer = b, a
    a._latency_ps = b._latency_ps = latency_ps


def _plain(name: str, kind: str) -> str:
    if not name or "/" in name or "." in name:
        raise SimulationError(f"{kind} '{name}': expected a name without '/' and '.'")
    return name
