"""From what a user asks for to a job and its graphs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelsim.arch.loader import load_system
from accelsim.arch.system import System
from accelsim.errors import MappingError, WorkloadError, suggest
from accelsim.network.collectives import spanned_levels
from accelsim.parallel.tensor import shard
from accelsim.scenarios.capacity import check_capacity, system_with
from accelsim.scenarios.job import DECODE_SAMPLES, Job, Stage
from accelsim.scenarios.memory_rates import with_memory_rates
from accelsim.scenarios.options import RunOptions
from accelsim.workload.config import ModelConfig
from accelsim.workload.graph import Graph
from accelsim.workload.models import load_workload
from accelsim.workload.networks import FORWARD, Network, forward_graph
from accelsim.workload.phases import PhaseOptions, build_graph

Workload = str | Path | ModelConfig | Network
"""Packaged name, path of a Hugging Face config.json or of a network file, or what they describe."""

_USUAL_INPUT_LEN = 1024
_NOT_SPLIT = (
    "a network without tokens runs on one device: use tp 1, and give each device its own batch"
)


@dataclass(frozen=True)
class Planner:
    """Turns a job into graphs."""

    job: Job

    def graph(self, phase: str, context: int, tp: int, weight_dtype: str | None) -> Graph:
        """Build the per-device graph of one stage."""
        o, workload = self.job.options, self.job.workload
        if isinstance(workload, Network):
            if tp > 1:
                raise WorkloadError(_NOT_SPLIT)
            return forward_graph(workload, self.job.batch, o.dtype, weight_dtype or o.weight_dtype)
        phase_options = PhaseOptions(
            phase=phase,
            batch=self.job.batch,
            input_len=context,
            dtype=o.dtype,
            weight_dtype=weight_dtype or o.weight_dtype,
            kv_dtype=o.kv_dtype,
            attention_dtype=o.attention_dtype,
            recompute=o.recompute,
            keep_scores=o.attention == "unfused",
        )
        return shard(build_graph(workload, phase_options), tp)

    def stages(self) -> list[Stage]:
        """Split the run into graphs; decode contexts are sampled and weighted."""
        o, length, phase = self.job.options, self.job.input_len, self.job.phase
        if phase != "generate":
            return [Stage(phase, self.graph(phase, length, o.tp, None), 1.0)]
        stages = [Stage("prefill", self.graph("prefill", length, o.tp, None), 1.0)]
        for step, weight in decode_samples(o.output_len - 1):
            graph = self.graph("decode", length + step, o.tp, None)
            stages.append(Stage("decode", graph, weight))
        return stages

    def check_fit(self, stages: list[Stage]) -> None:
        """Refuse a run whose largest stage does not fit one device."""
        largest = max(stages, key=lambda stage: stage.graph.footprint.total)
        o, context = self.job.options, self.job.input_len
        if largest.name == "decode" and o.phase == "generate":
            context += o.output_len - 2

        def rebuild(tp: int, weight_dtype: str | None) -> Graph:
            return self.graph(largest.name, context, tp, weight_dtype)

        check_capacity(largest.graph, self.job.system, o.tp, rebuild)


def decode_samples(steps: int, samples: int = DECODE_SAMPLES) -> list[tuple[int, float]]:
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


def make_job(
    model: Workload,
    on: str | Path | System,
    options: RunOptions,
    overrides: Mapping[str, Any] | None = None,
) -> Job:
    """Load what a run needs, and fill in what its options leave open.

    Parameters
    ----------
    model : str, Path, ModelConfig or Network
    on : str, Path or System
        Chip or system by name or path.
    options : RunOptions
    overrides : mapping of str to value, optional
        Dotted spec paths to new values.

    Raises
    ------
    SpecError, WorkloadError, MappingError
    """
    job = _job(_as_workload(model), _as_system(on, overrides), options)
    _check_devices(job.system, job.options.tp)
    spanned_levels(job.system, job.options.tp)
    return job


def _check_devices(system: System, tp: int) -> None:
    if tp <= system.chips:
        return
    larger = system_with(system.chip.name, tp)
    advice = f"try --on {larger}" if larger else "no packaged system has so many of this chip"
    raise MappingError(
        f"--tp {tp} needs {tp} chips, but {system.name} has {system.chips}: {advice}"
    )


def _job(workload: ModelConfig | Network, system: System, options: RunOptions) -> Job:
    """Fill in the batch and the length that the user left open."""
    if isinstance(workload, Network):
        _check_network_options(workload, options)
        return Job(workload, system, options, FORWARD, options.batch or workload.batch, 1)
    length = options.input_len
    if length is None:
        position = workload.position
        room = position.max_positions // 2 if position.kind == "learned" else _USUAL_INPUT_LEN
        length = min(_USUAL_INPUT_LEN, room)
    return Job(workload, system, options, options.phase, options.batch or 1, length)


def _check_network_options(network: Network, options: RunOptions) -> None:
    """Refuse what only makes sense with tokens; the default phase stands for the only one."""
    if options.phase not in {RunOptions.phase, FORWARD}:
        raise WorkloadError(
            f"{network.name} is a network without tokens: it has no {options.phase} phase, only "
            f"{FORWARD}, one pass over a batch of samples"
        )
    for name in ("input_len", "kv_dtype", "attention_dtype"):
        if getattr(options, name) is not None:
            raise WorkloadError(f"{network.name} is a network without tokens: leave {name} out")
    if options.tp > 1:
        raise WorkloadError(_NOT_SPLIT)


def _as_workload(model: str | Path | ModelConfig | Network) -> ModelConfig | Network:
    return model if isinstance(model, ModelConfig | Network) else load_workload(str(model))


def _as_system(on: str | Path | System, overrides: Mapping[str, Any] | None) -> System:
    if not isinstance(on, System):
        return with_memory_rates(load_system(str(on), overrides))
    if overrides:
        raise WorkloadError("overrides need a chip or system by name or path, not a System")
    return with_memory_rates(on)


def with_changes(options: RunOptions | None, changes: dict[str, Any]) -> RunOptions:
    """Return options with some fields changed.

    Raises
    ------
    WorkloadError
        If there is no such field.
    """
    for name in changes:
        if name not in RunOptions.names():
            raise WorkloadError(f"unknown option '{name}': {suggest(name, RunOptions.names())}")
    return dataclasses.replace(options or RunOptions(), **changes)
