"""``accelsim systolic``: one matmul or convolution on one systolic array."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from accelsim.cli.array_options import (
    CONV_HELP,
    Setting,
    buffers_of,
    conv_of,
    dataflows_of,
    matmul_of,
    refuse_idle,
    setting_of,
)
from accelsim.cli.console import (
    emit,
    interruptibly,
    note,
    print_panel,
    print_tables,
    print_text,
    progress_bar,
    refuse_targets,
)
from accelsim.cli.options import JsonFile
from accelsim.errors import SimulationError, WorkloadError

if TYPE_CHECKING:
    from accelsim.scenarios.array_problem import ArrayAnswer, ArrayProblem


@dataclass(frozen=True)
class _Pictures:
    """Files that show the array at work."""

    animation: Path | None
    plots: Path | None
    cycle: int | None

    def __post_init__(self) -> None:
        refuse_idle({"--cycle": self.cycle is not None}, "--plots", self.plots is not None)
        if self.animation is not None and self.animation.suffix.lower() not in (".html", ".htm"):
            raise WorkloadError(
                f"--animate {self.animation}: the page wants a name like array.html"
            )

    @property
    def wanted(self) -> bool:
        return self.animation is not None or self.plots is not None


@dataclass(frozen=True)
class _Run:
    """What to do with the problem."""

    prefilled: bool
    check: bool
    seed: int


def systolic(  # noqa: PLR0917  (typer calls it by keyword: one parameter per option)
    rows: Annotated[int | None, typer.Option(help="Number of rows of PEs.")] = None,
    cols: Annotated[int | None, typer.Option(help="Number of columns of PEs.")] = None,
    dataflow: Annotated[
        str | None,
        typer.Option(
            help="ws|os|is: weights, outputs or inputs stay. Several, as ws,os,is, are compared.",
            show_default="ws, or the chip's",
        ),
    ] = None,
    m: Annotated[int | None, typer.Option(help="Rows of A and C.")] = None,
    n: Annotated[int | None, typer.Option(help="Columns of B and C.")] = None,
    k: Annotated[int | None, typer.Option(help="Columns of A, rows of B.")] = None,
    on: Annotated[
        str | None, typer.Option(metavar="CHIP", help="Take the array of a chip instead.")
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option(help="With --on: choose the chip's array.", show_default="bf16 if it has it"),
    ] = None,
    conv: Annotated[
        str | None, typer.Option(metavar="SIZES", help=f"Instead of m, n, k: {CONV_HELP}.")
    ] = None,
    stride: Annotated[
        str | None, typer.Option(help="Of --conv: one number or H,W.", show_default="1")
    ] = None,
    padding: Annotated[
        str | None,
        typer.Option(help="Of --conv: one number, H,W or top,bottom,left,right.", show_default="0"),
    ] = None,
    dilation: Annotated[
        str | None, typer.Option(help="Of --conv: one number or H,W.", show_default="1")
    ] = None,
    groups: Annotated[
        int | None, typer.Option(help="Of --conv; as many as C is depthwise.", show_default="1")
    ] = None,
    arrays: Annotated[int | None, typer.Option(help="Equal arrays that share the folds.")] = None,
    double_buffer: Annotated[
        bool | None,
        typer.Option(
            "--double-buffer/--no-double-buffer",
            help="The next fold loads while one streams.",
            show_default=False,
        ),
    ] = None,
    mac_latency_cycles: Annotated[
        int | None, typer.Option("--mac-latency", help="Cycles of a pipelined multiply-add.")
    ] = None,
    packing: Annotated[int | None, typer.Option(help="Multiply-adds per PE and cycle.")] = None,
    packed: Annotated[
        str | None, typer.Option(help="stream|rows|cols: where packed ones lie.")
    ] = None,
    sparsity: Annotated[
        str | None, typer.Option(metavar="N:M", help="Structured weight sparsity, e.g. 2:4.")
    ] = None,
    sram: Annotated[
        str | None,
        typer.Option(metavar="WORDS", help="Buffers: one size or A,B,C; 64Ki is 65536."),
    ] = None,
    words_per_cycle: Annotated[
        str | None,
        typer.Option(
            "--bandwidth", metavar="RATE", help="Words per cycle of each buffer's port, or A,B,C."
        ),
    ] = None,
    inner: Annotated[str | None, typer.Option(help="rows|cols: folds that run innermost.")] = None,
    word_bits: Annotated[
        int | None,
        typer.Option(help="Width of a word, beside sparsity's indices.", show_default="8"),
    ] = None,
    prefilled: Annotated[
        bool, typer.Option("--prefilled", help="Operand buffers are full at the start.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Also simulate PE by PE with real numbers; compare.")
    ] = False,
    seed: Annotated[
        int | None, typer.Option(help="Of the random numbers.", show_default="0")
    ] = None,
    animate: Annotated[
        Path | None, typer.Option(metavar="F.html", help="Write an animation, one file.")
    ] = None,
    plots: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write wavefront, utilisation and fold map.")
    ] = None,
    cycle: Annotated[
        int | None,
        typer.Option(help="Of the wavefront picture.", show_default="a busy one"),
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Count a matmul or convolution on a systolic array exactly; simulate and draw it."""
    refuse_targets(
        files=(animate, json_file), folders=(plots,), inputs=(on,) if on is not None else ()
    )
    pictures = _Pictures(animate, plots, cycle)
    refuse_idle({"--dtype": dtype is not None}, "--on CHIP", on is not None)
    refuse_idle(
        {"--packed": packed is not None}, "--packing", packing is not None or on is not None
    )
    of_buffers = {"--bandwidth": words_per_cycle, "--inner": inner, "--word-bits": word_bits}
    named = {option: value is not None for option, value in of_buffers.items()}
    refuse_idle({**named, "--prefilled": prefilled}, "--sram", sram is not None)
    refuse_idle({"--seed": seed is not None}, "--check or pictures", check or pictures.wanted)
    features = {
        "arrays": arrays, "double_buffer": double_buffer, "mac_latency_cycles": mac_latency_cycles,
        "packing": packing, "packed": packed, "sparsity": sparsity,
    }  # fmt: skip
    of_conv = {"--stride": stride, "--padding": padding, "--dilation": dilation, "--groups": groups}
    problem = _problem((m, n, k), conv, of_conv)
    settings = [
        setting_of(
            {"rows": rows, "cols": cols, "dataflow": flow}, on, dtype, features=features,
            buffers=buffers_of(sram, words_per_cycle, inner), word_bits=word_bits,
        )
        for flow in dataflows_of(dataflow)
    ]  # fmt: skip
    run = _Run(prefilled, check, seed or 0)
    answers = [_answer(setting, problem, run) for setting in settings]
    if pictures.wanted:
        if len(answers) > 1:
            raise WorkloadError("pictures show one dataflow: give --dataflow ws, os or is")
        interruptibly(lambda: _draw(answers[0], pictures, run.seed))
    found = [
        {**answer.as_dict(), **setting.as_dict(), "prefilled": prefilled, "seed": run.seed}
        for setting, answer in zip(settings, answers, strict=True)
    ]
    data = found[0] if len(found) == 1 else {"compared": found}
    emit(data, json_file, lambda: _show(settings, answers))
    wrong = [text for answer in answers if answer.check for text in answer.check.differences]
    if wrong:
        raise SimulationError("; ".join(wrong))


def _problem(
    sizes: tuple[int | None, int | None, int | None], conv: str | None, options: dict[str, Any]
) -> ArrayProblem:
    refuse_idle({o: v is not None for o, v in options.items()}, "--conv", conv is not None)
    if conv is None:
        return matmul_of(*sizes)
    if sizes != (None, None, None):
        raise WorkloadError("--conv says what --m, --n and --k are: give one or the other")
    stride, padding, dilation, groups = options.values()
    parts = (stride or "1", padding or "0", dilation or "1")
    return conv_of(conv, *parts, 1 if groups is None else groups)


def _answer(setting: Setting, problem: ArrayProblem, run: _Run) -> ArrayAnswer:
    from accelsim.scenarios.array_problem import answer_problem, check_problem, checking_s

    array = setting.array
    answer = interruptibly(lambda: answer_problem(array, problem, prefilled=run.prefilled))
    if not run.check:
        return answer
    seconds = checking_s(array, problem)
    if seconds > 0.5:
        note(
            f"simulating PE by PE: about {seconds:.0f} s, and up to 15 s to compile the first time"
        )
    with progress_bar() as progress:
        if progress is not None:
            progress("simulating PE by PE", 0, 0)
        checked = interruptibly(lambda: check_problem(array, problem, seed=run.seed))
    return dataclasses.replace(answer, check=checked)


def _draw(answer: ArrayAnswer, pictures: _Pictures, seed: int) -> None:
    from accelsim.report.array_figures import array_figures
    from accelsim.scenarios.array_problem import pictured_problem, traced_run

    array = answer.array
    shown = pictured_problem(array, answer.problem)
    run = traced_run(array, shown.problem, seed=seed)
    remark = f" ({shown.remark})" if shown.remark else ""
    if pictures.animation is not None:
        from accelsim.report.array_animation import write_animation

        page = write_animation(run, array, shown.problem, pictures.animation, note=shown.remark)
        note(f"animation: {page}{remark}")
    if pictures.plots is not None:
        made = array_figures(
            run, array, shown.problem, pictures.plots, whole=answer.problem, cycle=pictures.cycle,
            note=shown.remark,
        )  # fmt: skip
        note(f"pictures in {pictures.plots}: {', '.join(path.name for path in made)}{remark}")


def _show(settings: list[Setting], answers: list[ArrayAnswer]) -> None:
    from accelsim.report.array_tables import (
        answer_pairs,
        check_table,
        comparison_table,
        traffic_table,
    )

    if len(answers) > 1:
        print_tables([comparison_table(answers)])
        return
    setting, answer = settings[0], answers[0]
    print_panel(setting.title, answer_pairs(answer, setting.clock_hz))
    print_text("")
    tables = [traffic_table(answer.ideal, answer.buffered)]
    if answer.check is not None:
        tables.append(check_table(answer.check, answer.problem.repeat))
    print_tables(tables)
