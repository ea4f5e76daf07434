"""Are tokens and bytes handed out in order of asking, never more than there are?"""

from __future__ import annotations

import pytest

from accelsim.des.buffers import ByteStore, Tokens
from accelsim.des.simulation import Simulation, Steps
from accelsim.des.tracer import Recorder
from accelsim.errors import SimulationError
from tests.unit.des.logbook import noted


def test_tokens_go_to_who_has_waited_longest() -> None:
    sim, log = Simulation(), []
    slots = Tokens(sim, "a slot", 1)
    assert slots.take()
    assert not slots.take()
    for name in ("a", "b", "c"):
        noted(sim, log, name, slots.wait())

    def gives() -> Steps:
        for _ in range(4):
            yield sim.timeout(10)
            slots.give()

    sim.start("gives", gives())
    sim.run()
    assert log == [("a", 10), ("b", 20), ("c", 30)]
    assert slots.count == 1
    noted(sim, log, "d", slots.wait())
    sim.run()
    assert (log[3], slots.count) == (("d", 40), 0)


def test_a_token_given_to_who_waits_cannot_be_taken_by_another() -> None:
    sim = Simulation()
    slots = Tokens(sim, "a slot")
    slots.wait()
    slots.give()
    assert not slots.take()


def test_there_are_no_negative_tokens() -> None:
    with pytest.raises(SimulationError, match="a slot: -1 tokens, expected 0 or more"):
        Tokens(Simulation(), "a slot", -1)


def test_a_small_request_does_not_pass_a_large_one() -> None:
    recorder, log = Recorder(), []
    sim = Simulation(tracer=recorder)
    store = ByteStore(sim, "scratch", 100)

    def scenario() -> Steps:
        yield store.allocate("a", 60)
        noted(sim, log, "large", store.allocate("large", 80))
        noted(sim, log, "small", store.allocate("small", 10))  # would fit
        assert not store.try_allocate("small too", 1)
        yield sim.timeout(10)
        store.free("a", 30)
        yield sim.timeout(10)
        store.free("a", 30)
        yield sim.timeout(10)
        assert store.try_allocate("small too", 10)
        assert not store.try_allocate("more", 1)
        store.free("large", 80)

    sim.start("scenario", scenario())
    sim.run()
    assert log == [("large", 20), ("small", 20)]
    assert store.holders == {"small": 10, "small too": 10}
    assert (store.used_bytes, store.most_bytes) == (20, 100)
    used = {sample.time_ps: sample.value for sample in recorder.samples}
    assert used == {0: 60, 10: 30, 20: 90, 30: 20}


def test_a_holder_may_have_several_parts() -> None:
    store = ByteStore(Simulation(), "scratch", 100)
    assert store.try_allocate("a", 10)
    assert store.try_allocate("a", 20)
    store.free("a", 25)
    assert store.holders == {"a": 5}
    store.free("a", 5)
    assert (store.holders, store.used_bytes, store.most_bytes) == ({}, 0, 30)


def test_errors_name_the_store_and_the_holder() -> None:
    store = ByteStore(Simulation(), "scratch", 100)
    for ask, words in (
        (lambda: store.allocate("tile", 101), "tile asks for 101 B of scratch, which has 100 B"),
        (lambda: store.allocate("tile", -1), "tile asks for -1 B of scratch"),
        (lambda: store.try_allocate("tile", -1), "tile asks for -1 B of scratch"),
        (lambda: store.free("tile", 1), "tile frees 1 B of scratch but holds 0 B"),
        (lambda: store.free("tile", -1), "tile frees -1 B of scratch but holds 0 B"),
        (lambda: ByteStore(Simulation(), "none", 0), "none: capacity is 0 B, expected more than 0"),
    ):
        with pytest.raises(SimulationError, match=words):
            ask()
