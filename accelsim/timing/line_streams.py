"""Which lines each fold of a matmul moves through its buffers, and which blocks stay there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from accelsim.arch.array import SystolicArray
from accelsim.errors import CapacityError
from accelsim.kernels.folds import fold_axes
from accelsim.kernels.line_buffers import GIVES_SLOT, READS_BACK, TAKES_SLOT

Ints = NDArray[np.int64]
_THROUGH = TAKES_SLOT | GIVES_SLOT


@dataclass(frozen=True)
class Stream:
    """Lines of one operand, per fold.

    Attributes
    ----------
    operand : str
        ``a``, ``b`` or ``c``.
    begin, lines : (folds,) array of int
        First cycle of the fold in which a line is due, and how many are, one per cycle.
    words : (folds,) array of int
        Of one line, as it enters or leaves the array [word].
    flags : (folds,) array of int
        What a line does to its buffer; see `accelsim.kernels.line_buffers`.
    slots : int
        Lines that the buffer holds.
    share : Fraction
        Of the words that the buffer holds and its port moves; a unit between buffer and array
        makes the others [1].
    """

    operand: str
    begin: Ints
    lines: Ints
    words: Ints
    flags: Ints
    slots: int
    share: Fraction = Fraction(1)

    def moved(self, flag: int) -> int:
        """Words that the port moves for lines that do `flag`."""
        crossed = int(np.sum(self.lines * self.words, where=(self.flags & flag) != 0))
        return math.ceil(crossed * self.share)


@dataclass(frozen=True)
class Folds:
    """The folds that one array runs.

    Attributes
    ----------
    row, col : (folds,) array of int
        Place of each in the grid of folds, in order of execution.
    row_folds, col_folds : int
        Size of that grid.
    rows_inner : bool
        Folds along the rows follow each other.
    beats : int
        Cycles in which a fold takes in its stream.
    """

    row: Ints
    col: Ints
    row_folds: int
    col_folds: int
    rows_inner: bool
    beats: int

    @classmethod
    def dealt(
        cls, grid: tuple[int, int], rows_inner: bool, beats: int, span: tuple[int, int]
    ) -> Folds:
        """Return the folds `span[0]` to `span[1]` - 1 of a grid, in order of execution."""
        place = np.arange(*span)
        row, col = (
            (place % grid[0], place // grid[0])
            if rows_inner
            else (place // grid[1], place % grid[1])
        )
        return cls(row, col, *grid, rows_inner, beats)

    def __len__(self) -> int:
        return len(self.row)

    def reuse(self, along_rows: bool, slots: int) -> Ints:
        """Flags of an operand whose blocks follow one axis of the grid and serve all of the other.

        A block stays if its next use comes before the buffer is full: consecutive folds share it
        if one block fits; with a sweep over the other blocks in between, all of them must.
        """
        own, other = (self.row, self.col) if along_rows else (self.col, self.row)
        blocks, uses = self.row_folds, self.col_folds
        if not along_rows:
            blocks, uses = uses, blocks
        place = np.arange(len(own))
        if uses > 1 and self.rows_inner == along_rows and blocks * self.beats <= slots:
            return _flagged(place < blocks, TAKES_SLOT)
        if uses > 1 and self.rows_inner != along_rows and self.beats <= slots:
            first = (other == 0) | (place == 0)
            last = (other == uses - 1) | (place == len(own) - 1)
            return _flagged(first, TAKES_SLOT) + _flagged(last, GIVES_SLOT)
        return np.full(len(own), _THROUGH)

    def partial_sums(self, slots: int) -> Ints:
        """Flags of sums to which every fold of a column adds, spilled where they do not fit."""
        strips = 1 if self.rows_inner else self.col_folds
        if self.row_folds == 1:
            return np.full(len(self.row), _THROUGH)
        # An array's share may begin and end within a column of the grid.
        place = np.arange(len(self.row))
        first = (self.row == 0) | (place < strips)
        last = (self.row == self.row_folds - 1) | (place >= len(self.row) - strips)
        if strips * self.beats <= slots:
            return _flagged(first, TAKES_SLOT) + _flagged(last, GIVES_SLOT)
        return _THROUGH + _flagged(~first, READS_BACK)


def _flagged(where: NDArray[np.bool_], flag: int) -> Ints:
    return where.astype(np.int64) * flag


def line_streams(
    array: SystolicArray,
    sizes: tuple[int, int, int],
    folds: Folds,
    code: int,
    distinct_a: Fraction = Fraction(1),
) -> tuple[Stream, Stream, Stream]:
    """Lay out the lines of the column feed, the row stream and the results (Y, X, Z).

    Parameters
    ----------
    array : SystolicArray
        With buffers.
    sizes : (int, int, int)
        m, n, k.
    folds : Folds
        What the array runs.
    code : int
        The dataflow's number in `accelsim.kernels.folds`.
    distinct_a : Fraction
        Share of A's elements that are different ones: im2col repeats the others [1].

    Raises
    ------
    CapacityError
        If a buffer holds fewer than two lines.
    """
    extra = array.features
    m, n, k = sizes
    depth = extra.sparsity.kept(k) if extra.sparsity else k
    on_rows, on_cols, _ = fold_axes(code, m, n, depth)
    per_row, per_col, per_beat = (
        extra.packing if extra.packed == axis else 1 for axis in ("rows", "cols", "stream")
    )
    high = np.minimum(array.rows * per_row, on_rows - folds.row * array.rows * per_row)
    wide = np.minimum(array.cols * per_col, on_cols - folds.col * array.cols * per_col)
    used_rows = -(-high // per_row)
    stays = array.dataflow != "os"
    beats = np.full(len(folds), folds.beats)
    zero = np.zeros_like(beats)
    lag = array.rows * extra.mac_latency_cycles + array.cols - 2
    row_name, col_name = ("b", "a") if array.dataflow == "is" else ("a", "b")

    x_words = _row_words(array, k, folds, high) * per_beat
    if stays:
        y_lines, y_words = used_rows, -(-high * wide // used_rows)
        y_begin, x_begin = array.rows - used_rows, zero + array.rows
        z_begin, z_lines, z_words = x_begin + lag, beats, wide * per_beat
    else:
        y_begin, y_lines, y_words, x_begin = zero, beats, wide * per_beat, zero
        z_begin = beats + array.cols + extra.mac_latency_cycles - 3
        z_lines, z_words = used_rows, -(-high * wide // used_rows)
    shares = {"a": distinct_a, "b": Fraction(1)}
    if col_name == "b":
        y_words = _with_indices(array, y_words)

    y_slots = _slots(array, col_name, y_words, shares[col_name])
    x_slots = _slots(array, row_name, x_words, shares[row_name])
    z_slots = _slots(array, "c", z_words, Fraction(1))
    through = np.full(len(folds), _THROUGH)
    x_flags = folds.reuse(along_rows=True, slots=x_slots)
    y_flags = through if stays else folds.reuse(along_rows=False, slots=y_slots)
    z_flags = folds.partial_sums(z_slots) if stays else through
    return (
        Stream(col_name, y_begin, y_lines, y_words, y_flags, y_slots, shares[col_name]),
        Stream(row_name, x_begin, beats, x_words, x_flags, x_slots, shares[row_name]),
        Stream("c", z_begin, z_lines, z_words, z_flags, z_slots),
    )


def _slots(array: SystolicArray, operand: str, words: Ints, share: Fraction) -> int:
    """Lines of an operand that its buffer holds: two at least, one in use and one on its way."""
    capacity = getattr(array.buffers, f"{operand}_words")
    widest = math.ceil(int(words.max()) * share)
    slots = capacity // widest
    if slots < 2:
        raise CapacityError(
            f"{array.name}: the buffer of {operand.upper()} holds {capacity} words, but one line "
            f"of this matmul has {widest} and two must fit (one in use, one on its way): give it "
            f"at least {2 * widest} words or the array fewer rows or columns"
        )
    return int(slots)


def _row_words(array: SystolicArray, k: int, folds: Folds, high: Ints) -> Ints:
    """Words that enter all rows of a fold in one beat: of a sparse operand's partner, all."""
    sparsity = array.features.sparsity
    if sparsity is None:
        return high
    if array.dataflow == "os":  # a bundle of m values serves n beats
        return -(-high * sparsity.m // sparsity.n)
    begin = (
        folds.row * array.rows * (array.features.packing if array.features.packed == "rows" else 1)
    )
    end: Ints = -(-(begin + high) // sparsity.n) * sparsity.m
    start: Ints = begin // sparsity.n * sparsity.m
    return np.minimum(end, k, dtype=np.int64) - start


def _with_indices(array: SystolicArray, words: Ints) -> Ints:
    """Add the indices of kept weights to lines of weights."""
    sparsity, buffers = array.features.sparsity, array.buffers
    if sparsity is None or buffers is None:
        return words
    with_indices: Ints = words * (buffers.word_bits + sparsity.index_bits)
    return -(-with_indices // buffers.word_bits)
