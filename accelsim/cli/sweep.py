"""``accelsim sweep``: every point of a design space, to Parquet, with its Pareto picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from accelsim.cli.console import (
    emit,
    frame_records,
    note,
    print_tables,
    progress_bar,
    refuse_targets,
)
from accelsim.cli.options import JsonFile, OutputFolder

if TYPE_CHECKING:
    from accelsim.explore.sweep import SweepResult


def sweep(
    space: Annotated[Path, typer.Argument(metavar="SPACE.yaml", help="Base run and parameters.")],
    output: OutputFolder,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep the points that an earlier run finished.")
    ] = False,
    json_file: JsonFile = None,
) -> None:
    """Run every point of a design space and show the designs that no other beats."""
    from accelsim.explore.space import load_space
    from accelsim.explore.sweep import sweep as run_sweep

    refuse_targets(files=(json_file,), folders=(output,))
    loaded = load_space(space)
    try:
        with progress_bar() as progress:
            result = run_sweep(loaded, output, workers=workers, resume=resume, progress=progress)
    except KeyboardInterrupt:
        note(f"finished points are kept in {output}: the same command with --resume continues")
        raise
    picture = _picture(result)
    best = result.frame[result.pareto]
    data: dict[str, Any] = {
        "points": result.points, "failed": result.failed, "reused": result.reused,
        "objectives": list(result.objectives), "results": str(result.directory / "results"),
        "picture": str(picture), "pareto": frame_records(best),
    }  # fmt: skip
    emit(data, json_file, lambda: _show(result, data))


def _picture(result: SweepResult) -> Path:
    from accelsim.report.pareto import pareto_figure

    return pareto_figure(
        result.frame,
        result.objectives,
        result.pareto,
        result.directory / "pareto.png",
        [objective.maximize for objective in result.space.objectives],
    )


def _show(result: SweepResult, data: dict[str, Any]) -> None:
    from accelsim.report.tables import Column, Table

    names = [*(parameter.path for parameter in result.space.parameters), *result.objectives]
    rows = tuple(tuple(_cell(record[n]) for n in names) for record in data["pareto"])
    columns = tuple(Column(name, right=True) for name in names)
    cannot = f", {result.failed} cannot run" if result.failed else ""
    title = f"{len(rows)} of {result.points} points are beaten by no other{cannot}"
    print_tables([Table(title, columns, rows)])
    note(f"results: {data['results']}, picture: {data['picture']}")


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
