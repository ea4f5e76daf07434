"""Load, compute, store: what do two and three buffers hide?

Every tile: load 100 ps, compute 80 ps, store 40 ps. A memory moves one byte in a picosecond; loads
and stores share it, or have one each.
"""

from __future__ import annotations

import pytest

from accelsim.des.bandwidth import SharedBandwidth
from accelsim.des.buffers import ByteStore, Tokens
from accelsim.des.servers import FifoServer
from accelsim.des.simulation import Simulation, Steps
from accelsim.des.tracer import Recorder
from tests.unit.des.logbook import Log


def pipeline(buffers: int, tiles: int, sizes: tuple[int, int, int], memories: int = 1) -> Log:
    """Ends of all steps of all tiles; loads and stores have a memory each if there are two."""
    load_bytes, compute_ps, store_bytes = sizes
    sim, log = Simulation(), []
    chip = SharedBandwidth(sim, "chip")
    ports = [chip.resource(f"hbm{i}", 1e12) for i in range(memories)]
    loads, stores = chip.route("load", {ports[0]: 1.0}), chip.route("store", {ports[-1]: 1.0})
    matrix = FifoServer(sim, "matrix")
    free, loaded = Tokens(sim, "a free buffer", buffers), Tokens(sim, "a loaded tile")
    computed = Tokens(sim, "a computed tile")

    def load() -> Steps:
        for i in range(tiles):
            yield free.wait()
            yield chip.transfer(loads, load_bytes)
            log.append((f"load {i}", sim.now_ps))
            loaded.give()

    def compute() -> Steps:
        for i in range(tiles):
            yield loaded.wait()
            yield matrix.serve(compute_ps, f"tile {i}")
            log.append((f"compute {i}", sim.now_ps))
            computed.give()

    def store() -> Steps:
        for i in range(tiles):
            yield computed.wait()
            yield chip.transfer(stores, store_bytes)
            log.append((f"store {i}", sim.now_ps))
            free.give()

    for steps in (load, compute, store):
        sim.start(steps.__name__, steps())
    sim.run()
    return log


def test_one_buffer_hides_nothing() -> None:
    log = pipeline(1, 3, (100, 80, 40))
    assert log == [
        ("load 0", 100), ("compute 0", 180), ("store 0", 220),
        ("load 1", 320), ("compute 1", 400), ("store 1", 440),
        ("load 2", 540), ("compute 2", 620), ("store 2", 660),
    ]  # fmt: skip


def test_two_buffers_with_a_memory_for_each_direction() -> None:
    # A buffer is held for 220, and there are two: a tile every 110 but for waiting on each other.
    log = pipeline(2, 4, (100, 80, 40), memories=2)
    assert log == [
        ("load 0", 100), ("compute 0", 180), ("load 1", 200), ("store 0", 220),
        ("compute 1", 280), ("load 2", 320), ("store 1", 320),
        ("compute 2", 400), ("load 3", 420), ("store 2", 440),
        ("compute 3", 500), ("store 3", 540),
    ]  # fmt: skip


def test_three_buffers_reach_the_slowest_step() -> None:
    log = pipeline(3, 5, (100, 80, 40), memories=2)
    loads = [time for name, time in log if name.startswith("load")]
    assert loads == [100, 200, 300, 400, 500]
    assert log[-1] == ("store 4", 500 + 80 + 40)


def test_three_buffers_on_one_memory() -> None:
    # Loads and stores share the memory: 140 bytes for a tile, so no tile in less than 140 ps.
    log = pipeline(3, 4, (100, 80, 40))
    assert log == [
        ("load 0", 100),
        ("compute 0", 180),
        # load 1 has 80 of 100; store 0 joins: 20 left take 40, then store 0 and load 2 share.
        ("load 1", 220),
        ("store 0", 260),  # 20 by 220, the other 20 at half
        ("compute 1", 300),
        # load 2: 20 by 260, 40 by 300, then half: 40 left take 80, with store 1.
        ("load 2", 380), ("store 1", 380),  # load 2 started first
        ("compute 2", 460),
        # load 3: 80 by 460, 20 left take 40 beside store 2, which has 20 left.
        ("load 3", 500), ("store 2", 520),
        ("compute 3", 580), ("store 3", 620),
    ]  # fmt: skip


@pytest.mark.parametrize(("buffers", "period_ps"), [(1, 220), (2, 110), (3, 100), (4, 100)])
def test_the_period_by_the_number_of_buffers(buffers: int, period_ps: int) -> None:
    ends = [t for name, t in pipeline(buffers, 200, (100, 80, 40), 2) if name.startswith("store")]
    assert (ends[-1] - ends[99]) / 100 == period_ps


def test_a_scratchpad_as_buffers() -> None:
    """The same with bytes: an allocation per tile in a memory that holds two and a half."""
    recorder, log = Recorder(), []
    sim = Simulation(tracer=recorder)
    scratch = ByteStore(sim, "scratch", 250)
    matrix = FifoServer(sim, "matrix")
    loaded = Tokens(sim, "a loaded tile")

    def load() -> Steps:
        for i in range(3):
            yield scratch.allocate(f"tile {i}", 100)
            yield sim.timeout(50)
            log.append((f"load {i}", sim.now_ps))
            loaded.give()

    def compute() -> Steps:
        for i in range(3):
            yield loaded.wait()
            yield matrix.serve(80, f"tile {i}")
            scratch.free(f"tile {i}", 100)

    sim.start("load", load())
    sim.start("compute", compute())
    assert sim.run() == 290
    assert log == [("load 0", 50), ("load 1", 100), ("load 2", 180)]
    assert [(s.start_ps, s.end_ps) for s in recorder.spans] == [(50, 130), (130, 210), (210, 290)]
    assert scratch.most_bytes == 200
