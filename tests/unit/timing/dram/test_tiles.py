"""Tiles as streams of lines, and what the banks make of them."""

from __future__ import annotations

import pytest

from accelsim.arch.loader import load_memory
from accelsim.errors import SimulationError
from accelsim.timing.dram.tiles import Tile, sample_tiles, tile_stream

HBM3 = load_memory("hbm3_6400")


def test_a_tile_touches_the_lines_of_its_rows() -> None:
    assert Tile(0, 2, 128, 1024).accesses().tolist() == [0, 64, 1024, 1088]
    assert Tile(32, 1, 64, 64).accesses().tolist() == [0, 64]
    assert Tile(60, 2, 4, 100).accesses().tolist() == [0, 128]


def test_tiles_take_turns() -> None:
    addresses, writes = tile_stream([Tile(0, 1, 192, 192), Tile(4096, 1, 64, 64, is_write=True)])
    assert addresses.tolist() == [0, 4096, 64, 128]
    assert writes.tolist() == [False, True, False, False]


def test_no_tiles_and_tiles_that_are_none() -> None:
    with pytest.raises(SimulationError, match="no tiles"):
        tile_stream([])
    for wrong in ((-1, 1, 64, 64), (0, 0, 64, 64), (0, 1, 0, 64), (0, 1, 128, 64)):
        with pytest.raises(SimulationError, match="tile of"):
            Tile(*wrong)


def test_narrow_tiles_of_wide_matrices_cost_bandwidth() -> None:
    """Rows of 64 B a power of two apart fall on few channels; rows of 1 KiB on all."""
    wide = sample_tiles(HBM3, [Tile(0, 512, 1024, 16384)], channels=16)
    narrow = sample_tiles(HBM3, [Tile(0, 8192, 64, 16384)], channels=16)
    whole = sample_tiles(HBM3, [Tile(0, 4096, 1024, 1024)], channels=16)
    assert narrow.bandwidth_fraction < 0.5 * wide.bandwidth_fraction
    assert wide.bandwidth_fraction < whole.bandwidth_fraction


def test_a_sample_tells_the_whole() -> None:
    tiles = [Tile(0, 1 << 14, 512, 512), Tile(1 << 28, 1 << 14, 512, 512, is_write=True)]
    sample = sample_tiles(HBM3, tiles, channels=4)
    addresses, _ = tile_stream(tiles)
    assert sample.transactions == 2 * 4 * 4_000 < 2 * addresses.size
    longer = sample_tiles(HBM3, tiles, channels=16)
    assert sample.bandwidth_fraction == pytest.approx(longer.bandwidth_fraction, abs=0.04)
