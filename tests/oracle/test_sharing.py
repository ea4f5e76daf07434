"""Does the shared bandwidth of the simulator end transfers when exact arithmetic says so?"""

from __future__ import annotations

import math
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.des.bandwidth import Flow, SharedBandwidth
from accelsim.des.fair_share import Demand, max_min_rates
from accelsim.des.simulation import Simulation, Steps
from tests.oracle.naive_sharing import Transfer, Way, ends, fair_rates

NAMES = ("hbm", "l2", "noc", "link")
ratios = st.sampled_from([Fraction(n, d) for n in (1, 2, 3, 5) for d in (1, 2, 3, 4)])
capacities = st.fixed_dictionaries(dict.fromkeys(NAMES, ratios))
ways = st.builds(
    Way,
    st.dictionaries(st.sampled_from(NAMES), ratios, min_size=1, max_size=4),
    st.none() | ratios,
    st.just(Fraction(1)) | ratios,
)


def test_the_twin_knows_a_case_by_hand() -> None:
    # Two on one resource, the second half way: 1/2 + 1/2 at half rate, then the rest alone.
    way, one = Way({"hbm": Fraction(1)}), Fraction(1)
    transfers = [Transfer(Fraction(0), one, way), Transfer(one / 2, one, way)]
    assert ends(transfers, {"hbm": one}) == [Fraction(3, 2), Fraction(2)]


@given(st.lists(ways, max_size=8), capacities)
@settings(max_examples=300)
def test_rates(mix: list[Way], capacity: dict[str, Fraction]) -> None:
    demands = [
        Demand(
            math.inf if way.limit is None else float(way.limit),
            {name: float(share) for name, share in way.takes.items()},
            weight=float(way.weight),
        )
        for way in mix
    ]
    rates, limits = max_min_rates(demands, {name: float(c) for name, c in capacity.items()})
    exact = fair_rates(mix, capacity)
    for way, rate, limit, expected in zip(mix, rates, limits, exact, strict=True):
        assert math.isclose(rate, expected, rel_tol=1e-9)
        assert limit in way.takes or (limit == "" and expected == way.limit)


@given(st.lists(st.tuples(ways, st.integers(1, 5)), max_size=5), capacities)
def test_equal_flows_in_one_demand(
    groups: list[tuple[Way, int]], capacity: dict[str, Fraction]
) -> None:
    rooms = {name: float(c) for name, c in capacity.items()}
    together = [
        Demand(
            float(way.limit or math.inf),
            {n: float(s) for n, s in way.takes.items()},
            count,
            weight=float(way.weight),
        )
        for way, count in groups
    ]
    apart = [demand._replace(flows=1) for demand in together for _ in range(demand.flows)]
    rates = iter(max_min_rates(apart, rooms)[0])
    for demand, rate in zip(together, max_min_rates(together, rooms)[0], strict=True):
        assert all(math.isclose(next(rates), rate, rel_tol=1e-9) for _ in range(demand.flows))


def simulated(transfers: list[Transfer], capacity: dict[str, Fraction]) -> list[int]:
    """Ends by the simulator [ps], for capacities in B/ps."""
    sim = Simulation()
    chip = SharedBandwidth(sim, "chip")
    made = {name: chip.resource(name, float(rate) * 1e12) for name, rate in capacity.items()}
    found: dict[int, int] = {}

    def one(i: int, transfer: Transfer) -> Steps:
        way = transfer.way
        limit = math.inf if way.limit is None else float(way.limit) * 1e12
        takes = {made[name]: float(share) for name, share in way.takes.items()}
        route = chip.route(f"{i}", takes, limit, weight=float(way.weight))
        yield sim.timeout(int(transfer.start))
        flow: Flow = yield chip.transfer(route, float(transfer.size))
        found[i] = flow.end_ps

    for i, transfer in enumerate(transfers):
        sim.start(f"{i}", one(i, transfer))
    sim.run()
    assert sim.now_ps == max(found.values(), default=0)
    return [found[i] for i in range(len(transfers))]


def agree(transfers: list[Transfer], capacity: dict[str, Fraction]) -> None:
    exact = ends(transfers, capacity)
    for end, expected in zip(simulated(transfers, capacity), exact, strict=True):
        assert 0 <= end - math.ceil(expected - ROUNDING_PS) <= 1
        assert end - expected < 1 + ROUNDING_PS


ROUNDING_PS = 0.01  # of 1e-3 per step, and of floats after 1e9 ps
large = st.integers(0, 10**9).map(Fraction)
small = st.integers(0, 60).map(Fraction)


@given(st.lists(st.builds(Transfer, large, large, ways), max_size=6), capacities)
@settings(max_examples=100)
def test_ends(transfers: list[Transfer], capacity: dict[str, Fraction]) -> None:
    agree(transfers, capacity)


@given(st.lists(st.builds(Transfer, small, small, ways), max_size=4), capacities)
@settings(max_examples=300)
def test_ends_of_crowds_of_tiny_transfers(
    transfers: list[Transfer], capacity: dict[str, Fraction]
) -> None:
    agree(transfers, capacity)


@given(st.lists(st.tuples(small, large), min_size=1, max_size=12), ratios)
def test_many_on_one_route(jobs: list[tuple[Fraction, Fraction]], rate: Fraction) -> None:
    way = Way({"hbm": Fraction(1)})
    agree([Transfer(start, size, way) for start, size in jobs], {"hbm": rate})
