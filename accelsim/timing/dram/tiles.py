"""Tiles of matrices as the memory sees them: short rows far apart, several tiles side by side.

An engine that moves tiles asks here what the banks sustain of a sample of its transfers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accelsim.arch.memory import MemorySpec
from accelsim.errors import SimulationError
from accelsim.results.dram import DramResult
from accelsim.timing.dram.controller import Controller
from accelsim.timing.dram.effective import DEEP_CONTROLLER
from accelsim.timing.dram.simulate import run_banks

SAMPLE_PER_CHANNEL = 4_000
"""Accesses of 64 B for each channel: refresh shares settle within a point."""
_ACCESS_BYTES = 64


@dataclass(frozen=True)
class Tile:
    """A rectangle of a row-major matrix.

    Attributes
    ----------
    base_bytes : int
        Address of its first element [B].
    rows : int
    row_bytes : int
        Of the tile, contiguous [B].
    pitch_bytes : int
        From one row of the matrix to the next [B]; equal to row_bytes: contiguous.
    is_write : bool
    """

    base_bytes: int
    rows: int
    row_bytes: int
    pitch_bytes: int
    is_write: bool = False

    def __post_init__(self) -> None:
        """Refuse what is no tile."""
        sizes = (self.base_bytes, self.rows - 1, self.row_bytes - 1)
        if min(sizes) < 0 or self.pitch_bytes < self.row_bytes:
            raise SimulationError(
                f"tile of {self.rows} rows of {self.row_bytes} B, pitch {self.pitch_bytes} B, at "
                f"{self.base_bytes}: expected rows and bytes of 1 or more, a pitch of a row or "
                "more and an address of 0 or more"
            )

    def accesses(self) -> NDArray[np.int64]:
        """Addresses of the 64-byte lines that it touches, row by row [B]."""
        starts = self.base_bytes + np.arange(self.rows, dtype=np.int64) * self.pitch_bytes
        first = starts // _ACCESS_BYTES
        counts = (starts + self.row_bytes - 1) // _ACCESS_BYTES - first + 1
        offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return np.asarray((np.repeat(first, counts) + offsets) * _ACCESS_BYTES, np.int64)


def tile_stream(tiles: Sequence[Tile]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Accesses of tiles that are moved at the same time, line by line in turn.

    Parameters
    ----------
    tiles : sequence of Tile
        As many as are under way at once; a longer one goes on alone when the others are done.

    Returns
    -------
    addresses : int64[n]
    is_write : bool[n]

    Raises
    ------
    SimulationError
        If there are none.
    """
    if not tiles:
        raise SimulationError("no tiles: give one or more")
    parts = [tile.accesses() for tile in tiles]
    turns = np.concatenate([np.arange(part.size) for part in parts])
    order = np.argsort(turns, kind="stable")
    writes = np.repeat([tile.is_write for tile in tiles], [part.size for part in parts])
    return np.concatenate(parts)[order], writes[order]


def sample_tiles(
    memory: MemorySpec,
    tiles: Sequence[Tile],
    *,
    channels: int,
    controller: Controller = DEEP_CONTROLLER,
) -> DramResult:
    """Simulate as much of a tile stream as tells its bandwidth and latency.

    Parameters
    ----------
    memory : MemorySpec
    tiles : sequence of Tile
        Addresses within `channels` channels; lines fetched in part count whole.
    channels : int
        Of the chip; each sees its share of the sample.
    controller : Controller

    Returns
    -------
    DramResult
        Of the first SAMPLE_PER_CHANNEL accesses per channel, or of all if they are fewer.

    Notes
    -----
    Tiles are periodic, so their beginning tells the rest. A sample of some microseconds holds a
    few refreshes: the result is within a point or two of the whole.
    """
    addresses, writes = tile_stream(tiles)
    sample = SAMPLE_PER_CHANNEL * channels
    return run_banks(memory, addresses[:sample], writes[:sample], controller, channels=channels)
