"""What every engine answers, and the cost of a collective that all of them share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from accelsim.arch.system import System
from accelsim.errors import WorkloadError, suggest
from accelsim.mapping.fusion import Group
from accelsim.network.collectives import collective_cost
from accelsim.results.costs import Activity, OpCost
from accelsim.timing.dispatch import dispatched_s
from accelsim.timing.launch import LAUNCH
from accelsim.workload.ops import Collective, Op


@dataclass(frozen=True)
class Target:
    """Where and how ops are costed.

    Attributes
    ----------
    system : System
        The chips and their network.
    launch : str
        How kernels are launched, one of `accelsim.timing.launch.LAUNCH`.
    emulate : bool
        A dtype that the chip lacks runs in a wider one.
    """

    system: System
    launch: str = "graph"
    emulate: bool = False

    def __post_init__(self) -> None:
        if self.launch not in LAUNCH:
            raise WorkloadError(f"unknown launch '{self.launch}': {suggest(self.launch, LAUNCH)}")

    def native(self, dtype: str) -> str:
        """Return the dtype in which matrix work of `dtype` runs on the chip."""
        return self.system.chip.compute_dtype(dtype, self.emulate)


class Engine(Protocol):
    """An engine costs one group of fused ops on one device."""

    name: str

    def cost(self, group: Group, target: Target) -> OpCost:
        """Return time, bound and activity of one execution of `group`."""

    def costs(self, groups: Sequence[Group], target: Target) -> Iterator[OpCost]:
        """Cost each group as it is asked for; an engine may look at all of them before."""
        for group in groups:
            yield self.cost(group, target)


def launched_s(op: Op, kernel_s: float, target: Target) -> float:
    """Time of one kernel with its start: the device's gap, and the host's work on it [s].

    Parameters
    ----------
    op : Op
        The first of those that the kernel computes.
    kernel_s : float
        Without its start [s].
    target : Target
    """
    scalars = target.system.chip.calibration
    device_s = scalars.kernel_overhead_s + kernel_s
    return dispatched_s(op, device_s, scalars.host_dispatch_s, target.launch)


def bound_of(times_s: dict[str, float]) -> str:
    """Name the resource that needs the longest."""
    return max(times_s, key=times_s.__getitem__)


def collective_op_cost(op: Collective, target: Target, *, launched: bool) -> OpCost:
    """Cost a collective, with the start of its kernel when `launched`."""
    cost = collective_cost(op, target.system)
    latency_s = launched_s(op, cost.latency_s, target) if launched else cost.latency_s
    times = {"network": cost.latency_s, "overhead": latency_s - cost.latency_s}
    activity = Activity(link_bytes=cost.sent_bytes)
    return OpCost(
        op.name, op.kind, 0.0, times, latency_s, bound_of(times), activity, cost.algorithm
    )
