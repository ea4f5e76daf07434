"""The sampler: greedy choice, cuts by hand, the law of the draws, bad input."""

from __future__ import annotations

import numpy as np
import pytest

from accelsim.errors import WorkloadError
from accelsim.functional.sampler import GREEDY, Sampler

INF = np.float32("inf")
ROW = np.log(np.float32([0.1, 0.4, 0.2, 0.3]))


def drawn(sampler: Sampler, row: np.ndarray = ROW, count: int = 4000) -> np.ndarray:
    """How often each token comes."""
    tokens = [sampler.next_token(row, step) for step in range(count)]
    return np.bincount(tokens, minlength=len(row))


def chi_square(counts: np.ndarray, shares: np.ndarray) -> float:
    wanted = shares * counts.sum()
    return float(((counts - wanted) ** 2 / wanted).sum())


def test_greedy_takes_the_largest_and_of_equal_ones_the_lowest() -> None:
    assert GREEDY.next_token(ROW) == 1
    assert GREEDY.next_token(np.float32([1, 5, 5, 2])) == 1
    assert GREEDY.next_token(np.float32([-INF, -INF, -3])) == 2


def test_draws_follow_the_softmax() -> None:
    # 16.27: chi-square of 3 degrees of freedom is larger once in a thousand.
    assert chi_square(drawn(Sampler(1.0)), np.array([0.1, 0.4, 0.2, 0.3])) < 16.27
    hot = np.sqrt([0.1, 0.4, 0.2, 0.3])
    assert chi_square(drawn(Sampler(2.0)), hot / hot.sum()) < 16.27


@pytest.mark.parametrize(
    ("sampler", "kept"),
    [
        (Sampler(1.0, top_k=2), {1: 4 / 7, 3: 3 / 7}),
        (Sampler(1.0, top_p=0.69), {1: 4 / 7, 3: 3 / 7}),
        (Sampler(1.0, top_p=0.71), {1: 4 / 9, 3: 3 / 9, 2: 2 / 9}),
        (Sampler(1.0, min_p=0.49), {1: 4 / 9, 3: 3 / 9, 2: 2 / 9}),
        (Sampler(1.0, min_p=0.51), {1: 4 / 7, 3: 3 / 7}),
        # Of what top_k left, the first has 4 / 7 = 0.571.
        (Sampler(1.0, top_k=2, top_p=0.57), {1: 1.0}),
        (Sampler(1.0, top_k=9), {0: 0.1, 1: 0.4, 2: 0.2, 3: 0.3}),
    ],
)
def test_cuts(sampler: Sampler, kept: dict[int, float]) -> None:
    counts = drawn(sampler, count=2000)
    assert set(np.flatnonzero(counts)) == set(kept)
    if len(kept) > 1:
        order = sorted(kept)
        assert chi_square(counts[order], np.array([kept[t] for t in order])) < 16.27


def test_of_equally_likely_tokens_the_lowest_are_kept() -> None:
    row = np.float32([1, 2, 1, 1, 1])
    assert set(np.flatnonzero(drawn(Sampler(1.0, top_k=3), row, 300))) == {0, 1, 2}
    assert set(np.flatnonzero(drawn(Sampler(9.0, top_p=0.3), row, 300))) == {0, 1}


def test_a_draw_depends_on_seed_and_step_alone() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(20, 50)).astype(np.float32)
    sampler = Sampler(1.0, seed=7)
    forward = [sampler.next_token(row, step) for step, row in enumerate(rows)]
    backward = [Sampler(1.0, seed=7).next_token(rows[s], s) for s in reversed(range(20))]
    assert forward == backward[::-1]
    other = [Sampler(1.0, seed=8).next_token(row, step) for step, row in enumerate(rows)]
    assert forward != other
    # Guards the draws of a seed against silent change.
    assert [Sampler(1.0, seed=1).next_token(ROW, step) for step in range(8)] == FIRST_DRAWS


FIRST_DRAWS = [3, 2, 2, 1, 1, 1, 3, 2]


def test_cold_draws_are_greedy() -> None:
    for temperature in (1e-3, 1e-300):
        assert set(np.flatnonzero(drawn(Sampler(temperature), count=50))) == {1}


def test_impossible_tokens_never_come() -> None:
    row = np.float32([-INF, 0, -INF, 0])
    assert set(np.flatnonzero(drawn(Sampler(1e30), row, 500))) == {1, 3}


def test_tokens_seen_before_are_penalised() -> None:
    sampler = Sampler(repetition_penalty=2.0)
    assert sampler.next_token(np.float32([3, 2, 1])) == 0
    assert sampler.next_token(np.float32([3, 2, 1]), previous=[0, 0]) == 1
    assert sampler.next_token(np.float32([-1, -1.5]), previous=[0]) == 1
    assert sampler.next_token(np.float32([3, 2, 1]), previous=[2]) == 0
    with pytest.raises(WorkloadError, match="not in the vocabulary"):
        sampler.next_token(np.float32([3, 2, 1]), previous=[3])


def test_the_logits_are_left_alone() -> None:
    row = np.float32([3, 2, 1])
    Sampler(0.5, top_k=2, repetition_penalty=2.0).next_token(row, previous=[0])
    np.testing.assert_array_equal(row, [3, 2, 1])


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": -1.0}, {"temperature": float("nan")}, {"temperature": float("inf")},
        {"top_k": -1}, {"top_k": 1.5}, {"top_k": True}, {"top_p": 0.0}, {"top_p": 1.1},
        {"top_p": float("nan")}, {"min_p": -0.1}, {"min_p": 2.0}, {"repetition_penalty": 0.0},
        {"repetition_penalty": float("inf")}, {"seed": -1}, {"seed": 2**32}, {"seed": "x"},
    ],
)  # fmt: skip
def test_parameters_out_of_range_are_refused(fields: dict) -> None:
    with pytest.raises(WorkloadError, match=next(iter(fields))):
        Sampler(**fields)


@pytest.mark.parametrize("sampler", [GREEDY, Sampler(1.0)])
def test_broken_logits_are_counted(sampler: Sampler) -> None:
    with pytest.raises(WorkloadError, match="2 of 4 logits are NaN and 1 \\+Inf"):
        sampler.next_token(np.float32([np.nan, 1, np.nan, np.inf]))
    with pytest.raises(WorkloadError, match="all 2 logits are -Inf"):
        sampler.next_token(np.float32([-np.inf, -np.inf]))
    for row in (np.zeros((1, 3), np.float32), np.zeros(0, np.float32), np.arange(3)):
        with pytest.raises(WorkloadError, match="expected floats"):
            sampler.next_token(row)
    with pytest.raises(WorkloadError, match="step"):
        Sampler(1.0).next_token(ROW, -1)
