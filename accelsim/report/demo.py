"""The demonstration as files: comparison pictures, rooflines, a summary in words and in JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from accelsim.files import write_text
from accelsim.report.comparison import Comparison, comparison_figure
from accelsim.report.footprint import footprint_figure
from accelsim.report.latency import latency_figure
from accelsim.report.roofline import roofline_figure
from accelsim.report.tables import Column, Table, to_markdown
from accelsim.report.words import bound_word, memory_sentence, percent, token_rate, tokens
from accelsim.results.run_result import RunResult
from accelsim.scenarios.demo import INPUT_LEN, DemoCase, DemoRun
from accelsim.units import format_si

Progress = Callable[[str, int, int], None]
NEXT_STEPS = (
    "accelsim run llama3.1-8b --on h100_sxm --phase decode --batch 64 --plots plots",
    "accelsim run llama3.1-8b --on h100_sxm --phase decode --set memory.bandwidth='4.8 TB/s'",
    "accelsim show teach_systolic_128x128",
    "accelsim list chips",
)


def energy_per_token_j(result: RunResult) -> float:
    """Energy of one token, processed or produced [J]."""
    return result.energy_j / tokens(result)


def demo_table(runs: Sequence[DemoRun]) -> Table:
    """One row per case and chip."""
    columns = (
        Column("model"), Column("case"), Column("chip"), Column("latency", right=True),
        Column("tokens/s", right=True), Column("J/token", right=True),
        Column("power", right=True, rank=1), Column("MFU", right=True), Column("MBU", right=True),
        Column("limited by"), Column("memory", rank=1),
    )  # fmt: skip
    rows = tuple(_cells(run) for run in runs)
    models = [(run.case.model, run.case.title) for run in runs]
    breaks = tuple(i for i in range(1, len(runs)) if models[i] != models[i - 1])
    title = f"Two models on three chips, {INPUT_LEN} tokens each, {runs[0].result.engine} engine"
    return Table(title, columns, rows, breaks)


def _cells(run: DemoRun) -> tuple[str, ...]:
    r = run.result
    return (
        run.case.model, run.case.title, r.chip, format_si(r.latency_s, "s"),
        token_rate(r.tokens_per_s), format_si(energy_per_token_j(r), "J"),
        format_si(r.average_power_w, "W"), percent(r.mfu), percent(r.mbu), r.bottleneck,
        memory_sentence(r),
    )  # fmt: skip


def what_you_see(runs: Sequence[DemoRun]) -> tuple[str, ...]:
    """Say in sentences what the numbers show, from the numbers themselves."""
    cases = list(dict.fromkeys(run.case for run in runs))
    lines = [_winner(runs, case) for case in cases]
    lines += _batching(runs)
    lines.append(
        "Llama runs with int8 weights and bf16 arithmetic on all three chips, because bf16 weights "
        "and the KV cache of 16 sequences would not fit the memory of a TPU v5e."
    )
    lines.append(
        "Energies are bottom-up estimates, about a third below the board power of a Hopper GPU at "
        "full load: differences between chips that are smaller than that mean nothing."
    )
    return tuple(lines)


def _of(runs: Sequence[DemoRun], case: DemoCase) -> list[RunResult]:
    return [run.result for run in runs if run.case == case]


def _winner(runs: Sequence[DemoRun], case: DemoCase) -> str:
    results = sorted(_of(runs, case), key=lambda r: r.latency_s)
    first, last = results[0], results[-1]
    frugal = min(results, key=energy_per_token_j)
    by_bound: dict[str, list[str]] = {}
    for result in results:
        by_bound.setdefault(result.bottleneck, []).append(result.chip)
    limits = "; ".join(
        f"{bound_word(b)} limits {'all' if len(chips) == len(results) else ' and '.join(chips)}"
        for b, chips in by_bound.items()
    )
    return (
        f"{case.model}, {case.title}: {first.chip} is fastest, {format_si(first.latency_s, 's')}, "
        f"{last.latency_s / first.latency_s:.2g} times faster than {last.chip}; {frugal.chip} "
        f"needs the least energy, {format_si(energy_per_token_j(frugal), 'J')} per token. "
        f"{limits[0].upper()}{limits[1:]}."
    )


def _batching(runs: Sequence[DemoRun]) -> Iterator[str]:
    """Explain on the first chip what a larger decode batch costs."""
    chip = runs[0].result.chip
    decode = [run for run in runs if run.case.phase == "decode" and run.result.chip == chip]
    single = {run.case.model: run.result.latency_s for run in decode if run.case.batch == 1}
    for run in decode:
        batch = run.case.batch
        if batch > 1 and run.case.model in single:
            factor = run.result.latency_s / single[run.case.model]
            yield (
                f"On {chip} a decode step for {batch} sequences takes {factor:.2f} times the time "
                f"of one: every step reads the same weights, so {batch} sequences get "
                f"{batch / factor:.1f} times the tokens per second."
            )


def summary_data(runs: Sequence[DemoRun]) -> dict[str, Any]:
    """Plain data of ``accelsim demo --json``."""
    keys = (
        "chip", "model", "phase", "engine", "dtype", "batch", "input_len", "latency_s", "energy_j",
        "average_power_w", "tokens_per_s", "ttft_s", "tpot_s", "mfu", "mbu", "bottleneck",
        "memory_bytes", "memory_capacity_bytes",
    )  # fmt: skip
    rows = []
    for run in runs:
        data = run.result.as_dict()
        row = {key: data[key] for key in keys}
        row["weight_dtype"] = run.case.weight_dtype or data["dtype"]
        rows.append({**row, "energy_per_token_j": energy_per_token_j(run.result)})
    return {"runs": rows, "what_you_see": list(what_you_see(runs))}


def write_demo(
    runs: Sequence[DemoRun], folder: str | Path, progress: Progress | None = None
) -> tuple[Path, ...]:
    """Write pictures, ``summary.md`` and ``summary.json``.

    Parameters
    ----------
    runs : sequence of DemoRun
        From `accelsim.scenarios.demo.run_demo`.
    folder : str or Path
        Made if absent; each file replaces an older one whole.
    progress : callable, optional
        Called with (label, done, total).

    Returns
    -------
    tuple of Path
        Everything written, the summary first.
    """
    root = Path(folder)
    jobs = list(_pictures(runs, root))
    pictures = []
    for number, (name, draw) in enumerate(jobs):
        if progress is not None:
            progress(f"drawing {name}", number, len(jobs))
        pictures.append(draw())
    summary, data = root / "summary.md", root / "summary.json"
    write_text(summary, _markdown(runs, [path.name for path in pictures]))
    write_text(data, json.dumps(summary_data(runs), indent=2, allow_nan=False) + "\n")
    return (summary, data, *pictures)


def _pictures(runs: Sequence[DemoRun], root: Path) -> Iterator[tuple[str, Callable[[], Path]]]:
    for model in dict.fromkeys(run.case.model for run in runs):
        chosen = [run for run in runs if run.case.model == model]
        for quantity, comparison in _comparisons(chosen).items():
            name = f"{model}-{quantity}.png"
            yield name, partial(comparison_figure, comparison, root / name)
    # One roofline per phase and chip tells the story; sixteen sequences show the KV cache.
    for run in runs:
        result, stem = run.result, f"{run.case.slug}-{run.result.chip}"
        if run.case.model != runs[0].case.model:
            continue
        if run.case.batch == 1:
            name = f"{stem}-roofline.png"
            yield name, partial(roofline_figure, result, root / name)
        else:
            name = f"{stem}-memory.png"
            yield name, partial(footprint_figure, result, root / name)
    for run in runs:
        if run.result.chip == runs[0].result.chip and run.case.batch == 1:
            name = f"{run.case.slug}-{run.result.chip}-latency.png"
            yield name, partial(latency_figure, run.result, root / name)


def _comparisons(runs: Sequence[DemoRun]) -> dict[str, Comparison]:
    """Latency and energy per token of one model, one panel per case."""
    latency: dict[str, dict[str, float]] = {}
    energy: dict[str, dict[str, float]] = {}
    for run in runs:
        latency.setdefault(run.case.title, {})[run.result.chip] = run.result.latency_s
        energy.setdefault(run.case.title, {})[run.result.chip] = energy_per_token_j(run.result)
    case = runs[0].case
    weights = case.weight_dtype or runs[0].result.dtype
    small = f"{case.model}, {weights} weights, {INPUT_LEN} tokens; {runs[0].result.engine} engine"
    return {
        "latency": Comparison(_fastest(case.model, latency), small, "latency", "s", latency),
        "energy": Comparison(
            _frugal(case.model, energy), small, "energy per token", "J", energy
        ),
    }  # fmt: skip


def _fastest(model: str, values: dict[str, dict[str, float]]) -> str:
    best = {min(panel, key=lambda chip: panel[chip]) for panel in values.values()}
    if len(best) > 1:
        return f"{model}: which chip is fastest depends on the case"
    ratios = [max(panel.values()) / min(panel.values()) for panel in values.values()]
    span = f"{min(ratios):.2g} to {max(ratios):.2g} times"
    return f"{model}: {best.pop()} is always fastest, {span} faster than the slowest"


def _frugal(model: str, values: dict[str, dict[str, float]]) -> str:
    best = list(dict.fromkeys(min(p, key=lambda chip: p[chip]) for p in values.values()))
    if len(best) == 1:
        return f"{model}: {best[0]} needs the least energy per token throughout"
    return f"{model}: the chip with the least energy per token depends on the case"


def _markdown(runs: Sequence[DemoRun], pictures: Sequence[str]) -> str:
    seen = "\n".join(f"- {line}" for line in what_you_see(runs))
    shown = "\n\n".join(f"![{Path(name).stem}]({name})" for name in pictures)
    steps = "\n".join(f"    {step}" for step in NEXT_STEPS)
    sources = sorted({text for run in runs for text in run.result.sources})
    assumed = list(dict.fromkeys(text for run in runs for text in run.result.assumptions))
    return "\n".join([
        "# accelsim demo", "", to_markdown(demo_table(runs)), "## What you see", "", seen, "",
        "## Pictures", "", shown, "", "## Next", "", steps, "", "## Assumptions", "",
        *(f"- {text}" for text in assumed), "", "## Sources", "",
        *(f"- {text}" for text in sources), "",
    ])  # fmt: skip
