"""Flips in a piece of memory: which bits, and what is left of them after error correction."""

from __future__ import annotations

import math
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import WorkloadError
from accelsim.formats import Format
from accelsim.functional.formats import code_dtype
from accelsim.functional.secded import (
    CHECK_BITS,
    CORRECTED,
    DATA_BITS,
    DETECTED,
    MISCORRECTED,
    check_words,
)
from accelsim.kernels.bit_flips import log_of_miss, skip_ahead

STRUCK = -1
"""Outcome of a flip in memory without error correction."""
_SPARE_DEVIATIONS = 6.0
_NONE = np.empty(0, np.int64)


class Flips(NamedTuple):
    """Flips in a piece of memory, bits counted from its start.

    Attributes
    ----------
    data : array of int64
        Data bits that flipped, ascending.
    checks : array of int64
        Check bits that flipped, eight per word, ascending.
    """

    data: NDArray[np.int64]
    checks: NDArray[np.int64] = _NONE


class Damage(NamedTuple):
    """What remains once the memory has been read.

    Attributes
    ----------
    bits : array of int64, shape (flips,)
        Data bits that flipped in memory or by a wrong repair.
    outcomes : array of int64, shape (flips,)
        Of the word of each: STRUCK, or a number of `accelsim.functional.secded.OUTCOMES`.
    cleared : array of int64
        Words that are replaced by zero.
    by_outcome : array of int64, shape (4,)
        Words by outcome.
    """

    bits: NDArray[np.int64]
    outcomes: NDArray[np.int64]
    cleared: NDArray[np.int64]
    by_outcome: NDArray[np.int64]


def draw_positions(key: str, rate: float, size: int) -> NDArray[np.int64]:
    """Return which of `size` bits flip, ascending, each with probability `rate`.

    Parameters
    ----------
    key : str
        Another text is another draw.
    rate : float
        From 1e-30 to 1.
    size : int

    Notes
    -----
    The number is binomial and places are without replacement, exactly; the work grows with the
    flips alone. Random words are those of Philox-4x64 under the BLAKE2 hash of `key`.
    """
    stream = np.random.Philox(key=int.from_bytes(blake2b(key.encode(), digest_size=16).digest()))
    log_miss = log_of_miss(rate)
    found: list[NDArray[np.int64]] = []
    position = 0
    while position < size:
        mean = (size - position) * rate
        words = np.atleast_1d(
            stream.random_raw(int(mean + _SPARE_DEVIATIONS * math.sqrt(mean)) + 8)
        )
        positions = np.empty(len(words), np.int64)
        count, position = skip_ahead(words, log_miss, position, size, positions)
        found.append(positions[:count])
    return np.concatenate(found) if found else _NONE


def without_correction(flips: Flips) -> Damage:
    """Return the damage where memory has no check bits."""
    outcomes = np.full(len(flips.data), STRUCK, np.int64)
    return Damage(flips.data, outcomes, _NONE, np.zeros(4, np.int64))


def with_correction(flips: Flips, size: int, clear_detected: bool) -> Damage:
    """Return the damage that a (72, 64) code leaves.

    Parameters
    ----------
    flips : Flips
    size : int
        Data bits in all; the last word is filled up with zeros that do not flip.
    clear_detected : bool
        Words with an error that was seen but not corrected become zero; else stay as they are.
    """
    words = np.concatenate([flips.data // DATA_BITS, flips.checks // CHECK_BITS])
    bits = np.concatenate([flips.data % DATA_BITS, flips.checks % CHECK_BITS + DATA_BITS])
    checked = check_words(words, bits)
    outcomes = checked.outcomes[np.searchsorted(checked.words, flips.data // DATA_BITS)]
    wrong = (checked.outcomes == MISCORRECTED) & (checked.repaired < DATA_BITS)
    added = checked.words[wrong] * DATA_BITS + checked.repaired[wrong]
    added = added[added < size]
    cleared = checked.words[checked.outcomes == DETECTED] if clear_detected else _NONE
    return Damage(
        np.concatenate([flips.data, added]),
        np.concatenate([outcomes, np.full(len(added), MISCORRECTED)]),
        cleared,
        np.bincount(checked.outcomes, minlength=4),
    )


def masks(damage: Damage, width: int, count: int) -> tuple[NDArray[np.int64], ...]:
    """Return which codes are concerned, and what becomes of them: ``code & keep ^ flip``.

    Parameters
    ----------
    damage : Damage
    width : int
        Bits per code; code i holds the data bits from ``i width``, the lowest first.
    count : int
        Codes in all.

    Returns
    -------
    indices : array of int64, ascending
    keep, flip : array of int64
        As unsigned words; two's complement where all 64 bits are used.
    """
    stays = (damage.outcomes != CORRECTED) & ~np.isin(damage.bits // DATA_BITS, damage.cleared)
    flipped = damage.bits[stays]
    gone = (damage.cleared[:, None] * DATA_BITS + np.arange(DATA_BITS)).reshape(-1)
    gone = gone[gone < count * width]
    indices = np.unique(np.concatenate([damage.bits, gone]) // width)
    keep, flip = np.full(len(indices), -1, np.int64), np.zeros(len(indices), np.int64)
    one = np.int64(1)
    np.bitwise_and.at(keep, np.searchsorted(indices, gone // width), ~(one << gone % width))
    np.bitwise_xor.at(flip, np.searchsorted(indices, flipped // width), one << flipped % width)
    return indices, keep, flip


def bit_numbers(chosen: str | tuple[int, ...], fmt: Format) -> NDArray[np.int64]:
    """Return the bits of a code that a plan may flip, ascending.

    Raises
    ------
    WorkloadError
        If the format has none of them.
    """
    if not isinstance(chosen, str):
        if max(chosen) >= fmt.stored_bits:
            raise WorkloadError(
                f"bit {max(chosen)} of the fault plan is not in {fmt.name}: it has "
                f"{fmt.stored_bits} bits"
            )
        return np.array(sorted(chosen), np.int64)
    # Padding lies below a whole word (tf32), but above a narrow code (ue4m3).
    low = fmt.padding_bits if fmt.signed else 0
    exponent = low + fmt.fraction_bits
    sign = exponent + fmt.exponent_bits
    first, last = {
        "all": (0, fmt.stored_bits),
        "sign": (sign, sign + int(fmt.signed)),
        "exponent": (exponent, sign),
        "fraction": (low, exponent),
    }[chosen]
    if first == last:
        raise WorkloadError(f"{fmt.name} has no {chosen} bits to flip: choose others in the plan")
    return np.arange(first, last)


def words_of(codes: NDArray[Any], fmt: Format) -> NDArray[np.int64]:
    """Return the bits of codes, two's complement of integers cut to their width."""
    if fmt.kind == "int":
        return codes.astype(np.int64) & ((1 << fmt.stored_bits) - 1)
    return codes.astype(np.int64)


def codes_of(words: NDArray[np.int64], fmt: Format) -> NDArray[Any]:
    """Return the codes whose bits these are."""
    if fmt.kind == "int":
        sign = 1 << (fmt.stored_bits - 1)
        words = (words ^ sign) - sign
    return words.astype(code_dtype(fmt))
