"""Is the compiled DRAM model the slow one, command by command and tick by tick?"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from accelsim.arch.loader import load_memory
from accelsim.timing.dram.controller import WHOLE_RANK_ONLY
from tests.oracle.naive_dram_front import assert_same

MEMORIES = sorted(path.stem for path in Path("arch_specs/memory").glob("*.yaml"))
ONE_PER_STANDARD = [
    "ddr3_2133", "ddr4_3200", "ddr5_4800", "gddr5_6000", "gddr6_14000", "gddr6x_21000",
    "gddr7_28000", "hbm2_2000", "hbm2e_3600", "hbm3_6400", "hbm3e_9600", "hbm4_8000",
    "lpddr4x_4266", "lpddr5_6400", "lpddr5x_8533",
]  # fmt: skip
ROW_BYTES = 1 << 20  # addresses so far apart lie in other rows of one bank, whatever the map
N = 120


def stream(n: int = N) -> list[int]:
    return [64 * i for i in range(n)]


def scattered(n: int = N, accesses: int = 1 << 21) -> list[int]:
    choice = random.Random(7)
    return [64 * choice.randrange(accesses) for _ in range(n)]


PATTERNS: dict[str, list[int]] = {
    "stream": stream(),
    "random": scattered(),
    "few rows": scattered(accesses=1 << 9),
    "few places": scattered(accesses=8),
    "one bank": [ROW_BYTES * (i % 60) for i in range(60)],
    "stride": [4096 * i for i in range(N)],
    "four streams": [(i % 4) * (1 << 24) + 64 * (i // 4) for i in range(N)],
}


def some_writes(n: int, share: float = 0.4) -> list[bool]:
    choice = random.Random(3)
    return [choice.random() < share for _ in range(n)]


def refreshes(memory: str) -> list[str]:
    """Refresh policies that the standard of a memory has."""
    whole_only = load_memory(memory).standard in WHOLE_RANK_ONLY
    return ["none", "all-bank"] if whole_only else ["none", "all-bank", "per-bank"]


@pytest.mark.parametrize("memory", MEMORIES)
def test_every_memory(memory: str) -> None:
    """Random and in streams, long enough for a refresh of a rank and of some banks."""
    for refresh, addresses in zip(
        refreshes(memory), (stream(), scattered(), stream()), strict=False
    ):
        assert_same(memory, addresses, some_writes(N), refresh=refresh)


@pytest.mark.parametrize("page_policy", ["open", "closed", "adaptive"])
@pytest.mark.parametrize("scheduler", ["fcfs", "fr-fcfs", "fr-fcfs-rowhit"])
@pytest.mark.parametrize("memory", ["hbm2_2000", "hbm3_6400", "ddr5_4800", "lpddr5_6400"])
def test_every_policy(memory: str, scheduler: str, page_policy: str) -> None:
    for refresh, pattern in zip(
        refreshes(memory), ("few rows", "one bank", "four streams"), strict=False
    ):
        assert_same(
            memory, PATTERNS[pattern], some_writes(len(PATTERNS[pattern])), scheduler=scheduler,
            page_policy=page_policy, refresh=refresh, read_queue=16, write_queue=8,
        )  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("memory", ["hbm4_8000", "gddr6_14000", "lpddr5x_8533"])
def test_every_pattern(memory: str, pattern: str) -> None:
    addresses = PATTERNS[pattern]
    for share in (0.1, 1.0):
        assert_same(memory, addresses, some_writes(len(addresses), share), page_policy="adaptive")


@pytest.mark.parametrize("sizes", [(1, 1), (2, 7), (64, 3), (5, 256)])
@pytest.mark.parametrize("memory", ["hbm3_6400", "ddr4_3200"])
def test_queues_and_watermarks(memory: str, sizes: tuple[int, int]) -> None:
    for low, high in ((0.2, 0.8), (0.0, 1.0), (0.0, 0.05), (0.9, 0.95)):
        assert_same(
            memory, PATTERNS["few rows"], some_writes(N), read_queue=sizes[0],
            write_queue=sizes[1], write_low=low, write_high=high,
        )  # fmt: skip


@pytest.mark.parametrize(
    "address_map",
    ["robaracoch", "mop4clxor", "bgi", "bgix", "bgixp",
     "column:2 rank:1 bank:2 column:3 group:2 row; group^row[1] rank^column[0]"],
)  # fmt: skip
@pytest.mark.parametrize("pseudo_channels", [1, 2])
def test_address_maps(address_map: str, pseudo_channels: int) -> None:
    if ":" in address_map and pseudo_channels == 1:
        address_map = address_map.replace("rank:1 ", "").replace(" rank^column[0]", "")
    for pattern in ("random", "stride"):
        assert_same(
            "hbm2_2000", PATTERNS[pattern], some_writes(N), address_map=address_map,
            pseudo_channels=pseudo_channels,
        )  # fmt: skip


@pytest.mark.parametrize("stage_depth", [1, 3, None])
@pytest.mark.parametrize("memory", ["hbm2_2000", "hbm3_6400", "lpddr5_6400"])
def test_channels_behind_one_front_end(memory: str, stage_depth: int | None) -> None:
    for channels, pattern in ((2, "stride"), (4, "random"), (3, "stream")):
        assert_same(
            memory, PATTERNS[pattern], some_writes(N), channels=channels, stage_depth=stage_depth,
            read_queue=4, write_queue=4,
        )  # fmt: skip


@pytest.mark.parametrize("outstanding", [1, 2, 10])
def test_few_transactions_under_way(outstanding: int) -> None:
    for memory, channels in (("hbm3_6400", 1), ("gddr6_14000", 2)):
        addresses = PATTERNS["few rows"][:100]
        assert_same(
            memory, addresses, some_writes(100), outstanding=outstanding, channels=channels,
            refresh="per-bank",
        )  # fmt: skip


@pytest.mark.parametrize("access_bytes", [32, 64, 128, 256])
def test_accesses_of_any_number_of_bursts(access_bytes: int) -> None:
    addresses = [access_bytes * (address // 64) for address in PATTERNS["few rows"]]
    assert_same("hbm3_6400", addresses, some_writes(N), access_bytes=access_bytes)


def test_several_ranks_share_a_bus(tmp_path: Path) -> None:
    """No packaged memory has them; their data may not follow each other without a gap."""
    for memory in ("ddr5_4800", "ddr4_3200", "lpddr5_6400"):
        two = two_ranks(memory, tmp_path)
        whole = scattered(accesses=int(load_memory(two).channel_capacity_bytes) // 64)
        for refresh, address_map in (("all-bank", "bgix"), ("none", "robaracoch")):
            result = assert_same(
                two, whole, some_writes(N), refresh=refresh, address_map=address_map
            )
            assert result.trace is not None
            assert set(result.trace["rank"]) == {0, 1}


def two_ranks(memory: str, folder: Path) -> str:
    """Write a memory with a second rank; returns the path."""
    capacity = load_memory(memory).capacity_bytes
    assert capacity is not None
    path = folder / f"{memory}_2r.yaml"
    path.write_text(
        f"extends: {memory}\nname: {memory}_2r\ntitle: two ranks\nranks: 2\n"
        f"capacity: {2 * capacity / 2**30:g} GiB\n"
    )
    return str(path)


@pytest.mark.parametrize("memory", ONE_PER_STANDARD)
def test_refreshes_among_long_traffic(memory: str) -> None:
    """Long enough for several refreshes of every bank, with rows to close before them."""
    options: dict[str, Any] = {"outstanding": 1, "page_policy": "adaptive"}
    n = 320 if memory.startswith("ddr") else 160
    addresses = [ROW_BYTES * (i % 60) for i in range(n)]
    for refresh in refreshes(memory)[1:]:
        result = assert_same(memory, addresses, some_writes(n), refresh=refresh, **options)
        assert result.commands["REFab"] + result.commands["REFpb"] > 0
