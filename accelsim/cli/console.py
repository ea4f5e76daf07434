"""What every command shares: where output goes, how tables are drawn, how progress is shown.

Data go to stdout, everything else to stderr; rich is imported only once there is something to
draw.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from rich.console import Console

    from accelsim.report.tables import Table

Progress = Callable[[str, int, int], None]
_PIPE_WIDTH = 10_000
_RANK_WIDTHS = ((200, 4), (150, 3), (125, 2), (100, 1))


def write_json(data: Any, target: str) -> None:
    """Write data as JSON to a file, or to stdout if `target` is ``-``."""
    text = json.dumps(data, indent=2, allow_nan=False) + "\n"
    if target == "-":
        sys.stdout.write(text)
        return
    from accelsim.files import write_text

    write_text(target, text)


def emit(data: Any, target: str | None, show: Callable[[], None]) -> None:
    """Write the JSON if asked for, and show the human form unless stdout holds the JSON."""
    if target is not None:
        write_json(data, target)
    if target != "-":
        show()


def frame_records(frame: Any) -> list[dict[str, Any]]:
    """Rows of a DataFrame as plain data; missing values become null."""
    columns = [str(name) for name in frame.columns]
    rows = frame.astype(object).where(frame.notna(), None).itertuples(index=False, name=None)
    return [dict(zip(columns, map(_plain, row), strict=True)) for row in rows]


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def stdout_console() -> Console:
    """A console on stdout; without a terminal it is so wide that no line is ever cut."""
    from rich.console import Console

    class PipeConsole(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # main() ends quietly; rich itself would exit with status 1

    if sys.stdout.isatty():
        return PipeConsole(highlight=False)
    return PipeConsole(width=_PIPE_WIDTH, color_system=None, highlight=False)


def note(message: str) -> None:
    """Tell the user something that is not data, on stderr."""
    print(message, file=sys.stderr)


def print_tables(tables: Sequence[Table], console: Console | None = None) -> None:
    """Draw tables; a narrow terminal leaves out the columns of least importance."""
    from rich.text import Text

    console = console or stdout_console()
    for index, table in enumerate(tables):
        if not table.rows:
            continue
        if index:
            console.print()
        if table.title:
            console.print(Text(table.title, style="bold"))
        console.print(_drawn(table, console))


def _drawn(table: Table, console: Console) -> Any:
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    human = console.is_terminal
    if human:
        rank = next((rank for width, rank in _RANK_WIDTHS if console.width >= width), 0)
        table = table.without_ranks_above(rank)
    drawn = RichTable(
        box=box.SIMPLE_HEAD if human else None, pad_edge=False, padding=(0, 2, 0, 0),
        header_style="bold",
    )  # fmt: skip
    for position, column in enumerate(table.columns):
        justify: Literal["left", "right"] = "right" if column.right else "left"
        # Names and numbers stay whole; only the last column, prose, may wrap.
        prose = human and position == len(table.columns) - 1
        drawn.add_column(column.title, justify=justify, no_wrap=not prose, overflow="fold")
    for index, row in enumerate(table.rows):
        if index in table.breaks and human:
            drawn.add_section()
        drawn.add_row(*map(Text, row))
    return drawn


def print_panel(title: str, pairs: Sequence[tuple[str, str]], subtitle: str = "") -> None:
    """Draw pairs of label and value, in a box on a terminal."""
    from rich.panel import Panel
    from rich.table import Table as RichTable
    from rich.text import Text

    console = stdout_console()
    grid = RichTable.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style="dim")
    grid.add_column(overflow="fold")
    for label, value in pairs:
        grid.add_row(Text(label), Text(value, style="bold" if label == "bottleneck" else ""))
    if console.is_terminal:
        box_title, small = Text(title, style="bold"), Text(subtitle, style="dim")
        console.print(Panel(grid, title=box_title, subtitle=small, expand=False, padding=(0, 1)))
    else:
        console.print(Text(f"{title}\n{subtitle}" if subtitle else title))
        console.print(grid)


def print_text(text: str) -> None:
    """Print a paragraph, wrapped to the terminal."""
    from rich.text import Text

    stdout_console().print(Text(text))


@contextlib.contextmanager
def progress_bar() -> Iterator[Progress | None]:
    """Give a callback that moves a progress bar on stderr; None unless stderr is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    bars = Bars(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        console=Console(stderr=True), transient=True,
    )  # fmt: skip
    with bars:
        task = bars.add_task("", total=None)

        def move(label: str, done: int, total: int) -> None:
            bars.update(task, description=label, completed=done, total=total or None)

        yield move
