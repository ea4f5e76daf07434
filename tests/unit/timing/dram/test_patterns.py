"""What traffic of a pattern looks like, and that it is the reference's where patterns coincide."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from accelsim.errors import SimulationError
from accelsim.timing.dram.patterns import Traffic, mix64

CHANNEL = 1 << 30
MIB = 1 << 20


def test_one_stream_is_sequential() -> None:
    where, writes = Traffic(accesses=4).addresses(CHANNEL)
    assert where.tolist() == [0, 64, 128, 192]
    assert not writes.any()


def test_streams_take_turns_and_the_last_are_written() -> None:
    copy = Traffic(accesses=6, streams=2, write_streams=1, chunk_bytes=128, spacing_bytes=4096)
    where, writes = copy.addresses(CHANNEL)
    assert where.tolist() == [0, 64, 4096, 4160, 128, 192]
    assert writes.tolist() == [False, False, True, True, False, False]


def test_a_stride_starts_on_the_next_column_when_it_is_through() -> None:
    traffic = Traffic("strided", accesses=5, stride_bytes=256, footprint_bytes=512)
    assert traffic.addresses(CHANNEL)[0].tolist() == [0, 256, 64, 320, 128]


def test_blocks_are_sequential_inside_and_fit_the_footprint() -> None:
    traffic = Traffic("random", accesses=1000, block_bytes=256, footprint_bytes=64 * 1024)
    where, _ = traffic.addresses(CHANNEL)
    assert (np.diff(where.reshape(-1, 4), axis=1) == 64).all()
    assert (where[::4] % 256 == 0).all()
    assert where.max() < 64 * 1024


def test_another_seed_is_other_traffic_and_the_same_seed_the_same() -> None:
    one = Traffic("mixed", accesses=100).addresses(CHANNEL)
    again = Traffic("mixed", accesses=100).addresses(CHANNEL)
    other = Traffic("mixed", accesses=100, seed=2).addresses(CHANNEL)
    assert (one[0] == again[0]).all() and (one[1] == again[1]).all()
    assert (one[0] != other[0]).any() and (one[1] != other[1]).any()


@pytest.mark.parametrize("share", [0.0, 0.25, 0.75, 1.0])
def test_the_read_share_is_met_without_a_period(share: float) -> None:
    writes = Traffic(accesses=40_000, read_share=share).addresses(CHANNEL)[1]
    assert 1 - writes.mean() == pytest.approx(share, abs=0.01)
    if 0 < share < 1:  # neighbours differ as often as independent draws do
        changes = (writes[1:] != writes[:-1]).mean()
        assert changes == pytest.approx(2 * share * (1 - share), abs=0.02)


def test_a_random_block_has_one_direction() -> None:
    writes = Traffic("mixed", accesses=800, block_bytes=512).addresses(CHANNEL)[1].reshape(-1, 8)
    assert (writes == writes[:, :1]).all()
    assert 0 < writes.mean() < 1


def test_alternating_bursts() -> None:
    writes = Traffic(accesses=6, alternate=(2, 1)).addresses(CHANNEL)[1]
    assert writes.tolist() == [False, False, True] * 2


def test_streams_longer_than_their_spacing_move_apart() -> None:
    where, _ = Traffic(accesses=2**19, access_bytes=64, streams=1 << 1).addresses(CHANNEL)
    assert np.unique(where).size == where.size
    where, _ = Traffic(accesses=2**19 + 2, access_bytes=64, streams=1 << 1).addresses(CHANNEL)
    assert where[1] == 32 * MIB


def test_addresses_fold_into_the_memory() -> None:
    where, _ = Traffic(accesses=64, streams=32).addresses(4 * MIB)
    assert where.max() < 4 * MIB


def test_traffic_in_words() -> None:
    copy = Traffic(streams=2, write_streams=1)
    assert str(copy) == "2 streams, 1 of 2 written, 100,000 accesses of 64 B"
    assert copy.words(without="streams") == "stream, 1 of 2 written, 100,000 accesses of 64 B"
    mixed = Traffic("mixed", accesses=5)
    assert str(mixed) == "random blocks of 64 B, 66.7 % reads, 5 accesses of 64 B"
    assert mixed.words(without="read_share") == "random blocks of 64 B, 5 accesses of 64 B"
    turns = Traffic("strided", alternate=(2, 1), accesses=5)
    assert str(turns) == "stride 64 B, 2 reads, then 1 writes, 5 accesses of 64 B"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"pattern": "randon"}, "did you mean 'random'"),
        ({"accesses": 0}, "accesses 0"),
        ({"accesses": 10**12}, "accesses 1000000000000"),
        ({"accesses": True}, "not a whole number"),
        ({"streams": 0}, "streams 0"),
        ({"streams": 2, "write_streams": 3}, "write_streams 3"),
        ({"stride_bytes": 96}, "stride_bytes 96 is no multiple of access_bytes 64"),
        ({"chunk_bytes": 32}, "chunk_bytes 32"),
        ({"block_bytes": 100}, "block_bytes 100"),
        ({"read_share": 1.5}, "read_share 1.5"),
        ({"read_share": float("nan")}, "read_share nan"),
        ({"alternate": (0, 0)}, "no traffic"),
        ({"alternate": (1,)}, "no .reads, writes."),
        ({"read_share": 0.5, "alternate": (1, 1)}, "give one"),
        ({"pattern": "random", "write_streams": 1}, "has no streams"),
        ({"seed": -1}, "seed -1"),
        ({"footprint_bytes": 0}, "footprint_bytes 0"),
    ],
)
def test_what_is_no_traffic_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(SimulationError, match=words):
        Traffic(**fields)


def test_a_footprint_beyond_the_memory_is_refused() -> None:
    with pytest.raises(SimulationError, match="footprint of 8388608 B"):
        Traffic(footprint_bytes=8 * MIB).addresses(4 * MIB)
    with pytest.raises(SimulationError, match="one block of 8388608 B"):
        Traffic("random", block_bytes=8 * MIB).addresses(4 * MIB)


def test_the_hash_is_splitmix64() -> None:
    """First outputs of SplitMix64 of seed 0, as listed in the literature."""
    states = np.arange(3, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    assert [hex(int(h)) for h in mix64(states)] == [
        "0xe220a8397b1dcdaf", "0x6e789e6aa1b965f4", "0x6c45d188009454f",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def tracegen(shared_dir: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("tracegen", shared_dir / "dram" / "tracegen.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_SAME: tuple[tuple[dict[str, Any], dict[str, Any]], ...] = (
    ({"pattern": "seq"}, {}),
    ({"pattern": "seq", "alt_r": 3, "alt_w": 1}, {"alternate": (3, 1)}),
    ({"pattern": "stride", "stride": 4096}, {"pattern": "strided", "stride_bytes": 4096}),
    ({"pattern": "stride", "stride": 320}, {"pattern": "strided", "stride_bytes": 320}),
    ({"pattern": "random"}, {"pattern": "random"}),
    ({"pattern": "random", "block": 1024, "seed": 7},
     {"pattern": "random", "block_bytes": 1024, "seed": 7}),
    ({"pattern": "streams", "streams": 3, "write_streams": 1},
     {"streams": 3, "write_streams": 1, "footprint_bytes": None}),
    ({"pattern": "streams", "streams": 16, "chunk": 256, "stagger": 790080},
     {"streams": 16, "chunk_bytes": 256, "stagger_bytes": 790080, "footprint_bytes": None}),
)  # fmt: skip


@pytest.mark.parametrize(("theirs", "ours"), _SAME)
def test_traffic_is_the_reference_generators(
    tracegen: ModuleType, theirs: dict[str, Any], ours: dict[str, Any]
) -> None:
    n = 3000
    expected = [tracegen.gen({**theirs, "footprint_mib": 1 if "stride" in theirs else 256}, i)
                for i in range(n)]  # fmt: skip
    footprint = MIB if "stride" in theirs else 256 * MIB
    where, writes = Traffic(accesses=n, **{"footprint_bytes": footprint, **ours}).addresses(CHANNEL)
    assert where.tolist() == [address for address, _ in expected]
    assert writes.tolist() == [bool(write) for _, write in expected]
