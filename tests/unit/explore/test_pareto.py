"""The Pareto front of fronts that one can see by eye."""

from __future__ import annotations

import numpy as np
import pytest

from accelsim.explore.pareto import pareto_mask

INF, NAN = float("inf"), float("nan")


@pytest.mark.parametrize(
    ("values", "maximize", "front"),
    [
        ([[1, 3], [2, 2], [3, 1], [3, 3]], None, [1, 1, 1, 0]),
        ([[1, 3], [2, 2], [3, 1], [3, 3]], [True, True], [0, 0, 0, 1]),
        ([[1, 3], [2, 2], [3, 1], [3, 3]], [False, True], [1, 0, 0, 0]),
        ([[1, 1], [1, 1], [1, 2]], None, [1, 1, 0]),
        ([[1, NAN], [2, 2], [NAN, 0]], None, [0, 1, 0]),
        ([[INF, INF]], None, [1]),
        ([[INF, 0], [0, INF], [INF, INF]], None, [1, 1, 0]),
        ([[3], [1], [1]], None, [0, 1, 1]),
        ([[1, 2, 3], [3, 2, 1], [2, 2, 2], [3, 3, 3], [1, 2, 3]], None, [1, 1, 1, 0, 1]),
        ([[NAN, NAN]], None, [0]),
    ],
)
def test_fronts(values, maximize, front) -> None:
    assert pareto_mask(values, maximize).tolist() == [bool(x) for x in front]


def test_no_points() -> None:
    assert pareto_mask(np.empty((0, 2))).shape == (0,)


@pytest.mark.parametrize(
    ("values", "maximize", "says"),
    [([1.0, 2.0], None, "shape"), ([[1.0, 2.0]], [True], "1 directions for 2")],
)
def test_bad_arguments(values, maximize, says) -> None:
    with pytest.raises(ValueError, match=says):
        pareto_mask(values, maximize)


def test_the_argument_is_left_as_it_was() -> None:
    values = np.array([[1.0, 2.0], [2.0, 1.0]])
    pareto_mask(values, [True, False])
    assert values.tolist() == [[1.0, 2.0], [2.0, 1.0]]
