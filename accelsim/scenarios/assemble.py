"""From costs of groups to a result: rows, totals, what was assumed."""

from __future__ import annotations

from collections.abc import Sequence

from accelsim.arch.action_energy import energy_per_action
from accelsim.energy.price import dynamic_j
from accelsim.engine.core import bound_of
from accelsim.engine.graph import CostedGroup
from accelsim.results.execution import StagePass
from accelsim.results.run_result import OpRow, RunResult
from accelsim.scenarios.job import DECODE_SAMPLES, CostedStage, Job
from accelsim.workload.config import ModelConfig
from accelsim.workload.graph import Footprint, Graph

_OVERLAPS = {
    "analytic": "ops run one after another; within an op compute and transfers overlap",
    "event": "ops overlap where nothing makes them wait; the latency of an op is what it adds",
}


def assemble(job: Job, costed: Sequence[CostedStage]) -> RunResult:
    """Put the costs of all stages together to one result.

    Parameters
    ----------
    job : Job
    costed : sequence of CostedStage
        In execution order; the first stage of a name gives the order of its rows.
    """
    o, chip = job.options, job.system.chip
    rows = _rows(job, costed)
    latency_s = sum(row.latency_s * row.count for row in rows)
    energy_j = sum(row.energy_j * row.count for row in rows)
    by_stage: dict[str, float] = {}
    for row in rows:
        by_stage[row.stage] = by_stage.get(row.stage, 0.0) + row.latency_s * row.count
    steps = max(1, o.output_len - 1)
    decode_s = by_stage.get("decode")
    tpot_s = None if decode_s is None else decode_s / (steps if o.phase == "generate" else 1)
    footprint = _largest([item.stage.graph for item in costed])
    dtype = costed[0].stage.graph.dtype
    shared = chip.spec.shared
    return RunResult(
        chip=chip.name, system=job.system.name, model=job.workload.name, phase=job.phase,
        engine=o.engine, dtype=dtype, devices=o.tp, batch=job.batch, input_len=job.input_len,
        output_len=o.output_len if o.phase == "generate" else 1,
        latency_s=latency_s,
        energy_j=energy_j,
        tokens_per_s=_tokens(job) / latency_s,
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
        assumptions=_assumptions(job, costed[0].stage.graph),
        model_flop=sum(row.model_flop * row.count for row in rows),
        warnings=_warnings(job, costed[0].stage.graph, energy_j / latency_s / o.tp),
        weight_dtype=o.weight_dtype or "",
        shared_name=shared.name if shared else "",
        shared_bytes_per_s=shared.bandwidth_bytes_per_s if shared else 0.0,
        executions=tuple(
            StagePass(c.stage.name, c.stage.times, c.execution, c.ideal_s)
            for c in costed
            if c.execution
        ),
    )  # fmt: skip


def _tokens(job: Job) -> int:
    """Tokens that the throughput counts: processed or produced ones; samples of a network."""
    per_sequence = {
        "prefill": job.input_len,
        "train": job.input_len,
        "decode": 1,
        "generate": job.options.output_len,
        "forward": 1,
    }
    return job.batch * per_sequence[job.phase]


def _largest(graphs: list[Graph]) -> Footprint:
    return max((graph.footprint for graph in graphs), key=lambda footprint: footprint.total)


def _rows(job: Job, costed: Sequence[CostedStage]) -> tuple[OpRow, ...]:
    """One row per group and stage; decode samples are averaged with their weights."""
    rows: list[OpRow] = []
    for name in dict.fromkeys(item.stage.name for item in costed):
        samples = [(c.stage.times, c.groups) for c in costed if c.stage.name == name]
        for position in range(len(samples[0][1])):
            column = [(times, groups[position]) for times, groups in samples]
            rows.append(_row(job, name, column))
    return tuple(rows)


def _row(job: Job, stage: str, column: list[tuple[float, CostedGroup]]) -> OpRow:
    chip = job.system.chip
    prices = energy_per_action(chip)
    total = sum(times for times, _ in column)

    def mean(values: list[float]) -> float:
        weighted = sum(times * value for (times, _), value in zip(column, values, strict=True))
        return weighted / total

    costs = [item.cost for _, item in column]
    latency_s = mean([cost.latency_s for cost in costs])
    flop = mean([cost.flop for cost in costs])
    counted_j = mean([dynamic_j(prices, cost.activity) for cost in costs])
    last = column[-1][1]
    times_s = {key: mean([c.times_s.get(key, 0.0) for c in costs]) for key in last.cost.times_s}
    native = next(iter(last.cost.activity.macs), None)
    peak = chip.peak_flop_per_s(native) if native else 0.0
    alone = [item.alone_s or cost.latency_s for (_, item), cost in zip(column, costs, strict=True)]
    alone_s = mean(alone)
    return OpRow(
        name=last.cost.name, kind=last.cost.kind, block=last.block, stage=stage,
        count=last.repeat * total,
        flop=flop,
        bytes=mean([cost.activity.dram_bytes for cost in costs]),
        latency_s=latency_s,
        energy_j=job.options.tp * (counted_j + prices.idle_w * latency_s),
        bound=bound_of(times_s) if last.alone_s is None else last.cost.bound,
        utilization=flop / (alone_s * peak) if peak and alone_s else 0.0,
        mapping=last.cost.mapping,
        times_s=times_s,
        repeat=last.repeat,
        model_flop=mean([item.group.model_flop for _, item in column]),
        alone_s=alone_s,
        idle_j=job.options.tp * prices.idle_w * latency_s,
    )  # fmt: skip


def _warnings(job: Job, graph: Graph, watts: float) -> tuple[str, ...]:
    """What a reader of the headline must know."""
    o, chip = job.options, job.system.chip
    warnings = []
    if graph.footprint.total > chip.capacity_bytes:
        warnings.append("the model does not fit: memory is oversubscribed on request")
    native = chip.compute_dtype(graph.dtype, o.emulate_dtype)
    if native != graph.dtype:
        warnings.append(f"{graph.dtype} matmuls are emulated in {native}")
    fast = [name for name in ("bf16", "fp16") if chip.matrix_unit(name) is not None]
    if chip.matrix_unit(native) is None and fast:
        warnings.append(
            f"{native} matmuls run on the vector lanes, not on the matrix units: "
            f"--dtype {fast[0]} would use those"
        )
    limit = chip.spec.power.tdp_w or chip.spec.power.max_measured_w
    if limit and watts > limit:
        warnings.append(
            f"{watts:.0f} W per device exceed the {limit:.0f} W that {chip.name} may draw: it "
            "would lower its clock, which is not modelled yet"
        )
    model = job.workload
    longest = job.input_len + (o.output_len if o.phase == "generate" else 0)
    if isinstance(model, ModelConfig) and longest > model.position.max_positions:
        warnings.append(
            f"{longest} tokens exceed the {model.position.max_positions} that {model.name} was "
            "made for"
        )
    if o.tp < job.system.chips:
        warnings.append(
            f"--tp {o.tp} uses {o.tp} of the {job.system.chips} chips of {job.system.name}; "
            "tensor parallelism is the only kind there is so far"
        )
    return tuple(warnings)


def _assumptions(job: Job, graph: Graph) -> tuple[str, ...]:
    o, chip = job.options, job.system.chip
    notes = list(graph.notes)
    if o.engine != "roofline":
        scalars = chip.calibration
        reads = chip.transfers.read_bytes_per_s / chip.bandwidth_bytes_per_s
        mixed = f"{chip.memory_efficiency:.2f} of peak"
        if chip.memory_rates:
            mixed += f" with two bytes read for one written, {reads:.2f} with reads alone"
        notes.append(
            f"calibration family {scalars.family}: matrix {scalars.matrix_efficiency:.2f}, "
            f"memory {mixed}"
            f"{' (bank model)' if chip.memory_rates and not scalars.memory_efficiency else ''}, "
            f"{scalars.kernel_overhead_s * 1e6:.1f} µs per kernel"
        )
        notes.append(_OVERLAPS[o.engine])
        if o.dram == "bank":
            notes.append("main memory: the bank model runs a sample of each op's tiles")
    else:
        notes.append("roofline: a lower bound at peak rates, not a prediction")
    if o.phase == "generate":
        notes.append(f"decode simulated at up to {DECODE_SAMPLES} contexts and integrated")
    return tuple(notes)
