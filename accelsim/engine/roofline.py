"""The roofline engine: every op at its lower bound, for teaching and for sanity."""

from __future__ import annotations

from accelsim.engine.core import Engine, Target, bound_of, collective_op_cost
from accelsim.mapping.fusion import Group
from accelsim.results.costs import Activity, OpCost
from accelsim.timing.roofline import roofline_times
from accelsim.workload.ops import Collective


class RooflineEngine(Engine):
    """Peak rates, compulsory traffic, no overheads."""

    name = "roofline"

    def cost(self, group: Group, target: Target) -> OpCost:
        """Bound one group from below."""
        head = group.head
        if isinstance(head, Collective):
            return collective_op_cost(head, target, launched=False)
        chip = target.system.chip
        dtype = target.native(getattr(head, "dtype", "")) if group.flop else ""
        times = roofline_times(group, chip, dtype)
        bound = bound_of(times)
        activity = Activity(
            macs={dtype: group.flop / 2} if group.flop else {},
            vector_flop=group.vector_flop,
            special=group.special,
            dram_read_bytes=group.dram_read_bytes,
            dram_write_bytes=group.dram_write_bytes,
        )
        return OpCost(group.name, head.kind, group.flop, times, times[bound], bound, activity)
