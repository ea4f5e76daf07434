"""``accelsim sweep``: every point of a design space, to Parquet, with its Pareto picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    from accelsim.explore.grid import Parameter
    from accelsim.explore.sweep import SweepResult

# Heading of a figure, and the unit that stands in its cells.
_FIGURES = {
    "latency_s": ("latency", "s"),
    "energy_j": ("energy", "J"),
    "average_power_w": ("average power", "W"),
    "tokens_per_s": ("tokens/s", ""),
    "ttft_s": ("time to first token", "s"),
    "tpot_s": ("time per output token", "s"),
    "mfu": ("compute used (MFU)", ""),
    "mbu": ("bandwidth used (MBU)", ""),
    "memory_bytes": ("memory per device", "B"),
}


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

    refuse_targets(files=(json_file,), folders=(output,), inputs=(space,))
    loaded = load_space(space)
    try:
        with progress_bar() as progress:
            result = run_sweep(loaded, output, workers=workers, resume=resume, progress=progress)
        picture = _picture(result)
    except KeyboardInterrupt:
        note(
            f"interrupted: finished points are kept in {output}, the same command with --resume "
            "goes on from there"
        )
        raise SystemExit(130) from None  # the one line is said
    best = result.frame[result.pareto]
    data: dict[str, Any] = {
        "points": result.points, "failed": result.failed, "reused": result.reused,
        "objectives": list(result.objectives), "results": str(result.directory / "results"),
        "picture": str(picture), "pareto": frame_records(best),
    }  # fmt: skip
    emit(data, json_file, lambda: _show(result, data))


def _picture(result: SweepResult) -> Path:
    from accelsim.report.pareto import pareto_figure

    best = result.frame[result.pareto]
    return pareto_figure(
        result.frame,
        result.objectives,
        result.pareto,
        result.directory / "pareto.png",
        [objective.maximize for objective in result.space.objectives],
        labels=[design_label(result.space.parameters, row) for row in frame_records(best)],
    )


def design_label(parameters: Sequence[Parameter], row: Mapping[str, Any]) -> str:
    """Name a design by what was varied: ``batch 16, 8 TB/s, cores 264``.

    Parameters
    ----------
    parameters : sequence of Parameter
        The axes of the grid; those with one value tell nothing and are left out.
    row : mapping of str to Any
        Value by path of parameter.
    """
    varied = [parameter for parameter in parameters if len(parameter.values) > 1]
    words = []
    for parameter in varied:
        others = {v for p in varied if p is not parameter for v in p.values if isinstance(v, str)}
        # Text such as '8 TB/s' or 'fp8' says what it is, unless another axis says the same.
        alone = all(isinstance(v, str) and v not in others for v in parameter.values)
        value = _plain(row[parameter.path])
        words.append(value if alone else f"{parameter.path.rpartition('.')[2]} {value}")
    return ", ".join(words)


def _show(result: SweepResult, data: dict[str, Any]) -> None:
    from accelsim.report.tables import Column, Table

    paths = [parameter.path for parameter in result.space.parameters]
    rows = tuple(
        (*(_plain(row[path]) for path in paths), *(_figure(n, row[n]) for n in result.objectives))
        for row in data["pareto"]
    )
    titles = [*paths, *(_FIGURES[name][0] for name in result.objectives)]
    columns = tuple(Column(title, right=True) for title in titles)
    cannot = f", {result.failed} cannot run" if result.failed else ""
    title = f"{len(rows)} of {result.points} points are beaten by no other{cannot}"
    print_tables([Table(title, columns, rows)])
    note(f"results: {data['results']}, picture: {data['picture']}")


def _plain(value: Any) -> str:
    """Write the value of a parameter as the user would."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _figure(name: str, value: float | None) -> str:
    """Write a figure as the table of a run does."""
    from accelsim.report.words import percent, token_rate
    from accelsim.units import format_si

    if value is None:
        return "-"
    if name in {"mfu", "mbu"}:
        return percent(value)
    return token_rate(value) if name == "tokens_per_s" else format_si(value, _FIGURES[name][1])
