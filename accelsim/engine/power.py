"""The clock under a power cap: no op runs faster than its energy can be delivered."""

from __future__ import annotations

from accelsim.arch.chip import Chip
from accelsim.energy.price import energy_per_action
from accelsim.results.costs import Activity

BOARD_OVER_COUNTED = 1.46
"""Board power under load over that of the counted actions: regulators, clock tree, leakage, and
instructions that are not counted (a fit to large GEMMs on A100 and H100)."""


def power_limited_s(activity: Activity, chip: Chip) -> float:
    """Least time in which a chip may do the counted work without passing its power limit [s].

    0 for a chip without a stated limit.

    Notes
    -----
    ``E / (P_limit - P_idle)``. Chips at their limit lower the clock; near the least voltage energy
    per action stays, and power falls with the clock alone.
    """
    limit_w = chip.spec.power.tdp_w
    if limit_w is None:
        return 0.0
    prices = energy_per_action(chip)
    joules = BOARD_OVER_COUNTED * prices.dynamic_j(activity)
    return joules / max(limit_w - prices.idle_w, 0.1 * limit_w)
