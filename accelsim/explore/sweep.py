"""A sweep: every point of a space run once, in any number of processes, never lost.

Finished points are written at intervals, so an interrupted sweep goes on where it stopped; the
result of a finished sweep has the same bytes whatever the number of workers and interruptions.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from accelsim.errors import AccelsimError, SpecError
from accelsim.explore.evaluate import Evaluate, run_point
from accelsim.explore.grid import METRICS, Space
from accelsim.explore.pareto import pareto_mask
from accelsim.explore.pool import outcomes
from accelsim.explore.table import ResultTable, restore, save
from accelsim.scenarios.stages import Progress

if TYPE_CHECKING:
    import pandas as pd

CHECKPOINT_S = 10.0
_MAX_WORKERS = 1024


@dataclass(frozen=True)
class SweepResult:
    """The rows of a finished sweep.

    Attributes
    ----------
    space : Space
        What was swept.
    directory : Path
        Holds ``results/`` (Parquet, one row per point) and ``space.yaml``.
    table : ResultTable
        The rows as columns.
    reused : int
        Points taken over from an earlier, interrupted run.
    """

    space: Space
    directory: Path
    table: ResultTable
    reused: int = 0

    @property
    def points(self) -> int:
        """Number of points."""
        return self.space.size

    @property
    def failed(self) -> int:
        """Points that cannot run; column ``reason`` says why."""
        return self.table.finished - self.table.succeeded

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row per point, columns as `ResultTable.to_arrow`."""
        frame: pd.DataFrame = self.table.to_arrow().to_pandas()
        return frame

    @property
    def objectives(self) -> tuple[str, ...]:
        """Names of the objectives, in the order of the space file."""
        return tuple(objective.name for objective in self.space.objectives)

    @cached_property
    def pareto(self) -> npt.NDArray[np.bool_]:
        """Which points no other beats in all objectives, shape [points]; failed ones are not."""
        columns = [METRICS.index(name) for name in self.objectives]
        directions = [objective.maximize for objective in self.space.objectives]
        return pareto_mask(self.table.figures[:, columns], directions)


def sweep(
    space: Space,
    out_dir: str | Path,
    *,
    workers: int = 1,
    resume: bool = False,
    progress: Progress | None = None,
    evaluate: Evaluate = run_point,
    checkpoint_s: float = CHECKPOINT_S,
) -> SweepResult:
    """Run every point of a space and write one row per point.

    Parameters
    ----------
    space : Space
        From `accelsim.explore.space.load_space`.
    out_dir : str or Path
        Gets ``results/part-0000.parquet`` and ``space.yaml``; made if absent.
    workers : int
        Processes; 1 runs in this one.
    resume : bool
        Keep the points that an earlier run of the same space left in `out_dir`. Without it,
        earlier results are replaced.
    progress : callable, optional
        Called with (label, points done, points in all).
    evaluate : callable
        From a `Point` to a `RunResult`; with several workers, a function of a module.
    checkpoint_s : float
        Least time between two writings of the points finished so far [s]; writing never takes
        more than a tenth of the time.

    Returns
    -------
    SweepResult

    Raises
    ------
    SpecError
        If no point at all can run, or the folder holds another sweep and `resume` is set.
    AccelsimError
        If `workers` is not a sensible number or the folder cannot be written.

    Notes
    -----
    A point that cannot run (too little memory, no legal mapping, a spec that contradicts
    itself) is a row with status ``error``. Workers are spawned, so a script that calls this
    with several of them needs the usual ``if __name__ == "__main__":`` guard.
    """
    if isinstance(workers, bool) or not 1 <= workers <= _MAX_WORKERS:
        raise AccelsimError(f"workers is {workers}, expected 1 to {_MAX_WORKERS}")
    directory = _writable(Path(out_dir))
    table = restore(space, directory) if resume else ResultTable(space)
    reused = table.finished
    writer = _Writer(table, directory, checkpoint_s)
    try:
        with closing(outcomes(space, table.missing, workers, evaluate)) as stream:
            for batch in stream:
                for outcome in batch:
                    table.record(outcome)
                if progress is not None:
                    progress("sweep", table.finished, space.size)
                writer.checkpoint()
    finally:
        writer.finish()
    if table.succeeded == 0:
        raise SpecError(
            f"{space.path}: none of the {space.size} points can run; the first: "
            f"{table.first_reason}"
        )
    return SweepResult(space, directory, table, reused)


def _writable(directory: Path) -> Path:
    """Find out now, not after an hour, that the results cannot be written."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        reason = problem.strerror or problem
        raise AccelsimError(f"cannot write results to {directory}: {reason}") from None
    return directory


class _Writer:
    """Saves a table when enough time has passed, and at the end."""

    def __init__(self, table: ResultTable, directory: Path, interval_s: float) -> None:
        self._table = table
        self._directory = directory
        self._interval_s = interval_s
        self._saved = 0
        self._due_s = time.monotonic() + interval_s

    def checkpoint(self) -> None:
        """Save if it is time."""
        start_s = time.monotonic()
        if start_s < self._due_s:
            return
        self.finish()
        now_s = time.monotonic()
        self._due_s = now_s + max(self._interval_s, 9 * (now_s - start_s))

    def finish(self) -> None:
        """Save what is new; a sweep in which nothing ran leaves no rows."""
        if self._table.succeeded and self._table.finished > self._saved:
            save(self._table, self._directory)
            self._saved = self._table.finished
