"""One model, one phase, one chip or system: the main job."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accelsim.arch.system import System
from accelsim.results.run_result import RunResult
from accelsim.scenarios.assemble import assemble
from accelsim.scenarios.options import RunOptions
from accelsim.scenarios.planning import Planner, Workload, make_job, with_changes
from accelsim.scenarios.stages import Progress, cost_stages


def run(
    model: Workload,
    on: str | Path | System,
    options: RunOptions | None = None,
    *,
    overrides: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    **changes: Any,
) -> RunResult:
    """Run a phase of a model, or a network, on a chip or system.

    Parameters
    ----------
    model : str, Path, ModelConfig or Network
        Packaged name, path of a Hugging Face config.json or of a network file, or what these
        describe.
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
    job = make_job(model, on, with_changes(options, changes), overrides)
    planner = Planner(job)
    stages = planner.stages()
    if not job.options.allow_oversubscribe:
        planner.check_fit(stages)
    return assemble(job, cost_stages(job, stages, progress))
