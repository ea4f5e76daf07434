"""Bulk prediction: one op per row of a table, on one chip or system."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelsim.arch.action_energy import EnergyPerAction, energy_per_action
from accelsim.arch.loader import load_system
from accelsim.arch.system import System
from accelsim.energy.price import dynamic_j
from accelsim.engine.core import Target, bound_of
from accelsim.engine.graph import ENGINES
from accelsim.errors import AccelsimError, WorkloadError
from accelsim.files import atomic_path
from accelsim.mapping.fusion import Group, group_ops
from accelsim.results.costs import OpCost
from accelsim.scenarios.memory_rates import with_memory_rates
from accelsim.scenarios.op_table import RESULT_COLUMNS, Row, read_ops, to_ops

if TYPE_CHECKING:
    import pandas as pd

Progress = Callable[[str, int, int], None]
_REPORT_EVERY = 1000

__all__ = ["predict", "read_ops", "write_ops"]


def predict(
    ops: pd.DataFrame,
    on: str | Path | System,
    launch: str = "graph",
    *,
    emulate_dtype: bool = False,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Predict latency and energy of every row of a table of ops.

    Parameters
    ----------
    ops : DataFrame
        Columns of `accelsim.scenarios.op_table`; sizes as numbers or text.
    on : str, Path or System
        Chip, or system for collectives.
    launch : str
        ``graph`` hides the host's dispatch, ``eager`` adds it to every op, ``compiled`` adds that
        of a compiled function to every vector op.
    emulate_dtype : bool
        A dtype that the chip lacks runs in a wider one instead of being an error.
    progress : callable, optional
        Called with (label, done, total).

    Returns
    -------
    DataFrame
        The input columns, then latency_s [s], energy_j [J], bound, flop, dram_bytes [B].

    Raises
    ------
    WorkloadError
        If a row is malformed, the message names its place; or `launch` is none of these.
    """
    system = with_memory_rates(on if isinstance(on, System) else load_system(str(on)))
    target = Target(system, launch, emulate_dtype)
    with _collector_paused():
        return _joined(ops, _results(ops, target, progress))


def _results(
    ops: pd.DataFrame, target: Target, progress: Progress | None
) -> list[tuple[float, float, str, float, float]]:
    """Latency, energy, bound, FLOP and bytes of every row, in the order of RESULT_COLUMNS."""
    system = target.system
    rows = list(_rows(ops))
    grouped = [_groups(row, system) for row in rows]
    costs = ENGINES["analytic"].costs([group for groups in grouped for group in groups], target)
    prices = energy_per_action(system.chip)
    results = []
    for done, (row, groups) in enumerate(zip(rows, grouped, strict=True)):
        try:
            results.append(_totals([next(costs) for _ in groups], prices))
        except AccelsimError as error:
            raise type(error)(f"{row.where}: {error}") from None
        if progress is not None and (done + 1) % _REPORT_EVERY == 0:
            progress("predict", done + 1, len(rows))
    return results


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Keep the cyclic collector from walking over many small records that have no cycles."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def write_ops(frame: pd.DataFrame, path: str | Path) -> None:
    """Write a prediction as CSV, atomically."""
    with atomic_path(path) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n")


def _rows(ops: pd.DataFrame) -> Iterable[Row]:
    if "op" not in ops.columns:
        raise WorkloadError("the table of ops has no column 'op'")
    clash = [name for name in RESULT_COLUMNS if name in ops.columns]
    if clash:
        raise WorkloadError(f"the column '{clash[0]}' is a result of predict")
    known: dict[Any, str] = ops.attrs.get("where", {})
    where = [known.get(label, f"row {label}") for label in ops.index]
    names = [str(name) for name in ops.columns]
    for place, cells in zip(where, ops.itertuples(index=False, name=None), strict=True):
        yield Row(place, dict(zip(names, cells, strict=True)))


def _groups(row: Row, system: System) -> tuple[Group, ...]:
    """Ops of a row as the mapping sees them: small activations are found on the chip."""
    return group_ops(to_ops(row), system.chip)


def _totals(
    costs: Sequence[OpCost], prices: EnergyPerAction
) -> tuple[float, float, str, float, float]:
    """Latency, energy, bound, FLOP and bytes of the kernels of one row.

    The bound is the resource that decides most of the time.
    """
    latency_s = counted_j = flop = moved = 0.0
    bounds: dict[str, float] = {}
    for cost in costs:
        latency_s += cost.latency_s
        counted_j += dynamic_j(prices, cost.activity)
        flop += cost.flop
        moved += cost.activity.dram_bytes
        bounds[cost.bound] = bounds.get(cost.bound, 0.0) + cost.latency_s
    return latency_s, counted_j + prices.idle_w * latency_s, bound_of(bounds), flop, moved


def _joined(
    ops: pd.DataFrame, results: list[tuple[float, float, str, float, float]]
) -> pd.DataFrame:
    columns = zip(*results, strict=True) if results else [()] * len(RESULT_COLUMNS)
    return ops.assign(**dict(zip(RESULT_COLUMNS, columns, strict=True)))
