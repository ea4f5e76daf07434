"""Repetitions of one op: they count as one op, and stay together in a split or a resample."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from accelsim.scenarios.op_table import COLUMNS


def group_numbers(frame: pd.DataFrame) -> NDArray[np.int64]:
    """Number the different ops of measured rows: same op, shape, dtype and launch, same number.

    Parameters
    ----------
    frame : DataFrame
        As `MeasuredOps.frame`.

    Returns
    -------
    int64[rows]
        From 0, in the order of the rows.
    """
    columns = [name for name in (*COLUMNS, "launch") if name in frame.columns]
    cells = frame[columns].apply(lambda column: column.map(_written))
    return np.asarray(cells.groupby(columns, sort=False).ngroup(), np.int64)


def _written(cell: object) -> str:
    """Write a cell so that 128, 128.0 and "128" are one."""
    if pd.isna(cell):  # type: ignore[call-overload]
        return ""
    text = str(cell).strip().lower()
    try:
        return repr(float(text))
    except ValueError:
        return text
