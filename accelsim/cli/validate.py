"""``accelsim validate``: predictions beside published and measured times."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from accelsim.cli.console import emit, note, print_tables, print_text, progress_bar, refuse_targets
from accelsim.cli.options import JsonFile, Launch

if TYPE_CHECKING:
    from accelsim.results.accuracy import ValidationResult

_ALL = "all"


def validate(  # noqa: PLR0917  (typer calls it by keyword)
    suites: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SUITE]...", help="Classes, or how their names begin; all."),
    ] = None,
    on: Annotated[
        str | None,
        typer.Option("--on", metavar="CHIP", help="This chip only: a name or a YAML file."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data", metavar="DIR|FILE.csv", help="Your measurements, or a folder of extracts."
        ),
    ] = None,
    plots: Annotated[
        Path | None, typer.Option("--plots", metavar="DIR", help="Pictures of all classes.")
    ] = None,
    rows: Annotated[
        str,
        typer.Option("--rows", metavar="N|all", help="Most rows of a class, device and dtype."),
    ] = "2000",
    worst: Annotated[
        int, typer.Option("--worst", metavar="N", min=0, max=1000, help="Worst rows of a class.")
    ] = 3,
    launch: Launch = "graph",
    json_file: JsonFile = None,
) -> None:
    """Compare predictions with published figures and measured kernels; say how wrong they are.

    Without --data: the figures that come with the package, and the extra [silicon] where it is
    installed. Columns of a CSV of your own: docs/validate.md.
    """
    read = [source for source in (data, on) if source is not None]
    refuse_targets(files=(json_file,), folders=(plots,), inputs=read)
    from accelsim.validation.silicon import HOW_TO_GET_MORE, silicon_folder
    from accelsim.validation.validate import validate as compare

    limit = rows_of(rows)
    with progress_bar() as progress:
        result = compare(
            *(suites or ()), on=on, data=data, rows=limit, launch=launch, progress=progress
        )
    if plots is not None:
        from accelsim.report.accuracy_figures import accuracy_figures

        made = accuracy_figures(result, plots)
        note(f"pictures in {plots}: {', '.join(path.name for path in made)}")
    emit(result.to_dict(max(worst, 1)), json_file, lambda: _show(result, worst))
    if data is None and silicon_folder() is None:
        note(f"published figures only; {HOW_TO_GET_MORE}")


def rows_of(text: str) -> int:
    """Read a limit of rows: a positive number, or 'all' as 0.

    Raises
    ------
    WorkloadError
        If it is neither.
    """
    from accelsim.errors import WorkloadError

    if text == _ALL:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text)):
        raise WorkloadError(f"--rows '{text}' is no positive whole number, nor '{_ALL}'")
    return int(text)


def _show(result: ValidationResult, worst: int) -> None:
    from accelsim.report.accuracy_tables import (
        class_table,
        left_out_table,
        size_table,
        worst_table,
    )

    print_tables([class_table(result)])
    print_text("")
    print_tables([size_table(result)])
    if worst:
        print_text("")
        print_tables([worst_table(result, worst)])
    if len(result.left_out):
        print_text("")
        print_tables([left_out_table(result.left_out)])
    fitted = [f"{chip} ({', '.join(names)})" for chip, names in result.fitted.items() if names]
    words = "; ".join(fitted) if fitted else "none: all run on the defaults of their families"
    print_text(f"\nScalars fitted to measured kernels: {words}.")
