"""The Pareto front: the designs that no other design beats in every objective at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def pareto_mask(
    values: npt.ArrayLike, maximize: Sequence[bool] | None = None
) -> npt.NDArray[np.bool_]:
    """Mark the points that no other point dominates.

    Point *a* dominates point *b* when *a* is at least as good in every objective and better in
    one. Equal points do not dominate one another: all copies of a point on the front are marked.

    Parameters
    ----------
    values : array_like of float, shape [points, objectives]
        One row per design. A row with a NaN (a design that failed) is never on the front and
        dominates nothing; infinities are ordinary values.
    maximize : sequence of bool, optional
        Per objective, whether larger is better; all are minimised when left out.

    Returns
    -------
    ndarray of bool, shape [points]

    Raises
    ------
    ValueError
        If `values` is not two-dimensional or `maximize` has another length.

    Notes
    -----
    Two objectives: O(n log n), sort by the first and keep the running minimum of the second
    (Kung, Luccio and Preparata 1975, section 2). More: each point still standing, best rank
    sum first, removes what it dominates in one vector operation, O(front x n) in all.

    References
    ----------
    Kung, Luccio, Preparata, "On finding the maxima of a set of vectors", J. ACM 22(4), 1975.
    """
    table = np.array(values, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] == 0:
        raise ValueError(f"values has shape {table.shape}, expected [points, objectives]")
    if maximize is not None:
        if len(maximize) != table.shape[1]:
            raise ValueError(f"{len(maximize)} directions for {table.shape[1]} objectives")
        table[:, np.asarray(maximize, dtype=bool)] *= -1.0
    mask = np.zeros(len(table), dtype=np.bool_)
    usable = np.flatnonzero(~np.isnan(table).any(axis=1))
    if len(usable) == 0:
        return mask
    ranks = np.column_stack(
        [np.unique(column, return_inverse=True)[1] for column in table[usable].T]
    )
    front = _front_of_two(ranks) if ranks.shape[1] == 2 else _front_of_many(ranks)
    mask[usable] = front
    return mask


def _front_of_two(ranks: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
    """Front of integer ranks, shape [points, 2], smaller is better."""
    order = np.lexsort((ranks[:, 1], ranks[:, 0]))
    first, second = ranks[order, 0], ranks[order, 1]
    # Where each point's run of equal `first` starts: there lies the best `second` of the run.
    starts = np.searchsorted(first, first, side="left")
    best_before = np.full(len(ranks), np.iinfo(np.intp).max)
    later = starts > 0
    best_before[later] = np.minimum.accumulate(second)[starts[later] - 1]
    front = np.zeros(len(ranks), dtype=np.bool_)
    front[order] = (second == second[starts]) & (second < best_before)
    return front


def _front_of_many(ranks: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
    """Front of integer ranks, shape [points, objectives], smaller is better."""
    unique, copies = np.unique(ranks, axis=0, return_inverse=True)
    standing = np.argsort(unique.sum(axis=1), kind="stable")
    position = 0
    while position < len(standing):
        candidate = unique[standing[position]]
        # No point before the candidate can be dominated by it: its rank sum is larger.
        keep = (unique[standing] < candidate).any(axis=1)
        keep[: position + 1] = True
        standing = standing[keep]
        position += 1
    best = np.zeros(len(unique), dtype=np.bool_)
    best[standing] = True
    return best[copies.reshape(-1)]
