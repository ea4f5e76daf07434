"""The analytic engine: each group mapped by exhaustive search, its resources overlapped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from accelsim.engine.bulk import map_groups
from accelsim.engine.core import Engine, Target, bound_of, collective_op_cost, launched_s
from accelsim.engine.power import power_limited_s
from accelsim.mapping.fusion import Group
from accelsim.mapping.matmul import MatmulMapping
from accelsim.results.costs import Activity, Described, OpCost
from accelsim.timing.attention import attention_times
from accelsim.timing.matmul import matmul_times
from accelsim.timing.vector import vector_times
from accelsim.workload.ops import Attention, Collective, Conv, GroupedMatMul, MatMul

_PRODUCTS = (MatMul, GroupedMatMul, Conv)


class AnalyticEngine(Engine):
    """Mapped tiles, double-buffered: an op takes as long as its slowest resource, plus launch."""

    name = "analytic"

    def cost(self, group: Group, target: Target) -> OpCost:
        """Map and cost one group."""
        return self._cost(group, target, None)

    def costs(self, groups: Sequence[Group], target: Target) -> Iterator[OpCost]:
        """Map all groups at once, then cost each as it is asked for."""
        mapped = zip(groups, map_groups(groups, target), strict=True)
        return (self._cost(group, target, found) for group, found in mapped)

    def _cost(self, group: Group, target: Target, found: MatmulMapping | None) -> OpCost:
        """Cost one group; map it unless its mapping was found before."""
        head = group.head
        if isinstance(head, Collective):
            return collective_op_cost(head, target, launched=True)
        times, kernel_s, activity, placed = self._kernel(group, target, found)
        power_s = power_limited_s(activity, target.system.chip)
        kernel_s = max(kernel_s, power_s)
        latency_s = launched_s(head, kernel_s, target)
        times["power"] = power_s
        times["overhead"] = times.get("overhead", 0.0) + latency_s - kernel_s
        return OpCost(
            group.name, head.kind, group.flop, times, latency_s, bound_of(times), activity, placed
        )

    def _kernel(
        self, group: Group, target: Target, found: MatmulMapping | None
    ) -> tuple[dict[str, float], float, Activity, Described | None]:
        """Times, latency without launch, activity and the mapping."""
        head, chip = group.head, target.system.chip
        if isinstance(head, _PRODUCTS):
            return matmul_times(group, chip, target.native(head.dtype), found)
        if isinstance(head, Attention):
            return attention_times(group, chip, target.native(head.dtype))
        return *vector_times(group, chip), None
