"""One point of a grid, run: its figures, or the reason why it cannot be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from accelsim.errors import AccelsimError
from accelsim.explore.grid import METRICS, Point
from accelsim.explore.targets import model, target
from accelsim.results.run_result import RunResult
from accelsim.scenarios.options import RunOptions
from accelsim.scenarios.run import run

Evaluate = Callable[[Point], RunResult]


@dataclass(frozen=True)
class Outcome:
    """What became of one point.

    Attributes
    ----------
    index : int
        Number of the point in the grid.
    figures : tuple of float or None
        One per entry of `METRICS`, None where the phase has none; empty for a failed point.
    bottleneck : str
        The resource that limits the run; empty for a failed point.
    reason : str
        Why the point failed, kind of error first; empty for a point that ran.
    """

    index: int
    figures: tuple[float | None, ...] = ()
    bottleneck: str = ""
    reason: str = ""


def run_point(point: Point) -> RunResult:
    """Run one point with the engine that its options name, the analytic one if they name none.

    Raises
    ------
    AccelsimError
        As `accelsim.scenarios.run.run`.
    """
    system = target(point.on, point.overrides)
    return run(model(point.model), system, RunOptions(**{"engine": "analytic", **point.options}))


def outcome(index: int, point: Point, evaluate: Evaluate) -> Outcome:
    """Evaluate a point; an illegal one gives an outcome with the reason, not an exception.

    Parameters
    ----------
    index : int
        Number of the point in the grid.
    point : Point
        What to run.
    evaluate : callable
        From a point to a `RunResult`.
    """
    try:
        result = evaluate(point)
    except AccelsimError as problem:
        return Outcome(index, reason=f"{type(problem).__name__}: {problem}")
    figures = tuple(getattr(result, name) for name in METRICS)
    return Outcome(index, figures, result.bottleneck)
