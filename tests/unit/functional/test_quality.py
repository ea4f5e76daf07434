"""Quality metrics: hand-made cases, exact twins in decimal arithmetic, hostile numbers."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
from numpy.typing import NDArray

from accelsim.errors import WorkloadError
from accelsim.functional import quality
from accelsim.functional.quality import (
    compare_logits,
    divergence,
    perplexity,
    sqnr_db,
    token_losses,
)


def logits(tokens: int, vocabulary: int, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return (3 * rng.normal(size=(tokens, vocabulary))).astype(np.float32)


def exact_kl(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """KL of two rows with 60 digits."""
    with localcontext() as context:
        context.prec = 60
        p = [Decimal(float(x)).exp() for x in a]
        q = [Decimal(float(x)).exp() for x in b]
        total_p, total_q = sum(p), sum(q)
        terms = (
            (x / total_p) * ((x / total_p) / (y / total_q)).ln() for x, y in zip(p, q, strict=True)
        )
        return float(sum(terms))


@pytest.mark.parametrize("size", [1e-6, 1e-3, 0.3, 1.0, 8.0])
def test_the_divergence_is_exact_however_small(size: float) -> None:
    wanted = logits(4, 50)
    found = wanted + (size * logits(4, 50, seed=1)).astype(np.float32)
    exact = [exact_kl(a, b) for a, b in zip(wanted, found, strict=True)]
    got = compare_logits(wanted, found)
    assert got.kl_nats == pytest.approx(np.mean(exact), rel=1e-9)
    assert got.kl_max_nats == pytest.approx(max(exact), rel=1e-9)


def test_a_run_equals_itself() -> None:
    rows = logits(7, 100)
    got = compare_logits(rows, rows)
    assert (got.kl_nats, got.kl_max_nats, got.rms, got.max_abs) == (0, 0, 0, 0)
    assert (got.top1_agreement, got.top5_overlap, got.tokens, got.bad_tokens) == (1, 1, 7, 0)


def test_a_constant_added_to_all_logits_is_no_divergence() -> None:
    rows = logits(3, 64)
    got = compare_logits(rows, rows + np.float32(64))
    assert got.kl_nats < 1e-11  # the sums are rounded to fp32
    assert got.rms == pytest.approx(64, rel=1e-6)


def test_ranks_by_hand() -> None:
    reference = np.float32([[9, 8, 7, 6, 5, 0, 0, 0], [9, 8, 7, 6, 5, 0, 0, 0]])
    found = np.float32([[9, 8, 7, 6, 0, 5, 0, 0], [5, 9, 7, 0, 0, 8, 6, 0]])
    got = compare_logits(reference, found)
    assert got.top1_agreement == 0.5
    # Row one shares 4 of 5, row two tokens 0, 1 and 2.
    assert got.top5_overlap == pytest.approx((4 / 5 + 3 / 5) / 2)
    assert got.max_abs == 8
    assert got.rms == pytest.approx(math.sqrt((2 * 25 + 16 + 1 + 36 + 25 + 64 + 36) / 16))


def test_of_equal_logits_the_lowest_token_is_best() -> None:
    got = compare_logits(np.zeros((1, 9), np.float32), np.float32([[1, 1, 0, 0, 0, 0, 0, 0, 0]]))
    assert (got.top1_agreement, got.top5_overlap) == (1, 1)


def test_small_vocabularies_have_fewer_than_five_best() -> None:
    assert compare_logits(np.float32([[1, 0]]), np.float32([[0, 1]])).top5_overlap == 1


def test_blocks_do_not_change_results(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted, found = logits(23, 40), logits(23, 40, seed=1)
    whole, losses = compare_logits(wanted, found), token_losses(wanted, np.arange(23))
    monkeypatch.setattr(quality, "_BLOCK_VALUES", 100)
    pieces = compare_logits(wanted, found)
    assert pieces.kl_nats == whole.kl_nats
    assert pieces.top5_overlap == pytest.approx(whole.top5_overlap, rel=1e-14)
    assert pieces.rms == pytest.approx(whole.rms, rel=1e-14)
    np.testing.assert_array_equal(token_losses(wanted, np.arange(23)), losses)


def test_rows_with_nan_count_as_wrong_and_are_named() -> None:
    wanted = logits(4, 30)
    found = wanted.copy()
    found[1, 3], found[2, 5] = np.nan, np.inf
    got = compare_logits(wanted, found)
    assert (got.bad_tokens, got.tokens) == (2, 4)
    assert (got.kl_nats, got.top1_agreement, got.top5_overlap) == (0, 0.5, 0.5)
    found[:] = np.nan
    ruined = compare_logits(wanted, found)
    assert ruined.bad_tokens == 4
    assert math.isnan(ruined.kl_nats) and math.isnan(ruined.max_abs)


def test_huge_logits_do_not_overflow() -> None:
    got = compare_logits(np.float32([[3e38, -3e38]]), np.float32([[-3e38, 3e38]]))
    assert got.kl_nats == pytest.approx(6e38, rel=1e-6)


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        (np.zeros((2, 3)), np.zeros((3, 2))),
        (np.zeros((0, 3)), np.zeros((0, 3))),
        (np.zeros(3), np.zeros(3)),
        (np.full((1, 2), np.nan), np.zeros((1, 2))),
        (np.zeros((1, 2), complex), np.zeros((1, 2))),
        (np.array([["a"]]), np.zeros((1, 1))),
    ],
)
def test_logits_that_do_not_fit_are_refused(reference: NDArray, found: NDArray) -> None:
    with pytest.raises(WorkloadError):
        compare_logits(reference, found)


def test_equal_logits_are_as_perplexing_as_the_vocabulary_is_large() -> None:
    assert perplexity(np.zeros((5, 37), np.float32), [1, 2, 3, 4, 5]) == pytest.approx(37)


def test_losses_by_hand() -> None:
    rows = np.log(np.float32([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8], [1, 1, 1]]))
    losses = token_losses(rows, [0, 1, 2])
    np.testing.assert_allclose(losses, [math.log(4), -math.log(0.8)], rtol=1e-6)
    assert perplexity(rows, [0, 1, 2]) == pytest.approx(math.sqrt(4 / 0.8))


def test_losses_of_impossible_and_broken_rows() -> None:
    rows = np.float32([[0, -np.inf], [np.nan, 0], [np.inf, 0], [0, 0]])
    losses = token_losses(rows, [0, 1, 1, 1])
    assert losses[0] == np.inf
    assert np.isnan(losses[1:]).all()
    assert math.isnan(perplexity(rows, [0, 1, 1, 1]))
    assert perplexity(rows[[0, 3]], [0, 1]) == math.inf
    assert perplexity(np.float32([[3e38, 0], [0, 0]]), [0, 1]) == math.inf


@pytest.mark.parametrize(
    ("shape", "tokens"),
    [
        ((3, 5), [0, 1]),
        ((1, 5), [0]),
        ((2, 5), [0, 5]),
        ((2, 5), [-1, 0]),
        ((2, 5), [0.0, 1.0]),
        ((5,), [0, 1]),
        ((2, 5), [[0, 1]]),
    ],
)
def test_tokens_that_do_not_fit_are_refused(shape: tuple[int, ...], tokens: list) -> None:
    with pytest.raises(WorkloadError):
        perplexity(np.zeros(shape, np.float32), tokens)


def test_divergence() -> None:
    assert divergence([1, 2, 3], [1, 2, 3]) is None
    assert divergence([1, 2, 3], [1, 9, 3]) == 1
    assert divergence([1, 2], [1, 2, 3]) == 2
    assert divergence([], []) is None
    assert divergence([], [5]) == 0


def test_signal_to_noise() -> None:
    assert sqnr_db([3, 4], [3, 4.5]) == pytest.approx(20)
    assert sqnr_db([1, 2], [1, 2]) == math.inf
    assert sqnr_db([0, 0], [0, 0]) == math.inf
    assert sqnr_db([0, 0], [0, 1]) == -math.inf
    assert math.isnan(sqnr_db([1, 2], [1, math.nan]))
    assert sqnr_db(np.float32([3e38] * 4), np.float32([-3e38] * 4)) == pytest.approx(-6.0206)
    with pytest.raises(WorkloadError, match="shapes"):
        sqnr_db([1, 2], [1])
