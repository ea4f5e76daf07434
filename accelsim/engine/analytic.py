"""The analytic engine: each group mapped by exhaustive search, its resources overlapped."""

from __future__ import annotations

from accelsim.engine.core import Engine, Target, bound_of, collective_op_cost, launched_s
from accelsim.engine.power import power_limited_s
from accelsim.mapping.fusion import Group
from accelsim.results.costs import Activity, OpCost
from accelsim.timing.attention import attention_times
from accelsim.timing.matmul import matmul_times
from accelsim.timing.vector import vector_times
from accelsim.workload.ops import Attention, Collective, Conv, GroupedMatMul, MatMul


class AnalyticEngine(Engine):
    """Mapped tiles, double-buffered: an op takes as long as its slowest resource, plus launch."""

    name = "analytic"

    def cost(self, group: Group, target: Target) -> OpCost:
        """Map and cost one group."""
        head = group.head
        if isinstance(head, Collective):
            return collective_op_cost(head, target, launched=True)
        times, kernel_s, activity, words = self._kernel(group, target)
        power_s = power_limited_s(activity, target.system.chip)
        kernel_s = max(kernel_s, power_s)
        latency_s = launched_s(head, kernel_s, target)
        started_s = times.get("overhead", 0.0) + latency_s - kernel_s
        times = {**times, "power": power_s, "overhead": started_s}
        return OpCost(
            group.name, head.kind, group.flop, times, latency_s, bound_of(times), activity, words
        )

    def _kernel(
        self, group: Group, target: Target
    ) -> tuple[dict[str, float], float, Activity, str]:
        """Times, latency without launch, activity and the mapping in words."""
        head, chip = group.head, target.system.chip
        if isinstance(head, MatMul | GroupedMatMul | Conv):
            times, latency_s, activity, tiles = matmul_times(group, chip, target.native(head.dtype))
            return times, latency_s, activity, tiles.describe()
        if isinstance(head, Attention):
            native = target.native(head.dtype)
            times, latency_s, activity, blocks = attention_times(group, chip, native)
            return times, latency_s, activity, blocks.describe()
        times, latency_s, activity = vector_times(group, chip)
        return times, latency_s, activity, ""
