"""Tiles of an operand in order, their lines, and the part that falls on some channels."""

from __future__ import annotations

import numpy as np
import pytest

from accelsim.engine.event.bank_walks import Step, Walk, normalized, sample_walks
from accelsim.timing.dram.tiles import Tile, tile_stream

CHANNEL_BYTES = 1 << 28
CONTIGUOUS = Walk(Tile(0, 1, 4096, 4096), (Step(4, 4096),), (Step(1, 4 * 4096),), 2.0)
WRITTEN = Walk(Tile(0, 1, 4096, 4096, True), (Step(4, 4096),), (Step(1, 4 * 4096),), 1.0)


def test_lines_are_those_of_tiles_that_take_turns() -> None:
    tile = Tile(0, 4, 128, 1024)
    walk = Walk(tile, (Step(3, 4096),), (Step(1, 12_288), Step(8, 128)), 1.0)
    at_once = [Tile(i * 4096, 4, 128, 1024) for i in range(3)]
    second = [Tile(i * 4096 + 128, 4, 128, 1024) for i in range(3)]
    expected = np.concatenate([tile_stream(at_once)[0], tile_stream(second)[0]])
    assert walk.lines(expected.size).tolist() == expected.tolist()


def test_the_outermost_loop_goes_on() -> None:
    walk = Walk(Tile(0, 1, 64, 64), (), (Step(2, 640), Step(2, 64)), 1.0)
    assert walk.lines(6).tolist() == [0, 64, 640, 704, 1280, 1344]


def test_rows_of_a_table_are_whole_and_inside() -> None:
    walk = Walk(Tile(0, 1, 96, 96), (Step(2, 0),), (Step(1, 0),), 96.0, places=10)
    lines = walk.lines(100)
    assert walk.fetched_bytes == 128
    assert lines.max() < 10 * 96 + 64
    assert np.unique(lines[::2] // 64).size > 5


@pytest.mark.parametrize("channels", [1, 5, 16, 80])
def test_all_channels_together_get_the_bytes_of_the_tiles(channels: int) -> None:
    walks = [CONTIGUOUS, WRITTEN]
    sample = sample_walks(walks, channels, channels, CHANNEL_BYTES, 96)
    assert sample.addresses.size == 96 * channels
    assert np.unique(sample.addresses).size == sample.addresses.size
    assert sample.is_write.sum() == 32 * channels
    assert sample.addresses.max() < channels * CHANNEL_BYTES


def test_one_channel_gets_its_share() -> None:
    alone = sample_walks([CONTIGUOUS, WRITTEN], 16, 1, CHANNEL_BYTES, 960)
    assert alone.addresses.size == pytest.approx(960, rel=0.02)
    assert alone.is_write.mean() == pytest.approx(1 / 3, abs=0.02)
    assert alone.addresses.max() < CHANNEL_BYTES


def test_power_of_two_strides_use_all_channels() -> None:
    walk = Walk(Tile(0, 4096, 64, 1 << 15), (), (Step(1, 64),), 1.0)
    sample = sample_walks([walk], 16, 16, CHANNEL_BYTES, 256)
    counts = np.bincount(sample.addresses // 256 % 16, minlength=16)
    assert counts.min() > 0.7 * counts.mean()


def test_operands_stay_apart_though_they_fold() -> None:
    """Larger than the channel: each folds into its own region."""
    far = Walk(Tile(0, 1, 64, 64), (), (Step(1, 1 << 21),), 1.0)
    other = Walk(Tile(0, 1, 64, 64, True), (), (Step(1, 1 << 21),), 1.0)
    sample = sample_walks([far, other, CONTIGUOUS], 2, 2, 1 << 22, 3000)
    reads = set(sample.addresses[~sample.is_write].tolist())
    writes = set(sample.addresses[sample.is_write].tolist())
    assert not reads & writes
    assert max(reads | writes) < 2 << 22


def test_shares_not_bytes_make_streams_equal() -> None:
    twice = [Walk(w.tile, w.at_once, w.in_turn, 2 * w.moved_bytes) for w in (CONTIGUOUS, WRITTEN)]
    assert normalized(twice) == normalized([CONTIGUOUS, WRITTEN])
    assert sum(walk.moved_bytes for walk in normalized(twice)) == pytest.approx(1.0, abs=1e-3)
