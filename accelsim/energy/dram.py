"""Energy of a simulated memory: its counts of commands times the energy of each."""

from __future__ import annotations

from accelsim.arch.memory import MemorySpec
from accelsim.results.dram import DramResult

KINDS = ("activate", "read", "write", "io", "refresh", "standby")
"""Where the energy of a memory goes."""


def dram_energy_j(result: DramResult, memory: MemorySpec) -> dict[str, float]:
    """Price the commands of a simulation, and what the devices draw between them.

    Parameters
    ----------
    result : DramResult
        Counts, and how long every bank had a row open.
    memory : MemorySpec
        That was simulated.

    Returns
    -------
    dict of str to float
        By kind, in the order of KINDS [J]; empty where the memory states no energies.

    Notes
    -----
    activate, read, write and refresh are counts of commands times `CommandEnergy`; a refresh of one
    bank costs its share of one of all banks; io is paid by every burst in either direction. With
    P0 the standby power with all rows closed, P1 that with all open, and f the part of a device
    that was simulated (its (pseudo-)channels and ranks),

        standby = f time (P0 + (P1 - P0) share of the banks that are open, mean over the time).

    The standards measure active standby with every bank open. Each open bank is taken to add an
    equal part of it, so the mean over banks and time is what counts, not whether any bank is open.
    Not modelled: power-down, self-refresh, the switching of data, the controller and its PHY.

    References
    ----------
    JESD79-4, conditions of IDD2N (all banks closed) and IDD3N (all banks open).
    """
    each = memory.command_energy
    if each is None:
        return {}
    burst_bytes = result.transaction_bytes
    in_device = memory.channels * memory.pseudo_channels * memory.ranks
    simulated = result.channels * result.pseudo_channels / in_device
    extra_w = (each.active_standby_w - each.standby_w) * result.bank_utilisation
    refreshes = result.commands["REFab"] + result.commands["REFpb"] / memory.banks
    return {
        "activate": result.activates * each.activate_j,
        "read": result.reads * burst_bytes * each.read_j_per_byte,
        "write": result.writes * burst_bytes * each.write_j_per_byte,
        "io": (result.reads + result.writes) * burst_bytes * each.io_j_per_byte,
        "refresh": refreshes * each.refresh_j,
        "standby": simulated * result.time_s * (each.standby_w + extra_w),
    }
