"""What PE-level arrays are given to do: operands of one type, stored weights, folds dealt out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accelsim.arch.array import Sparsity, SystolicArray
from accelsim.errors import SpecError, WorkloadError, suggest
from accelsim.kernels.pe_features import JOB_COL, JOB_FOLD, JOB_ROW, JOB_STEP, JOB_STEPS, Operands

_INTEGERS = ("int8", "int16", "int32", "int64")
_FLOATS = ("float32", "float64")
_SUMS_OF_INTEGERS = ("int64", "int32")


@dataclass(frozen=True)
class Deal:
    """How folds go to arrays.

    Attributes
    ----------
    row_folds, col_folds : int
        Pieces of the stationary operand along the array's rows and columns.
    rows_inner : bool
        Whether folds along rows follow each other.
    high, wide : int
        Rows and columns of the stationary operand in one fold.
    beats : int
        Steps in which the streamed operand enters.
    copies : int
        Arrays that hold the same fold and cut its stream; 1 when there are folds for all arrays.
    arrays : int
        Arrays that get anything to do.
    """

    row_folds: int
    col_folds: int
    rows_inner: bool
    high: int
    wide: int
    beats: int
    copies: int
    arrays: int

    @property
    def folds(self) -> int:
        """Pieces of the stationary operand."""
        return self.row_folds * self.col_folds

    def jobs(self) -> NDArray[np.int64]:
        """Return the folds of every array in order: (arrays, turns, 5), see `run_stationary`."""
        pieces = self.folds * self.copies
        turns = -(-pieces // self.arrays)
        piece = np.arange(turns * self.arrays, dtype=np.int64).reshape(turns, self.arrays).T
        fold, share = piece // self.copies, piece % self.copies
        if self.rows_inner:
            row, col = fold % self.row_folds, fold // self.row_folds
        else:
            row, col = fold // self.col_folds, fold % self.col_folds
        first = share * self.beats // self.copies
        jobs = np.empty((self.arrays, turns, 5), dtype=np.int64)
        jobs[:, :, JOB_FOLD] = fold
        jobs[:, :, JOB_ROW] = row * self.high
        jobs[:, :, JOB_COL] = col * self.wide
        jobs[:, :, JOB_STEP] = first
        jobs[:, :, JOB_STEPS] = (share + 1) * self.beats // self.copies - first
        jobs[:, :, JOB_STEPS][piece >= pieces] = 0
        return jobs


def deal_folds(array: SystolicArray, m: int, n: int, k: int) -> Deal:
    """Cut a problem into folds, and share them (or, when they are few, their streams) out."""
    extra = array.features
    high, wide = array.fold_rows, array.fold_cols
    on_rows, on_cols, streamed = array.axes(m, n, k)
    stationary = array.dataflow != "os"
    row_folds, col_folds = -(-on_rows // high), -(-on_cols // wide)
    beats = -(-streamed // extra.packing) if extra.packed == "stream" else streamed
    folds = row_folds * col_folds
    copies = 1
    if stationary and folds < extra.arrays:
        copies = min(extra.arrays // folds, beats)
    arrays = min(extra.arrays, folds * copies)
    return Deal(row_folds, col_folds, stationary, high, wide, beats, copies, arrays)


def read_operands(
    a: ArrayLike, b: ArrayLike, accumulate: str | None
) -> tuple[NDArray[Any], NDArray[Any], str]:
    """Return both operands, nothing copied, and the type of their sums.

    Raises
    ------
    WorkloadError
        If they are no matrices of numbers, or do not match.
    SpecError
        If there is no such type of sums.
    """
    left, right = _matrix("a", a), _matrix("b", b)
    if left.shape[1] != right.shape[0]:
        raise WorkloadError(
            f"a is {left.shape[0]} x {left.shape[1]} and b {right.shape[0]} x {right.shape[1]}: "
            "the columns of a and the rows of b must be equally many; transpose one?"
        )
    floats = [m.dtype.name in _FLOATS for m in (left, right)]
    if any(floats) and left.dtype != right.dtype:
        raise WorkloadError(
            f"a is of type {left.dtype} and b of {right.dtype}: PEs multiply floats of one type; "
            f"convert one, for example b.astype('{left.dtype}')"
        )
    known = (left.dtype.name,) if any(floats) else _SUMS_OF_INTEGERS
    sums = known[0] if accumulate is None else str(accumulate)
    if sums not in known:
        raise SpecError(
            f"accumulate is '{sums}': products of {left.dtype} are summed in "
            f"{' or '.join(known)}; {suggest(sums, known)}"
        )
    return left, right, sums


def _matrix(name: str, values: ArrayLike) -> NDArray[Any]:
    try:
        matrix = np.asarray(values)
    except ValueError as error:  # rows of different lengths
        raise WorkloadError(f"{name} is not a matrix: {error}") from error
    if matrix.dtype.name not in (*_INTEGERS, *_FLOATS):
        raise WorkloadError(
            f"{name} is of type {matrix.dtype}, expected {', '.join((*_INTEGERS, *_FLOATS))}; "
            f"convert it, for example {name}.astype('int64')"
        )
    if matrix.ndim != 2 or matrix.size == 0:
        raise WorkloadError(
            f"{name} has shape {matrix.shape}, expected a matrix of at least 1 x 1 "
            "(a vector v: v[None, :] or v[:, None])"
        )
    return matrix


def widened(name: str, matrix: NDArray[Any], sums: str) -> NDArray[Any]:
    """Return an operand in the type of the sums.

    Raises
    ------
    WorkloadError
        If a value does not fit.
    """
    if sums in _SUMS_OF_INTEGERS:
        limits = np.iinfo(sums)
        wrong = (matrix < limits.min) | (matrix > limits.max)
        if wrong.any():
            row, col = (int(i) for i in np.argwhere(wrong)[0])
            raise WorkloadError(
                f"{name}[{row}, {col}] is {matrix[row, col]} and does not fit {sums} sums "
                f"({limits.min} to {limits.max}); use accumulate='int64'"
            )
    return np.ascontiguousarray(matrix, dtype=sums)


def store_weights(a: NDArray[Any], b: NDArray[Any], sparsity: Sparsity | None) -> Operands:
    """Compress weights as the array stores them: values, and places in their groups along k.

    Raises
    ------
    WorkloadError
        If a group of `b` has more weights that are not 0 than the sparsity keeps.
    """
    if sparsity is None:
        return Operands(a, b, np.zeros(b.shape, dtype=np.int64))
    k, n = b.shape
    groups = -(-k // sparsity.m)
    padded = np.zeros((groups * sparsity.m, n), dtype=b.dtype)
    padded[:k] = b
    by_group = padded.reshape(groups, sparsity.m, n)
    used = (by_group != 0).sum(axis=1)
    if used.max() > sparsity.n:
        group, col = (int(i) for i in np.argwhere(used > sparsity.n)[0])
        first = group * sparsity.m
        raise WorkloadError(
            f"b[{first}:{min(first + sparsity.m, k)}, {col}] has {used[group, col]} weights that "
            f"are not 0, and {sparsity} sparsity keeps {sparsity.n} of {sparsity.m}; prune b first"
        )
    # Weights that are not 0 first, then zeros inside the problem, then what pads the last group.
    rank = (by_group == 0).astype(np.int8)
    rank.reshape(padded.shape)[k:] = 2
    picks = np.sort(np.argsort(rank, axis=1, kind="stable")[:, : sparsity.n], axis=1)
    kept = sparsity.kept(k)
    values = np.take_along_axis(by_group, picks, axis=1).reshape(-1, n)[:kept]
    return Operands(
        a, np.ascontiguousarray(values), np.ascontiguousarray(picks.reshape(-1, n)[:kept])
    )


def count_zeros(given: Operands, sparsity: Sparsity | None) -> tuple[int, int, int]:
    """Count multiply-adds with a zero activation, a zero weight, or either.

    Notes
    -----
    A stored weight meets every activation of its column of `a` once, so no PE need be watched.
    """
    m = len(given.a)
    zeros = (given.a == 0).sum(axis=0)
    if sparsity is None:
        met = np.broadcast_to(zeros[:, None], given.weights.shape)
    else:
        groups = np.arange(len(given.weights))[:, None] // sparsity.n
        met = zeros[groups * sparsity.m + given.picks]
    pruned = given.weights == 0
    zero_a, zero_b = int(met.sum()), int(pruned.sum()) * m
    return zero_a, zero_b, zero_a + zero_b - int(met[pruned].sum())
