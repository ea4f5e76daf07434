"""Tables of an execution: engines, critical path and what would help, ops that waited."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from accelsim.report.tables import Column, Table
from accelsim.report.words import gain_words, percent, resource_word, short_name
from accelsim.results.execution import Execution
from accelsim.results.execution_tables import engine_totals, op_table
from accelsim.results.op_facts import launches_ps
from accelsim.results.unrolled import unrolled_ops
from accelsim.units import PS_PER_S, format_si

if TYPE_CHECKING:
    import pandas as pd

_MOST_WAITING = 8
_FLOP = ("matrix", "vector")


def execution_tables(
    execution: Execution, gains: Mapping[str, float] | None = None
) -> tuple[Table, ...]:
    """All tables of an execution; without waiting ops, not theirs.

    Parameters
    ----------
    execution : Execution
    gains : mapping of str to float, optional
        By resource, how long the pass would take if it were infinite [s].
    """
    tables = (engines_table(execution), path_table(execution, gains), waiting_table(execution))
    return tuple(table for table in tables if table.rows)


def engines_table(execution: Execution) -> Table:
    """One row per engine that worked: busy time, its share of the pass, bytes or FLOP, energy.

    Energy is counted, dynamic, and of one chip.
    """
    rows, breaks, before = [], [], None
    several = len(execution.chips) > 1
    for row in engine_totals(execution).to_dict("records"):
        if not row["pieces"]:
            continue
        if before not in (None, row["chip"]):
            breaks.append(len(rows))
        before = row["chip"]
        cells = _engine_cells(row)
        name = f"{row['chip']}: {execution.chips[row['chip']]}"
        rows.append((name, *cells) if several else cells)
    columns = (
        Column("engine"), Column("unit", rank=2), Column("busy", right=True),
        Column("share", right=True), Column("moved or done", right=True),
        Column("of peak", right=True), Column("dynamic energy", right=True, rank=1),
        Column("pieces", right=True, rank=2),
    )  # fmt: skip
    head = (Column("chip"),) if several else ()
    title = f"Engines in one pass of {format_si(execution.end_ps / PS_PER_S, 's')}"
    return Table(title, (*head, *columns), tuple(rows), tuple(breaks))


def path_table(execution: Execution, gains: Mapping[str, float] | None = None) -> Table:
    """Shares of the critical path, most time first, and what the pass would take without each.

    Parameters
    ----------
    execution : Execution
    gains : mapping of str to float, optional
        By resource, how long the pass would take if it were infinite [s].
    """
    whole_s = execution.end_ps / PS_PER_S
    columns = [Column("critical path"), Column("time", right=True), Column("share", right=True)]
    if gains is not None:
        columns += [Column("if infinitely fast", right=True), Column("gain", right=True)]
    rows = []
    for share in execution.path:
        if share.path_ps <= 0:
            continue
        seconds = share.path_ps / PS_PER_S
        cells = [resource_word(share.resource), format_si(seconds, "s"), percent(seconds / whole_s)]
        if gains is not None:
            cells += _gain_cells(gains.get(share.resource), whole_s)
        rows.append(tuple(cells))
    title = "Critical path" if gains is None else "Critical path, and what would help"
    return Table(title, tuple(columns), tuple(rows))


def waiting_table(execution: Execution, count: int = _MOST_WAITING) -> Table:
    """Ops of the first chip that had to wait for more than their own launch, or for the host.

    Longest in all first; equal names are one row.

    Parameters
    ----------
    execution : Execution
    count : int
        At most so many rows.
    """
    found = _waits(execution)
    hosted = bool((found["host_s"] > 0).any())
    rows = tuple(_waiting_cells(row, hosted) for row in found.head(count).to_dict("records"))
    host = (Column("for the host", right=True),) if hosted else ()
    several = found["unit"].nunique() > 1
    if several:
        units = found["unit"].head(count)
        rows = tuple((unit, *cells) for unit, cells in zip(units, rows, strict=True))
    columns = (
        *((Column("unit"),) if several else ()), Column("block", rank=1), Column("op"),
        Column("times", right=True),
        Column("waited each", right=True), *host, Column("in all", right=True),
        Column("begun ahead", right=True, rank=1), Column("then took", right=True),
    )  # fmt: skip
    return Table("Ops that had to wait", columns, rows)


def _waits(execution: Execution) -> pd.DataFrame:
    """Waits of the first chip by block and op, the longest in all first [s]."""
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


def _waiting_cells(row: Mapping[Any, Any], hosted: bool) -> tuple[str, ...]:
    def each(name: str) -> str:
        return format_si(row[name] / row["times"], "s")

    return (
        row["block"], short_name(row["name"]), f"{row['times']:,}", each("waited_s"),
        *((each("host_s"),) if hosted else ()), format_si(row["waited_s"], "s"), each("ahead_s"),
        each("length_s"),
    )  # fmt: skip


def _gain_cells(new_s: float | None, whole_s: float) -> list[str]:
    if new_s is None:
        return ["-", "-"]
    return [format_si(new_s, "s"), gain_words(new_s, whole_s)]


def _engine_cells(row: Mapping[Any, Any]) -> tuple[str, ...]:
    unit = "FLOP" if row["engine"] in _FLOP else "B"
    return (
        row["engine"],
        row["unit"],
        format_si(row["busy_s"], "s"),
        percent(row["share"]),
        format_si(row["amount"], unit) if row["amount"] else "-",
        percent(row["of_peak"]) if row["amount"] and row["of_peak"] > 0 else "-",
        format_si(row["dynamic_j"], "J") if row["dynamic_j"] else "-",
        f"{row['pieces']:,}",
    )
