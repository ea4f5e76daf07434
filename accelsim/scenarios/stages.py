"""Cost the stages of a job with the engine that it asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from accelsim.engine.core import Target
from accelsim.engine.event.bank_memory import with_banks
from accelsim.engine.event.engine import Detail, EventRun
from accelsim.engine.event.lower import IDEAL
from accelsim.engine.graph import ENGINES, CostedGroup, cost_graph
from accelsim.scenarios.job import CostedStage, Job, Stage
from accelsim.units import PS_PER_S

Progress = Callable[[str, int, int], None]
"""Called with (label, done, total)."""
_COSTED_BY = {"event": "analytic"}
_STEPS_PER_STAGE = 1000


def cost_stages(
    job: Job, stages: Sequence[Stage], progress: Progress | None
) -> tuple[CostedStage, ...]:
    """Cost every stage.

    Parameters
    ----------
    job : Job
    stages : sequence of Stage
    progress : callable or None
        Told of every stage, and by the event engine of the simulated time.
    """
    costed = []
    for number, stage in enumerate(stages):
        groups = stage_costs(job, stage)
        if job.options.engine == "event":
            expected_s = sum(item.cost.latency_s * item.repeat for item in groups)
            told = by_simulated_time(progress, stage.name, expected_s, (number, len(stages)))
            costed.append(_execute(job, stage, groups, told))
        else:
            costed.append(CostedStage(stage, groups))
        if progress is not None:
            progress(stage.name, number + 1, len(stages))
    return tuple(costed)


def job_target(job: Job) -> Target:
    """Say where and how the ops of a job are costed."""
    return Target(job.system, job.options.launch, job.options.emulate_dtype)


def stage_costs(job: Job, stage: Stage) -> tuple[CostedGroup, ...]:
    """Cost of each op alone; the event engine simulates the host itself."""
    name, target = job.options.engine, job_target(job)
    if name in _COSTED_BY:
        target = replace(target, launch="graph")
    engine = ENGINES[_COSTED_BY.get(name, name)]
    fused = job.options.attention == "fused"
    costed = cost_graph(stage.graph, engine, target, fused_attention=fused)
    return with_banks(costed, job.system.chip) if job.options.dram == "bank" else costed


def _execute(
    job: Job, stage: Stage, groups: tuple[CostedGroup, ...], told: Callable[[int], None] | None
) -> CostedStage:
    options = job.options
    run = EventRun(f"{job.workload.name} {stage.name}", groups, job_target(job), options.tp)
    detail = Detail(
        every_chip=options.every_chip, banked=options.dram == "bank", buffers=options.buffers
    )
    done = run.execute(detail, told)
    ideal_s = {}
    if options.what_if:
        for resource in IDEAL:
            ideal = run.execute(replace(detail, ideal=frozenset((resource,))))
            ideal_s[resource] = ideal.execution.end_ps / PS_PER_S
    return CostedStage(stage, done.groups, done.execution, ideal_s)


def by_simulated_time(
    progress: Progress | None, name: str, expected_s: float, part: tuple[int, int]
) -> Callable[[int], None] | None:
    """Turn the simulated time of one of several parts into progress.

    Parameters
    ----------
    progress : callable or None
    name : str
        Of the part.
    expected_s : float
        About when it ends [s].
    part : (int, int)
        Its number, from 0, and how many there are.
    """
    if progress is None:
        return None
    number, stages = part
    end_ps = PS_PER_S * expected_s
    total = stages * _STEPS_PER_STAGE

    def told(now_ps: int) -> None:
        done = min(_STEPS_PER_STAGE, round(_STEPS_PER_STAGE * now_ps / end_ps))
        label = f"{name}: {now_ps / 1e9:.3f} ms simulated"
        progress(label, number * _STEPS_PER_STAGE + done, total)

    return told
