"""The Pareto front equals a brute-force reading of its definition, whatever the points."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from accelsim.explore.pareto import pareto_mask

# Few distinct values, so that ties and copies are common; infinities and NaN among them.
FIGURE = st.one_of(
    st.integers(-3, 3).map(float),
    st.sampled_from([math.inf, -math.inf, math.nan, 0.0, -0.0]),
    st.floats(allow_nan=True),
)


@st.composite
def problems(draw: st.DrawFn) -> tuple[list[list[float]], list[bool]]:
    width = draw(st.integers(1, 4))
    point = st.lists(FIGURE, min_size=width, max_size=width)
    maximize = draw(st.lists(st.booleans(), min_size=width, max_size=width))
    return draw(st.lists(point, min_size=1, max_size=30)), maximize


def brute_force(points: list[list[float]], maximize: list[bool]) -> list[bool]:
    """A point is on the front when it has no NaN and no point dominates it."""
    costs = [[-x if up else x for x, up in zip(p, maximize, strict=True)] for p in points]

    def usable(a: list[float]) -> bool:
        return not any(math.isnan(x) for x in a)

    def dominates(a: list[float], b: list[float]) -> bool:
        pairs = list(zip(a, b, strict=True))
        return usable(a) and all(x <= y for x, y in pairs) and any(x < y for x, y in pairs)

    return [usable(b) and not any(dominates(a, b) for a in costs) for b in costs]


@given(problems())
def test_equals_brute_force(problem: tuple[list[list[float]], list[bool]]) -> None:
    points, maximize = problem
    assert pareto_mask(points, maximize).tolist() == brute_force(points, maximize)


@given(problems(), st.randoms(use_true_random=False))
def test_order_does_not_matter(problem, random) -> None:
    points, maximize = problem
    order = list(range(len(points)))
    random.shuffle(order)
    shuffled = pareto_mask([points[i] for i in order], maximize)
    assert shuffled.tolist() == pareto_mask(points, maximize)[order].tolist()


@given(problems())
def test_the_front_of_the_front_is_itself(problem) -> None:
    points, maximize = problem
    table = np.array(points)
    front = table[pareto_mask(table, maximize)]
    assert pareto_mask(front, maximize).all()


def test_two_and_more_objectives_agree_on_many_points() -> None:
    points = np.random.default_rng(7).integers(0, 300, size=(3000, 2)).astype(float)
    constant = np.column_stack([points, np.zeros(len(points))])
    assert np.array_equal(pareto_mask(points), pareto_mask(constant))
