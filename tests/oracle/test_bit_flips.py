"""Do flips and error correction equal their slow twins?"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest

from accelsim.functional.bit_flips import Damage, Flips, draw_positions, masks, with_correction
from accelsim.functional.secded import (
    CHECK_BITS,
    COLUMNS,
    CORRECTED,
    DATA_BITS,
    DETECTED,
    MISCORRECTED,
    UNDETECTED,
    WORD_BITS,
    check_byte,
    check_words,
)
from accelsim.kernels.bit_flips import log_of_miss, natural_log, skip_ahead


def test_logarithms() -> None:
    x = np.concatenate([1 - 2.0 ** -np.arange(1, 54), 2.0 ** -np.arange(0, 54),
                        np.random.default_rng(0).random(5000)])  # fmt: skip
    for value in x:
        assert natural_log(value) == pytest.approx(math.log(value), rel=1e-15, abs=0)
    for rate in (1e-30, 1e-9, 0.1, 0.2499, 0.25, 0.9, 1 - 2**-53):
        assert log_of_miss(rate) == pytest.approx(math.log1p(-rate), rel=1e-15)
    assert log_of_miss(1.0) == -math.inf


def slow_positions(words: list[int], rate: float, first: int, size: int) -> list[int]:
    """Skip ahead, one word after the other, with the logarithm of the C library."""
    found, position = [], first
    for word in words:
        u = ((word >> 11) + 1) / 2**53
        position += math.floor(math.log(u) / math.log1p(-rate))
        if position >= size:
            break
        found.append(position)
        position += 1
    return found


@pytest.mark.parametrize("rate", [1e-12, 1e-4, 0.03, 0.4, 0.99])
@pytest.mark.parametrize("first", [0, 17])
def test_gaps(rate: float, first: int) -> None:
    words = np.random.default_rng(4).integers(0, 2**64, 500, dtype=np.uint64)
    out = np.full(500, -1)
    size = 100_000
    count, then = skip_ahead(words, log_of_miss(rate), first, size, out)
    wanted = slow_positions(words.tolist(), rate, first, size)
    assert out[:count].tolist() == wanted
    assert then == (size if count < 500 else wanted[-1] + 1)


def test_extreme_words_and_rates() -> None:
    words = np.array([2**64 - 1, 0, 2**63], np.uint64)
    out = np.empty(3, np.int64)
    # The largest word is u = 1: no bit is skipped; the smallest skips 53 ln 2 / rate.
    assert skip_ahead(words, log_of_miss(1e-30), 0, 2**62, out) == (1, 2**62)
    assert out[0] == 0
    assert skip_ahead(words, log_of_miss(1.0), 5, 100, out) == (3, 8)
    assert out.tolist() == [5, 6, 7]
    assert draw_positions("all", 1.0, 1000).tolist() == list(range(1000))
    assert draw_positions("none", 0.5, 0).tolist() == []


def test_the_code_is_that_of_hsiao() -> None:
    weights = [bin(column).count("1") for column in COLUMNS.tolist()]
    assert len(set(COLUMNS.tolist())) == WORD_BITS
    assert sorted(weights) == [1] * 8 + [3] * 56 + [5] * 8
    for check in range(CHECK_BITS):
        assert sum(column >> check & 1 for column in COLUMNS[:DATA_BITS].tolist()) == 26


def decode_slowly(word: int, check: int) -> tuple[int, int]:
    """Recompute check bits, compare, repair: data and outcome (0: nothing was found wrong)."""
    syndrome = check_byte(word) ^ check
    if syndrome == 0:
        return word, 0
    for bit in range(WORD_BITS):
        if COLUMNS[bit] == syndrome:
            return word ^ (1 << bit if bit < DATA_BITS else 0), 1
    return word, 2


def apply(word: int, damage: Damage) -> int:
    """A word after the masks of its damage."""
    for _, keep, flip in zip(*(m.tolist() for m in masks(damage, DATA_BITS, 1)), strict=True):
        word = word & keep ^ flip
    return word & (2**64 - 1)


def as_flips(bits: tuple[int, ...]) -> Flips:
    data = [bit for bit in bits if bit < DATA_BITS]
    checks = [bit - DATA_BITS for bit in bits if bit >= DATA_BITS]
    return Flips(np.array(data, np.int64), np.array(checks, np.int64))


WORD = 0xDEAD_BEEF_0123_4567


def assert_as_decoded(bits: tuple[int, ...]) -> int:
    """Flip bits of a stored word; compare with the slow decoder; return what it found."""
    word, check = WORD, check_byte(WORD)
    for bit in bits:
        if bit < DATA_BITS:
            word ^= 1 << bit
        else:
            check ^= 1 << (bit - DATA_BITS)
    wanted, found = decode_slowly(word, check)
    damage = with_correction(as_flips(bits), DATA_BITS, clear_detected=False)
    assert apply(WORD, damage) == wanted
    return found


def test_every_single_flip_is_corrected() -> None:
    for bit in range(WORD_BITS):
        assert assert_as_decoded((bit,)) == 1
        damage = with_correction(as_flips((bit,)), DATA_BITS, clear_detected=True)
        assert damage.by_outcome.tolist() == [1, 0, 0, 0]
        assert apply(WORD, damage) == WORD


def test_every_double_flip_is_detected() -> None:
    pairs = np.array(list(combinations(range(WORD_BITS), 2)))
    words = np.repeat(np.arange(len(pairs)), 2)
    checked = check_words(words, pairs.reshape(-1))
    assert len(checked.words) == 2556
    assert set(checked.outcomes.tolist()) == {DETECTED}
    for pair in pairs[::40].tolist():
        assert assert_as_decoded(tuple(pair)) == 2
        damage = with_correction(as_flips(tuple(pair)), DATA_BITS, clear_detected=True)
        assert apply(WORD, damage) == 0


def test_more_flips_fare_as_the_slow_decoder_says() -> None:
    rng = np.random.default_rng(9)
    outcomes = set()
    for _ in range(600):
        bits = tuple(sorted(rng.choice(WORD_BITS, rng.integers(3, 9), replace=False).tolist()))
        found = assert_as_decoded(bits)
        damage = with_correction(as_flips(bits), DATA_BITS, clear_detected=False)
        number = int(np.flatnonzero(damage.by_outcome)[0])
        assert number == {0: UNDETECTED, 1: MISCORRECTED, 2: DETECTED}[found]
        outcomes.add(number)
    assert outcomes == {UNDETECTED, MISCORRECTED, DETECTED}


def test_triple_flips_are_never_taken_for_none() -> None:
    triples = np.array(list(combinations(range(WORD_BITS), 3)))
    words = np.repeat(np.arange(len(triples)), 3)
    outcomes = check_words(words, triples.reshape(-1)).outcomes
    assert set(outcomes.tolist()) == {DETECTED, MISCORRECTED}
    # docs/faults.md says so.
    assert np.mean(outcomes == MISCORRECTED) == pytest.approx(0.5625, abs=0.02)


def test_words_mix_in_any_order() -> None:
    checked = check_words(np.array([7, 2, 7, 5]), np.array([0, 64, 71, 63]))
    assert checked.words.tolist() == [2, 5, 7]
    assert checked.outcomes.tolist() == [CORRECTED, CORRECTED, DETECTED]
    assert checked.repaired.tolist() == [64, 63, -1]


@pytest.mark.parametrize("width", [4, 6, 8, 16, 32, 64])
def test_masks_equal_flips_of_one_long_number(width: int) -> None:
    rng = np.random.default_rng(width)
    count = 50
    codes = [int(x) for x in rng.integers(0, 2**width, count, dtype=np.uint64)] if width == 64 \
        else rng.integers(0, 2**width, count).tolist()  # fmt: skip
    memory = sum(code << (i * width) for i, code in enumerate(codes))
    bits = np.sort(rng.choice(count * width, 30, replace=False))
    outcomes = rng.choice([CORRECTED, UNDETECTED, MISCORRECTED], 30)
    cleared = np.array([1, 2]) if count * width > 192 else np.array([1])
    damage = Damage(bits, outcomes, cleared, np.zeros(4, np.int64))
    for bit, outcome in zip(bits.tolist(), outcomes, strict=True):
        memory ^= 0 if outcome == CORRECTED else 1 << bit
    for word in cleared.tolist():
        memory &= ~((2**64 - 1) << (64 * word))
    indices, keep, flip = masks(damage, width, count)
    assert (np.diff(indices) > 0).all()
    for i, k, f in zip(indices.tolist(), keep.tolist(), flip.tolist(), strict=True):
        codes[i] = (codes[i] & k ^ f) & (2**width - 1)
    assert sum(code << (i * width) for i, code in enumerate(codes)) == memory


def test_the_same_without_compilation() -> None:
    script = (
        "from accelsim.functional.bit_flips import draw_positions as d;"
        "print([d('k', r, 20000).tolist() for r in (1e-3, 0.01, 0.3, 1.0)])"
    )
    plain = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    compiled = [draw_positions("k", rate, 20000).tolist() for rate in (1e-3, 0.01, 0.3, 1.0)]
    assert plain.strip() == str(compiled)
