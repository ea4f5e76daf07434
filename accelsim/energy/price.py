"""Energy of counted activity: joules per action of the chip, times the counts."""

from __future__ import annotations

from accelsim.arch.action_energy import EnergyPerAction
from accelsim.results.costs import Activity

ACTIONS = ("matrix", "vector", "scratchpad", "shared", "dram", "links")


def dynamic_j(prices: EnergyPerAction, activity: Activity) -> float:
    """Dynamic energy of the counts of one device [J]."""
    return sum(_joules(prices, activity))


def dynamic_by_action_j(prices: EnergyPerAction, activity: Activity) -> dict[str, float]:
    """Dynamic energy by kind of action [J]."""
    return dict(zip(ACTIONS, _joules(prices, activity), strict=True))


def _joules(prices: EnergyPerAction, activity: Activity) -> tuple[float, ...]:
    """Dynamic energy of each of `ACTIONS` [J]."""
    return (
        sum(prices.mac_j[name] * n for name, n in activity.macs.items()),
        activity.vector_flop * prices.vector_flop_j + activity.special * prices.special_j,
        activity.scratchpad_bytes * prices.scratchpad_j_per_byte,
        activity.shared_bytes * prices.shared_j_per_byte,
        activity.dram_read_bytes * prices.dram_read_j_per_byte
        + activity.dram_write_bytes * prices.dram_write_j_per_byte,
        activity.link_bytes * prices.link_j_per_byte,
    )
