"""The tiles of one operand in the order in which cores move them, and the lines that they touch.

Addresses go round the channels in blocks of 256 B. GPUs hash the channel so that no stride falls on
few of them; here each round of blocks begins at a channel drawn by a hash. Every channel then sees
its share of any pattern, and one channel tells what all sustain.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accelsim.timing.dram.patterns import mix64
from accelsim.timing.dram.tiles import Tile

LINE_BYTES = 64
BLOCK_BYTES = 256
STAGGER_BLOCKS = 3087
"""Blocks of a channel from where an operand would begin to where it does, times its number: as the
streams that the law of long transfers comes from, so that operands do not start in one bank."""
_SHARE_DIGITS = 4


class Step(NamedTuple):
    """A loop over tiles: how many times, and how far on each time [B]."""

    times: int
    stride_bytes: int


@dataclass(frozen=True)
class Walk:
    """The tiles of one operand.

    Attributes
    ----------
    tile : Tile
        The first, at address 0 of the operand.
    at_once : tuple of Step
        Loops over tiles that are moved at the same time, line by line in turn; the first is the
        outermost.
    in_turn : tuple of Step
        Loops over such sets. The outermost goes on past its count: what an op sustains is asked,
        however short it is.
    moved_bytes : float
        Of the whole op [B].
    places : int
        Where tiles are rows of a table: rows to draw them from by a hash; 0: tiles lie as the
        loops say.
    """

    tile: Tile
    at_once: tuple[Step, ...]
    in_turn: tuple[Step, ...]
    moved_bytes: float
    places: int = 0

    @property
    def fetched_bytes(self) -> float:
        """What crosses the memory's bus [B]: whole lines, where nobody else needs the rest."""
        if not self.places:
            return self.moved_bytes
        whole = math.ceil(self.tile.row_bytes / LINE_BYTES) * LINE_BYTES
        return self.moved_bytes * whole / self.tile.row_bytes

    def lines(self, count: int) -> NDArray[np.int64]:
        """Addresses of the first `count` lines, within the operand [B].

        Notes
        -----
        Tiles are taken to begin at a line.
        """
        side = math.prod(step.times for step in self.at_once)
        own = self._cut(count, side).accesses()
        rounds = math.ceil(count / (side * own.size))
        if self.places:
            drawn = mix64(np.arange(rounds * side)) % np.uint64(self.places)
            starts = drawn.astype(np.int64).reshape(rounds, side) * self.tile.pitch_bytes
        else:
            first = _offsets(self.in_turn, np.arange(rounds))
            starts = first[:, None] + _offsets(self.at_once, np.arange(side))
        whole = starts // LINE_BYTES * LINE_BYTES
        return (whole[:, None, :] + own[None, :, None]).reshape(-1)[:count]

    def _cut(self, count: int, side: int) -> Tile:
        """The tile without rows that `count` lines do not reach."""
        per_row = max(1, self.tile.row_bytes // LINE_BYTES)
        return replace(self.tile, rows=min(self.tile.rows, math.ceil(count / (side * per_row))))


def _offsets(loops: Sequence[Step], numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Address of each turn of a loop nest; the outermost is not limited [B]."""
    found = np.zeros(numbers.size, np.int64)
    left = numbers
    for step in reversed(loops[1:]):
        left, turn = np.divmod(left, step.times)
        found += turn * step.stride_bytes
    return found + left * loops[0].stride_bytes if loops else found


def normalized(walks: Sequence[Walk]) -> tuple[Walk, ...]:
    """The same walks with the bytes of each as a share of all: equal ones give equal streams."""
    total = math.fsum(walk.moved_bytes for walk in walks)
    return tuple(
        replace(walk, moved_bytes=round(walk.moved_bytes / total, _SHARE_DIGITS)) for walk in walks
    )


class Sample(NamedTuple):
    """Accesses of sampled channels: addresses there [B], and whether each is a write."""

    addresses: NDArray[np.int64]
    is_write: NDArray[np.bool_]


def sample_walks(
    walks: Sequence[Walk], channels: int, sampled: int, channel_bytes: int, per_channel: int
) -> Sample:
    """Mix operands in proportion to their bytes and keep what falls on some of the channels.

    Parameters
    ----------
    walks : sequence of Walk
    channels : int
        Of the chip.
    sampled : int
        The first so many of them are kept.
    channel_bytes : int
        Capacity of a channel; each operand has an equal part of it, and folds back there [B].
    per_channel : int
        Lines for each channel.

    Notes
    -----
    Cores are at different places of their tiles, so that loads of some meet stores of others.
    """
    total = math.fsum(walk.moved_bytes for walk in walks)
    parts, turns, writes = [], [], []
    for number, walk in enumerate(walks):
        count = round(channels * per_channel * walk.moved_bytes / total)
        if count == 0:
            continue
        region = _region(number, len(walks), channel_bytes)
        addresses, kept = _on_channels(walk.lines(count), region, channels, sampled)
        parts.append(addresses)
        turns.append((kept + 0.5) / count)
        writes.append(np.full(kept.size, walk.tile.is_write))
    order = np.argsort(np.concatenate(turns), kind="stable")
    return Sample(np.concatenate(parts)[order], np.concatenate(writes)[order])


def _region(number: int, operands: int, channel_bytes: int) -> tuple[int, int]:
    """First block of an operand in each channel, and how many it has."""
    share = channel_bytes // BLOCK_BYTES // operands
    stagger = min(STAGGER_BLOCKS, share // (2 * operands))
    return number * (share + stagger), share - operands * stagger


def _on_channels(
    lines: NDArray[np.int64], region: tuple[int, int], channels: int, sampled: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Addresses of the lines that fall on the sampled channels, and which lines they are."""
    first, blocks = region
    turn, place = np.divmod(lines // BLOCK_BYTES, channels)
    turn = first + turn % blocks
    drawn = (mix64(turn) % np.uint64(channels)).astype(np.int64)
    channel = (place + drawn) % channels
    kept = np.flatnonzero(channel < sampled)
    block = turn[kept] * sampled + channel[kept]
    return block * BLOCK_BYTES + lines[kept] % BLOCK_BYTES, kept
