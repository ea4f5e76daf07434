"""The demonstration: two models, two phases, three chips, chosen so that each teaches something."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from accelsim.arch.loader import load_chip
from accelsim.arch.system import System
from accelsim.results.run_result import RunResult
from accelsim.scenarios.options import RunOptions
from accelsim.scenarios.run import run

CHIPS = ("h100_sxm", "tpu_v5e", "teach_systolic_128x128")
INPUT_LEN = 1024


@dataclass(frozen=True)
class DemoCase:
    """One workload of the demonstration.

    Attributes
    ----------
    model, phase : str
        What runs.
    batch : int
        Sequences.
    weight_dtype : str or None
        Storage of the weights; None means the model's own.
    """

    model: str
    phase: str
    batch: int
    weight_dtype: str | None = None

    @property
    def title(self) -> str:
        """For panels and rows, without the model."""
        sequences = "1 sequence" if self.batch == 1 else f"{self.batch} sequences"
        return f"{self.phase}, {sequences}"

    @property
    def slug(self) -> str:
        """For file names."""
        return f"{self.model}-{self.phase}-{self.batch}"


# Sixteen sequences need 2.1 GB of KV cache. With 16 GB of bf16 weights that is more than the
# 17.2 GB of a TPU v5e, so all three chips keep the weights in int8: the same work everywhere.
CASES = (
    DemoCase("llama3.1-8b", "prefill", 1, "int8"),
    DemoCase("llama3.1-8b", "decode", 1, "int8"),
    DemoCase("llama3.1-8b", "decode", 16, "int8"),
    DemoCase("smollm2-135m", "prefill", 1),
    DemoCase("smollm2-135m", "decode", 1),
)


@dataclass(frozen=True)
class DemoRun:
    """One case on one chip."""

    case: DemoCase
    system: System
    result: RunResult


def run_demo(progress: Callable[[str, int, int], None] | None = None) -> tuple[DemoRun, ...]:
    """Run every case on every chip.

    Parameters
    ----------
    progress : callable, optional
        Called with (label, done, total).

    Returns
    -------
    tuple of DemoRun
        Cases in order, chips in order within a case.
    """
    systems = [System.of_chip(load_chip(name)) for name in CHIPS]
    jobs = [(case, system) for case in CASES for system in systems]
    done = []
    for number, (case, system) in enumerate(jobs):
        if progress is not None:
            progress(f"{case.model} {case.title} on {system.name}", number, len(jobs))
        options = RunOptions(
            phase=case.phase,
            batch=case.batch,
            input_len=INPUT_LEN,
            weight_dtype=case.weight_dtype,
        )
        done.append(DemoRun(case, system, run(case.model, system, options)))
    return tuple(done)
