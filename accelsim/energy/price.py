"""Energy of counted activity: joules per action of the chip, times the counts."""

from __future__ import annotations

from accelsim.arch.action_energy import EnergyPerAction
from accelsim.results.costs import Activity


def dynamic_j(prices: EnergyPerAction, activity: Activity) -> float:
    """Dynamic energy of the counts of one device [J]."""
    return sum(dynamic_by_action_j(prices, activity).values())


def dynamic_by_action_j(prices: EnergyPerAction, activity: Activity) -> dict[str, float]:
    """Dynamic energy by kind of action [J]."""
    return {
        "matrix": sum(prices.mac_j[name] * n for name, n in activity.macs.items()),
        "vector": activity.vector_flop * prices.vector_flop_j + activity.special * prices.special_j,
        "scratchpad": activity.scratchpad_bytes * prices.scratchpad_j_per_byte,
        "shared": activity.shared_bytes * prices.shared_j_per_byte,
        "dram": activity.dram_read_bytes * prices.dram_read_j_per_byte
        + activity.dram_write_bytes * prices.dram_write_j_per_byte,
        "links": activity.link_bytes * prices.link_j_per_byte,
    }
