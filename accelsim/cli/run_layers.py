"""``accelsim run NET.csv --on ARRAY.cfg``: SCALE-Sim's files, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from accelsim.cli.console import (
    emit,
    interruptibly,
    note,
    print_panel,
    print_tables,
    print_text,
    refuse_targets,
)
from accelsim.documents import printable
from accelsim.errors import WorkloadError

if TYPE_CHECKING:
    from accelsim.scenarios.layers import ArrayReport

_TOPOLOGY, _ARRAY = ".csv", ".cfg"
_SHOWN_KEYS, _SHOWN_LETTERS = 12, 40
_MEANT = ("model", "on", "csv", "json_file", "scalesim_reports")


@dataclass(frozen=True)
class LayerFiles:
    """Files that a run of layers was asked to leave behind."""

    csv: Path | None
    scalesim_reports: Path | None
    json_file: str | None


def are_scalesim_files(model: str, on: str) -> bool:
    """Tell whether a command line names a topology or an array of SCALE-Sim.

    Raises
    ------
    WorkloadError
        If it names one without the other.
    """
    if Path(model).suffix.lower() == _ARRAY and Path(on).suffix.lower() == _TOPOLOGY:
        raise WorkloadError(f"the two are swapped: accelsim run {on} --on {model}")
    is_topology = Path(model).suffix.lower() == _TOPOLOGY
    is_array = Path(on).suffix.lower() == _ARRAY
    if is_topology and not is_array:
        raise WorkloadError(
            f"{model} is a topology, which runs on an array: give --on ARRAY.cfg; on the chip or "
            f"system '{on}' run a model's name or a network file (kind: network)"
        )
    if is_array and not is_topology:
        raise WorkloadError(
            f"{on} is an array, which runs topologies: give NET.csv in place of '{model}', or a "
            "chip or system for it ('accelsim list chips')"
        )
    return is_topology


def run_topology(context: typer.Context, model: str, on: str, files: LayerFiles) -> None:
    """Run a topology on an array; the options of models are refused.

    Raises
    ------
    WorkloadError
        If the command line has such an option.
    """
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if parameter.name not in _MEANT and source is not None and source.name == "COMMANDLINE":
            raise WorkloadError(
                f"{parameter.opts[0]} has no meaning for a topology on an array: it is for models "
                "on chips"
            )
    from accelsim.report.scalesim_reports import REPORT_NAMES

    folder = files.scalesim_reports
    reports = [folder / name for name in REPORT_NAMES] if folder is not None else []
    refuse_targets((files.csv, files.json_file, *reports), (folder,), inputs=(model, on))
    from accelsim.scenarios.layers import run_layers

    report = interruptibly(lambda: run_layers(model, on))
    _write(report, files)
    emit(report.as_dict(), files.json_file, lambda: _show(report))


def _write(report: ArrayReport, files: LayerFiles) -> None:
    if files.scalesim_reports is not None:
        from accelsim.report.scalesim_reports import write_scalesim_reports

        paths = write_scalesim_reports(report, files.scalesim_reports)
        names = ", ".join(path.name for path in paths)
        note(f"reports in {files.scalesim_reports}: {names}")
    if files.csv is not None:
        from accelsim.files import atomic_path

        with atomic_path(files.csv) as temporary:
            report.table.to_csv(temporary, index=False, lineterminator="\n")
        note(f"layers: {files.csv}")


def _show(report: ArrayReport) -> None:
    from accelsim.report.layer_tables import layers_table, spent_table, summary

    print_panel(f"{report.topology} on {report.array.name}", summary(report), str(report.array))
    for warning in report.warnings:
        print_text(f"Warning: {printable(warning)}.")
    print_text("")
    print_tables([layers_table(report), spent_table(report)])
    if report.assumptions:
        print_text("\nAssumptions: " + "; ".join(report.assumptions) + ".")
    if report.unused:
        names = [key[:_SHOWN_LETTERS] for key in report.unused[:_SHOWN_KEYS]]
        rest = len(report.unused) - len(names)
        more = f" and {rest} more (--json has all)" if rest else ""
        print_text("\nWithout effect here: " + ", ".join(names) + f"{more}.")
