"""Predicted against measured: signed errors by class, device, dtype and size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

SIZE_BUCKETS = ("< 10 us", "10-100 us", "0.1-1 ms", "> 1 ms")
"""Names of the ranges of measured time."""
_SIZE_EDGES_S = (1e-5, 1e-4, 1e-3)
CLASS_KEYS = ("suite", "device", "chip", "dtype")
"""What one line of the main table stands for."""
_BASELINE = ("mape", "median")


def size_buckets(measured_s: NDArray[np.float64]) -> list[str]:
    """Name the range of every measured time [s]."""
    return [SIZE_BUCKETS[i] for i in np.searchsorted(_SIZE_EDGES_S, measured_s, side="right")]


def error_summary(
    predicted_s: NDArray[np.float64], measured_s: NDArray[np.float64]
) -> dict[str, float]:
    """Summarise the signed relative errors e = predicted / measured - 1.

    Parameters
    ----------
    predicted_s, measured_s : float64[rows]
        At least one row [s].

    Returns
    -------
    dict
        ``mape`` (mean of |e|), ``median`` and ``p90`` (of |e|), ``bias`` (mean of e), and the
        shares ``within_10`` and ``within_25`` of rows whose |e| is at most 10 % and 25 %.
    """
    error = predicted_s / measured_s - 1.0
    size = np.abs(error)
    return {
        "mape": float(size.mean()),
        "median": float(np.median(size)),
        "p90": float(np.quantile(size, 0.9)),
        "bias": float(error.mean()),
        "within_10": float((size <= 0.10).mean()),
        "within_25": float((size <= 0.25).mean()),
    }


def error_table(rows: pd.DataFrame, by: Sequence[str] = CLASS_KEYS) -> pd.DataFrame:
    """Errors of every group, and those of the roofline beside them.

    Parameters
    ----------
    rows : DataFrame
        With ``measured_s``, ``predicted_s``, ``roofline_s`` [s] and the columns of `by`.
    by : sequence of str
        Columns that make a group.

    Returns
    -------
    DataFrame
        One line per group in the order of first appearance: its keys, ``rows``, the fields of
        `error_summary`, and ``roofline_mape``, ``roofline_median``.
    """
    lines = []
    for key, group in rows.groupby(list(by), sort=False, dropna=False):
        measured_s = group["measured_s"].to_numpy(float)
        bound = error_summary(group["roofline_s"].to_numpy(float), measured_s)
        lines.append({
            **dict(zip(by, key if isinstance(key, tuple) else (key,), strict=True)),
            "rows": len(group),
            **error_summary(group["predicted_s"].to_numpy(float), measured_s),
            **{f"roofline_{name}": bound[name] for name in _BASELINE},
        })  # fmt: skip
    return pd.DataFrame(lines)


@dataclass(frozen=True)
class ValidationResult:
    """Outcome of `accelsim.validate`.

    Attributes
    ----------
    rows : DataFrame
        One line per measured op: the columns of predict, ``suite``, ``device``, ``chip``,
        ``launch``, ``source``, ``place``, ``size``, ``fitted``, ``bound``, ``measured_s``,
        ``predicted_s``, ``roofline_s`` [s] and ``error`` (predicted / measured - 1).
    left_out : DataFrame
        Rows that were not compared: ``suite``, ``device``, ``reason``, ``rows``.
    fitted : mapping of str to tuple of str
        Chip to its scalars that measurements fixed; empty: nothing of it was fitted.
    versions : mapping of str to str
        accelsim and the sources of data.
    """

    rows: pd.DataFrame
    left_out: pd.DataFrame
    fitted: Mapping[str, tuple[str, ...]]
    versions: Mapping[str, str]

    @property
    def suites(self) -> tuple[str, ...]:
        """Classes that were compared, in order."""
        return tuple(dict.fromkeys(self.rows["suite"]))

    @property
    def table(self) -> pd.DataFrame:
        """Errors by class, device and dtype, and whether scalars of the chip were fitted."""
        return error_table(self.rows, (*CLASS_KEYS, "fitted"))

    @property
    def size_table(self) -> pd.DataFrame:
        """Errors by class and range of measured time, short ops first."""
        table = error_table(self.rows, ("suite", "size"))
        order = table["size"].map(SIZE_BUCKETS.index)
        suites = table["suite"].map(self.suites.index)
        return table.loc[np.lexsort((order, suites))].reset_index(drop=True)

    def worst(self, count: int = 10) -> pd.DataFrame:
        """Rows of the largest |log(predicted / measured)| of each class, worst first."""
        size = np.abs(np.log(self.rows["predicted_s"] / self.rows["measured_s"]))
        ranked = self.rows.assign(_size=size).sort_values("_size", ascending=False, kind="stable")
        parts = [ranked[ranked["suite"] == suite].head(count) for suite in self.suites]
        joined = pd.concat(parts) if parts else ranked
        return joined.drop(columns="_size").reset_index(drop=True)

    def tidy(self) -> pd.DataFrame:
        """Return all error tables as one frame; ``all`` stands for no split by that column."""
        frames = [self.table, self.size_table, error_table(self.rows, (*CLASS_KEYS, "size"))]
        keys = [*CLASS_KEYS, "fitted", "size"]
        joined = pd.concat(frames, ignore_index=True)
        joined[keys] = joined[keys].astype(object).where(joined[keys].notna(), "all")
        return joined[[*keys, *(c for c in joined.columns if c not in keys)]]

    def to_dict(self, worst: int = 10) -> dict[str, Any]:
        """Plain data for JSON: tables, worst rows, what was left out, versions."""
        return {
            "versions": dict(self.versions),
            "rows": len(self.rows),
            "errors": _records(self.tidy()),
            "worst": _records(self.worst(worst)),
            "left_out": _records(self.left_out),
            "fitted": {chip: list(names) for chip, names in self.fitted.items()},
        }


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Lines of a frame as plain data without empty cells."""
    return [
        {
            str(name): value.item() if hasattr(value, "item") else value
            for name, value in line.items()
            if not (pd.isna(value) or value == "")
        }
        for line in frame.to_dict("records")
    ]
