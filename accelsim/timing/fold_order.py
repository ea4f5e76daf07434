"""The folds of a matmul in the order in which arrays run them, and which blocks they share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accelsim.arch.array import SystolicArray
from accelsim.kernels.folds import FoldCounts

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Uses:
    """Of the block that each fold uses: is this its first use, its last, and is it read again?

    Attributes
    ----------
    first, last : (folds,) array of bool
        The block enters the buffer with this fold, and leaves it.
    again : (folds,) array of bool
        It was there before, left, and is read back (partial sums).
    """

    first: Bools
    last: Bools
    again: Bools


@dataclass(frozen=True)
class FoldOrder:
    """Folds in order of execution, dealt to the arrays one by one; all arrays work in step.

    Attributes
    ----------
    row, col : (folds,) array of int
        Place of each in the grid of its matmul.
    turn : (folds,) array of int
        When it runs: `arrays` folds share a turn.
    row_folds, col_folds : int
        Size of the grid.
    rows_inner : bool
        Folds along the rows follow each other.
    beats : int
        Cycles in which a fold takes in its stream.
    arrays : int
        Folds of a turn.
    """

    row: Ints
    col: Ints
    turn: Ints
    row_folds: int
    col_folds: int
    rows_inner: bool
    beats: int
    arrays: int

    @classmethod
    def of(cls, array: SystolicArray, counts: FoldCounts) -> FoldOrder:
        """Put the folds of a counted problem in order; several matmuls follow each other."""
        rows_inner = array.rows_inner
        place = np.arange(counts.folds)
        within = place % (counts.row_folds * counts.col_folds)
        width = counts.row_folds if rows_inner else counts.col_folds
        outer, inside = np.divmod(within, width)
        row, col = (inside, outer) if rows_inner else (outer, inside)
        arrays = array.features.arrays
        return cls(
            row, col, place // arrays, counts.row_folds, counts.col_folds, rows_inner,
            counts.beats, arrays,
        )  # fmt: skip

    @property
    def turns(self) -> int:
        """Rounds of folds."""
        return int(self.turn[-1]) + 1

    def per_turn(self, values: NDArray[np.generic]) -> Ints:
        """Sum something of the folds of each turn."""
        return np.bincount(self.turn, weights=values, minlength=self.turns).astype(np.int64)

    def most_per_turn(self, values: Ints) -> Ints:
        """Largest value among the folds of each turn."""
        most: Ints = np.maximum.reduceat(values, np.arange(0, len(values), self.arrays))
        return most

    def uses(self, along_rows: bool, slots: int) -> Uses:
        """Say when blocks come and go that follow one axis of the grid and serve all of the other.

        A block stays if its next use comes before the buffer is full: consecutive folds share it
        if one fits (two where a turn holds the end of one and the begin of the next); with a sweep
        over the other blocks in between, all of them must. A turn uses a block once, however many
        of its folds do.

        Parameters
        ----------
        along_rows : bool
            Blocks differ along the rows of the grid; along its columns otherwise.
        slots : int
            Lines that the buffer holds; a block has `beats`.
        """
        blocks, uses, other = self.row_folds, self.col_folds, self.col
        if not along_rows:
            blocks, uses, other = uses, blocks, self.row
        place = np.arange(len(other))
        within, lane = place % (blocks * uses), place % self.arrays
        swept = self.rows_inner == along_rows
        # Of folds of a turn that share a block, the first stands for all.
        stands = (lane < blocks) | (within < blocks) if swept else (lane == 0) | (other == 0)
        open_at_once = int(self.per_turn(stands).max())
        if swept:
            needed = blocks + (
                open_at_once if len(other) > blocks * uses and self.arrays > 1 else 0
            )
            first, last = within < blocks, within >= blocks * (uses - 1)
        else:
            needed = open_at_once
            first, last = other == 0, other == uses - 1
        if uses > 1 and needed * self.beats <= slots:
            return Uses(first, last, np.zeros_like(first))
        return Uses(stands, stands, stands & (other > 0))
