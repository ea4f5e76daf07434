"""How a matmul lies on a systolic array: which axis goes where, and how it is cut into folds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accelsim.arch.array import AXES, INNER, ArrayDataflow, InnerFolds, SystolicArray
from accelsim.scenarios.array_problem import ArrayProblem


@dataclass(frozen=True)
class Flow:
    """How a dataflow lays a matmul over the array.

    Attributes
    ----------
    rows, cols, stream : str
        Which of m, n, k lies along rows, along columns, and in time.
    stays : str
        What the PEs keep: ``A``, ``B`` or ``C``.
    enters_left, enters_top : str
        Operand that streams in from the left, and the one that comes from above.
    """

    rows: str
    cols: str
    stream: str
    stays: str
    enters_left: str
    enters_top: str


FLOWS: dict[ArrayDataflow, Flow] = {
    "ws": Flow(*AXES["ws"], stays="B", enters_left="A", enters_top="B"),
    "os": Flow(*AXES["os"], stays="C", enters_left="A", enters_top="B"),
    "is": Flow(*AXES["is"], stays="A", enters_left="B", enters_top="A"),
}


@dataclass(frozen=True)
class FoldPlan:
    """The plane of what stays, cut into folds.

    Attributes
    ----------
    flow : Flow
        Names of the axes.
    on_rows, on_cols, streamed : int
        Sizes along rows, along columns, in time; with sparsity k counts kept weights.
    high, wide : int
        Most of them that one fold covers.
    inner : str
        Which folds follow each other: along ``rows`` or ``cols``.
    """

    flow: Flow
    on_rows: int
    on_cols: int
    streamed: int
    high: int
    wide: int
    inner: InnerFolds

    @classmethod
    def of(
        cls, array: SystolicArray, problem: ArrayProblem, inner: InnerFolds | None = None
    ) -> FoldPlan:
        """Cut a problem for an array; `inner` None is the order of a dataflow without buffers."""
        on_rows, on_cols, streamed = array.axes(*problem.sizes)
        return cls(
            FLOWS[array.dataflow], on_rows, on_cols, streamed, array.fold_rows, array.fold_cols,
            inner or INNER[array.dataflow],
        )  # fmt: skip

    @property
    def row_folds(self) -> int:
        """Folds along the rows."""
        return math.ceil(self.on_rows / self.high)

    @property
    def col_folds(self) -> int:
        """Folds along the columns."""
        return math.ceil(self.on_cols / self.wide)

    def order(self, row_fold: NDArray[np.int64], col_fold: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return when folds run, counted from 0."""
        if self.inner == "rows":
            return col_fold * self.row_folds + row_fold
        return row_fold * self.col_folds + col_fold

    def turn_origin(self, turn: int, row: int, col: int) -> tuple[int, int]:
        """Return the origin of the fold that is the `turn`-th to use a PE, both from 0.

        Folds at the end of an axis may not reach every PE. Rows and columns are counted in sizes
        of the problem; of packed PEs this is the first.
        """
        row_folds = math.ceil((self.on_rows - row) / self.high)
        col_folds = math.ceil((self.on_cols - col) / self.wide)
        if self.inner == "rows":
            col_fold, row_fold = divmod(turn, row_folds)
        else:
            row_fold, col_fold = divmod(turn, col_folds)
        return row_fold * self.high, col_fold * self.wide

    def origin(self, fold: int) -> tuple[int, int]:
        """Return the first index along rows and along columns of a fold."""
        if self.inner == "rows":
            col_fold, row_fold = divmod(fold, self.row_folds)
        else:
            row_fold, col_fold = divmod(fold, self.col_folds)
        return row_fold * self.high, col_fold * self.wide

    def span_words(self, fold: int) -> str:
        """Say what a fold covers: ``k 0-3, n 4-6``."""
        row, col = self.origin(fold)
        last_row = min(row + self.high, self.on_rows) - 1
        last_col = min(col + self.wide, self.on_cols) - 1
        return f"{self.flow.rows} {row}-{last_row}, {self.flow.cols} {col}-{last_col}"


def problem_words(array: SystolicArray, problem: ArrayProblem, note: str = "") -> str:
    """Say what runs where: ``4x4 weight stationary, 2 arrays, C[5, 7] = A[5, 6] B[6, 7]``.

    A `note` such as ``1 of 4 groups`` stands behind in brackets.
    """
    m, n, k = problem.sizes
    words = f"{array}, C[{m}, {n}] = A[{m}, {k}] B[{k}, {n}]"
    return f"{words} ({note})" if note else words


def share_words(fraction: float) -> str:
    """Write a ratio with one decimal, as the tables do, so that products of shares add up."""
    return f"{100 * fraction:.1f} %"
