"""Cells of a table of measurements: a malformed one drops its own row, counted by its column."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from accelsim.scenarios.op_table import COLUMNS, LARGEST, SIZES
from accelsim.validation import rules
from accelsim.validation.measured import LeftOut, Screen

_NUMBERS = {
    *SIZES, "num_tokens", "hidden_size", "inter_size", "num_experts", "moe_tp_size",
    "moe_ep_size", "tp", "n_head", "n_kv_head", "n_embd", "n_expanded_embd", "num_gpus",
    "n_devices", "elements", "l2_resident",
}  # fmt: skip
_TIMES = ("_us", "latency_s")


def readable(suite: str, table: pd.DataFrame) -> tuple[pd.DataFrame, list[LeftOut]]:
    """Turn columns of numbers into numbers; drop rows where one is none, infinite or no time.

    Blank cells stay, as NaN: what they mean depends on the table.

    Parameters
    ----------
    suite : str
        What dropped rows are counted under.
    table : DataFrame
        As read; without a column ``device`` it stays as it is.
    """
    if "device" not in table:
        return table, []
    rows = Screen(suite, table)
    for name in map(str, table.columns):
        time = name.endswith(_TIMES)
        if not time and name not in _NUMBERS:
            continue
        numbers = pd.to_numeric(rows.frame[name], errors="coerce").astype(float)
        malformed = ~blank(rows.frame[name]) & ~np.isfinite(numbers)
        rows.frame = rows.frame.assign(**{name: numbers})
        rows.drop(malformed, rules.NO_NUMBER.format(name))
        if time:
            rows.drop(rows.frame[name] <= 0, rules.NOT_POSITIVE.format(name))
    return rows.frame, rows.left_out


def possible(
    suite: str, ops: pd.DataFrame, device: str | None = None
) -> tuple[pd.DataFrame, list[LeftOut]]:
    """Drop ops whose sizes or time cannot be: blank, no whole number, out of all limits.

    Parameters
    ----------
    suite : str
        What dropped rows are counted under.
    ops : DataFrame
        Columns of predict and ``measured_s``.
    device : str, optional
        Whose rows they are; without, the column ``device`` says it.
    """
    rows = Screen(suite, ops, device)
    for name in (n for n in COLUMNS if n in SIZES and n in ops.columns):
        sizes = rows.frame[name].astype(float)
        whole = (sizes >= 1) & (sizes <= LARGEST) & (sizes % 1 == 0)
        rows.drop(~whole, rules.NO_SIZE.format(name))
    within = rows.frame["measured_s"].between(rules.SHORTEST_S, rules.LONGEST_S)
    rows.drop(~within, rules.NO_TIME)
    return rows.frame, rows.left_out


def blank(cells: pd.Series[Any]) -> pd.Series[bool]:
    """Tell which cells hold nothing."""
    if pd.api.types.is_numeric_dtype(cells):
        return cells.isna()
    return cells.isna() | (cells.astype(str).str.strip() == "")
