"""The network between chips: a collective starts when the requests of all its members are there.

Chips talk to it through ports. What happens on the wires afterwards is a latency and a flow on the
links of each chip (`accelsim.network.collectives`); a model of messages would take its place here.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

from accelsim.des.components import Component, Port, connect
from accelsim.des.simulation import Event, Simulation, Steps


class Request(NamedTuple):
    """A chip is ready for a collective.

    Attributes
    ----------
    key : hashable
        The same for all members.
    started : Event
        Triggered when all members are ready.
    """

    key: Hashable
    started: Event


class Network:
    """Joins the chips that run a program together.

    Parameters
    ----------
    sim : Simulation
    name : str
    members : int
        Chips that are simulated.
    """

    def __init__(self, sim: Simulation, name: str, members: int) -> None:
        self._sim = sim
        self._members = members
        self._component = Component(sim, name)
        self._waiting: dict[Hashable, list[Event]] = {}

    def port_for(self, chip: Component) -> Port:
        """Connect a chip; return the port through which it sends requests."""
        inside = self._component.port(f"to {chip.name}")
        outside = chip.port(f"to {self._component.name}")
        connect(outside, inside)
        self._sim.start(inside.path, self._serve(inside), endless=True)
        return outside

    def _serve(self, port: Port) -> Steps:
        """Take requests from one chip; the last of a collective starts it for all."""
        while True:
            request: Request = yield port.receive()
            waiting = self._waiting.setdefault(request.key, [])
            waiting.append(request.started)
            if len(waiting) == self._members:
                for started in self._waiting.pop(request.key):
                    started.succeed()
