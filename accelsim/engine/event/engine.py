"""Execute a costed graph: what each op adds to the run, and what happened meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from accelsim.engine.core import Target
from accelsim.engine.event.alone import shape_of
from accelsim.engine.event.lower import Lowering, Shape
from accelsim.engine.event.outcome import Reading, added_ps, execution_of
from accelsim.engine.event.plan import DOUBLE, Program
from accelsim.engine.event.program import program_of
from accelsim.engine.event.scene import Progress
from accelsim.engine.event.simulate import Placement, simulate
from accelsim.engine.graph import CostedGroup
from accelsim.results.execution import Execution
from accelsim.units import PS_PER_S


@dataclass(frozen=True)
class Detail:
    """How closely a run is simulated.

    Attributes
    ----------
    every_chip : bool
        Simulate all chips of a run, though they do the same; else one stands for all.
    fold : bool
        Jump over repeats once they are periodic.
    pieces : int or None
        Pieces of every op; None: as many as keep the error small.
    ideal : frozenset of str
        Resources of `accelsim.engine.event.lower.IDEAL` taken for infinite.
    banked : bool
        Costs hold times of the bank model (`accelsim.engine.event.bank_memory.with_banks`).
    buffers : int
        Of the operands of an op: 2 is double buffering, 3 triple; 1 overlaps nothing.
    has_rivals : bool
        Other groups of cores draw power meanwhile.
    """

    every_chip: bool = False
    fold: bool = True
    pieces: int | None = None
    ideal: frozenset[str] = frozenset()
    banked: bool = False
    buffers: int = DOUBLE
    has_rivals: bool = False


@dataclass(frozen=True, eq=False)
class Executed:
    """A graph after its execution: groups whose latency is what they add, and the record."""

    groups: tuple[CostedGroup, ...]
    execution: Execution


class EventRun:
    """A costed graph on chips that do the same, ready to be simulated.

    Parameters
    ----------
    name : str
        For messages.
    costed : sequence of CostedGroup
        From `accelsim.engine.graph.cost_graph` for launches from a captured graph, whatever
        ``target.launch`` says: the host is simulated here.
    target : Target
    devices : int
    """

    def __init__(
        self, name: str, costed: Sequence[CostedGroup], target: Target, devices: int = 1
    ) -> None:
        self._name = name
        self._costed = tuple(costed)
        self._target = target
        self._devices = devices
        self._shapes: dict[tuple[int | None, bool, bool], tuple[Shape, ...]] = {}

    def program(self, detail: Detail = Detail()) -> Program:
        """Return what its chips execute."""
        how = Lowering(
            self._target, detail.ideal, detail.pieces, detail.banked, detail.buffers,
            detail.has_rivals,
        )  # fmt: skip
        return program_of(self._name, self._costed, how, self._shapes_for(how))

    def execute(
        self,
        detail: Detail = Detail(),
        progress: Progress | None = None,
    ) -> Executed:
        """Simulate it.

        Parameters
        ----------
        detail : Detail
        progress : callable, optional
            Called with the simulated time [ps].

        Returns
        -------
        Executed
            The latency of a group is the time that it adds to the run, mean over the repeats of
            its block: from the end of all before it to its own, 0 for what others hide. These
            times add up to the end of the run.

        Raises
        ------
        SimulationError
            If chips wait for each other in a circle.
        """
        target, costed = self._target, self._costed
        chip = target.system.chip
        program = self.program(detail)
        simulated = self._devices if detail.every_chip else 1
        outcome = simulate(
            [chip] * simulated,
            [Placement(program, tuple(range(simulated)))],
            fold=detail.fold,
            ideal=detail.ideal,
            progress=progress,
        )
        dtype = next((name for item in costed for name in item.cost.activity.macs), "")
        names, alike = (chip.name,) * simulated, self._devices // simulated
        reading = Reading(outcome)
        execution = execution_of(reading, target.system, dtype, names, alike)
        added = added_ps(execution, [item.block for item in costed])
        limits = reading.limits()
        keys = [
            (b, place) for b, block in enumerate(program.blocks) for place in range(len(block.ops))
        ]
        groups = tuple(
            _executed(item, ps / PS_PER_S / item.repeat, limits.get(key))
            for item, ps, key in zip(costed, added, keys, strict=True)
        )
        return Executed(groups, execution)

    def _shapes_for(self, how: Lowering) -> tuple[Shape, ...]:
        """Shapes of the pipelines: the same whatever is taken for infinite."""
        key = (how.pieces, how.banked, how.has_rivals)
        found = self._shapes.get(key)
        if found is None:
            found = tuple(shape_of(item.group, item.cost, how) for item in self._costed)
            self._shapes[key] = found
        return found


def _executed(item: CostedGroup, added_s: float, limit: str | None) -> CostedGroup:
    cost = item.cost
    if limit == "compute" and cost.times_s.get("load", 0.0) > cost.times_s["compute"]:
        limit = "load"  # the units wait for stationary operands most of their time
    added = cost._replace(latency_s=added_s, bound=limit or cost.bound)
    return replace(item, cost=added, alone_s=cost.latency_s)
