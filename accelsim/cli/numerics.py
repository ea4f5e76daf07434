"""``accelsim numerics``: real weights in a chip's arithmetic."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from accelsim.cli.array_options import refuse_idle
from accelsim.cli.console import (
    emit,
    interruptibly,
    note,
    print_panel,
    print_tables,
    print_text,
    progress_bar,
    refuse_targets,
    slow_notes,
)
from accelsim.cli.numerics_input import (
    chips_of,
    find_model,
    named,
    read_text,
    variants_of,
    write_errors,
)
from accelsim.cli.options import EmulateDType, JsonFile
from accelsim.errors import WorkloadError

if TYPE_CHECKING:
    from accelsim.arithmetic import Arithmetic
    from accelsim.functional.faults import FaultPlan
    from accelsim.functional.sampler import Sampler
    from accelsim.scenarios.numerics_comparison import NumericsComparison
    from accelsim.scenarios.numerics_options import NumericsOptions
    from accelsim.scenarios.numerics_result import NumericsResult

Results = list["NumericsResult"]


@dataclass(frozen=True)
class _Files:
    """Files that a study was asked to leave behind."""

    plots: Path | None
    csv: Path | None


def numerics(  # noqa: PLR0917  (typer calls it by keyword: one parameter per option)
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="smollm2-135m-instruct, a .gguf file, or a folder with config.json, safetensors "
            "and tokenizer.json.",
        ),
    ],
    on: Annotated[
        list[str],
        typer.Option(
            metavar="NAME",
            help="Chip or system: a name or a path to a YAML file. Repeatable, or several as "
            "h100_sxm,mi300x.",
        ),
    ],
    weights: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Weights of MODEL, which is then a name: .gguf, folder."),
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option(
            help="Of the chip's matmuls.", show_default="first of bf16, fp16, tf32, fp32, int8"
        ),
    ] = None,
    quantize: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SCHEME",
            help="int8, smoothquant, int4-g128, fp8, mxfp4, nvfp4-weight, ... Repeatable, or "
            "several as int8,fp8.",
        ),
    ] = None,
    compare: Annotated[
        str | None,
        typer.Option(metavar="LIST", help="dtypes and schemes in one table: bf16,fp8,int4-g128."),
    ] = None,
    kv_dtype: Annotated[
        str | None, typer.Option(help="Storage of the KV cache.", show_default="as activations")
    ] = None,
    prompt: Annotated[str | None, typer.Option(help="Text to continue.")] = None,
    prompt_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The same, from a file.")
    ] = None,
    chat: Annotated[
        bool | None,
        typer.Option(
            "--chat/--no-chat",
            help="Wrap the prompt as a user's turn.",
            show_default="if the model was made for that",
        ),
    ] = None,
    tokens: Annotated[
        int, typer.Option(help="Most tokens to generate; those made are timed. 0: none.")
    ] = 32,
    text: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Text to evaluate.", show_default="packaged"),
    ] = None,
    eval_tokens: Annotated[int, typer.Option(help="Tokens of it, from the start.")] = 256,
    order: Annotated[
        str,
        typer.Option(help="mapped|plain: sums in the order of the chip's mapping, or k ascending."),
    ] = "mapped",
    temperature: Annotated[
        float | None, typer.Option(help="Draw tokens.", show_default="0: the likeliest")
    ] = None,
    top_k: Annotated[int | None, typer.Option(help="Draw from the k likeliest.")] = None,
    top_p: Annotated[
        float | None, typer.Option(help="Draw from the likeliest up to this probability.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of the draws.", show_default="0")] = None,
    fault_rate: Annotated[
        float | None,
        typer.Option(
            metavar="P",
            help="Flip each bit of the targets with probability P.",
        ),
    ] = None,
    fault_targets: Annotated[
        str | None,
        typer.Option(
            help="Of weights,kv,accumulators (results of matmuls with weights and of attention).",
            show_default="all",
        ),
    ] = None,
    fault_bits: Annotated[
        str | None, typer.Option(help="all|sign|exponent|fraction", show_default="all")
    ] = None,
    ecc: Annotated[
        str | None, typer.Option(help="none|secded, of weights and kv.", show_default="none")
    ] = None,
    fault_seed: Annotated[int | None, typer.Option(help="Of the flips.", show_default="0")] = None,
    emulate_dtype: EmulateDType = False,
    plots: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write error by layer, logits, quality against energy."),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(metavar="F.csv", help="Write the error of every op's output.")
    ] = None,
    ops: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            help="Ops furthest from fp32 to show of each variant.",
            show_default="6 of one, 2 each of several",
        ),
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Run real weights in a chip's arithmetic: text, quality against fp32, time and energy."""
    chips = chips_of(on)
    read = [path for path in (weights, prompt_file, text) if path is not None]
    refuse_targets(files=(csv, json_file), folders=(plots,), inputs=(model, *chips, *read))
    if prompt is not None and prompt_file is not None:
        raise WorkloadError("--prompt and --prompt-file both say what to continue: give one")
    variants = variants_of(compare, quantize)
    drawn = {"--top-k": top_k, "--top-p": top_p, "--seed": seed}
    refuse_idle(_given(drawn), "--temperature", temperature is not None)
    struck: dict[str, Any] = {
        "--fault-targets": fault_targets, "--fault-bits": fault_bits, "--ecc": ecc,
        "--fault-seed": fault_seed,
    }  # fmt: skip
    refuse_idle(_given(struck), "--fault-rate", fault_rate is not None)
    given: dict[str, Any] = {
        "dtype": dtype, "kv_dtype": kv_dtype, "tokens": tokens, "eval_tokens": eval_tokens,
        "order": order, "emulate_dtype": emulate_dtype,
        "text": None if text is None else read_text(text, "--text"),
        "sampler": _sampler(temperature, top_k, top_p, seed),
        "faults": _faults(fault_rate, struck), "chat": chat,
    }  # fmt: skip
    if prompt is not None or prompt_file is not None:
        given["prompt"] = read_text(prompt_file, "--prompt-file") if prompt_file else prompt
    study = _study(model, weights, chips, _options(given))
    arithmetics = study.check(variants)
    results = _measured(study, variants)
    interruptibly(lambda: _write(results, _Files(plots, csv)))
    found = [{**result.as_dict(), "order": order} for result in results]
    data = found[0] if len(found) == 1 else {"compared": found}
    emit(data, json_file, lambda: _show(results, arithmetics, ops))


def _given(options: dict[str, Any]) -> dict[str, bool]:
    return {name: value is not None for name, value in options.items()}


def _sampler(
    temperature: float | None, top_k: int | None, top_p: float | None, seed: int | None
) -> Sampler:
    from accelsim.functional.sampler import GREEDY, Sampler

    if temperature is None:
        return GREEDY
    return Sampler(
        temperature=temperature, top_k=top_k or 0, top_p=1.0 if top_p is None else top_p,
        seed=seed or 0,
    )  # fmt: skip


def _faults(rate: float | None, given: dict[str, Any]) -> FaultPlan | None:
    from accelsim.functional.fault_plan import TARGETS, FaultPlan

    if rate is None:
        return None
    targets, bits, ecc, seed = given.values()
    named = TARGETS if targets is None else tuple(t.strip() for t in targets.split(","))
    return FaultPlan(
        rate_per_bit=rate, targets=named, bits=bits or "all", ecc=ecc or "none", seed=seed or 0
    )


def _options(given: dict[str, Any]) -> NumericsOptions:
    from accelsim.scenarios.numerics_options import NumericsOptions

    return NumericsOptions(**given)


def _study(
    model: str, weights: Path | None, chips: list[str], options: NumericsOptions
) -> NumericsComparison:
    """Open chips and weights; weights of one's own go by the name MODEL."""
    from accelsim.scenarios.numerics_comparison import NumericsComparison

    study = NumericsComparison.load(find_model(model, weights), chips, options)
    if weights is None:
        return study
    return NumericsComparison(named(study.model, model, weights), study.systems, options)


def _measured(study: NumericsComparison, variants: list[str | None]) -> Results:
    """Measure all in one thread: memory that one thread has freed is of no use to another."""
    from accelsim.kernels.jit import compiled_before
    from accelsim.scenarios.numerics_comparison import NumericsComparison

    if not compiled_before("gemm_chain"):
        note("the first run compiles its kernels: up to a minute, once")
    several = len(study.systems) * len(variants) > 1
    with progress_bar() as progress:
        tell = progress or slow_notes()
        shown = NumericsComparison(study.model, study.systems, study.options, tell)

        def measure() -> Results:
            results, start = [], time.perf_counter()
            for result in shown.measure(variants):
                results.append(result)
                if progress is None and several:
                    note(f"{result.variant}: measured in {time.perf_counter() - start:.0f} s")
                start = time.perf_counter()
            return results

        return interruptibly(measure)


def _write(results: Results, files: _Files) -> None:
    if files.plots is not None:
        from accelsim.explore.pareto import pareto_mask
        from accelsim.report.numerics_figures import numerics_figures

        costs = [(r.energy_per_token_j, r.quality.kl_nats) for r in results]
        generates = all(r.timing.phase == "generate" for r in results)
        front = pareto_mask(costs) if generates else None
        made = numerics_figures(results, front, files.plots)
        note(f"pictures in {files.plots}: {', '.join(path.name for path in made)}")
    if files.csv is not None:
        write_errors(results, files.csv)
        note(f"errors of ops: {files.csv}")


def _show(results: Results, arithmetics: list[Arithmetic], ops: int | None) -> None:
    from accelsim.report.numerics_tables import (
        chip_names,
        chips_table,
        faults_table,
        numerics_pairs,
        ops_table,
        quality_table,
        worst_ops_table,
    )

    title = f"{results[0].model} on {chip_names(results)}"
    print_panel(title, numerics_pairs(results, arithmetics))
    for warning in dict.fromkeys(text for result in results for text in result.warnings):
        print_text(f"Warning: {warning}.")
    print_text("")
    worst = worst_ops_table(results, ops)
    tables = [quality_table(results), chips_table(results), ops_table(results), worst]
    print_tables([*tables, faults_table(results)])
