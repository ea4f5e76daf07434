"""Tables of an execution: engines, critical path and what would help, ops that waited."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accelsim.report.tables import Column, Table
from accelsim.report.words import gain_words, percent, resource_word, short_name
from accelsim.results.ahead import fetched_ahead
from accelsim.results.execution import Execution
from accelsim.results.execution_tables import engine_totals
from accelsim.results.waits import waiting_ops
from accelsim.units import PS_PER_S, format_si

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

    Energy is counted, dynamic, and of one chip. Chips whose rows read the same are listed once.
    The title says what was fetched ahead, where something was.
    """
    of_chip: dict[int, list[tuple[str, ...]]] = {}
    for row in engine_totals(execution).to_dict("records"):
        if row["pieces"]:
            of_chip.setdefault(row["chip"], []).append(_engine_cells(row))
    alike: dict[tuple[str, tuple[tuple[str, ...], ...]], list[int]] = {}
    for chip, cells in of_chip.items():
        alike.setdefault((execution.chips[chip], tuple(cells)), []).append(chip)
    rows: list[tuple[str, ...]] = []
    breaks = []
    several = len(execution.chips) > 1
    for (name, own), chips in alike.items():
        if rows:
            breaks.append(len(rows))
        head = (f"{_numbers(chips)}: {name}",) if several else ()
        rows += [(*head, *cells) for cells in own]
    columns = (
        Column("engine"), Column("unit", rank=2), Column("busy", right=True),
        Column("of time", right=True), Column("moved or done", right=True),
        Column("of peak", right=True), Column("dynamic energy", right=True, rank=1),
        Column("pieces", right=True, rank=2),
    )  # fmt: skip
    first = (Column("chip"),) if several else ()
    title = f"Engines in one pass of {format_si(execution.end_ps / PS_PER_S, 's')}"
    return Table(title + _ahead_words(execution), (*first, *columns), tuple(rows), tuple(breaks))


def _numbers(chips: list[int]) -> str:
    """Write numbers of chips: ``3``, or ``0 to 7`` and how many, or all of them."""
    if len(chips) == 1:
        return str(chips[0])
    inside = chips[-1] - chips[0] + 1 == len(chips)
    numbers = f"{chips[0]} to {chips[-1]}" if inside else ", ".join(map(str, chips))
    return f"{numbers} (x {len(chips)})"


def _ahead_words(execution: Execution) -> str:
    """Say what came ahead, where something did."""
    found = fetched_ahead(execution)
    if not found.ahead_bytes:
        return ""
    return (
        f"; fetched ahead: {format_si(found.ahead_bytes, 'B')}, {percent(found.share)} of the "
        "bytes read"
    )


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
    found = waiting_ops(execution)
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
