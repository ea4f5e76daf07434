"""When do transfers end that share a memory, in cases that a pencil solves?

1e12 B/s is one byte in a picosecond, so that sizes are times.
"""

from __future__ import annotations

import gc
import math

import pytest

from accelsim.des.bandwidth import Flow, Route, SharedBandwidth, _Mix
from accelsim.des.simulation import Simulation, Steps
from accelsim.des.tracer import Recorder, Sample
from accelsim.errors import SimulationError
from tests.unit.des.logbook import Log

BYTE_PER_PS = 1e12


def memory(bytes_per_s: float = BYTE_PER_PS) -> tuple[Simulation, SharedBandwidth, Route]:
    sim = Simulation()
    chip = SharedBandwidth(sim, "chip")
    return sim, chip, chip.route("hbm stream", {chip.resource("hbm", bytes_per_s): 1.0})


def run(
    sim: Simulation, chip: SharedBandwidth, transfers: dict[str, tuple[int, float, Route]]
) -> Log:
    """Start each named transfer (start_ps, size_bytes, route); return the ends in order."""
    log: Log = []

    def one(name: str, start_ps: int, size_bytes: float, route: Route) -> Steps:
        yield sim.timeout(start_ps)
        flow = yield chip.transfer(route, size_bytes)
        assert (flow.start_ps, flow.end_ps) == (start_ps, sim.now_ps)
        log.append((name, sim.now_ps))

    for name, transfer in transfers.items():
        sim.start(name, one(name, *transfer))
    sim.run()
    return log


def test_alone() -> None:
    sim, chip, hbm = memory()
    assert run(sim, chip, {"a": (5, 1000, hbm)}) == [("a", 1005)]


def test_two_equal_streams_each_get_half() -> None:
    sim, chip, hbm = memory()
    assert run(sim, chip, {"a": (0, 1000, hbm), "b": (0, 1000, hbm)}) == [("a", 2000), ("b", 2000)]


def test_a_late_third() -> None:
    # Halves until 600: 300 done of each. Thirds: 700 left take 2100, until 2700. c has 200 left.
    sim, chip, hbm = memory()
    transfers = {"a": (0, 1000, hbm), "b": (0, 1000, hbm), "c": (600, 900, hbm)}
    assert run(sim, chip, transfers) == [("a", 2700), ("b", 2700), ("c", 2900)]


def test_ends_are_told_at_whole_picoseconds() -> None:
    sim, chip, hbm = memory(3e12)
    assert run(sim, chip, {"a": (0, 10, hbm), "b": (5, 9, hbm)}) == [("a", 4), ("b", 8)]


@pytest.mark.parametrize("started_first", ["b", "late"])
def test_an_end_that_is_told_late_slows_nobody(started_first: str) -> None:
    # 3 B/ps. All a's end at 5/3, told at 2; b has 5/2 by then and all of the rate from there on,
    # whoever is looked at first when something starts in the same picosecond.
    sim, chip, hbm = memory(3e12)
    transfers = {"a": (0, 2.5, hbm), "b": (0, 8.5, hbm), "late": (2, 6, hbm)}
    if started_first == "late":
        transfers = dict(reversed(transfers.items()))
    # b: 2.5 by 5/3, 1 more by 2, then 5 at 3/2 until 16/3. late: 5 by then, the last one alone.
    assert run(sim, chip, transfers) == [("a", 2), ("b", 6), ("late", 6)]


def test_a_flow_at_its_limit_leaves_its_rest() -> None:
    sim, chip, hbm = memory()
    slow = chip.route("slow", hbm.takes, limit_bytes_per_s=0.25 * BYTE_PER_PS)
    # 750 bytes at 3/4, then "capped" goes on alone at its limit.
    transfers = {"capped": (0, 500, slow), "open": (0, 750, hbm)}
    assert run(sim, chip, transfers) == [("open", 1000), ("capped", 2000)]


def test_two_resources() -> None:
    sim = Simulation()
    chip = SharedBandwidth(sim, "chip")
    hbm, link = chip.resource("hbm", 4 * BYTE_PER_PS), chip.resource("link", BYTE_PER_PS)
    near, far = chip.route("near", {hbm: 1.0}), chip.route("far", {hbm: 1.0, link: 1.0})
    # The link lets "far" have 1 of 4, "near" takes 3.
    transfers = {"near": (0, 3000, near), "far": (0, 2000, far)}
    assert run(sim, chip, transfers) == [("near", 1000), ("far", 2000)]
    assert (hbm.moved_bytes, link.moved_bytes) == (5000, 2000)


def test_through_l2_and_hbm() -> None:
    # Reads that hit twice: three bytes of L2 per byte of HBM. L2 6 B/ps, HBM 4 B/ps.
    sim = Simulation()
    chip = SharedBandwidth(sim, "chip")
    hbm, l2 = chip.resource("hbm", 4 * BYTE_PER_PS), chip.resource("l2", 6 * BYTE_PER_PS)
    load, store = chip.route("load", {hbm: 1.0, l2: 3.0}), chip.route("store", {hbm: 1.0})
    # Load alone: 2 B/ps by L2. With a store of HBM alone: 2 and 2, both full.
    transfers = {"load": (0, 4000, load), "store": (1000, 3000, store)}
    assert run(sim, chip, transfers) == [("load", 2000), ("store", 2250)]
    assert (hbm.moved_bytes, l2.moved_bytes) == (7000, 12000)


def test_nothing_takes_no_time() -> None:
    sim, chip, hbm = memory()
    assert run(sim, chip, {"a": (0, 100, hbm), "none": (50, 0, hbm)}) == [("none", 50), ("a", 100)]


def test_what_nothing_limits_takes_no_time() -> None:
    sim, chip, hbm = memory(math.inf)
    bare = chip.route("bare", {})
    assert run(sim, chip, {"a": (7, 1e30, hbm), "b": (7, 5, bare), "c": (8, 1, hbm)}) == [
        ("a", 7), ("b", 7), ("c", 8),
    ]  # fmt: skip


def test_equal_ends_come_in_the_order_of_starts() -> None:
    sim, chip, hbm = memory()
    other = chip.route("other", {next(iter(hbm.takes)): 1.0}, limit_bytes_per_s=BYTE_PER_PS)
    transfers = {f"{i}": (0, 100.0, (hbm, other)[i % 2]) for i in range(6)}
    assert run(sim, chip, transfers) == [(f"{i}", 600) for i in range(6)]


def test_a_transfer_that_starts_as_another_ends_does_not_slow_it() -> None:
    sim, chip, hbm = memory()
    transfers = {"next": (100, 50, hbm), "a": (0, 100, hbm)}
    assert run(sim, chip, transfers) == [("a", 100), ("next", 150)]


def test_what_an_end_sets_off_starts_in_the_same_instant() -> None:
    sim, chip, hbm = memory()
    log: Log = []

    def chain(name: str) -> Steps:
        for _ in range(3):
            yield chip.transfer(hbm, 100)
            log.append((name, sim.now_ps))

    sim.start("a", chain("a"))
    sim.start("b", chain("b"))
    sim.run()
    assert log == [(name, time) for time in (200, 400, 600) for name in ("a", "b")]


def test_a_rival_of_a_rival_makes_a_flow_faster() -> None:
    # At 10, "c" takes half of y, so "b" needs less of x, so "a" is faster than planned.
    sim = Simulation()
    chip = SharedBandwidth(sim, "chip")
    x, y = chip.resource("x", BYTE_PER_PS), chip.resource("y", 0.5 * BYTE_PER_PS)
    routes = [chip.route("a", {x: 1.0}), chip.route("b", {x: 1.0, y: 1.0}), chip.route("c", {y: 1})]
    transfers = {
        name: (start, size, route)
        for name, start, size, route in zip(
            "abc", (0, 0, 10), (1000, 200, 1000), routes, strict=True
        )
    }
    log = run(sim, chip, transfers)
    # b: 5 by 10, then 195 at 1/4 until 790. a: 5 by 10, then 3/4: 590 by 790, then alone 410.
    # c: 195 by 790, then at 1/2 805 more.
    assert log == [("b", 790), ("a", 1200), ("c", 2400)]
    assert sim.now_ps == 2400


def test_plans_that_were_given_up_are_gone() -> None:
    # While a long transfer runs, short ones move its end again and again.
    sim, chip, hbm = memory()
    chip.transfer(hbm, 1e9)
    for _ in range(1000):
        chip.transfer(hbm, 10)
        sim.run(sim.now_ps + 100)
        assert len(sim.env._queue) < 200
    assert sim.run() == 10**9 + 1000 * 10


def test_who_was_slowed_by_what() -> None:
    sim = Simulation()
    chip = SharedBandwidth(sim, "chip")
    hbm, link = chip.resource("hbm", 2.25 * BYTE_PER_PS), chip.resource("link", BYTE_PER_PS)
    far = chip.route("far", {hbm: 1.0, link: 1.0})
    near = chip.route("near", {hbm: 1.0}, limit_bytes_per_s=1.5 * BYTE_PER_PS)
    flows: list[Flow] = []

    def one(start_ps: int, route: Route, size_bytes: float) -> Steps:
        yield sim.timeout(start_ps)
        flows.append((yield chip.transfer(route, size_bytes)))

    sim.start("far", one(0, far, 1000))
    sim.start("again", one(500, far, 250))  # shares the link: 1/2 each
    sim.start("near", one(0, near, 3000))
    sim.run()
    again, first, alone = flows
    assert (again.end_ps, again.slowed_ps) == (1000, {"link": 500})
    assert (first.end_ps, first.slowed_ps) == (1250, {"link": 1250})
    # Until 1250 the rest of HBM is 1.25 B/ps; then its own limit of 1.5: 1437.5 in 958.3 ps.
    assert (alone.end_ps, alone.slowed_ps) == (1250 + 959, {"hbm": 1250})


def test_the_tracer_is_told_of_changes_only() -> None:
    recorder = Recorder()
    sim = Simulation(tracer=recorder)
    chip = SharedBandwidth(sim, "chip")
    hbm, l2 = chip.resource("hbm", BYTE_PER_PS), chip.resource("l2", 2 * BYTE_PER_PS)
    chip.resource("unused", math.inf)
    both, cached = chip.route("both", {hbm: 1.0, l2: 1.0}), chip.route("cached", {l2: 1.0})
    run(sim, chip, {"a": (10, 100, both), "b": (60, 25, cached), "c": (60, 25, cached)})
    # From 60: thirds of l2 would be 2/3 each, below what HBM allows.
    assert recorder.samples == [
        Sample("hbm", 10, 1.0), Sample("l2", 10, 0.5), Sample("unused", 10, 0.0),
        Sample("hbm", 60, pytest.approx(2 / 3)), Sample("l2", 60, pytest.approx(1.0)),
        Sample("hbm", 98, 1.0), Sample("l2", 98, 0.5),
        Sample("hbm", 123, 0.0), Sample("l2", 123, 0.0),
    ]  # fmt: skip


def test_rates_change_once_in_an_instant() -> None:
    # Between the end of one and the start of the next, the memory is not idle for a moment.
    recorder = Recorder()
    sim = Simulation(tracer=recorder)
    chip = SharedBandwidth(sim, "chip")
    hbm = chip.route("hbm", {chip.resource("hbm", BYTE_PER_PS): 1.0})

    def chain() -> Steps:
        for _ in range(3):
            yield chip.transfer(hbm, 100)
            yield sim.timeout(0)

    sim.start("chain", chain())
    sim.run()
    assert recorder.samples == [Sample("hbm", 0, 1.0), Sample("hbm", 300, 0.0)]


def test_long_and_busy_runs_do_not_drift() -> None:
    # A stream never ends while 20,000 short ones come and go on the same route.
    sim, chip, hbm = memory()
    count = 20_000
    log: Log = []

    def short() -> Steps:
        for _ in range(count):
            yield chip.transfer(hbm, 333.25)
            yield sim.timeout(0)

    def long() -> Steps:
        flow = yield chip.transfer(hbm, 333.25 * count + 20_000.0)
        log.append(("long", flow.end_ps))

    sim.start("long", long())
    sim.start("short", short())
    # Each short one takes 666.5 ps at half of the rate. The next starts at 667: for the half
    # picosecond between them the long one has all.
    assert sim.run() == log[0][1]
    done = count * (667 - 333.25)
    assert log[0][1] == count * 667 + math.ceil(333.25 * count + 20_000.0 - done)


def test_memory_stays_bounded() -> None:
    sim, chip, hbm = memory()
    store = next(iter(hbm.takes))
    for i in range(3000):  # equal routes are one lane, and sets of flows are forgotten in time
        chip.route(f"load {i}", {store: 1.0})
        odd = chip.route("odd", {store: 1.0 + i % 40})
        chip.transfer(odd, 100)
        chip.transfer(hbm, 10)
        sim.run(sim.now_ps + 7)
    assert len(chip._lanes) == 40
    assert len(chip._known) <= 1024
    gc.collect()
    assert sum(isinstance(thing, _Mix) for thing in gc.get_objects()) <= 2 * 1024
    sim.run()
    assert not chip._busy
    assert chip._mix.counts == 0
    assert len(sim.env._queue) == 0


def test_a_transfer_is_named_in_a_deadlock() -> None:
    _, chip, hbm = memory()
    assert chip.transfer(hbm, 10).reason == "hbm stream"


def test_mistakes() -> None:
    sim, chip, hbm = memory()
    store = next(iter(hbm.takes))
    other = SharedBandwidth(sim, "other")
    foreign = other.resource("hbm", 1.0)
    for ask, words in (
        (lambda: chip.resource("hbm", 1.0), "chip has a resource 'hbm' already"),
        (lambda: chip.resource("l2", 0.0), "capacity of 'l2' is 0.0 B/s"),
        (lambda: chip.resource("l2", math.nan), "capacity of 'l2' is nan B/s"),
        (
            lambda: chip.route("r", {store: 0.0}),
            "route r: expected positive shares, weight and limit, got hbm 0.0",
        ),
        (lambda: chip.route("r", {store: 1.0}, 0.0), "route r: .* got 0.0 B/s"),
        (lambda: chip.route("r", {foreign: 1.0}), "route r: chip did not make hbm"),
        (lambda: other.transfer(hbm, 1.0), "hbm stream: other did not make this route"),
        (lambda: chip.transfer(hbm, -1), "hbm stream: a transfer of -1 B"),
        (lambda: chip.transfer(hbm, math.inf), "a transfer of inf B"),
        (lambda: chip.transfer(hbm, math.nan), "a transfer of nan B"),
    ):
        with pytest.raises(SimulationError, match=words):
            ask()
