"""``accelsim systolic``: one matmul or convolution on one systolic array."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

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
from accelsim.errors import SimulationError, SpecError, WorkloadError

if TYPE_CHECKING:
    from accelsim.arch.array import ArrayBuffers, SystolicArray
    from accelsim.scenarios.array_problem import ArrayAnswer, ArrayProblem

_CONV_HELP = "N,C,H,W,K,R,S: images, channels, input size, filters, filter size."
_CONV_SIZES = 7


@dataclass(frozen=True)
class _Pictures:
    """Files that show the array at work."""

    animation: Path | None
    plots: Path | None
    cycle: int | None

    @property
    def wanted(self) -> bool:
        return self.animation is not None or self.plots is not None


def systolic(  # noqa: PLR0917  (typer calls it by keyword: one parameter per option)
    rows: Annotated[int | None, typer.Option(help="PEs along a column.")] = None,
    cols: Annotated[int | None, typer.Option(help="PEs along a row.")] = None,
    dataflow: Annotated[
        str | None, typer.Option(help="ws|os|is: weights, outputs or inputs stay.")
    ] = None,
    m: Annotated[int | None, typer.Option(help="Rows of A and C.")] = None,
    n: Annotated[int | None, typer.Option(help="Columns of B and C.")] = None,
    k: Annotated[int | None, typer.Option(help="Columns of A, rows of B.")] = None,
    on: Annotated[
        str | None, typer.Option(metavar="CHIP", help="Take the array of a chip instead.")
    ] = None,
    dtype: Annotated[str, typer.Option(help="With --on: choose the chip's array.")] = "bf16",
    conv: Annotated[
        str | None, typer.Option(metavar="SIZES", help=f"Instead of m, n, k: {_CONV_HELP}")
    ] = None,
    stride: Annotated[str, typer.Option(help="Of --conv: one number or H,W.")] = "1",
    padding: Annotated[
        str, typer.Option(help="Of --conv: one number, H,W or top,bottom,left,right.")
    ] = "0",
    dilation: Annotated[str, typer.Option(help="Of --conv: one number or H,W.")] = "1",
    groups: Annotated[int, typer.Option(help="Of --conv; as many as C is depthwise.")] = 1,
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
        str | None, typer.Option(metavar="WORDS", help="Buffers: one size or A,B,C; 64Ki is 65536.")
    ] = None,
    words_per_cycle: Annotated[
        str | None,
        typer.Option("--bandwidth", metavar="RATE", help="Words per cycle of each port, or A,B,C."),
    ] = None,
    inner: Annotated[
        str | None, typer.Option(help="rows|cols: folds that run innermost, with --sram.")
    ] = None,
    prefilled: Annotated[
        bool, typer.Option("--prefilled", help="Operand buffers are full at the start.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Also simulate PE by PE with real numbers; compare.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of the random numbers.")] = 0,
    animate: Annotated[
        Path | None, typer.Option(metavar="F.html", help="Write an animation, one file.")
    ] = None,
    plots: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write wavefront, utilisation and fold map.")
    ] = None,
    cycle: Annotated[
        int | None,
        typer.Option(help="Of the wavefront picture.", show_default="the first busy one"),
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Count a matmul or convolution on a systolic array exactly; simulate and draw it."""
    refuse_targets(files=(animate, json_file), folders=(plots,))
    changes = {
        "arrays": arrays, "double_buffer": double_buffer, "mac_latency_cycles": mac_latency_cycles,
        "packing": packing, "packed": packed, "sparsity": sparsity,
    }  # fmt: skip
    shape = {"rows": rows, "cols": cols, "dataflow": dataflow}
    array, clock_hz = _array(
        shape, on, dtype, _features(changes), _buffers(sram, words_per_cycle, inner)
    )
    if conv is None:
        problem = _matmul(m, n, k)
    else:
        if (m, n, k) != (None, None, None):
            raise WorkloadError("--conv says what --m, --n and --k are: give one or the other")
        problem = _convolution(conv, stride, padding, dilation, groups)
    answer = _answer(array, problem, prefilled, check, seed)
    _draw(answer, _Pictures(animate, plots, cycle), seed)
    emit(answer.as_dict(), json_file, lambda: _show(answer, clock_hz))
    if answer.check is not None and not answer.check.holds:
        raise SimulationError("; ".join(answer.check.differences))


def _features(changes: dict[str, Any]) -> dict[str, Any]:
    """Keep the features that the command line names."""
    given = {name: value for name, value in changes.items() if value is not None}
    if "sparsity" in given:
        from accelsim.arch.array import Sparsity

        given["sparsity"] = Sparsity.parse(given["sparsity"])
    return given


def _array(
    shape: dict[str, Any],
    on: str | None,
    dtype: str,
    features: dict[str, Any],
    buffers: ArrayBuffers | None,
) -> tuple[SystolicArray, float | None]:
    """Put the array together, and say its clock [Hz] if it is a chip's."""
    from accelsim.arch.array import TEXTBOOK, SystolicArray

    given = {name: value for name, value in shape.items() if value is not None}
    if on is not None:
        from accelsim.arch.loader import load_chip

        chip = load_chip(on)
        base, clock_hz = chip.systolic_array(dtype), chip.spec.clock_hz
    else:
        missing = [f"--{name}" for name in ("rows", "cols") if name not in given]
        if missing:
            raise SpecError(f"{' and '.join(missing)} missing: give the array's size, or --on CHIP")
        base, clock_hz = SystolicArray("ws", 1, 1), None
    merged = dataclasses.replace(base.features if on else TEXTBOOK, **features)
    return dataclasses.replace(base, **given, features=merged, buffers=buffers), clock_hz


def _buffers(
    sram: str | None, words_per_cycle: str | None, inner: str | None
) -> ArrayBuffers | None:
    if sram is None:
        if words_per_cycle is not None or inner is not None:
            raise SpecError("--bandwidth and --inner are of buffers: give their size with --sram")
        return None
    from accelsim.arch.array import ArrayBuffers

    a, b, c = (_words(text) for text in _three("--sram", sram))
    sizes = ArrayBuffers(a, b, c, inner=cast("Any", inner))
    if words_per_cycle is None:
        return sizes
    rates = map(_rate, _three("--bandwidth", words_per_cycle))
    named: dict[str, Any] = {
        f"{name}_words_per_cycle": rate for name, rate in zip("abc", rates, strict=True)
    }
    return dataclasses.replace(sizes, **named)


def _words(text: str) -> int:
    """Read a count of words; Ki and Mi are binary."""
    scale = {"Ki": 1024, "Mi": 1024**2}.get(text[-2:], 1)
    digits = text[:-2] if scale > 1 else text
    if not (digits.isascii() and digits.isdigit() and len(digits) < 13):
        raise SpecError(f"--sram '{text}' is no number of words, for example 65536 or 64Ki")
    return int(digits) * scale


def _rate(text: str) -> Fraction:
    """Read words per cycle: 10, 0.5 or 3/7."""
    try:
        return Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise SpecError(f"--bandwidth '{text}' is no number of words per cycle") from None


def _three(option: str, text: str) -> list[str]:
    parts = [part.strip() for part in text.split(",")]
    if len(parts) not in (1, 3) or not all(parts):
        raise SpecError(f"{option} '{text}': expected one value, or three as A,B,C")
    return parts * (3 // len(parts))


def _matmul(m: int | None, n: int | None, k: int | None) -> ArrayProblem:
    from accelsim.scenarios.array_problem import ArrayProblem

    if m is None or n is None or k is None:
        raise WorkloadError("give --m, --n and --k (C[m, n] = A[m, k] B[k, n]), or --conv SIZES")
    return ArrayProblem(m, n, k)


def _convolution(conv: str, stride: str, padding: str, dilation: str, groups: int) -> ArrayProblem:
    from accelsim.scenarios.array_problem import ArrayProblem
    from accelsim.workload.conv import ConvShape

    sizes = _whole("--conv", conv)
    if len(sizes) != _CONV_SIZES:
        raise WorkloadError(f"--conv '{conv}' has {len(sizes)} numbers, expected {_CONV_HELP}")
    images, channels, height, width, filters, high, wide = sizes
    pads = _whole("--padding", padding)
    sides = {1: pads * 4, 2: [pads[0], pads[0], pads[-1], pads[-1]], 4: pads}.get(len(pads))
    if sides is None:
        raise WorkloadError(f"--padding '{padding}': expected 1, 2 or 4 numbers")
    shape = ConvShape(
        images, channels, filters, height, width, high, wide,
        stride=_pair("--stride", stride), padding=(sides[0], sides[1], sides[2], sides[3]),
        dilation=_pair("--dilation", dilation), groups=groups,
    )  # fmt: skip
    return ArrayProblem.of_conv(shape)


def _pair(option: str, text: str) -> tuple[int, int]:
    numbers = _whole(option, text)
    if len(numbers) not in (1, 2):
        raise WorkloadError(f"{option} '{text}': expected one number or two (H,W)")
    return numbers[0], numbers[-1]


def _whole(option: str, text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise WorkloadError(f"{option} '{text}': expected whole numbers with commas") from None


def _answer(
    array: SystolicArray, problem: ArrayProblem, prefilled: bool, check: bool, seed: int
) -> ArrayAnswer:
    from accelsim.scenarios.array_problem import answer_problem, check_problem

    answer = answer_problem(array, problem, prefilled=prefilled)
    if not check:
        return answer
    with progress_bar() as progress:
        if progress is not None:
            progress("simulating PE by PE", 0, 0)
        checked = interruptibly(lambda: check_problem(array, problem, seed=seed))
    return dataclasses.replace(answer, check=checked)


def _draw(answer: ArrayAnswer, pictures: _Pictures, seed: int) -> None:
    if not pictures.wanted:
        return
    from accelsim.report.array_plan import GemmSizes
    from accelsim.scenarios.array_problem import check_problem

    array, problem = answer.array, answer.problem
    sizes = GemmSizes(problem.m, problem.n, problem.k)
    run = check_problem(array, problem, seed=seed, trace=True).run
    if pictures.animation is not None:
        from accelsim.report.array_animation import write_animation

        note(f"animation: {write_animation(run, array, sizes, pictures.animation)}")
    if pictures.plots is not None:
        from accelsim.report.array_figures import array_figures

        made = array_figures(run, array, sizes, pictures.plots, cycle=pictures.cycle)
        note(f"pictures in {pictures.plots}: {', '.join(path.name for path in made)}")


def _show(answer: ArrayAnswer, clock_hz: float | None) -> None:
    from accelsim.report.array_tables import answer_pairs, check_table, traffic_table
    from accelsim.timing.systolic import array_cycles

    print_panel(str(answer.array), answer_pairs(answer, clock_hz))
    print_text("")
    tables = [traffic_table(answer.ideal, answer.buffered)]
    if answer.check is not None:
        p = answer.problem
        tables.append(check_table(answer.check, array_cycles(answer.array, p.m, p.n, p.k)))
    print_tables(tables)
