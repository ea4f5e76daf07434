"""The event engine: time of whole runs, tile tasks per second, memory, against the targets.

    python benchmarks/bench_event.py [--markdown docs/benchmarks.md]

A run is `accelsim.run` as a whole: graph, mapping (remembered after the first), costs, shapes of
pipelines, simulation, critical path, result. A tile task is one piece of an op from its load
through matrix and vector units to its store; all events of all its stages count to its time.
"""

from __future__ import annotations

import argparse
import dataclasses
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from measure import Figure, figures_table, median_s, replace_section

import accelsim
from accelsim.engine.event.engine import Detail, EventRun
from accelsim.scenarios.planning import Planner, make_job
from accelsim.scenarios.stages import job_target, stage_costs

RUNS = 7
LEAST_TASKS_PER_S = 40_000
MOST_BYTES = 1e9
MEMORY_CASE = ("llama3.1-405b", "dgx_h200", "--memory")


def whole_run(what: str, most_s: float, run: Callable[[], accelsim.RunResult]) -> Figure:
    """Time a run, warm."""
    result = run()
    mid, low, high = median_s(run, RUNS)
    events = sum(stage.execution.events for stage in result.executions)
    return Figure(
        f"{what} ({events:,} events)", f"<= {most_s:g} s", f"{mid:.3f} s", mid <= most_s,
        f"{low:.3f} to {high:.3f} s",
    )  # fmt: skip


def one_layer() -> accelsim.RunResult:
    """Run a layer of GPT-3 on four chips, each of them simulated."""
    model = dataclasses.replace(accelsim.load_model("gpt3-175b"), n_layers=1)
    return accelsim.run(
        model, "dgx_a100", phase="prefill", batch=8, input_len=2048, tp=4, every_chip=True
    )


def tile_tasks(model: str, chip: str, **changes: object) -> Figure:
    """Simulate every layer, none folded, and count the pieces of all ops."""
    job = make_job(model, chip, accelsim.RunOptions(**changes))  # type: ignore[arg-type]
    (stage,) = Planner(job).stages()
    run = EventRun(model, stage_costs(job, stage), job_target(job))
    tasks = sum(block.repeat * plan.pieces for block in run.program().blocks for plan in block.ops)
    done = run.execute(Detail(fold=False))
    mid, low, high = median_s(lambda: run.execute(Detail(fold=False)), RUNS)
    works = len(done.execution.work.op)
    return Figure(
        f"{model} {job.phase} on {chip}, unfolded: {tasks:,} tile tasks, {works:,} pieces of work",
        f">= {LEAST_TASKS_PER_S:,}/s", f"{tasks / mid:,.0f}/s", tasks / mid >= LEAST_TASKS_PER_S,
        f"{tasks / high:,.0f} to {tasks / low:,.0f}/s",
    )  # fmt: skip


def memory() -> Figure:
    """Peak memory of a fresh process that runs the largest model."""
    model, system, flag = MEMORY_CASE
    command = [sys.executable, __file__, flag]
    peak = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return Figure(
        f"peak memory of the process, {model} decode on {system}, tp 8", "<= 1 GB",
        f"{peak / 1e9:.2f} GB", peak <= MOST_BYTES, "-",
    )  # fmt: skip


def main() -> None:
    """Measure and print; with --markdown also into the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--markdown", type=Path, help="page whose section is replaced")
    parser.add_argument("--memory", action="store_true", help="run one model, print the peak [B]")
    options = parser.parse_args()
    if options.memory:
        accelsim.run(*MEMORY_CASE[:2], phase="decode", batch=16, input_len=4096, tp=8)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
        return
    large = ("llama3.1-70b", "mi300x")
    figures = [
        whole_run(
            "llama3.1-70b decode step, 2,048 tokens in the cache, mi300x", 1.0,
            lambda: accelsim.run(*large, phase="decode", input_len=2048),
        ),
        whole_run(
            "llama3.1-70b prefill of 2,048 tokens, mi300x", 3.0,
            lambda: accelsim.run(*large, phase="prefill", input_len=2048),
        ),
        whole_run("gpt3-175b, one layer, prefill, 4 chips each simulated", 0.5, one_layer),
        tile_tasks("llama3.1-8b", "h100_sxm", phase="prefill", input_len=1024),
        tile_tasks("llama3.1-8b", "tpu_v5e", phase="prefill", batch=4, input_len=2048),
        memory(),
    ]  # fmt: skip
    text = figures_table("bench_event", figures)
    print(text)
    if options.markdown:
        replace_section(options.markdown, "bench_event", text)


if __name__ == "__main__":
    main()
