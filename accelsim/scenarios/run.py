"""One model, one phase, one chip or system: the main job."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelsim.arch.loader import load_system
from accelsim.arch.system import System
from accelsim.energy.price import energy_per_action
from accelsim.engine.core import Target
from accelsim.engine.graph import ENGINES, CostedGroup, cost_graph
from accelsim.errors import MappingError, WorkloadError, suggest
from accelsim.network.collectives import spanned_levels
from accelsim.parallel.tensor import shard
from accelsim.results.run_result import OpRow, RunResult
from accelsim.scenarios.capacity import check_capacity
from accelsim.scenarios.options import RunOptions
from accelsim.workload.config import ModelConfig
from accelsim.workload.graph import Footprint, Graph
from accelsim.workload.models import load_model
from accelsim.workload.phases import PhaseOptions, build_graph

Progress = Callable[[str, int, int], None]
_CONTEXT_SAMPLES = 9


@dataclass(frozen=True)
class _Stage:
    """One graph of the run and how many times it runs (fractional: a weight of integration)."""

    name: str
    graph: Graph
    times: float


@dataclass(frozen=True)
class _Job:
    config: ModelConfig
    system: System
    options: RunOptions

    def graph(self, phase: str, context: int, tp: int, weight_dtype: str | None) -> Graph:
        """Build the per-device graph of one stage."""
        o = self.options
        phase_options = PhaseOptions(
            phase=phase,
            batch=o.batch,
            input_len=context,
            dtype=o.dtype,
            weight_dtype=weight_dtype or o.weight_dtype,
            kv_dtype=o.kv_dtype,
            recompute=o.recompute,
            keep_scores=o.attention == "unfused",
        )
        return shard(build_graph(self.config, phase_options), tp)

    def stages(self) -> list[_Stage]:
        """Split the run into graphs; decode contexts are sampled and weighted."""
        o = self.options
        if o.phase != "generate":
            return [_Stage(o.phase, self.graph(o.phase, o.input_len, o.tp, None), 1.0)]
        stages = [_Stage("prefill", self.graph("prefill", o.input_len, o.tp, None), 1.0)]
        for step, weight in decode_samples(o.output_len - 1):
            graph = self.graph("decode", o.input_len + step, o.tp, None)
            stages.append(_Stage("decode", graph, weight))
        return stages


def decode_samples(steps: int, samples: int = _CONTEXT_SAMPLES) -> list[tuple[int, float]]:
    """Choose decode steps to simulate and how many steps each stands for.

    Parameters
    ----------
    steps : int
        Decode steps of the run; step i has i generated tokens more than the prompt in cache.
    samples : int
        Most steps to simulate.

    Returns
    -------
    list of (int, float)
        Step and weight; weights sum to `steps`.

    Notes
    -----
    The time of a step is piecewise linear in the context, so the trapezoidal rule over evenly
    spaced steps is exact between kinks.
    """
    if steps <= samples:
        return [(step, 1.0) for step in range(steps)]
    points = [round(i * (steps - 1) / (samples - 1)) for i in range(samples)]
    weights = [0.0] * samples
    for i in range(samples - 1):
        width = points[i + 1] - points[i]
        # Steps strictly inside the interval, half to each end; the ends count once themselves.
        weights[i] += (width - 1) / 2
        weights[i + 1] += (width - 1) / 2
    return [(point, 1.0 + weight) for point, weight in zip(points, weights, strict=True)]


def run(
    model: str | Path | ModelConfig,
    on: str | Path | System,
    options: RunOptions | None = None,
    *,
    overrides: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    **changes: Any,
) -> RunResult:
    """Run a phase of a model on a chip or system.

    Parameters
    ----------
    model : str, Path or ModelConfig
        Packaged name, path of a Hugging Face config.json, or a configuration.
    on : str, Path or System
        Chip or system by name or path.
    options : RunOptions, optional
        How to run; defaults apply.
    overrides : mapping of str to value, optional
        Dotted spec paths to new values, for example ``{"memory.bandwidth": "4 TB/s"}``.
    progress : callable, optional
        Called with (label, done, total).
    **changes
        Fields of `RunOptions` that differ from `options`.

    Returns
    -------
    RunResult

    Raises
    ------
    SpecError, WorkloadError, MappingError, CapacityError
        With what was wrong, where and what to try.
    """
    job = _Job(_as_config(model), _as_system(on, overrides), _with_changes(options, changes))
    if job.options.tp > job.system.chips:
        raise MappingError(
            f"--tp {job.options.tp} needs {job.options.tp} chips, but {job.system.name} has "
            f"{job.system.chips}; pick a system such as dgx_h100 (accelsim list systems)"
        )
    spanned_levels(job.system, job.options.tp)
    stages = job.stages()
    if not job.options.allow_oversubscribe:
        _check_fit(job, stages)
    engine = ENGINES[job.options.engine]
    target = Target(job.system, job.options.launch == "eager", job.options.emulate_dtype)
    fused = job.options.attention == "fused"
    costed = []
    for done, stage in enumerate(stages):
        costed.append((stage, cost_graph(stage.graph, engine, target, fused_attention=fused)))
        if progress is not None:
            progress(stage.name, done + 1, len(stages))
    return _assemble(job, costed)


def _as_config(model: str | Path | ModelConfig) -> ModelConfig:
    return model if isinstance(model, ModelConfig) else load_model(str(model))


def _as_system(on: str | Path | System, overrides: Mapping[str, Any] | None) -> System:
    if not isinstance(on, System):
        return load_system(str(on), overrides)
    if overrides:
        raise WorkloadError("overrides need a chip or system by name or path, not a System")
    return on


def _with_changes(options: RunOptions | None, changes: dict[str, Any]) -> RunOptions:
    for name in changes:
        if name not in RunOptions.names():
            raise WorkloadError(f"unknown option '{name}': {suggest(name, RunOptions.names())}")
    return dataclasses.replace(options or RunOptions(), **changes)


def _check_fit(job: _Job, stages: list[_Stage]) -> None:
    largest = max(stages, key=lambda stage: stage.graph.footprint.total)
    context = job.options.input_len
    if largest.name == "decode" and job.options.phase == "generate":
        context += job.options.output_len - 2

    def rebuild(tp: int, weight_dtype: str | None) -> Graph:
        return job.graph(largest.name, context, tp, weight_dtype)

    check_capacity(largest.graph, job.system, job.options.tp, rebuild)


def _assemble(job: _Job, costed: list[tuple[_Stage, tuple[CostedGroup, ...]]]) -> RunResult:
    o, chip = job.options, job.system.chip
    rows = _rows(job, costed)
    latency_s = sum(row.latency_s * row.count for row in rows)
    by_stage: dict[str, float] = {}
    for row in rows:
        by_stage[row.stage] = by_stage.get(row.stage, 0.0) + row.latency_s * row.count
    steps = max(1, o.output_len - 1)
    decode_s = by_stage.get("decode")
    tpot_s = None if decode_s is None else decode_s / (steps if o.phase == "generate" else 1)
    footprint = _largest([stage.graph for stage, _ in costed])
    dtype = costed[0][0].graph.dtype
    shared = chip.spec.shared
    return RunResult(
        chip=chip.name, system=job.system.name, model=job.config.name, phase=o.phase,
        engine=o.engine, dtype=dtype, devices=o.tp, batch=o.batch, input_len=o.input_len,
        output_len=o.output_len if o.phase == "generate" else 1,
        latency_s=latency_s,
        energy_j=sum(row.energy_j * row.count for row in rows),
        tokens_per_s=_tokens(o) / latency_s,
        ttft_s=by_stage.get("prefill"),
        tpot_s=tpot_s,
        memory_bytes=footprint.total,
        memory_capacity_bytes=chip.capacity_bytes,
        memory=footprint.as_dict(),
        flop=sum(row.flop * row.count for row in rows),
        peak_flop_per_s=chip.peak_flop_per_s(chip.compute_dtype(dtype, o.emulate_dtype)),
        peak_bytes_per_s=chip.bandwidth_bytes_per_s,
        rows=rows,
        sources=job.system.sources,
        assumptions=_assumptions(job, costed[0][0].graph),
        shared_name=shared.name if shared else "",
        shared_bytes_per_s=shared.bandwidth_bytes_per_s if shared else 0.0,
    )  # fmt: skip


def _tokens(options: RunOptions) -> int:
    """Tokens that the throughput counts: processed ones, or produced ones."""
    per_sequence = {
        "prefill": options.input_len,
        "train": options.input_len,
        "decode": 1,
        "generate": options.output_len,
    }
    return options.batch * per_sequence[options.phase]


def _largest(graphs: list[Graph]) -> Footprint:
    return max((graph.footprint for graph in graphs), key=lambda footprint: footprint.total)


def _rows(job: _Job, costed: list[tuple[_Stage, tuple[CostedGroup, ...]]]) -> tuple[OpRow, ...]:
    """One row per group and stage; decode samples are averaged with their weights."""
    rows: list[OpRow] = []
    stages = list(dict.fromkeys(stage.name for stage, _ in costed))
    for name in stages:
        samples = [(stage.times, groups) for stage, groups in costed if stage.name == name]
        for position in range(len(samples[0][1])):
            column = [(times, groups[position]) for times, groups in samples]
            rows.append(_row(job, name, column))
    return tuple(rows)


def _row(job: _Job, stage: str, column: list[tuple[float, CostedGroup]]) -> OpRow:
    chip = job.system.chip
    prices = energy_per_action(chip)
    total = sum(times for times, _ in column)

    def mean(values: list[float]) -> float:
        weighted = sum(times * value for (times, _), value in zip(column, values, strict=True))
        return weighted / total

    costs = [item.cost for _, item in column]
    latency_s = mean([cost.latency_s for cost in costs])
    flop = mean([cost.flop for cost in costs])
    joules = [prices.dynamic_j(c.activity) + prices.idle_w * c.latency_s for c in costs]
    last = column[-1][1]
    native = next(iter(last.cost.activity.macs), None)
    peak = chip.peak_flop_per_s(native) if native else 0.0
    return OpRow(
        name=last.cost.name, kind=last.cost.kind, block=last.block, stage=stage,
        count=last.repeat * total,
        flop=flop,
        bytes=mean([cost.activity.dram_bytes for cost in costs]),
        latency_s=latency_s,
        energy_j=job.options.tp * mean(joules),
        bound=last.cost.bound,
        utilization=flop / (latency_s * peak) if peak and latency_s else 0.0,
        mapping=last.cost.mapping,
        times_s={key: mean([c.times_s.get(key, 0.0) for c in costs]) for key in last.cost.times_s},
        repeat=last.repeat,
    )  # fmt: skip


def _assumptions(job: _Job, graph: Graph) -> tuple[str, ...]:
    o, chip = job.options, job.system.chip
    notes = list(graph.notes)
    native = chip.compute_dtype(graph.dtype, o.emulate_dtype)
    if native != graph.dtype:
        notes.append(f"{graph.dtype} matmuls are emulated in {native}")
    if graph.footprint.total > chip.capacity_bytes:
        notes.append("the model does not fit: memory oversubscribed on request")
    if o.engine == "analytic":
        scalars = chip.calibration
        notes.append(
            f"calibration family {scalars.family}: matrix {scalars.matrix_efficiency:.2f}, "
            f"memory {scalars.memory_efficiency:.2f} of peak, "
            f"{scalars.kernel_overhead_s * 1e6:.1f} µs per kernel"
        )
        notes.append("ops run one after another; within an op compute and transfers overlap")
    else:
        notes.append("roofline: a lower bound at peak rates, not a prediction")
    if o.phase == "generate":
        notes.append(f"decode simulated at up to {_CONTEXT_SAMPLES} contexts and integrated")
    return tuple(notes)
