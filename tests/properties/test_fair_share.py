"""Is a share fair: nothing over capacity, nothing idle, nobody richer than one whom he holds up?"""

from __future__ import annotations

import math
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from accelsim.des.fair_share import OWN_LIMIT, Demand, max_min_rates

NAMES = ("hbm", "l2", "noc", "link")
amounts = st.floats(1e-3, 1e3)
rooms = st.fixed_dictionaries({name: st.floats(1.0, 1e13) for name in NAMES})
crowds = st.lists(
    st.builds(
        Demand,
        st.just(math.inf) | st.floats(1.0, 1e13),
        st.dictionaries(st.sampled_from(NAMES), amounts, min_size=1, max_size=4),
        st.integers(1, 4),
        st.just(0),
        st.just(1.0) | st.floats(0.01, 10.0),
    ),
    min_size=1,
    max_size=10,
)
CLOSE = 1e-9


def used(name: str, demands: Sequence[Demand], rates: Sequence[float]) -> float:
    return math.fsum(
        demand.takes.get(name, 0.0) * demand.flows * rate
        for demand, rate in zip(demands, rates, strict=True)
    )


@given(crowds, rooms)
def test_capacities_and_limits_hold(demands: list[Demand], capacity: dict[str, float]) -> None:
    rates, _ = max_min_rates(demands, capacity)
    for name, room in capacity.items():
        assert used(name, demands, rates) <= room * (1 + CLOSE)
    for demand, rate in zip(demands, rates, strict=True):
        assert 0.0 < rate <= demand.limit


@given(crowds, rooms)
def test_who_is_held_up_is_so_by_a_full_resource(
    demands: list[Demand], capacity: dict[str, float]
) -> None:
    rates, limits = max_min_rates(demands, capacity)
    for demand, rate, limit in zip(demands, rates, limits, strict=True):
        if limit == OWN_LIMIT:
            assert rate == demand.limit
        else:
            assert limit in demand.takes
            assert used(limit, demands, rates) >= capacity[limit] * (1 - CLOSE)


@given(crowds, rooms)
def test_everybody_gets_an_equal_part_of_something(
    demands: list[Demand], capacity: dict[str, float]
) -> None:
    rates, _ = max_min_rates(demands, capacity)
    for demand, rate in zip(demands, rates, strict=True):
        parts = {
            name: demand.weight
            * capacity[name]
            / sum(d.flows * d.weight for d in demands if name in d.takes)
            for name in demand.takes
        }
        got = [rate * share >= parts[name] * (1 - CLOSE) for name, share in demand.takes.items()]
        assert any(got) or math.isclose(rate, demand.limit, rel_tol=CLOSE)


@given(crowds, rooms)
def test_equal_takers_are_max_min_fair(demands: list[Demand], capacity: dict[str, float]) -> None:
    alike = [demand._replace(takes=dict.fromkeys(demand.takes, 1.0)) for demand in demands]
    rates, limits = max_min_rates(alike, capacity)
    per_weight = [rate / demand.weight for demand, rate in zip(alike, rates, strict=True)]
    for rate, limit in zip(per_weight, limits, strict=True):
        rivals = [r for d, r in zip(alike, per_weight, strict=True) if limit in d.takes]
        assert limit == OWN_LIMIT or rate >= max(rivals) * (1 - CLOSE)


@given(crowds, rooms, st.lists(st.integers(0, 2), min_size=10, max_size=10))
def test_lower_levels_do_not_feel_higher_ones(
    demands: list[Demand], capacity: dict[str, float], levels: list[int]
) -> None:
    ranked = [d._replace(level=level) for d, level in zip(demands, levels, strict=False)]
    rates, _ = max_min_rates(ranked, capacity)
    first = [d for d in ranked if d.level == 0]
    alone, _ = max_min_rates(first, capacity)
    assert [r for d, r in zip(ranked, rates, strict=True) if d.level == 0] == alone


@given(crowds, rooms, st.randoms(use_true_random=False))
def test_the_order_of_flows_does_not_matter(
    demands: list[Demand], capacity: dict[str, float], rng: object
) -> None:
    places = list(range(len(demands)))
    rng.shuffle(places)  # type: ignore[attr-defined]
    rates, _ = max_min_rates(demands, capacity)
    mixed, _ = max_min_rates([demands[i] for i in places], capacity)
    assert all(
        math.isclose(rates[i], rate, rel_tol=CLOSE) for i, rate in zip(places, mixed, strict=True)
    )


@given(crowds, rooms, st.floats(1e-3, 1e3))
def test_units_do_not_matter(
    demands: list[Demand], capacity: dict[str, float], factor: float
) -> None:
    rates, _ = max_min_rates(demands, capacity)
    scaled, _ = max_min_rates(
        [demand._replace(limit=demand.limit * factor) for demand in demands],
        {name: room * factor for name, room in capacity.items()},
    )
    assert all(
        math.isclose(rate * factor, other, rel_tol=CLOSE)
        for rate, other in zip(rates, scaled, strict=True)
    )
