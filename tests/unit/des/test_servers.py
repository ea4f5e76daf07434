"""Who is served when: by arrival, by priority, and in a tie?"""

from __future__ import annotations

import numpy as np
import pytest

from accelsim.des.servers import FifoServer, PriorityServer
from accelsim.des.simulation import Simulation, Steps
from accelsim.des.tracer import Recorder, Span
from accelsim.errors import SimulationError
from tests.unit.des.logbook import Log, noted


def customer(sim: Simulation, log: Log, server: FifoServer, name: str, at_ps: int) -> Steps:
    yield sim.timeout(at_ps)
    yield server.serve(10, name)
    log.append((name, sim.now_ps))


def test_in_order_of_arrival() -> None:
    recorder, log = Recorder(), []
    sim = Simulation(tracer=recorder)
    server = FifoServer(sim, "matrix")
    # "tie" and "late" arrive together: who was started first is first.
    for name, at_ps in {"second": 3, "tie": 5, "late": 5, "rested": 50, "first": 0}.items():
        sim.start(name, customer(sim, log, server, name, at_ps))
    sim.run()
    assert log == [("first", 10), ("second", 20), ("tie", 30), ("late", 40), ("rested", 60)]
    assert recorder.spans == [
        Span("matrix", "first", 0, 10), Span("matrix", "second", 10, 20),
        Span("matrix", "tie", 20, 30), Span("matrix", "late", 30, 40),
        Span("matrix", "rested", 50, 60),
    ]  # fmt: skip
    assert (server.busy_ps, server.served) == (50, 5)
    assert server.waited_ps == (10 - 3) + (20 - 5) + (30 - 5)


def test_a_turn_can_be_reserved_without_waiting_for_it() -> None:
    sim = Simulation()
    server = FifoServer(sim, "host")
    assert [server.reserve(time, "launch") for time in (4, 0, 3)] == [4, 4, 7]
    assert server.free_at_ps == 7
    assert sim.run() == 0


def test_priority_then_arrival_and_no_interruption() -> None:
    recorder, log = Recorder(), []
    sim = Simulation(tracer=recorder)
    server = PriorityServer(sim, "dma")

    def arrivals() -> Steps:
        for name, priority in (("a", 5), ("b", 5), ("c", 5), ("d", 1)):
            noted(sim, log, name, server.serve(10, name, priority))
        yield sim.timeout(12)
        noted(sim, log, "e", server.serve(10, "e", 0))  # d is being served, and stays
        noted(sim, log, "f", server.serve(0, "f", 5))
        yield sim.timeout(88)
        noted(sim, log, "g", server.serve(1, "g", 9))

    sim.start("arrivals", arrivals())
    assert sim.run() == 101
    # a found the server free and began before d came.
    assert log == [
        ("a", 10), ("d", 20), ("e", 30), ("b", 40), ("c", 50), ("f", 50), ("g", 101)
    ]  # fmt: skip
    assert [span.label for span in recorder.spans] == ["a", "d", "e", "b", "c", "f", "g"]
    assert (server.busy_ps, server.served) == (51, 7)
    assert server.waited_ps == 30 + 40 + 10 + (20 - 12) + (50 - 12)


def test_service_takes_no_less_than_no_time() -> None:
    sim = Simulation()
    for server in (FifoServer(sim, "matrix"), PriorityServer(sim, "matrix")):
        with pytest.raises(SimulationError, match="tile takes -1 ps on matrix, expected 0 or more"):
            server.serve(-1, "tile")
        server.serve(np.int64(3), "tile")  # type: ignore[arg-type]
    assert type(sim.run()) is int


def test_a_visit_to_a_priority_server_is_named_in_a_deadlock() -> None:
    sim = Simulation()
    server = PriorityServer(sim, "dma")
    done = server.serve(10, "tile 3")
    assert done.reason == "tile 3 on dma"  # type: ignore[attr-defined]
