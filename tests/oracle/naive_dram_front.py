"""Addresses into channels of `naive_dram`, and the comparison with the compiled model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from accelsim.arch.loader import load_memory
from accelsim.results.dram import DramResult
from accelsim.scenarios.dram import simulate_dram
from accelsim.timing.dram.address_map import AddressMap, address_map
from accelsim.timing.dram.controller import Controller
from tests.oracle.naive_dram import Channel, Command, Transaction

ROOMY = 1_000_000
COUNTS = {
    "row_hits": "hit", "row_misses": "miss", "row_conflicts": "conflict",
    "forwarded_reads": "forwarded", "merged_writes": "merged",
}  # fmt: skip


@dataclass
class Outcome:
    """What the slow model found."""

    channels: list[Channel]
    latency_ticks: list[int]
    commands: list[list[Command]]

    @property
    def ticks(self) -> int:
        """When the last transaction was done."""
        return max(channel.last for channel in self.channels)

    def count(self, name: str) -> int:
        """A count, over all channels."""
        return sum(int(getattr(channel.counts, name)) for channel in self.channels)


def decode(number: int, chosen: AddressMap) -> dict[str, int]:
    """Take the number of a transaction in its channel apart, field by field."""
    values = dict.fromkeys(("rank", "stack", "group", "bank", "row", "column"), 0)
    used = dict.fromkeys(values, 0)
    for level, bits in chosen.fields:
        part = number if level == "row" and bits == 0 else number % 2**bits
        number //= 2**bits
        values[level] += part * 2 ** used[level]
        used[level] += bits
    for each in chosen.hashes:
        values[each.level] ^= values[each.source] // 2**each.start % 2**each.bits
    return values


def transactions(
    addresses: Sequence[int], is_write: Sequence[bool], burst: int, layout: dict[str, Any]
) -> list[tuple[int, Transaction]]:
    """Split accesses into bursts, each with its channel."""
    found = []
    channels, block = layout["channels"], layout["block"]
    bursts = [
        (address + offset, write)
        for address, write in zip(addresses, is_write, strict=True)
        for offset in range(0, layout["access_bytes"], burst)
    ]
    for number, (address, write) in enumerate(bursts):
        channel = address // block % channels
        inside = address // block // channels * block + address % block if channels > 1 else address
        at = decode(inside // burst, layout["map"])
        path = (at["rank"], at["stack"], at["group"], at["bank"])
        found.append((channel, Transaction(number, path, at["row"], at["column"], bool(write))))
    return found


def run_slowly(
    memory_name: str,
    addresses: Sequence[int],
    is_write: Sequence[bool],
    *,
    channels: int = 1,
    pseudo_channels: int | None = None,
    access_bytes: int = 64,
    **options: Any,
) -> Outcome:
    """Simulate tick by tick; the parameters are those of `accelsim.simulate_dram`."""
    memory, controller = load_memory(memory_name), Controller(**options)
    buses = pseudo_channels or memory.pseudo_channels
    layout = {
        "channels": channels, "block": controller.channel_interleave_bytes,
        "map": address_map(controller.address_map, memory, buses), "access_bytes": access_bytes,
    }  # fmt: skip
    work = transactions(addresses, is_write, int(memory.access_bytes), layout)
    latencies: dict[int, int] = {}
    ranks = buses * memory.ranks
    made = [Channel(memory, controller, ranks, latencies) for _ in range(channels)]
    if controller.outstanding is not None:
        _window(made, work, controller.outstanding)
    else:
        depth = controller.stage_depth if channels > 1 else ROOMY
        _in_order(made, work, depth or ROOMY)
    kept = _until(max(channel.last for channel in made), made)
    return Outcome(made, [latencies[i] for i in range(len(work))], kept)


def _until(last: int, channels: list[Channel]) -> list[list[Command]]:
    """Commands until the last transaction of all is done; who has no work left refreshes on."""
    for channel in channels:
        while channel.now < last:
            channel.tick()
    return [[command for command in channel.commands if command[0] <= last] for channel in channels]


def _in_order(channels: list[Channel], work: list[tuple[int, Transaction]], depth: int) -> None:
    """Feed channels in program order; the front end stops at the first full stage."""
    stages: list[list[Transaction]] = [[] for _ in channels]
    ahead = 0
    while ahead < len(work) or any(stages) or any(channel.busy for channel in channels):
        moving = True
        while moving:
            moving = False
            for channel, stage in zip(channels, stages, strict=True):
                while stage and channel.accept(stage[0]) != "full":
                    stage.pop(0)
            if ahead < len(work) and len(stages[work[ahead][0]]) < depth:
                stages[work[ahead][0]].append(work[ahead][1])
                ahead, moving = ahead + 1, True
        if ahead < len(work) or any(stages) or any(channel.busy for channel in channels):
            for channel in channels:
                channel.tick()


def _window(channels: list[Channel], work: list[tuple[int, Transaction]], outstanding: int) -> None:
    """Feed channels in program order with so many transactions under way, until their data."""
    returns: list[int] = []  # ticks at which reads under way return
    writes_under_way = reads_waiting = ahead = now = 0
    busy = True
    while ahead < len(work) or busy:
        returns = [tick for tick in returns if tick > now]
        while ahead < len(work):
            if len(returns) + reads_waiting + writes_under_way >= outstanding:
                break
            number, mine = work[ahead]
            answer = channels[number].accept(mine)
            if answer == "full":
                break
            writes_under_way += answer == "queued" and mine.write
            reads_waiting += answer == "queued" and not mine.write
            ahead += 1
        now += 1
        for channel in channels:
            for served in channel.tick():
                writes_under_way -= served.write
                reads_waiting -= not served.write
                if not served.write:
                    returns.append(now + channel.read_ticks)
        busy = any(channel.busy for channel in channels)


def commands_of(result: DramResult, channel: int) -> list[Command]:
    """The trace of one channel as the slow model writes it."""
    assert result.trace is not None
    mine = result.trace[result.trace["channel"] == channel]
    columns = (mine[name].tolist() for name in ("rank", "stack", "group", "bank"))
    paths = [tuple(n for n in path if n >= 0) for path in zip(*columns, strict=True)]
    tick, name, row, column = (mine[each].tolist() for each in ("tick", "command", "row", "column"))
    return list(zip(tick, name, paths, row, column, strict=True))


def assert_same(
    memory: str, addresses: Sequence[int], is_write: Sequence[bool], **options: Any
) -> DramResult:
    """Run both models and compare commands, ticks, latencies and counts; returns the fast one's."""
    slow = run_slowly(memory, addresses, is_write, **options)
    fast = simulate_dram(
        memory, np.array(addresses, np.int64), np.array(is_write, bool), trace_commands=1_000_000
        if len(addresses) > 2000 else 50_000, **options,
    )  # fmt: skip
    for channel, commands in enumerate(slow.commands):
        assert_equal_lists(commands_of(fast, channel), commands, f"channel {channel}")
    assert_equal_lists(fast.latency_ticks.tolist(), slow.latency_ticks, "latencies")
    assert fast.ticks == slow.ticks
    for name, counted in COUNTS.items():
        assert getattr(fast, name) == slow.count(counted), name
    if len(slow.channels) == 1:  # with more, one that has nothing to do may turn or not
        assert fast.turnarounds == slow.count("turnarounds")
    return fast


def assert_equal_lists(fast: list[Any], slow: list[Any], what: str) -> None:
    """Compare item by item, and say where two lists part."""
    for i, (one, other) in enumerate(zip(fast, slow, strict=False)):
        assert one == other, (
            f"{what} part at {i}: fast {fast[i - 2 : i + 3]}, slow {slow[i - 2 : i + 3]}"
        )
    assert len(fast) == len(slow), f"{what}: {len(fast)} and {len(slow)}"
