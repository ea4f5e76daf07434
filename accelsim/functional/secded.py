"""Error correction of memory: 8 check bits per 64-bit word, single errors corrected, double seen.

References
----------
Hsiao, A Class of Optimal Minimum Odd-weight-column SEC-DED Codes, IBM Journal of Research and
Development 14(4), 1970.
"""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

DATA_BITS = 64
CHECK_BITS = 8
WORD_BITS = DATA_BITS + CHECK_BITS

CORRECTED, DETECTED, MISCORRECTED, UNDETECTED = range(4)
OUTCOMES = ("corrected", "detected", "miscorrected", "undetected")
"""What becomes of a word with flips, by number."""


def _columns() -> NDArray[np.uint8]:
    """Return the parity-check matrix, one byte per bit of a word, data first.

    Columns are different and of odd weight: all 56 of weight three, eight of weight five (the
    rotations of 00011111) so that each check covers 26 data bits, and those of the check bits.
    """
    of_three = [sum(1 << bit for bit in chosen) for chosen in combinations(range(CHECK_BITS), 3)]
    of_five = [(0b11111 << turn | 0b11111 >> (CHECK_BITS - turn)) & 0xFF for turn in range(8)]
    return np.array([*of_three, *of_five, *(1 << bit for bit in range(CHECK_BITS))], np.uint8)


COLUMNS = _columns()
_PLACE_OF = np.full(1 << CHECK_BITS, -1, np.int64)
_PLACE_OF[COLUMNS] = np.arange(WORD_BITS)


class Checked(NamedTuple):
    """Words with at least one flip, after the decoder has seen them.

    Attributes
    ----------
    words : array of int64, shape (words,)
        Their numbers, ascending.
    outcomes : array of int64, shape (words,)
        CORRECTED: there was one flip. DETECTED: reported, nothing repaired. MISCORRECTED: three
        or more flips looked like one. UNDETECTED: they looked like none.
    repaired : array of int64, shape (words,)
        Bit that the decoder flipped, 0 to 71; -1 if none.
    """

    words: NDArray[np.int64]
    outcomes: NDArray[np.int64]
    repaired: NDArray[np.int64]


def check_byte(word: int) -> int:
    """Return the 8 check bits that are stored with a 64-bit word."""
    found = 0
    for bit in range(DATA_BITS):
        if word >> bit & 1:
            found ^= int(COLUMNS[bit])
    return found


def check_words(words: NDArray[np.int64], bits: NDArray[np.int64]) -> Checked:
    """Decode words of which some bits have flipped.

    Parameters
    ----------
    words : array of int64, shape (flips,)
        Word of each flip, in any order; no bit of a word twice.
    bits : array of int64, shape (flips,)
        0 to 63: data; 64 to 71: check bits.

    Returns
    -------
    Checked

    Notes
    -----
    The code is linear: the syndrome is the sum modulo 2 of the columns of flipped bits, whatever
    the word holds. One flip gives its own column; two give an even weight, which is no column.
    """
    order = np.argsort(words, kind="stable")
    sorted_words = words[order]
    starts = np.flatnonzero(np.diff(sorted_words, prepend=-1))
    if not len(starts):
        nothing = np.empty(0, np.int64)
        return Checked(nothing, nothing, nothing)
    syndromes = np.bitwise_xor.reduceat(COLUMNS[bits[order]], starts)
    flips = np.diff(starts, append=len(words))
    repaired = _PLACE_OF[syndromes]
    outcomes = np.where(repaired >= 0, MISCORRECTED, DETECTED)
    outcomes[syndromes == 0] = UNDETECTED
    outcomes[flips == 1] = CORRECTED
    return Checked(sorted_words[starts], outcomes, repaired)
