"""Bytes are conserved, nothing idles that is wanted, and who comes on top slows, never speeds."""

from __future__ import annotations

import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from accelsim.des.bandwidth import Flow, SharedBandwidth
from accelsim.des.simulation import Simulation, Steps
from accelsim.des.tracer import Recorder

# start [ps], size [B], own limit [B/ps]
Job = tuple[int, float, float]
jobs = st.tuples(
    st.integers(0, 3000), st.floats(0.0, 4000.0), st.just(math.inf) | st.floats(0.05, 3.0)
)
rates = st.floats(0.1, 10.0)
shares = st.dictionaries(st.sampled_from(("hbm", "l2", "link")), st.floats(0.1, 5.0), min_size=1)


class Machine:
    """Resources by name [B/ps], on which flows are let loose and remembered."""

    def __init__(self, **bytes_per_ps: float) -> None:
        self.recorder = Recorder()
        self.sim = Simulation(tracer=self.recorder)
        self.chip = SharedBandwidth(self.sim, "chip")
        self.parts = {
            name: self.chip.resource(name, rate * 1e12) for name, rate in bytes_per_ps.items()
        }
        self.flows: dict[int, Flow] = {}

    def add(self, job: Job, takes: dict[str, float]) -> None:
        start_ps, size_bytes, limit = job
        number = len(self.flows)
        named = {self.parts[name]: share for name, share in takes.items()}
        route = self.chip.route(f"{number}", named, limit * 1e12)

        def steps() -> Steps:
            yield self.sim.timeout(start_ps)
            self.flows[number] = yield self.chip.transfer(route, size_bytes)

        self.flows[number] = Flow(route, size_bytes, start_ps, self.sim.event("start"))
        self.sim.start(f"{number}", steps())


def ends(bytes_per_ps: float, crowd: list[Job]) -> list[int]:
    machine = Machine(hbm=bytes_per_ps)
    for job in crowd:
        machine.add(job, {"hbm": 1.0})
    machine.sim.run()
    return [flow.end_ps for flow in machine.flows.values()]


@given(st.lists(st.tuples(jobs, shares), max_size=8), rates, rates, rates)
def test_bytes_are_conserved_and_capacities_hold(
    crowd: list[tuple[Job, dict[str, float]]], hbm: float, l2: float, link: float
) -> None:
    machine = Machine(hbm=hbm, l2=l2, link=link)
    for job, takes in crowd:
        machine.add(job, takes)
    end_ps = machine.sim.run()
    for name, part in machine.parts.items():
        wanted = math.fsum(job[1] * takes.get(name, 0.0) for job, takes in crowd)
        assert math.isclose(part.moved_bytes, wanted, rel_tol=1e-9)
        uses = [(s.time_ps, s.value) for s in machine.recorder.samples if s.counter == name]
        assert all(0.0 <= use <= 1.0 + 1e-9 for _, use in uses)
        moved = sum(
            use * (then - now) for (now, use), (then, _) in pairwise([*uses, (end_ps, 0.0)])
        )
        # Counters change at whole picoseconds, at most one later than the flows do.
        slack_bytes = (2 * len(crowd) + 1) * part.bytes_per_s * 1e-12
        assert abs(moved * part.bytes_per_s * 1e-12 - wanted) <= slack_bytes
    for (job, takes), flow in zip(crowd, machine.flows.values(), strict=True):
        alone = max([job[1] / job[2]] + [
            job[1] * share * 1e12 / machine.parts[name].bytes_per_s for name, share in takes.items()
        ])  # fmt: skip
        took = flow.end_ps - flow.start_ps
        assert took >= alone * (1 - 1e-9) - 0.01
        slowed = math.fsum(flow.slowed_ps.values())
        assert -0.01 <= slowed <= took * (1 + 1e-9) + 0.01


@given(st.lists(st.tuples(st.integers(0, 3000), st.floats(1.0, 4000.0)), min_size=1), rates)
def test_it_never_idles_while_somebody_wants_it(
    crowd: list[tuple[int, float]], rate: float
) -> None:
    """The last end is that of a single queue: who shares how does not matter to the whole."""
    free_at = 0.0
    for start_ps, size_bytes in sorted(crowd):
        free_at = max(free_at, start_ps) + size_bytes / rate
    found = max(ends(rate, [(start, size, math.inf) for start, size in crowd]))
    assert free_at - 0.01 <= found < free_at + 1.01


@given(st.lists(jobs, min_size=1, max_size=8), jobs, rates)
def test_a_competitor_makes_nobody_faster(crowd: list[Job], more: Job, rate: float) -> None:
    without, with_it = ends(rate, crowd), ends(rate, [*crowd, more])
    assert all(late >= early for early, late in zip(without, with_it, strict=False))


@given(st.lists(jobs, min_size=1, max_size=8), rates, st.floats(1.0, 4.0))
def test_more_capacity_makes_nobody_slower(crowd: list[Job], rate: float, factor: float) -> None:
    slow, fast = ends(rate, crowd), ends(rate * factor, crowd)
    assert all(early <= late for early, late in zip(fast, slow, strict=True))


@given(st.lists(jobs, min_size=1, max_size=8), rates)
def test_the_same_run_gives_the_same_samples(crowd: list[Job], rate: float) -> None:
    told = []
    for _ in range(2):
        machine = Machine(hbm=rate)
        for job in crowd:
            machine.add(job, {"hbm": 1.0})
        machine.sim.run()
        told.append(machine.recorder.samples)
    assert told[0] == told[1]
