"""The clock under a power cap: no op runs faster than its energy can be delivered."""

from __future__ import annotations

from accelsim.arch.action_energy import energy_per_action
from accelsim.arch.chip import Chip
from accelsim.energy.price import dynamic_j
from accelsim.mapping.processor import runs_thread_blocks
from accelsim.results.costs import Activity


def power_limited_s(activity: Activity, chip: Chip) -> float:
    """Least time in which a chip may do the counted work without passing its power limit [s].

    0 for a chip without a stated limit, and for chips that are no GPUs: their clocks are fixed.

    Notes
    -----
    ``E / (P_limit - P_idle)``. Chips at their limit lower the clock; near the least voltage energy
    per action stays, and power falls with the clock alone.
    """
    if not runs_thread_blocks(chip):
        return 0.0
    prices = energy_per_action(chip)
    return dynamic_j(prices, activity) / prices.deliverable_w
