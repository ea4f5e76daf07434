"""Who gets how much, in cases that a pencil solves?"""

from __future__ import annotations

import math

import pytest

from accelsim.des.fair_share import OWN_LIMIT, Demand, max_min_rates

FREE = math.inf


@pytest.mark.parametrize(
    ("demands", "capacity", "rates", "limits"),
    [
        ([], {"hbm": 1.0}, [], []),
        ([Demand(FREE, {"hbm": 1.0})], {"hbm": 12.0}, [12.0], ["hbm"]),
        ([Demand(FREE, {"hbm": 1.0})] * 3, {"hbm": 12.0}, [4.0] * 3, ["hbm"] * 3),
        # One cannot take its part: the others share the rest.
        (
            [Demand(2.0, {"hbm": 1.0}), Demand(FREE, {"hbm": 1.0}), Demand(FREE, {"hbm": 1.0})],
            {"hbm": 12.0},
            [2.0, 5.0, 5.0],
            [OWN_LIMIT, "hbm", "hbm"],
        ),
        # Bertsekas & Gallager's line: a long flow crosses two links, each with flows of its own.
        (
            [
                Demand(FREE, {"ab": 1.0, "bc": 1.0}),
                Demand(FREE, {"ab": 1.0}),
                Demand(FREE, {"ab": 1.0}),
                Demand(FREE, {"bc": 1.0}),
            ],
            {"ab": 9.0, "bc": 9.0},
            [3.0, 3.0, 3.0, 6.0],
            ["ab", "ab", "ab", "bc"],
        ),
        # Three bytes of L2 for every byte of HBM.
        (
            [Demand(FREE, {"hbm": 1.0, "l2": 3.0})],
            {"hbm": 12.0, "l2": 30.0},
            [10.0],
            ["l2"],
        ),
        # A flow at its own limit and at a full resource at once: its own limit counts.
        ([Demand(4.0, {"hbm": 1.0})] * 3, {"hbm": 12.0}, [4.0] * 3, [OWN_LIMIT] * 3),
        # Nothing limits the first; an infinite resource limits nobody.
        (
            [Demand(FREE, {"l2": 1.0}), Demand(FREE, {"l2": 1.0, "hbm": 1.0}), Demand(FREE, {})],
            {"l2": FREE, "hbm": 5.0},
            [FREE, 5.0, FREE],
            [OWN_LIMIT, "hbm", OWN_LIMIT],
        ),
        # One demand for three equal flows.
        (
            [Demand(FREE, {"hbm": 1.0}, flows=3), Demand(FREE, {"hbm": 1.0})],
            {"hbm": 12.0},
            [3.0, 3.0],
            ["hbm", "hbm"],
        ),
    ],
)
def test_by_hand(
    demands: list[Demand], capacity: dict[str, float], rates: list[float], limits: list[str]
) -> None:
    found = max_min_rates(demands, capacity)
    assert found[0] == pytest.approx(rates)
    assert found[1] == limits


def test_a_taker_of_little_gets_an_equal_part_of_the_bytes() -> None:
    many = [Demand(FREE, {"a": 0.1, "b": 1.0}) for _ in range(10)]
    last = Demand(FREE, {"b": 1e-16})
    rates, _ = max_min_rates([*many, last], {"a": 1.0, "b": 10.0})
    assert rates == pytest.approx([10.0 / 11.0] * 10 + [1e16 * 10.0 / 11.0])


def test_a_full_resource_does_not_stop_one_who_takes_little_of_it() -> None:
    # The store asks for a seventh of the L2, less than its half: the load alone is slowed down.
    load, store = Demand(6.0, {"l2": 19.0}), Demand(14.0, {"l2": 1.0})
    rates, limits = max_min_rates([load, store], {"l2": 100.0})
    assert rates == pytest.approx([86.0 / 19.0, 14.0])
    assert limits == ["l2", OWN_LIMIT]


def test_in_a_circle_nobody_is_slowed_where_he_takes_less_than_others() -> None:
    # The load can take at most half of the L2 by equal parts and the store half of the memory: a
    # circle. The store takes a fifth of the L2 even with all of the memory, so it is the memory
    # that limits it, and the L2 limits the load: l + s = 100 and 40 l + s = 480.
    load, store = Demand(FREE, {"mem": 1.0, "l2": 40.0}), Demand(FREE, {"mem": 1.0, "l2": 1.0})
    rates, limits = max_min_rates([load, store], {"mem": 100.0, "l2": 480.0})
    assert rates == pytest.approx([380.0 / 39.0, 100.0 - 380.0 / 39.0])
    assert limits == ["l2", "mem"]


def test_in_an_even_circle_all_get_as_much() -> None:
    one, other = Demand(FREE, {"a": 1.0, "b": 2.0}), Demand(FREE, {"a": 2.0, "b": 1.0})
    rates, _ = max_min_rates([one, other], {"a": 3.0, "b": 3.0})
    assert rates == pytest.approx([1.0, 1.0])


def test_higher_levels_get_what_is_left() -> None:
    first, then = Demand(6.0, {"hbm": 1.0}), Demand(FREE, {"hbm": 1.0}, level=1)
    rates, limits = max_min_rates([then, first], {"hbm": 10.0})
    assert rates == pytest.approx([4.0, 6.0])
    assert limits == ["hbm", OWN_LIMIT]
    assert max_min_rates([first, then], {"hbm": 6.0})[0] == pytest.approx([6.0, 0.0])
