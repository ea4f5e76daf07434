"""Traffic by pattern: streams, random blocks, strides, reads mixed with writes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import SimulationError, suggest
from accelsim.timing.dram.controller import check_whole

PATTERNS = ("stream", "random", "strided", "mixed")
"""stream: sequential streams in turns. random: blocks anywhere. strided: a column of a matrix.
mixed: random blocks, of which a share is written."""
MIXED_READ_SHARE = 2 / 3
"""Of the pattern "mixed" where none is given: two operands read for each result."""
MAX_ACCESSES = 100_000_000
MAX_STREAMS = 65_536
_ALIGNED_BYTES = 16 << 20
_MAX_BYTES = 1 << 50
_DIRECTIONS = 0x5EED
_Hashes = NDArray[np.uint64]


def mix64(numbers: NDArray[np.int64] | _Hashes) -> _Hashes:
    """Hash every number to 64 bits that look random.

    Notes
    -----
    The finaliser of SplitMix64: z ^= z >> 30, z *= c1, z ^= z >> 27, z *= c2, z ^= z >> 31.

    References
    ----------
    Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA 2014.
    """
    z = numbers.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@dataclass(frozen=True)
class Traffic:
    """Accesses in program order, by a pattern.

    Attributes
    ----------
    pattern : str
        Of PATTERNS.
    accesses : int
    access_bytes : int
        Bytes at every address [B]; every other size is a multiple of it.
    streams, write_streams : int
        Of "stream": how many there are, and how many of them, the last ones, are written. A copy
        is 2 and 1, a triad 3 and 1.
    chunk_bytes : int
        Of "stream": bytes of one stream's turn [B].
    stride_bytes : int
        Of "strided": from one access to the next [B].
    block_bytes : int
        Of "random" and "mixed": sequential bytes at every random place [B].
    read_share : float, optional
        Reads among the accesses, 0 to 1, drawn by a hash, so that no period can fit the memory's.
        One draw for a block of "random" and "mixed", a turn of "stream", an access of "strided".
    alternate : (int, int), optional
        Instead: so many reads, then so many writes, and again.
    footprint_bytes : int, optional
        Bytes that the pattern stays in [B], from address 0; all of the memory by default.
    spacing_bytes : int, optional
        From the start of one stream to that of the next [B]; by default 16 MiB, or the next power
        of two that holds a stream: tensors aligned as badly as can be.
    stagger_bytes : int
        Added to the spacing [B], so that streams do not start at the same place of a row map.
    seed : int
        Of random places and directions.
    """

    pattern: str = "stream"
    accesses: int = 100_000
    access_bytes: int = 64
    streams: int = 1
    write_streams: int = 0
    chunk_bytes: int = 64
    stride_bytes: int = 64
    block_bytes: int = 64
    read_share: float | None = None
    alternate: tuple[int, int] | None = None
    footprint_bytes: int | None = None
    spacing_bytes: int | None = None
    stagger_bytes: int = 0
    seed: int = 1

    def __post_init__(self) -> None:
        """Refuse what is no traffic."""
        if self.pattern not in PATTERNS:
            raise SimulationError(
                f"pattern '{self.pattern}' is unknown: {suggest(str(self.pattern), PATTERNS)}"
            )
        check_whole("accesses", self.accesses, 1, MAX_ACCESSES)
        check_whole("access_bytes", self.access_bytes, 1, 1 << 20)
        check_whole("streams", self.streams, 1, MAX_STREAMS)
        check_whole("write_streams", self.write_streams, 0, self.streams)
        check_whole("seed", self.seed, 0, (1 << 31) - 1)
        for name in ("chunk_bytes", "stride_bytes", "block_bytes", "footprint_bytes"):
            self._check_bytes(name, self.access_bytes)
        for name in ("spacing_bytes", "stagger_bytes"):
            self._check_bytes(name, 0)
        self._check_directions()

    def _check_bytes(self, name: str, least: int) -> None:
        size = getattr(self, name)
        if size is None:
            return
        check_whole(name, size, least, _MAX_BYTES)
        if size % self.access_bytes:
            raise SimulationError(
                f"{name} {size} is no multiple of access_bytes {self.access_bytes}: round it, or "
                "take smaller accesses"
            )

    def _check_directions(self) -> None:
        ways = {
            "read_share": self.read_share is not None, "alternate": self.alternate is not None,
            "write_streams": self.write_streams > 0,
        }  # fmt: skip
        given = [name for name, is_given in ways.items() if is_given]
        if len(given) > 1:
            raise SimulationError(f"{' and '.join(given)} all say what is written: give one")
        if self.write_streams and self.pattern != "stream":
            raise SimulationError(
                f"write_streams {self.write_streams}: pattern '{self.pattern}' has no streams; "
                "take read_share"
            )
        if self.read_share is not None and not 0 <= self.read_share <= 1:
            raise SimulationError(f"read_share {self.read_share} is not between 0 and 1")
        if self.alternate is not None:
            if len(self.alternate) != 2:
                raise SimulationError(f"alternate {self.alternate} is no (reads, writes)")
            for name, count in zip(("reads", "writes"), self.alternate, strict=True):
                check_whole(f"{name} of alternate", count, 0, MAX_ACCESSES)
            if sum(self.alternate) == 0:
                raise SimulationError("alternate (0, 0) is no traffic: give a read or a write")

    def addresses(self, limit_bytes: float) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Lay the accesses out in a memory.

        Parameters
        ----------
        limit_bytes : int
            Capacity of the simulated channels together [B]; addresses beyond fold back.

        Returns
        -------
        (int64[accesses], bool[accesses])
            Byte addresses in program order [B], and whether each is written.

        Raises
        ------
        SimulationError
            If the footprint or a block does not fit.

        Notes
        -----
        With i the number of the access, A access_bytes, F the footprint, s the stream of the turn:

        - stream: s (spacing + stagger) + place in the stream;
        - strided: p = i stride, address p mod F + floor(p / F) A: the next column, once through;
        - random, mixed: block mix64(2^32 seed + block number) mod (F / block).
        """
        limit = int(limit_bytes) // self.access_bytes * self.access_bytes
        footprint = limit if self.footprint_bytes is None else self.footprint_bytes
        needed = self.block_bytes if self.pattern in ("random", "mixed") else self.access_bytes
        if not needed <= footprint <= limit:
            raise SimulationError(
                f"a footprint of {footprint} B is not between one block of {needed} B and the "
                f"{limit} B of the simulated channels"
            )
        where, unit = _LAYOUTS[self.pattern](self, np.arange(self.accesses), footprint)
        return where % limit, self._writes(unit)

    def _writes(self, unit: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell which accesses are written; those of a unit share one draw."""
        i = np.arange(self.accesses)
        if self.write_streams:
            turn = i // (self.chunk_bytes // self.access_bytes)
            return turn % self.streams >= self.streams - self.write_streams
        if self.alternate is not None:
            return i % sum(self.alternate) >= self.alternate[0]
        share = self._reads
        key = np.uint64(self.seed << 32) ^ np.uint64(_DIRECTIONS)
        drawn = mix64(mix64(unit) ^ key) >> np.uint64(11)
        return drawn.astype(np.float64) * 2.0**-53 >= share

    def __str__(self) -> str:
        """Say in words what the traffic is."""
        return self.words()

    def words(self, without: str = "") -> str:
        """Say what the traffic is, but for one field, such as that of a sweep.

        Parameters
        ----------
        without : str
            "streams", "stride_bytes", "block_bytes" or "read_share".
        """
        several = f"{self.streams} stream" + ("s" if self.streams > 1 else "")
        shapes = {
            "stream": ("streams", several),
            "strided": ("stride_bytes", f"stride {self.stride_bytes:,} B"),
        }
        scattered = ("block_bytes", f"random blocks of {self.block_bytes:,} B")
        field, shape = shapes.get(self.pattern, scattered)
        parts = [self.pattern if field == without else shape]
        if without != "read_share":
            parts.append(self._direction_words())
        return ", ".join([*parts, f"{self.accesses:,} accesses of {self.access_bytes} B"])

    def _direction_words(self) -> str:
        if self.write_streams:
            return f"{self.write_streams} of {self.streams} written"
        if self.alternate is not None:
            return f"{self.alternate[0]} reads, then {self.alternate[1]} writes"
        return "reads" if self._reads == 1 else f"{100 * self._reads:.3g} % reads"

    @property
    def _reads(self) -> float:
        """Share of reads where nothing else says what is written."""
        if self.read_share is not None:
            return self.read_share
        return MIXED_READ_SHARE if self.pattern == "mixed" else 1.0

    @property
    def bytes_moved(self) -> int:
        """Bytes of all accesses [B]."""
        return self.accesses * self.access_bytes

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return dataclasses.asdict(self)


_Layout = tuple[NDArray[np.int64], NDArray[np.int64]]


def _streamed(traffic: Traffic, i: NDArray[np.int64], footprint: int) -> _Layout:
    per_turn = traffic.chunk_bytes // traffic.access_bytes
    turn = i // per_turn
    stream, place = turn % traffic.streams, turn // traffic.streams * per_turn + i % per_turn
    spacing = traffic.spacing_bytes
    if spacing is None:
        longest = math.ceil(traffic.bytes_moved / traffic.streams)
        spacing = max(_ALIGNED_BYTES, 1 << (longest - 1).bit_length())
    start = stream * (spacing + traffic.stagger_bytes)
    return (start + place * traffic.access_bytes) % footprint, turn


def _strided(traffic: Traffic, i: NDArray[np.int64], footprint: int) -> _Layout:
    along = i * traffic.stride_bytes
    return along % footprint + along // footprint * traffic.access_bytes, i


def _scattered(traffic: Traffic, i: NDArray[np.int64], footprint: int) -> _Layout:
    per_block = traffic.block_bytes // traffic.access_bytes
    block = i // per_block
    drawn = mix64(block.astype(np.uint64) + np.uint64(traffic.seed << 32))
    place = (drawn % np.uint64(footprint // traffic.block_bytes)).astype(np.int64)
    return place * traffic.block_bytes + i % per_block * traffic.access_bytes, block


_LAYOUTS: dict[str, Callable[[Traffic, NDArray[np.int64], int], _Layout]] = {
    "stream": _streamed, "strided": _strided, "random": _scattered, "mixed": _scattered,
}  # fmt: skip
