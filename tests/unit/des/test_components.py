"""Do messages arrive in order, wait for room, and do blocked ends say who they are?"""

from __future__ import annotations

import pytest

from accelsim.des.components import Component, Port, connect
from accelsim.des.simulation import Simulation, Steps
from accelsim.errors import SimulationError
from tests.unit.des.logbook import Log


def two_ports(sim: Simulation, capacity: int = 1, latency_ps: int = 0) -> tuple[Port, Port]:
    chip = Component(sim, "chip0")
    out = Component(sim, "dma", chip).port("out")
    into = Component(sim, "matrix", chip).port("in", capacity)
    connect(out, into, latency_ps)
    return out, into


def sender(sim: Simulation, log: Log, port: Port, count: int) -> Steps:
    for i in range(count):
        yield port.send(i)
        log.append((f"sent {i}", sim.now_ps))


def receiver(sim: Simulation, log: Log, port: Port, count: int, pause_ps: int) -> Steps:
    for _ in range(count):
        message = yield port.receive()
        log.append((f"got {message}", sim.now_ps))
        yield sim.timeout(pause_ps)


def test_paths() -> None:
    sim = Simulation()
    chip = Component(sim, "chip0")
    cores = Component(sim, "cores", chip)
    matrix = Component(sim, "matrix", cores)
    port = matrix.port("in", 2)
    assert (matrix.path, port.path) == ("chip0/cores/matrix", "chip0/cores/matrix.in")
    assert chip.children["cores"].children == {"matrix": matrix}
    assert matrix.ports == {"in": port}


def test_a_sender_waits_for_room() -> None:
    sim, log = Simulation(), []
    out, into = two_ports(sim)
    sim.start("send", sender(sim, log, out, 4))
    sim.start("receive", receiver(sim, log, into, 4, 10))
    sim.run()
    # One message is with the receiver, one in the inbox.
    assert log == [
        ("sent 0", 0), ("got 0", 0), ("sent 1", 0),
        ("got 1", 10), ("sent 2", 10), ("got 2", 20), ("sent 3", 20), ("got 3", 30),
    ]  # fmt: skip


def test_latency_counts_and_messages_under_way_hold_their_places() -> None:
    sim, log = Simulation(), []
    out, into = two_ports(sim, capacity=2, latency_ps=100)
    sim.start("send", sender(sim, log, out, 4))
    sim.start("receive", receiver(sim, log, into, 4, 0))
    sim.run()
    assert sorted(log, key=lambda entry: entry[1]) == [
        ("sent 0", 0), ("sent 1", 0),
        ("got 0", 100), ("sent 2", 100), ("got 1", 100), ("sent 3", 100),
        ("got 2", 200), ("got 3", 200),
    ]  # fmt: skip


def test_both_ways_and_several_receivers_in_order() -> None:
    sim, log = Simulation(), []
    a, b = two_ports(sim, latency_ps=5)

    def server() -> Steps:
        while True:
            message = yield b.receive()
            yield sim.timeout(10)
            yield b.send(f"answer to {message}")

    sim.start("server", server(), endless=True)
    sim.start("first", receiver(sim, log, a, 1, 0))
    sim.start("second", receiver(sim, log, a, 1, 0))
    sim.start("client", sender(sim, log, a, 2))
    assert sim.run() == 30
    assert log == [
        ("sent 0", 0), ("sent 1", 5), ("got answer to 0", 20), ("got answer to 1", 30)
    ]  # fmt: skip


def test_blocked_ends_are_named() -> None:
    sim, log = Simulation(), []
    out, into = two_ports(sim)
    sim.start("copy", sender(sim, log, out, 2))
    sim.start("listen", receiver(sim, log, out, 1, 0))
    with pytest.raises(SimulationError) as error:
        sim.run()
    assert str(error.value) == (
        "deadlock at 0 ps: nothing is left to happen, but "
        "copy waits for chip0/dma.out: room at chip0/matrix.in; "
        "listen waits for chip0/dma.out: a message from chip0/matrix.in"
    )
    assert into.path == "chip0/matrix.in"


def test_mistakes_in_building() -> None:
    sim = Simulation()
    chip = Component(sim, "chip0")
    dma = Component(sim, "dma", chip)
    out, spare = dma.port("out"), dma.port("spare")
    other = Component(sim, "matrix", chip).port("in")
    connect(out, other)
    for build, words in (
        (lambda: Component(sim, "dma", chip), "chip0 has a part 'dma' already"),
        (lambda: Component(sim, "a/b"), "component 'a/b': expected a name without '/' and '.'"),
        (lambda: dma.port("out"), "chip0/dma has a port 'out' already"),
        (lambda: dma.port(""), "port ''"),
        (lambda: dma.port("none", 0), "port chip0/dma.none: room for 0 messages"),
        (lambda: spare.send(1), "port chip0/dma.spare is not connected"),
        (lambda: connect(spare, spare), "cannot be connected to itself"),
        (lambda: connect(spare, out), "chip0/dma.out is connected to chip0/matrix.in already"),
        (lambda: connect(spare, out, -1), "latency is -1 ps"),
    ):
        with pytest.raises(SimulationError, match=words):
            build()
    assert set(dma.ports) == {"out", "spare"}
    with pytest.raises(SimulationError, match="not connected"):
        spare.send(1)
