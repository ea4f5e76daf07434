"""What a simulation of a memory found: time, row hits, latencies, commands, energy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray


@dataclass(frozen=True)
class DramResult:
    """Outcome of `accelsim.simulate_dram`.

    Attributes
    ----------
    memory : str
        Name of the specification.
    channels, pseudo_channels, banks : int
        Simulated channels; pseudo-channels (or ranks) of each; banks of each channel.
    ticks : int
        When the last transaction was done: a read with its last data, a write with its command.
    tick_s : float
        One slot of the command bus [s].
    transactions, transaction_bytes : int
        Bursts, and bytes of one [B].
    peak_bytes_per_s : float
        Of the simulated channels [B/s].
    row_hits, row_misses, row_conflicts : int
        By what the first command for a transaction found: its row open, the bank closed, another
        row open. Transactions answered from the write queue are in none.
    forwarded_reads, merged_writes : int
        Reads answered by, and writes merged into, a write that waited in the queue.
    turnarounds : int
        Times that a controller turned from reads to writes.
    commands : mapping of str to int
        Commands by name, over all channels.
    latency_ticks : int32[transactions]
        From entry into the controller's queue to the end; 0 where answered from the write queue.
    is_write : bool[transactions]
    bank_open_ticks, bank_activates : int64[channels, banks]
    refresh_ticks : int
        One refresh (of a rank, or of a bank with per-bank refresh) keeps its banks so long.
    trace : DataFrame or None
        Commands kept, see `accelsim.simulate_dram`.
    energy_j : mapping of str to float
        By kind: activate, read, write, io, refresh, standby [J]; empty where the memory states
        none.
    """

    memory: str
    channels: int
    pseudo_channels: int
    banks: int
    ticks: int
    tick_s: float
    transactions: int
    transaction_bytes: int
    peak_bytes_per_s: float
    row_hits: int
    row_misses: int
    row_conflicts: int
    forwarded_reads: int
    merged_writes: int
    turnarounds: int
    commands: Mapping[str, int]
    latency_ticks: NDArray[np.int32]
    is_write: NDArray[np.bool_]
    bank_open_ticks: NDArray[np.int64]
    bank_activates: NDArray[np.int64]
    refresh_ticks: int
    trace: pd.DataFrame | None = None
    energy_j: Mapping[str, float] = field(default_factory=dict)

    @property
    def time_s(self) -> float:
        """Time to the last transaction [s]."""
        return self.ticks * self.tick_s

    @property
    def bytes_moved(self) -> int:
        """Bytes that the transactions asked for [B]."""
        return self.transactions * self.transaction_bytes

    @property
    def bandwidth_bytes_per_s(self) -> float:
        """Bytes moved per time [B/s]."""
        return self.bytes_moved / self.time_s

    @property
    def bandwidth_fraction(self) -> float:
        """Bandwidth over the peak of the simulated channels.

        May pass 1 where queued writes answer much of the traffic; `data_bus_utilisation` does not.
        """
        return self.bandwidth_bytes_per_s / self.peak_bytes_per_s

    @property
    def row_hit_rate(self) -> float:
        """Hits over all transactions that reached a bank."""
        reached = self.row_hits + self.row_misses + self.row_conflicts
        return self.row_hits / reached if reached else 0.0

    @property
    def reads(self) -> int:
        """Read bursts on the data bus."""
        return self.commands["RD"] + self.commands["RDA"]

    @property
    def writes(self) -> int:
        """Write bursts on the data bus."""
        return self.commands["WR"] + self.commands["WRA"]

    @property
    def activates(self) -> int:
        """Rows opened."""
        return self.commands["ACT"]

    @property
    def data_bus_utilisation(self) -> float:
        """Share of the time that the data buses carry data."""
        moved = (self.reads + self.writes) * self.transaction_bytes
        return moved / (self.peak_bytes_per_s * self.time_s)

    @property
    def bank_utilisation(self) -> float:
        """Share of the time that a bank has a row open, mean over the banks."""
        return float(self.bank_open_ticks.mean()) / self.ticks

    @property
    def refresh_share(self) -> float:
        """Share of the time that a bank is being refreshed, mean over the banks."""
        whole = self.commands["REFab"] / (self.channels * self.pseudo_channels)
        single = self.commands["REFpb"] / (self.channels * self.banks)
        return (whole + single) * self.refresh_ticks / self.ticks

    @property
    def energy_per_bit_j(self) -> float:
        """Energy of all kinds over the bits moved [J]; nan where the memory states none."""
        return self._all_energy_j() / (8 * self.bytes_moved)

    @property
    def average_power_w(self) -> float:
        """Energy of all kinds over the time [W]; nan where the memory states none."""
        return self._all_energy_j() / self.time_s

    def _all_energy_j(self) -> float:
        return sum(self.energy_j.values()) if self.energy_j else float("nan")

    @cached_property
    def read_latency_s(self) -> NDArray[np.float64]:
        """Latencies of the reads that reached a bank [s], in program order."""
        reads = self.latency_ticks[~self.is_write]
        return np.asarray(reads[reads > 0] * self.tick_s, np.float64)

    @cached_property
    def write_latency_s(self) -> NDArray[np.float64]:
        """Times of the writes that reached a bank, from the queue to their command [s]."""
        writes = self.latency_ticks[self.is_write]
        return np.asarray(writes[writes > 0] * self.tick_s, np.float64)

    def read_latency_percentile_s(self, percent: float) -> float:
        """Latency that `percent` of the reads do not exceed [s]; nan without reads."""
        if self.read_latency_s.size == 0:
            return float("nan")
        return float(np.percentile(self.read_latency_s, percent))

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as plain values, units in the names."""
        latencies = {
            f"read_latency_{name}_s": self.read_latency_percentile_s(percent)
            for name, percent in (("p50", 50), ("p90", 90), ("p99", 99), ("max", 100))
            if self.read_latency_s.size
        }
        if latencies:
            latencies["read_latency_mean_s"] = float(self.read_latency_s.mean())
        if self.write_latency_s.size:
            latencies["write_latency_p50_s"] = float(np.median(self.write_latency_s))
            latencies["write_latency_max_s"] = float(self.write_latency_s.max())
        return {
            "memory": self.memory,
            "channels": self.channels,
            "pseudo_channels": self.pseudo_channels,
            "time_s": self.time_s,
            "bytes": self.bytes_moved,
            "bandwidth_bytes_per_s": self.bandwidth_bytes_per_s,
            "bandwidth_fraction": self.bandwidth_fraction,
            "row_hits": self.row_hits,
            "row_misses": self.row_misses,
            "row_conflicts": self.row_conflicts,
            "row_hit_rate": self.row_hit_rate,
            "forwarded_reads": self.forwarded_reads,
            "merged_writes": self.merged_writes,
            "turnarounds": self.turnarounds,
            "data_bus_utilisation": self.data_bus_utilisation,
            "bank_utilisation": self.bank_utilisation,
            "refresh_share": self.refresh_share,
            **latencies,
            "commands": dict(self.commands),
            "energy_j": dict(self.energy_j),
            **self._energy_rates(),
        }

    def _energy_rates(self) -> dict[str, float]:
        if not self.energy_j:
            return {}
        return {
            "energy_per_bit_j": self.energy_per_bit_j,
            "average_power_w": self.average_power_w,
        }
