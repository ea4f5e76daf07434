"""What every command shares: where output goes, how tables are drawn, how progress is shown.

Data go to stdout, everything else to stderr. rich draws for terminals only: what a script reads
from a pipe is plain text that no width can cut.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from accelsim.documents import printable
from accelsim.errors import AccelsimError

if TYPE_CHECKING:
    from rich.console import Console

    from accelsim.report.tables import Table

Progress = Callable[[str, int, int], None]
Result = TypeVar("Result")
_LEAST_PROSE = 24
_NOTE_EVERY_S = 30.0


class ReaderGoneError(Exception):
    """Whoever read our stdout has closed it: there is nobody left to tell anything."""


def refuse_targets(
    files: Iterable[str | Path | None] = (),
    folders: Iterable[str | Path | None] = (),
    inputs: Iterable[str | Path] = (),
) -> None:
    """Refuse output that cannot be written or would destroy something, before any work is done.

    Parameters
    ----------
    files, folders : iterable of str, Path or None
        What the command will write; None and ``-`` (stdout) are no files.
    inputs : iterable of str or Path
        What it reads; names that are not those of files are no matter.

    Raises
    ------
    AccelsimError
        If a file's place is a folder, a folder's place is a file, either would lie in a file, or
        a file is an input or stands twice among what is written.
    """
    paths = [Path(target) for target in files if target is not None and target != "-"]
    for path in paths:
        if str(path) == "-":
            raise AccelsimError("only --json writes to stdout ('-'): give the name of a file")
        if path.is_dir():
            raise AccelsimError(f"{path} is a folder: give the name of a file to write")
    # Devices such as /dev/stdout are files too, so only what must be a folder is looked at.
    rooms = [Path(target) for target in folders if target is not None]
    for path in (*rooms, *(path.parent for path in paths)):
        nearest = next(p for p in (path, *path.parents) if p.exists() or p == p.parent)
        if not nearest.is_dir():
            raise AccelsimError(f"{nearest} is a file, not a folder: give the name of a folder")
    _refuse_clashes(paths, rooms, inputs)


def _refuse_clashes(
    files: Sequence[Path], folders: Sequence[Path], inputs: Iterable[str | Path]
) -> None:
    """Refuse a file to write that is an input, another file to write, or where a folder must be."""
    read = {_place(source) for source in inputs}
    places = [_place(path) for path in files]
    rooms = [_place(folder) for folder in folders]
    needed = {*rooms, *(parent for place in (*places, *rooms) for parent in place.parents)}
    for index, (path, place) in enumerate(zip(files, places, strict=True)):
        if place in read and place.is_file():  # a name such as gpt2 need not be one of a file
            raise AccelsimError(f"{path} is an input of this command: write to another file")
        if place in places[:index]:
            raise AccelsimError(f"{path} would be written twice: give each output its own file")
        if place in needed:
            raise AccelsimError(f"{path} would be both a file and a folder: give it another name")


def _place(path: str | Path) -> Path:
    """Return the path that all spellings of a place have in common."""
    return Path(os.path.realpath(path))


def _print(text: str) -> None:
    try:
        sys.stdout.write(text)
    except BrokenPipeError:  # typer would turn it into status 1
        raise ReaderGoneError from None


def write_json(data: Any, target: str) -> None:
    """Write data as JSON to a file, or to stdout if `target` is ``-``."""
    text = json.dumps(data, indent=2, allow_nan=False) + "\n"
    if target == "-":
        _print(text)
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


def note(message: str) -> None:
    """Tell the user something that is not data, on stderr."""
    print(printable(message), file=sys.stderr)


def print_tables(tables: Sequence[Table]) -> None:
    """Print tables: drawn for a terminal, plain aligned columns for a pipe.

    A narrow terminal leaves out the columns of least importance; a pipe gets every column whole.
    """
    shown = [table for table in tables if table.rows]
    if not sys.stdout.isatty():
        _print("\n".join(map(plain_table, shown)))
        return
    from rich.text import Text

    console = _console()
    for index, table in enumerate(shown):
        if index:
            console.print()
        narrow = fitting(table, console.width)
        console.print(Text(table.title, style="bold"))
        console.print(_drawn(narrow))
        hidden = ", ".join(c.title for c in table.columns if c not in narrow.columns)
        if hidden:
            console.print(Text(f"not shown: {hidden} (widen the terminal, or pipe)", style="dim"))


def plain_table(table: Table) -> str:
    """Align the columns of a table with two spaces between them, and nothing else."""
    lines = [tuple(column.title for column in table.columns), *table.rows]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    text = [table.title] if table.title else []
    for line in lines:
        cells = [
            cell.rjust(width) if column.right else cell.ljust(width)
            for cell, width, column in zip(line, widths, table.columns, strict=True)
        ]
        text.append("  ".join(cells).rstrip())
    return "\n".join(text) + "\n"


def fitting(table: Table, width: int) -> Table:
    """Leave out columns, highest rank first, until the table fits or only rank 0 is left.

    Parameters
    ----------
    table : Table
        With all its columns.
    width : int
        Characters of a line.
    """
    while True:
        lines = [tuple(column.title for column in table.columns), *table.rows]
        widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
        widths[-1] = min(widths[-1], _LEAST_PROSE)  # the last column may wrap
        highest = max(column.rank for column in table.columns)
        if sum(widths) + 3 * len(widths) <= width or highest == 0:
            return table
        table = table.without_ranks_above(highest - 1)


def _console() -> Console:
    from rich.console import Console

    class QuietConsole(Console):
        def on_broken_pipe(self) -> None:
            raise ReaderGoneError  # rich itself would exit with status 1

    return QuietConsole(highlight=False)


def _drawn(table: Table) -> Any:
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    drawn = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), header_style="bold")
    for position, column in enumerate(table.columns):
        justify: Literal["left", "right"] = "right" if column.right else "left"
        # Names and numbers stay whole; only the last column, prose, may wrap.
        prose = position == len(table.columns) - 1
        drawn.add_column(column.title, justify=justify, no_wrap=not prose, overflow="fold")
    for index, row in enumerate(table.rows):
        if index in table.breaks:
            drawn.add_section()
        drawn.add_row(*map(Text, row))
    return drawn


def print_panel(title: str, pairs: Sequence[tuple[str, str]], subtitle: str = "") -> None:
    """Print pairs of label and value, in a box on a terminal."""
    if not sys.stdout.isatty():
        width = max(len(label) for label, _ in pairs)
        lines = [title, subtitle] if subtitle else [title]
        lines += [f"{label.ljust(width)}  {value}" for label, value in pairs]
        _print("\n".join(lines) + "\n")
        return
    from rich.panel import Panel
    from rich.table import Table as RichTable
    from rich.text import Text

    grid = RichTable.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style="dim")
    grid.add_column(overflow="fold")
    for label, value in pairs:
        grid.add_row(Text(label), Text(value, style="bold" if label == "bottleneck" else ""))
    heading, small = Text(title, style="bold"), Text(subtitle, style="dim")
    _console().print(Panel(grid, title=heading, subtitle=small, expand=False, padding=(0, 1)))


def print_text(text: str) -> None:
    """Print paragraphs, wrapped to the terminal if there is one."""
    if not sys.stdout.isatty():
        _print(text + "\n")
        return
    from rich.text import Text

    _console().print(Text(text))


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
        task = bars.add_task("starting", total=None)

        def move(label: str, done: int, total: int) -> None:
            bars.update(task, description=label, completed=done, total=total or None)

        yield move


def slow_notes() -> Progress:
    """Return a callback that says on stderr every half minute how far a long run is."""
    last_s = time.monotonic()

    def tell(label: str, done: int, total: int) -> None:
        nonlocal last_s
        if time.monotonic() - last_s >= _NOTE_EVERY_S:
            last_s = time.monotonic()
            note(f"{label}, {done} of {total}")

    return tell


def interruptibly(work: Callable[[], Result]) -> Result:
    """Run compiled work that would not notice Ctrl-C beside the main thread, which does."""
    outcome: list[tuple[Result | None, BaseException | None]] = []

    def target() -> None:
        try:
            outcome.append((work(), None))
        except BaseException as error:  # handed to the main thread, whatever it is
            outcome.append((None, error))

    worker = threading.Thread(target=target, daemon=True)
    worker.start()
    while worker.is_alive():
        worker.join(timeout=0.1)
    result, error = outcome[0]
    if error is not None:
        raise error
    return cast(Result, result)
