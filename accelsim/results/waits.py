"""Ops that had to wait for more than their own launch, or for the host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.results.execution import Execution
from accelsim.results.execution_tables import op_table
from accelsim.results.op_facts import launches_ps
from accelsim.results.unrolled import unrolled_ops
from accelsim.units import PS_PER_S

if TYPE_CHECKING:
    import pandas as pd


def waiting_ops(execution: Execution) -> pd.DataFrame:
    """One row per op of the first chip that had to wait, the longest in all first.

    Returns
    -------
    DataFrame
        unit, block, name; times: executions in the pass; and sums over these [s]: waited_s, for
        whatever but its own launch; host_s, the part of it for the host; ahead_s, from the first
        transfer until it was ready; length_s, from then, or its first work, to its end.
    """
    ops = op_table(execution)
    launched_s = launches_ps(execution) / PS_PER_S
    ops["own_s"] = launched_s[[op.source for op in unrolled_ops(execution)]]
    ops = ops[ops["chip"] == 0].copy()
    idle_s = (ops["waited_s"] - ops["own_s"]).clip(lower=0.0)
    ops["waited_s"] = (idle_s + ops["host_s"]).round(12)
    ops["length_s"] = ops["end_s"] - ops[["ready_s", "start_s"]].max(axis=1)
    keys = ["unit", "block", "name"]
    found = ops.groupby(keys, sort=False).agg(
        times=("waited_s", "size"), waited_s=("waited_s", "sum"), host_s=("host_s", "sum"),
        ahead_s=("ahead_s", "sum"), length_s=("length_s", "sum"),
    ).reset_index()  # fmt: skip
    return found[found["waited_s"] > 0].sort_values("waited_s", ascending=False, kind="stable")
