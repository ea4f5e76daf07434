"""A user's measurements: the columns of predict and the measured time, as CSV or DataFrame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from accelsim.dtypes import dtype as find_dtype
from accelsim.errors import WorkloadError, suggest
from accelsim.scenarios.op_table import COLUMNS, read_ops
from accelsim.timing.launch import LAUNCH
from accelsim.validation import rules
from accelsim.validation.cells import blank
from accelsim.validation.devices import chips_of_devices
from accelsim.validation.measured import LABELS, LeftOut, MeasuredOps

TIME_COLUMNS = {"measured_s": 1.0, "measured_ms": 1e-3, "measured_us": 1e-6, "latency_us": 1e-6}
"""Columns that may hold the measured time, and what one of their units is [s]."""
USER_COLUMNS = (*TIME_COLUMNS, "device", "launch")
SUITE_OF_OP = {"matmul": "gemm"}
"""Class of an op in the tables, where it is not the op's own name."""
_OP_NAMES = {"gemm": "matmul"}
_USUAL_DTYPE = "bf16"
_EXAMPLE = "op,dtype,m,n,k,measured_us"


def read_user_csv(path: str | Path, chip: str | None, launch: str) -> MeasuredOps:
    """Read a CSV of measured ops.

    Parameters
    ----------
    path : str or Path
        Columns of predict, one of `TIME_COLUMNS`, and if wanted ``device`` and ``launch``.
    chip : str or None
        What rows without a device were measured on.
    launch : str
        ``graph``, ``eager`` or ``compiled``: how rows that do not say so were launched.

    Raises
    ------
    WorkloadError
        If the table is malformed; the message names line and column.
    """
    return user_table(read_ops(path, USER_COLUMNS), chip, launch, str(path))


def user_table(
    table: pd.DataFrame, chip: str | None, launch: str, source: str = "your table"
) -> MeasuredOps:
    """Turn a table with measured times into measured ops; see `read_user_csv`.

    Raises
    ------
    WorkloadError
        If a column is unknown, missing or there twice, a time is no positive number, or no row
        has a time.
    """
    if launch not in LAUNCH:
        raise WorkloadError(f"unknown launch '{launch}': {suggest(launch, LAUNCH)}")
    _check_columns(table, source)
    where = _places(table, source)
    column = next(name for name in TIME_COLUMNS if name in table.columns)
    measured_s = _times_s(table[column], where)
    timed = measured_s.notna()
    if not timed.any():
        raise WorkloadError(f"{source}: no row has a time in '{column}'")
    frame = table.loc[:, [name for name in COLUMNS if name in table.columns]]
    frame = frame.assign(
        op=_op_names(table["op"], where),
        dtype=_dtypes(_filled(table, "dtype", _USUAL_DTYPE), where),
        device=_filled(table, "device", chip or ""),
        launch=_launches(table, launch, where),
        source=source, place=where, measured_s=measured_s,
    )[timed]  # fmt: skip
    frame["suite"] = frame["op"].map(lambda name: SUITE_OF_OP.get(name, name))
    frame["chip"] = _chips(frame["device"], chip, source)
    blank = int((~timed).sum())
    left_out = (LeftOut("table", "", f"no time in '{column}'", blank),) if blank else ()
    return MeasuredOps(frame.reset_index(drop=True), left_out)


def _check_columns(table: pd.DataFrame, source: str) -> None:
    names = [str(name) for name in table.columns]
    known = (*COLUMNS, *USER_COLUMNS)
    for name in names:
        if names.count(name) > 1:
            raise WorkloadError(f"{source}: the column '{name}' stands twice")
        if name not in known:
            raise WorkloadError(f"{source}: unknown column '{name}': {suggest(name, known)}")
    if "op" not in names:
        raise WorkloadError(f"{source}: the column 'op' is missing; for example {_EXAMPLE}")
    times = [name for name in TIME_COLUMNS if name in names]
    if len(times) != 1:
        found = f"has {' and '.join(times)}" if times else "has no measured time"
        raise WorkloadError(
            f"{source} {found}: give one column of {', '.join(TIME_COLUMNS)}; for example "
            f"{_EXAMPLE}"
        )
    if table.empty:
        raise WorkloadError(f"{source}: no rows")
    clash = [name for name in LABELS if name in names and name not in USER_COLUMNS]
    assert not clash, clash


def _places(table: pd.DataFrame, source: str) -> pd.Series[str]:
    known = table.attrs.get("where", {})
    places = [known.get(label, f"{source} row {label}") for label in table.index]
    return pd.Series(places, index=table.index)


def _times_s(cells: pd.Series[Any], where: pd.Series[str]) -> pd.Series[float]:
    """Seconds of the column, NaN where a cell is blank."""
    empty = blank(cells)
    numbers = pd.to_numeric(cells.where(~empty), errors="coerce").astype(float)
    seconds = numbers * TIME_COLUMNS[str(cells.name)]
    positive = (numbers > 0) & (numbers < np.inf)
    limits = f"a time from 1 ns to {rules.LONGEST_S:,.0f} s"
    beyond = positive & ~seconds.between(rules.SHORTEST_S, rules.LONGEST_S)
    for wrong, expected in ((~empty & ~positive, "a positive time"), (beyond, limits)):
        if wrong.any():
            first = wrong.index[wrong][0]
            more = f" ({int(wrong.sum())} such rows)" if wrong.sum() > 1 else ""
            raise WorkloadError(
                f"{where[first]}: {cells.name} is '{cells[first]}', expected {expected}{more}; "
                "leave the cell blank where nothing was measured"
            )
    return seconds


def _filled(table: pd.DataFrame, column: str, default: str) -> pd.Series[str]:
    if column not in table.columns:
        return pd.Series(default, index=table.index)
    cells = table[column].astype(object)
    return cells.where(~blank(cells), default).astype(str).str.strip()


def _launches(table: pd.DataFrame, default: str, where: pd.Series[str]) -> pd.Series[str]:
    launches = _filled(table, "launch", default)
    for place, value in zip(where, launches, strict=True):
        if value not in LAUNCH:
            raise WorkloadError(f"{place}: launch '{value}': {suggest(value, LAUNCH)}")
    return launches


def _op_names(ops: pd.Series[Any], where: pd.Series[str]) -> pd.Series[str]:
    empty = blank(ops)
    if empty.any():
        raise WorkloadError(f"{where[empty.index[empty.to_numpy()][0]]}: op is missing")
    names = ops.astype(str).str.strip().str.lower()
    return names.map(lambda name: _OP_NAMES.get(name, name))


def _dtypes(names: pd.Series[str], where: pd.Series[str]) -> pd.Series[str]:
    """Formats by their own names: BF16 and bfloat16 are bf16."""
    known: dict[str, str] = {}
    for place, name in zip(where, names, strict=True):
        if name not in known:
            try:
                known[name] = find_dtype(name).name
            except WorkloadError as problem:
                raise WorkloadError(f"{place}: {problem}") from None
    return names.map(known)


def _chips(devices: pd.Series[str], chip: str | None, source: str) -> pd.Series[str]:
    if (devices == "").any():
        raise WorkloadError(
            f"{source} does not say where it was measured: add a column 'device' with names of "
            "chips, or name one chip for all rows"
        )
    named = [device for device in dict.fromkeys(devices) if device != chip]
    known = chips_of_devices(named)
    return devices.map(lambda device: known.get(device, device))
