"""What a memory sustains by access pattern, as the bank model found it.

`accelsim.timing.dram.effective` derives the rates by simulation; they are kept under a hash of the
memory: with the package for the packaged memories, in the user's cache for others.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from accelsim.arch.dram_timing import clock_period_s, resolved_cycles
from accelsim.arch.memory import MemorySpec
from accelsim.files import find_data
from accelsim.kernels.machine import weigh

RATES_VERSION = 1
"""Of the bank model and of the traffic that the rates come from: a change makes kept ones stale."""
CACHE_VARIABLE = "ACCELSIM_CACHE"
_PACKAGED = "memory_rates"


@dataclass(frozen=True)
class MemoryRates:
    """Sustained bandwidth of long transfers, as shares of the peak.

    Attributes
    ----------
    read, write : float
        One direction only.
    turnaround : float
        Time that turning the bus costs per byte written, in times that a byte takes at peak: the
        controller turns once for a batch of writes. Where reads are rare they limit it (see
        `accelsim.kernels.machine.WRITES_PER_READ`).
    random : tuple of (block_bytes, share)
        Reads of blocks at random places, by the size of a block.
    """

    read: float
    write: float
    turnaround: float
    random: tuple[tuple[float, float], ...]

    def cost(self, read_bytes: float, write_bytes: float) -> float:
        """Bytes that could move at peak in the time that these take [B]."""
        write, turn = self.read / self.write, self.read * self.turnaround
        return weigh(read_bytes, write_bytes, write, turn) / self.read

    def share(self, read_share: float) -> float:
        """Bandwidth over peak when `read_share` of the bytes are read."""
        return 1.0 / self.cost(read_share, 1.0 - read_share)

    @property
    def triad(self) -> float:
        """Bandwidth over peak of two bytes read for one written, as STREAM counts."""
        return self.share(2.0 / 3.0)

    def random_share(self, block_bytes: float) -> float:
        """Bandwidth over peak of reads of blocks at random places, between sizes by logarithm."""
        sizes, shares = zip(*self.random, strict=True)
        found = np.interp(math.log(max(block_bytes, 1.0)), np.log(sizes), shares)
        return min(float(found), self.read)


@dataclass(frozen=True)
class TransferLaw:
    """Time of long transfers of one chip.

    Attributes
    ----------
    read_bytes_per_s : float
        Reads alone [B/s].
    write_ratio, turn_ratio : float
        Time of a written byte, and of turning for one, over that of a byte read.
    """

    read_bytes_per_s: float
    write_ratio: float = 1.0
    turn_ratio: float = 0.0

    @classmethod
    def of(
        cls, peak_bytes_per_s: float, efficiency: float, rates: MemoryRates | None
    ) -> TransferLaw:
        """Return the law of `rates`, its losses scaled to `efficiency` at two reads to a write.

        Scaling what is lost, not what is sustained, keeps every pattern below the peak.
        """
        if rates is None:
            return cls(peak_bytes_per_s * efficiency)
        losses = (1.0 / efficiency - 1.0) / (1.0 / rates.triad - 1.0)
        read = 1.0 + losses * (1.0 / rates.read - 1.0)
        write = 1.0 + losses * (1.0 / rates.write - 1.0)
        return cls(peak_bytes_per_s / read, write / read, losses * rates.turnaround / read)

    def seconds(self, read_bytes: float, write_bytes: float) -> float:
        """Time of a transfer [s]."""
        weighted = weigh(read_bytes, write_bytes, self.write_ratio, self.turn_ratio)
        return weighted / self.read_bytes_per_s


def rates_key(memory: MemorySpec) -> str:
    """Hash of what a memory contributes to its rates (not its name or energy), and the version."""
    shape = {
        name: getattr(memory, name)
        for name in (
            "standard", "pseudo_channels", "ranks", "stack_ids", "bank_groups", "banks_per_group",
            "page_bytes", "access_bytes",
        )
    }  # fmt: skip
    shape["channel_bytes"] = memory.channel_capacity_bytes
    clocks = {**resolved_cycles(memory), "tCK_fs": round(clock_period_s(memory) * 1e15)}
    text = json.dumps([RATES_VERSION, shape, clocks], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def cache_folder() -> Path:
    """Folder of the rates of a user's own memories: $ACCELSIM_CACHE, or the user's cache."""
    stated = os.environ.get(CACHE_VARIABLE)
    if stated:
        return Path(stated) / _PACKAGED
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "accelsim" / _PACKAGED


def known_rates(memory: MemorySpec | None) -> MemoryRates | None:
    """Rates kept for a memory; None where it has no timing, or none were derived yet."""
    if memory is None or memory.timing is None:
        return None
    key = rates_key(memory)
    return packaged_rates().get(key) or _cached(key)


@lru_cache(maxsize=1)
def packaged_rates() -> dict[str, MemoryRates]:
    """Rates that came with the package, by key."""
    path = find_data("arch_specs", ".json").get(_PACKAGED)
    if path is None:
        return {}
    tree = json.loads(path.read_text(encoding="utf-8"))
    return {key: _rates(entry) for key, entry in tree["rates"].items()}


def _cached(key: str) -> MemoryRates | None:
    """Rates from the user's cache; what cannot be read there is as good as absent."""
    try:
        return _rates(json.loads((cache_folder() / f"{key}.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def rates_entry(rates: MemoryRates) -> dict[str, Any]:
    """Return rates as they are kept in a file."""
    return {
        "read": rates.read,
        "write": rates.write,
        "turnaround": rates.turnaround,
        "random": [list(point) for point in rates.random],
    }


def _rates(entry: Mapping[str, Any]) -> MemoryRates:
    read, write, turnaround = (float(entry[name]) for name in ("read", "write", "turnaround"))
    random = tuple((float(block), float(share)) for block, share in entry["random"])
    shares = [read, write, *(share for _, share in random)]
    if not random or not all(0.0 < share < 1.0 for share in shares) or not 0 <= turnaround < 100:
        raise ValueError("no shares of a peak")
    return MemoryRates(read, write, turnaround, random)
