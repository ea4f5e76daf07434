"""Does the fit find what made the data, whatever a tenth of the rows says?"""

from __future__ import annotations

import numpy as np
import pytest

from accelsim.validation.fit import Problem, fit, huber, likeness, most_alike, resampled

WORK = np.geomspace(1e-7, 1e-3, 200)


def seconds(point: np.ndarray) -> np.ndarray:
    """A rate that scales work, and a fixed time."""
    efficiency, overhead_s = np.exp(point)
    return np.maximum(WORK / efficiency, 1e-6) + overhead_s


def problem(truth: np.ndarray, noise: np.ndarray | float = 0.0) -> Problem:
    measured = np.log(seconds(truth)) + noise
    return Problem(
        lambda point: np.log(seconds(point)) - measured, np.log([0.1, 1e-7]), np.log([1.0, 1e-4])
    )


def test_exact_data_give_their_parameters() -> None:
    truth = np.log([0.63, 4.2e-6])
    found = fit(problem(truth), np.log([0.9, 1e-6]))
    assert np.exp(found) == pytest.approx([0.63, 4.2e-6], rel=1e-3)


def test_rows_far_off_pull_little() -> None:
    noise = np.zeros(200)
    noise[::10] = 3.0  # a tenth of the rows is twenty times too slow
    found = fit(problem(np.log([0.63, 4.2e-6]), noise), np.log([0.9, 1e-6]))
    assert np.exp(found) == pytest.approx([0.63, 4.2e-6], rel=0.06)


def test_parameters_stay_in_their_box() -> None:
    found = fit(problem(np.log([1.7, 4.2e-6])), np.log([0.9, 1e-6]))
    assert np.exp(found[0]) == pytest.approx(1.0)


def test_nothing_to_fit_is_no_error() -> None:
    empty = Problem(lambda _: np.zeros(3), np.empty(0), np.empty(0))
    assert fit(empty, np.empty(0)).shape == (0,)


def test_the_loss_is_quadratic_then_linear() -> None:
    assert huber(np.array([0.1])) == pytest.approx(0.005)
    assert huber(np.array([1.15])) - huber(np.array([0.15])) == pytest.approx(0.15)


def test_intervals_cover_the_scatter_and_repeat() -> None:
    truth = np.log([0.63, 4.2e-6])
    noise = np.random.default_rng(3).normal(0, 0.05, 200)
    asked = problem(truth, noise)
    point = fit(asked, np.log([0.9, 1e-6]))
    slopes, residuals = asked.slopes(point), asked.residuals(point)
    alone, certain = np.arange(200), np.empty((200, 0))

    def shifts_of(groups: np.ndarray = alone, others: np.ndarray = certain) -> np.ndarray:
        return resampled(slopes, residuals, groups, others=others, samples=200, seed=1)

    shifts = shifts_of()
    assert np.array_equal(shifts, shifts_of())
    # Least squares with independent errors of 5 %: the spread is about 0.05 / sqrt(rows felt).
    expected = 0.05 / np.linalg.norm(slopes, axis=0)
    assert shifts.std(axis=0) == pytest.approx(expected, rel=0.5)
    # Rows that come ten at a time say less; a scalar that is held may be another one.
    assert (shifts_of(groups=alone // 10).std(axis=0) > 0.5 * shifts.std(axis=0)).all()
    assert (shifts_of(others=0.2 * slopes[:, :1]).std(axis=0)[0]) == pytest.approx(0.2, rel=0.2)


def test_two_parameters_with_one_effect_are_seen() -> None:
    slopes = np.outer(np.linspace(0.1, 1, 50), [1.0, 3.0, 0.0])
    slopes[:, 2] = np.linspace(1, 0.1, 50) ** 4
    pair = most_alike(likeness(slopes, np.zeros(50)), ["a", "b", "c"])
    assert pair is not None
    assert pair[:2] == ("a", "b")
    assert pair[2] == pytest.approx(1.0)
    assert most_alike(np.eye(1), ["a"]) is None
