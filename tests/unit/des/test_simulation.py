"""Do processes run in order, is a deadlock told in words, and is the same seed the same run?"""

from __future__ import annotations

import random

import numpy as np
import pytest
from simpy.events import Event

from accelsim.des.buffers import ByteStore, Tokens
from accelsim.des.servers import FifoServer
from accelsim.des.simulation import Simulation, Steps
from accelsim.des.tracer import SILENT, Recorder, Span
from accelsim.errors import SimulationError
from accelsim.units import to_ps
from tests.unit.des.logbook import Log, after


def clock(sim: Simulation, log: Log, name: str, tick_ps: int, ticks: int) -> Steps:
    for _ in range(ticks):
        log.append((name, sim.now_ps))
        yield sim.timeout(tick_ps)


def test_two_clocks() -> None:
    sim, log = Simulation(), []
    sim.start("fast", clock(sim, log, "fast", 500, 4))
    sim.start("slow", clock(sim, log, "slow", 1000, 2))
    assert sim.run() == 2000
    # At 1000 the slow one, which planned it first, goes first.
    assert log == [
        ("fast", 0), ("slow", 0), ("fast", 500), ("slow", 1000), ("fast", 1000), ("fast", 1500)
    ]  # fmt: skip


def test_run_until_a_time_and_then_on() -> None:
    sim, log = Simulation(), []
    sim.start("clock", clock(sim, log, "tick", 10, 4))
    assert sim.run(until_ps=20) == 20
    assert log == [("tick", 0), ("tick", 10)]  # what happens at 20 has not happened yet
    assert sim.run(until_ps=25) == 25
    assert log[2:] == [("tick", 20)]
    assert sim.run() == 40
    assert log[3:] == [("tick", 30)]
    assert sim.run(until_ps=100) == 100


@pytest.mark.parametrize("until_ps", [5, 10])
def test_time_does_not_run_back(until_ps: int) -> None:
    sim = Simulation()
    sim.run(until_ps=10)
    with pytest.raises(SimulationError, match=f"run until {until_ps} ps, but it is 10 ps"):
        sim.run(until_ps=until_ps)


def test_a_delay_is_not_negative() -> None:
    with pytest.raises(SimulationError, match="a timeout takes -1 ps, expected 0 or more"):
        Simulation().timeout(-1)


def test_time_stays_an_integer_of_python() -> None:
    sim = Simulation()
    sim.timeout(np.int64(2**62))
    sim.run()
    sim.timeout(np.int64(2**62))
    assert sim.run() == 2**63
    with pytest.raises(SimulationError, match="expected a whole number"):
        sim.timeout(0.5)  # type: ignore[arg-type]


def test_to_ps_rounds_to_the_nearest() -> None:
    assert [to_ps(s) for s in (0.0, 1.0, 1.4e-12, 1.6e-12)] == [0, 10**12, 1, 2]


def test_a_failed_process_raises_its_own_error() -> None:
    class TwoPartsError(Exception):
        def __init__(self, first: str, second: str) -> None:
            super().__init__(f"{first} {second}")

    def fails(sim: Simulation) -> Steps:
        yield sim.timeout(1)
        raise TwoPartsError("bad", "tile")

    sim = Simulation()
    sim.start("fails", fails(sim))
    with pytest.raises(TwoPartsError, match="bad tile"):
        sim.run()


def waits(*events: Event) -> Steps:
    yield from events


def test_a_deadlock_names_who_waits_for_what() -> None:
    sim = Simulation()
    free, store = Tokens(sim, "a free slot"), ByteStore(sim, "scratch", 100)
    store.allocate("tile 0", 80)
    sim.start("load", waits(sim.timeout(30), free.wait()))
    sim.start("allocate", waits(store.allocate("tile 1", 30)))
    sim.start("done", waits(sim.timeout(40)))
    both = sim.env.all_of([sim.event("weights"), sim.timeout(1), sim.event("inputs")])
    either = sim.env.any_of([sim.event("a token"), sim.event("the end")])
    first = sim.start("compute", waits(both))
    sim.start("next", waits(first))
    sim.start("serve", waits(either))
    store.free("tile 0", 5)  # still too little, and the report has to know
    with pytest.raises(SimulationError) as error:
        sim.run()
    assert str(error.value) == (
        "deadlock at 40 ps: nothing is left to happen, but load waits for a free slot; "
        "allocate waits for 30 B of scratch (held: 75 B by tile 0); "
        "compute waits for weights and inputs; next waits for the end of compute; "
        "serve waits for a token or the end"
    )


def test_a_long_report_is_cut() -> None:
    sim = Simulation()
    for i in range(11):
        sim.start(f"p{i}", waits(sim.event("rain")))
    with pytest.raises(SimulationError, match=r"p7 waits for rain; and 3 more$"):
        sim.run()


def test_a_deadlock_is_seen_when_time_is_limited() -> None:
    sim = Simulation()
    sim.start("p", waits(sim.timeout(10), sim.event("rain")))
    assert sim.run(until_ps=10) == 10
    with pytest.raises(SimulationError, match="p waits for rain"):
        sim.run(until_ps=20)


def test_who_serves_forever_is_not_blocked() -> None:
    sim = Simulation()
    sim.start("server", waits(sim.timeout(7), sim.event("a request")), endless=True)
    assert sim.run() == 7
    sim.start("client", waits(sim.event("an answer")))
    with pytest.raises(SimulationError, match=r"but client waits for an answer$"):
        sim.run()


def test_ended_processes_are_forgotten() -> None:
    sim = Simulation()

    def starts_many() -> Steps:
        for i in range(5000):
            sim.start(f"p{i}", waits(sim.timeout(1)))
            yield sim.timeout(2)

    sim.start("all", starts_many())
    sim.run()
    assert len(sim._processes) < 1100


def spans_of(seed: int) -> list[Span]:
    """Three clients that work on one server for random times."""
    recorder = Recorder()
    sim = Simulation(seed, recorder)
    server = FifoServer(sim, "matrix")

    def client(name: str) -> Steps:
        rng = sim.random(name)
        for i in range(20):
            yield sim.timeout(rng.randrange(100))
            yield server.serve(rng.randrange(50), f"{name} {i}")

    for name in ("a", "b", "c"):
        sim.start(name, client(name))
    sim.run()
    return recorder.spans


def test_same_seed_same_spans() -> None:
    assert spans_of(1) == spans_of(1)
    assert spans_of(1) != spans_of(2)


def test_random_streams_do_not_depend_on_each_other() -> None:
    sim = Simulation(seed=3)
    alone = [sim.random("failures").random() for _ in range(1)]
    other = sim.random("arrivals")
    mixed = sim.random("failures")
    other.random()
    assert [mixed.random()] == alone
    assert other.random() != sim.random("failures").random()
    random.seed(0)  # nor on the generator that all of Python shares
    assert [sim.random("failures").random()] == alone


def test_nobody_is_told_by_default() -> None:
    sim = Simulation()
    assert sim.tracer is SILENT
    FifoServer(sim, "matrix").serve(5, "tile")
    ByteStore(sim, "scratch", 10).allocate("tile", 5)
    assert sim.run() == 5


def test_a_simulation_in_its_parts_is_the_same() -> None:
    whole, parts = Simulation(), Simulation()
    logs: list[Log] = [[], []]
    for sim, log in zip((whole, parts), logs, strict=True):
        for i in range(3):
            steps = clock(sim, log, f"c{i}", 7 + i, 9)
            sim.start(f"c{i}", after(sim, i, steps))
    whole.run()
    for until_ps in range(1, 90, 3):
        parts.run(until_ps)
    parts.run()
    assert logs[0] == logs[1]


def test_mistakes_of_beginners_are_told_in_words() -> None:
    sim = Simulation()

    def steps() -> Steps:
        yield sim.timeout(1)

    with pytest.raises(SimulationError, match=r"p: expected a generator .* call the function"):
        sim.start("p", steps)  # type: ignore[arg-type]
    with pytest.raises(SimulationError, match=r"a timeout takes 2\.5 ps, expected a whole number"):
        sim.timeout(2.5)  # type: ignore[arg-type]
    with pytest.raises(SimulationError, match=r"tile takes 2\.5 ps on array, expected a whole"):
        FifoServer(sim, "array").serve(2.5, "tile")  # type: ignore[arg-type]
