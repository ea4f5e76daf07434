"""``accelsim run``: one phase of one model on one chip or system."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from accelsim.cli.console import (
    emit,
    note,
    print_panel,
    print_tables,
    print_text,
    progress_bar,
    refuse_targets,
)
from accelsim.cli.options import EmulateDType, JsonFile, Launch, On, Overrides, parse_overrides
from accelsim.cli.run_layers import LayerFiles, are_scalesim_files, run_topology
from accelsim.errors import WorkloadError
from accelsim.scenarios.options import ATTENTION, DRAM, ENGINES, PHASES, RECOMPUTE, RunOptions

if TYPE_CHECKING:
    from accelsim.results.run_result import RunResult

_DTYPE_HELP = "bf16, fp16, fp8, int8, int4, ..."


@dataclass(frozen=True)
class _Files:
    """Files that a run was asked to leave behind."""

    plots: Path | None
    report: Path | None
    trace: Path | None
    csv: Path | None


def run(  # noqa: PLR0917  (typer calls it by keyword: one parameter per option)
    context: typer.Context,
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="Name, or path of a HF config.json, of a network file, or (--on A.cfg) NET.csv.",
        ),
    ],
    on: On,
    phase: Annotated[str, typer.Option(help="|".join(PHASES))] = "prefill",
    batch: Annotated[
        int | None,
        typer.Option(
            help="Sequences, or samples of a network.",
            show_default="1, or what the network's file says",
        ),
    ] = None,
    input_len: Annotated[
        int | None,
        typer.Option(
            help="Prompt tokens; in decode, cached tokens.",
            show_default="1024, or half of a learned position table if that is less",
        ),
    ] = None,
    output_len: Annotated[int, typer.Option(help="Tokens to generate.")] = 128,
    dtype: Annotated[str | None, typer.Option(help=f"Arithmetic: {_DTYPE_HELP}")] = None,
    kv_dtype: Annotated[str | None, typer.Option(help="Storage of the KV cache.")] = None,
    weight_dtype: Annotated[str | None, typer.Option(help="Storage of the weights.")] = None,
    attention_dtype: Annotated[
        str | None,
        typer.Option(help="Arithmetic of attention and logits.", show_default="as --dtype"),
    ] = None,
    tp: Annotated[int, typer.Option(help="Devices that share every layer.")] = 1,
    pp: Annotated[int, typer.Option(help="Pipeline stages (1 only, so far).")] = 1,
    dp: Annotated[int, typer.Option(help="Data-parallel replicas (1 only, so far).")] = 1,
    ep: Annotated[int, typer.Option(help="Expert-parallel devices (1 only, so far).")] = 1,
    engine: Annotated[str, typer.Option(help="|".join(ENGINES))] = "event",
    every_chip: Annotated[
        bool, typer.Option("--every-chip", help="Simulate each of the --tp chips (event).")
    ] = False,
    what_if: Annotated[
        bool, typer.Option("--what-if", help="Also with each resource infinite (event).")
    ] = False,
    buffers: Annotated[int, typer.Option(help="Operand buffers; 2: double (event).")] = 2,
    dram: Annotated[str, typer.Option(help="|".join(DRAM) + ": main memory (event).")] = "fluid",
    attention: Annotated[str, typer.Option(help="|".join(ATTENTION))] = "fused",
    recompute: Annotated[str, typer.Option(help="|".join(RECOMPUTE) + " (train)")] = "none",
    launch: Launch = "graph",
    emulate_dtype: EmulateDType = False,
    allow_oversubscribe: Annotated[
        bool, typer.Option("--allow-oversubscribe", help="Run a model that does not fit.")
    ] = False,
    overrides: Overrides = None,
    plots: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write pictures: roofline, latency, memory, timeline."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="F.html", help="Write one self-contained HTML page.")
    ] = None,
    trace: Annotated[
        Path | None, typer.Option(metavar="F.json", help="Write a trace for ui.perfetto.dev.")
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(metavar="F.csv", help="Write the ops, one per row.")
    ] = None,
    scalesim_reports: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="NET.csv --on ARRAY.cfg: write SCALE-Sim's reports."),
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Run a model on a chip: time, energy, memory fit and the bottleneck of every op."""
    if are_scalesim_files(model, on):
        run_topology(context, model, on, LayerFiles(csv, scalesim_reports, json_file))
        return
    if scalesim_reports is not None:
        raise WorkloadError("--scalesim-reports is for a topology on an array: NET.csv --on A.cfg")
    _refuse_unbuilt({"pp": pp, "dp": dp, "ep": ep})
    options = RunOptions(
        phase=phase, batch=batch, input_len=input_len, output_len=output_len, dtype=dtype,
        kv_dtype=kv_dtype, weight_dtype=weight_dtype, attention_dtype=attention_dtype, tp=tp,
        engine=engine, attention=attention,
        recompute=recompute, launch=launch, emulate_dtype=emulate_dtype,
        allow_oversubscribe=allow_oversubscribe, every_chip=every_chip, what_if=what_if, dram=dram,
        buffers=buffers,
    )  # fmt: skip
    refuse_targets(files=(report, trace, csv, json_file), folders=(plots,), inputs=(model, on))
    from accelsim.arch.loader import load_system
    from accelsim.scenarios.run import run as run_model

    system = load_system(on, parse_overrides(overrides))
    with progress_bar() as progress:
        result = run_model(model, system, options, progress=progress)
    _write(result, _Files(plots, report, trace, csv))
    emit(result.as_dict(), json_file, lambda: _show(result))


def _refuse_unbuilt(degrees: dict[str, int]) -> None:
    """Say plainly which kinds of parallelism do not exist yet."""
    for name, degree in degrees.items():
        if degree != 1:
            raise WorkloadError(
                f"--{name} {degree} is not built yet: only tensor parallelism (--tp) splits a "
                "model over devices so far"
            )


def _write(result: RunResult, files: _Files) -> None:
    if files.plots is not None:
        from accelsim.report.figures import run_figures

        names = ", ".join(path.name for path in run_figures(result, files.plots))
        note(f"pictures in {files.plots}: {names}")
    if files.report is not None:
        from accelsim.report.html_report import html_report

        note(f"report: {html_report(result, files.report)}")
    if files.trace is not None:
        from accelsim.report.trace import write_trace

        note(f"trace: {write_trace(result, files.trace)} (open it at ui.perfetto.dev)")
    if files.csv is not None:
        from accelsim.files import atomic_path

        with atomic_path(files.csv) as temporary:
            result.ops.drop(columns="times_s").to_csv(temporary, index=False)
        note(f"ops: {files.csv}")


def _show(result: RunResult) -> None:
    from accelsim.report.event_tables import execution_tables
    from accelsim.report.tables import bounds_table, memory_table, ops_table
    from accelsim.report.words import answer, detail

    title = f"{result.model} {result.phase} on {result.system}"
    print_panel(title, answer(result), detail(result))
    for warning in result.warnings:
        print_text(f"Warning: {warning}.")
    print_text("")
    tables = [ops_table(result), bounds_table(result)]
    print_tables([*tables, memory_table(result)])
    for words, one in result.shown_passes:
        print_text(f"\n{words.capitalize()}:" if len(result.executions) > 1 else "")
        print_tables(execution_tables(one.execution, one.ideal_s or None))
    if result.assumptions:
        print_text("\nAssumptions: " + "; ".join(result.assumptions) + ".")
