"""Several models on one chip at the same time, each on cores of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from accelsim.arch.loader import load_system
from accelsim.arch.system import System
from accelsim.engine.event.engine import Detail, EventRun
from accelsim.engine.event.outcome import Reading, execution_of
from accelsim.engine.event.plan import Program
from accelsim.engine.event.simulate import Placement, simulate
from accelsim.errors import CapacityError, MappingError, WorkloadError
from accelsim.results.together import TenantResult, TogetherResult
from accelsim.scenarios.memory_rates import with_memory_rates
from accelsim.scenarios.options import RunOptions
from accelsim.scenarios.planning import Planner, Workload, make_job
from accelsim.scenarios.stages import Progress, by_simulated_time, job_target, stage_costs
from accelsim.units import PS_PER_S, format_si, to_ps

MOST_PIECES = 2_000_000
"""Pieces of work that tenants may have together: about a minute, and a gigabyte."""


@dataclass(frozen=True)
class Tenant:
    """A model on a part of a chip's cores.

    Attributes
    ----------
    model : str, Path, ModelConfig or Network
    cores : int
        That it has to itself.
    options : RunOptions
        One device, and a phase that is one graph: not ``generate``.
    passes : int
        How often it runs, one pass after another.
    start_s : float
        When it begins [s].
    """

    model: Workload
    cores: int
    options: RunOptions = field(default_factory=RunOptions)
    passes: int = 1
    start_s: float = 0.0

    def __post_init__(self) -> None:
        for name in ("cores", "passes"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise WorkloadError(f"{name} is {value!r}, expected a whole number from 1")
        if not isinstance(self.options, RunOptions):
            raise WorkloadError(f"options is a {type(self.options).__name__}, expected RunOptions")
        if isinstance(self.start_s, bool) or not isinstance(self.start_s, int | float):
            raise WorkloadError(f"start_s is {self.start_s!r}, expected seconds from 0")
        if not 0.0 <= self.start_s < float("inf"):
            raise WorkloadError(f"start_s is {self.start_s!r}, expected seconds from 0")
        if self.options.tp != 1 or self.options.phase == "generate":
            raise WorkloadError(
                f"a tenant runs one graph on one device, got tp {self.options.tp} and phase "
                f"{self.options.phase}: use tp 1, and prefill or decode apart"
            )
        usual = RunOptions()
        given = [
            name
            for name in ("engine", "what_if", "every_chip", "dram", "buffers")
            if getattr(self.options, name) != getattr(usual, name)
        ]
        if given:
            raise WorkloadError(
                f"{' and '.join(given)} of a tenant: models that run together are simulated by the "
                "event engine, as usual otherwise; leave it out"
            )


@dataclass(frozen=True)
class _Placed:
    """A tenant with its program, and its share of the chip's cores and of what goes with them."""

    tenant: Tenant
    name: str
    program: Program
    share: float
    footprint_bytes: float

    def placement(self, group: str, start_ps: int) -> Placement:
        """Place it on a group of cores."""
        blocks = self.program.blocks * self.tenant.passes
        return Placement(replace(self.program, blocks=blocks), (0,), group, start_ps, self.share)


def run_together(
    tenants: Sequence[Tenant],
    on: str | Path,
    *,
    overrides: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> TogetherResult:
    """Run models at the same time on one chip, which they share but for their cores.

    Parameters
    ----------
    tenants : sequence of Tenant
        Their cores together are at most those of the chip.
    on : str or Path
        A chip by name or path.
    overrides : mapping of str to value, optional
        Dotted spec paths to new values.
    progress : callable, optional
        Called with (label, done, total).

    Returns
    -------
    TogetherResult

    Raises
    ------
    SpecError, WorkloadError, MappingError, CapacityError
        With what was wrong, where and what to try.

    Notes
    -----
    Main memory, shared buffer and, where the board has a limit, its power are shared max-min fairly
    (`accelsim.des.fair_share`); memory that software manages on the chip is split like the cores.
    Caches are not fought for: what an op finds in them is what it finds alone. A real board lowers
    one clock for all; here who needs less power than an equal part is not slowed down.
    """
    if not isinstance(tenants, Sequence) or not all(isinstance(one, Tenant) for one in tenants):
        raise WorkloadError("tenants: expected a list of Tenant(model, cores, ...)")
    if not tenants:
        raise WorkloadError("no tenants: give one or more")
    whole = with_memory_rates(load_system(str(on), overrides))
    if whole.chips > 1:
        raise WorkloadError(
            f"{whole.name} has {whole.chips} chips: give the name of one, {whole.chip.name}"
        )
    cores = whole.chip.spec.cores
    asked = sum(tenant.cores for tenant in tenants)
    if asked > cores:
        raise MappingError(
            f"{asked} cores asked for, but {whole.chip.name} has {cores}: give the tenants fewer"
        )
    placed = [_place(tenant, whole, on, overrides or {}, i) for i, tenant in enumerate(tenants)]
    _check_fit(placed, whole)
    _check_work(placed)
    alone = [Reading(simulate([whole.chip], [one.placement(one.name, 0)])) for one in placed]
    ends_s = (one.tenant.start_s + _span_s(by, 0)[1] for one, by in zip(placed, alone, strict=True))
    together = Reading(
        simulate(
            [whole.chip],
            [one.placement(one.name, to_ps(one.tenant.start_s)) for one in placed],
            progress=by_simulated_time(progress, "together", max(ends_s), (0, 1)),
        )
    )
    results = [
        _result(one, (before, 0), (together, stream))
        for stream, (one, before) in enumerate(zip(placed, alone, strict=True))
    ]
    execution = execution_of(together, whole, "", (whole.chip.name,))
    return TogetherResult(whole.chip.name, tuple(results), execution)


def _place(
    tenant: Tenant, whole: System, on: str | Path, overrides: Mapping[str, Any], number: int
) -> _Placed:
    """Map a tenant onto its cores as onto a chip that has no others."""
    share = tenant.cores / whole.chip.spec.cores
    part = load_system(str(on), {**overrides, "cores": tenant.cores, **_own_part(whole, share)})
    job = make_job(tenant.model, part, tenant.options)
    (stage,) = Planner(job).stages()
    run = EventRun(job.workload.name, stage_costs(job, stage), job_target(job))
    program = run.program(Detail(has_rivals=True))
    footprint = stage.graph.footprint.total
    return _Placed(tenant, f"cores{number}", program, share, footprint)


def _own_part(whole: System, share: float) -> dict[str, str]:
    """Spec values of the part of a shared buffer that software manages; a cache is everybody's."""
    shared = whole.chip.spec.shared
    if shared is None or not whole.chip.software_managed:
        return {}
    return {"shared.capacity": f"{shared.capacity_bytes * share:.0f} B"}


def _check_fit(placed: Sequence[_Placed], whole: System) -> None:
    need = sum(one.footprint_bytes for one in placed)
    allowed = all(one.tenant.options.allow_oversubscribe for one in placed)
    if need > whole.chip.capacity_bytes and not allowed:
        parts = " and ".join(format_si(one.footprint_bytes, "B") for one in placed)
        raise CapacityError(
            f"the tenants need {format_si(need, 'B')} ({parts}) of {whole.chip.name}, which has "
            f"{format_si(whole.chip.capacity_bytes, 'B')}: use smaller batches or fewer tenants, "
            "or allow_oversubscribe of all of them"
        )


def _check_work(placed: Sequence[_Placed]) -> None:
    """Refuse what would take minutes and gigabytes: beside others no repeat is jumped over."""
    pieces = sum(
        one.tenant.passes * block.repeat * plan.pieces
        for one in placed
        for block in one.program.blocks
        for plan in block.ops
    )
    if pieces > MOST_PIECES:
        raise WorkloadError(
            f"the tenants have {pieces:,} pieces of work to simulate one by one, limit "
            f"{MOST_PIECES:,}: use fewer passes"
        )


def _span_s(reading: Reading, stream: int) -> tuple[float, float]:
    """Begin and length of a sequencer [s]."""
    one = reading.outcome.sequencers[stream]
    return one.began_ps / PS_PER_S, one.length_ps / PS_PER_S


def _result(
    one: _Placed, alone: tuple[Reading, int], together: tuple[Reading, int]
) -> TenantResult:
    """Compare a tenant alone and together, each a reading and its place there."""
    tenant = one.tenant
    start_s, length_s = _span_s(*together)
    return TenantResult(
        name=one.name, model=one.program.name, phase=tenant.options.phase, cores=tenant.cores,
        passes=tenant.passes,
        alone_s=_span_s(*alone)[1] / tenant.passes,
        together_s=length_s / tenant.passes,
        start_s=start_s,
        end_s=start_s + length_s,
        alone_path=alone[0].path_of(alone[1]),
        together_path=together[0].path_of(together[1]),
    )  # fmt: skip
