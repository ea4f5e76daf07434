"""Tables as data: columns and text cells, rendered by a terminal, Markdown or HTML.

What a table says is decided once, here; how it is drawn is the renderer's business.
"""

from __future__ import annotations

import html
from dataclasses import dataclass

from accelsim.report.words import percent, role_word, short_name
from accelsim.results.run_result import OpRow, RunResult
from accelsim.units import format_si


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes
    ----------
    title : str
        Heading.
    right : bool
        Numbers stand to the right.
    rank : int
        0 is always shown; a narrow terminal leaves out the highest ranks first.
    """

    title: str
    right: bool = False
    rank: int = 0


@dataclass(frozen=True)
class Table:
    """A titled table of text cells.

    Attributes
    ----------
    title : str
        Caption.
    columns : tuple of Column
        Headings and alignment.
    rows : tuple of tuple of str
        One cell per column.
    breaks : tuple of int
        Rows before which a new group begins.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    breaks: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        assert all(len(row) == len(self.columns) for row in self.rows)

    def without_ranks_above(self, rank: int) -> Table:
        """Return the table without the columns of a higher rank."""
        keep = [i for i, column in enumerate(self.columns) if column.rank <= rank]
        columns = tuple(self.columns[i] for i in keep)
        rows = tuple(tuple(row[i] for i in keep) for row in self.rows)
        return Table(self.title, columns, rows, self.breaks)


def pairs_table(title: str, pairs: tuple[tuple[str, str], ...]) -> Table:
    """Make a two-column table of labels and values."""
    return Table(title, (Column("quantity"), Column("value")), pairs)


_OP_COLUMNS = (
    Column("block"), Column("op"), Column("count", right=True), Column("each", right=True, rank=1),
    Column("total", right=True), Column("share", right=True), Column("bound"),
    Column("FLOP", right=True, rank=2), Column("bytes", right=True, rank=2),
    Column("FLOP/s", right=True, rank=1), Column("B/s", right=True, rank=1),
    Column("energy", right=True, rank=3), Column("mapping", rank=4),
)  # fmt: skip


def ops_table(result: RunResult) -> Table:
    """One row per op, grouped by block; FLOP, bytes and rates are of one execution.

    Of the event engine, times are those that ops add to the run; rates are those of ops alone.
    """
    total_s = sum(row.latency_s * row.count for row in result.rows)
    keys = [(row.stage, row.block) for row in result.rows]
    several = len({row.stage for row in result.rows}) > 1
    breaks = tuple(i for i in range(1, len(keys)) if keys[i] != keys[i - 1])
    rows = tuple(_op_cells(row, total_s, several) for row in result.rows)
    words = "times that they add; rates alone" if result.executions else "figures"
    return Table(f"Ops ({words} of one execution on one device)", _OP_COLUMNS, rows, breaks)


def _op_cells(row: OpRow, total_s: float, several_stages: bool) -> tuple[str, ...]:
    block = f"{row.stage}: {row.block}" if several_stages else row.block
    spent_s = row.latency_s * row.count
    return (
        block,
        short_name(row.name),
        f"{row.count:,.6g}",
        format_si(row.latency_s, "s"),
        format_si(spent_s, "s"),
        percent(spent_s / total_s) if total_s else "",
        row.bound,
        format_si(row.flop, "FLOP") if row.flop else "-",
        format_si(row.bytes, "B") if row.bytes else "-",
        _rate(row.flop, row.alone_s or row.latency_s, "FLOP/s"),
        _rate(row.bytes, row.alone_s or row.latency_s, "B/s"),
        format_si(row.energy_j, "J"),
        row.mapping,
    )


def _rate(amount: float, seconds: float, unit: str) -> str:
    return format_si(amount / seconds, unit) if amount and seconds else "-"


def bounds_table(result: RunResult) -> Table:
    """Time by limiting resource, longest first."""
    total_s = sum(result.time_by_bound_s.values())
    rows = tuple(
        (bound, format_si(seconds, "s"), percent(seconds / total_s if total_s else 0.0))
        for bound, seconds in result.time_by_bound_s.items()
    )
    columns = (Column("limited by"), Column("time", right=True), Column("share", right=True))
    return Table("Time by limiting resource", columns, rows)


def memory_table(result: RunResult) -> Table:
    """Memory of one device by role."""
    rows = tuple(
        (role_word(role.removesuffix("_bytes")), format_si(size, "B"))
        for role, size in result.memory.items()
        if size
    )
    have = ("capacity", format_si(result.memory_capacity_bytes, "B"))
    total = ("total", format_si(result.memory_bytes, "B"))
    columns = (Column("held on one device"), Column("size", right=True))
    return Table("Memory", columns, (*rows, total, have), (len(rows),))


def to_markdown(table: Table) -> str:
    """Render as a Markdown pipe table with a bold caption."""

    def line(cells: tuple[str, ...]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    ruler = tuple("---:" if column.right else "---" for column in table.columns)
    body = [line(tuple(c.title for c in table.columns)), line(ruler), *map(line, table.rows)]
    caption = [f"**{table.title}**", ""] if table.title else []
    return "\n".join([*caption, *body]) + "\n"


def to_html(table: Table) -> str:
    """Render as an HTML table; every cell is escaped."""

    def cell(tag: str, text: str, column: Column) -> str:
        style = ' class="num"' if column.right else ""
        return f"<{tag}{style}>{html.escape(text)}</{tag}>"

    head = "".join(cell("th", c.title, c) for c in table.columns)
    body = []
    for index, row in enumerate(table.rows):
        cells = "".join(cell("td", t, c) for t, c in zip(row, table.columns, strict=True))
        mark = ' class="group"' if index in table.breaks else ""
        body.append(f"<tr{mark}>{cells}</tr>")
    lines = "\n".join(body)
    caption = f"<caption>{html.escape(table.title)}</caption>" if table.title else ""
    return f"<table>{caption}\n<thead><tr>{head}</tr></thead>\n<tbody>\n{lines}\n</tbody></table>"
