"""What holds for any traffic, any controller and any memory."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accelsim.arch.dram_timing import resolved_cycles
from accelsim.arch.loader import load_memory
from accelsim.results.dram import DramResult
from accelsim.scenarios.dram import simulate_dram
from accelsim.timing.dram.legality import dram_violations
from accelsim.timing.dram.rules import command_bus
from tests.oracle.naive_dram_front import assert_same

MEMORIES = [
    "ddr4_3200", "ddr5_4800", "gddr6_14000", "gddr7_28000", "hbm2_2000", "hbm3_6400", "hbm4_8000",
    "lpddr4x_4266", "lpddr5_6400",
]  # fmt: skip
slow = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def traffic(draw: st.DrawFn, most: int = 120) -> tuple[list[int], list[bool]]:
    """Addresses near each other, far apart, or in one bank; reads and writes."""
    places = draw(st.sampled_from([4, 64, 1 << 12, 1 << 21]))
    step = draw(st.sampled_from([64, 4096, 1 << 17]))
    top = min(places, (1 << 27) // step)
    numbers = draw(st.lists(st.integers(0, top - 1), min_size=1, max_size=most))
    share = draw(st.sampled_from([0.0, 0.3, 1.0]))
    seed = draw(st.integers(0, 99))
    writes = np.random.default_rng(seed).random(len(numbers)) < share
    return [step * number for number in numbers], [bool(write) for write in writes]


@st.composite
def controllers(draw: st.DrawFn) -> dict[str, Any]:
    low, high = draw(st.sampled_from([(0.2, 0.8), (0.0, 1.0), (0.5, 0.6), (0.0, 0.01)]))
    return {
        "scheduler": draw(st.sampled_from(["fcfs", "fr-fcfs", "fr-fcfs-rowhit"])),
        "page_policy": draw(st.sampled_from(["open", "closed", "adaptive"])),
        "refresh": draw(st.sampled_from(["none", "all-bank", "per-bank"])),
        "read_queue": draw(st.sampled_from([1, 3, 16, 64])),
        "write_queue": draw(st.sampled_from([1, 3, 16, 64])),
        "write_low": low,
        "write_high": high,
        "address_map": draw(st.sampled_from(["robaracoch", "mop4clxor", "bgi", "bgix", "bgixp"])),
        "channels": draw(st.sampled_from([1, 1, 2, 3])),
        "stage_depth": draw(st.sampled_from([1, 4, None])),
        "outstanding": draw(st.sampled_from([None, None, 1, 5])),
    }


def possible(memory: str, options: dict[str, Any]) -> dict[str, Any]:
    """DDR4 and DDR5 refresh whole ranks."""
    whole_only = memory.startswith("ddr") and options["refresh"] == "per-bank"
    return options | {"refresh": "all-bank"} if whole_only else options


@slow
@given(st.sampled_from(MEMORIES), traffic(), controllers())
def test_compiled_and_slow_models_agree(
    memory: str, given_traffic: tuple[list[int], list[bool]], options: dict[str, Any]
) -> None:
    """Commands, ticks, latencies, counts."""
    assert_same(memory, *given_traffic, **possible(memory, options))


@slow
@given(st.sampled_from(MEMORIES), traffic(400), controllers())
def test_every_transaction_is_served_once_and_legally(
    memory: str, given_traffic: tuple[list[int], list[bool]], options: dict[str, Any]
) -> None:
    spec = load_memory(memory)
    addresses, writes = given_traffic
    run = simulate_dram(spec, addresses, writes, trace_commands=20_000, **possible(memory, options))
    assert run.transactions == len(addresses) * 64 // int(spec.access_bytes)
    assert run.reads + run.writes == run.transactions - run.forwarded_reads - run.merged_writes
    assert run.row_hits + run.row_misses + run.row_conflicts == run.reads + run.writes
    assert run.writes == int(run.is_write.sum()) - run.merged_writes
    assert run.bytes_moved == 64 * len(addresses)
    assert 0 < run.data_bus_utilisation <= 1
    assert run.trace is not None
    assert not dram_violations(spec, run.trace)
    assert Counter(run.trace["command"]) == {k: n for k, n in run.commands.items() if n}
    assert run.activates == run.bank_activates.sum()
    assert (run.bank_open_ticks <= run.ticks + 1).all()
    check_lower_bounds(run, spec.standard == "LPDDR5")


def check_lower_bounds(run: DramResult, two_step: bool) -> None:
    """No time is shorter than its buses and activates need."""
    memory = load_memory(run.memory)
    n, bus = resolved_cycles(memory), command_bus(memory)
    scale, c = bus.ticks_per_clock, run.commands
    ranks = run.channels * run.pseudo_channels
    served = run.reads + run.writes
    # The last burst counts up to its command where it writes.
    slack = scale * (n["nBL"] + n["nCL"])
    assert run.ticks + slack >= served * scale * n["nBL"] / ranks
    assert run.ticks + scale * n["nFAW"] >= run.activates / ranks / 4 * scale * n["nFAW"]
    rows = sum(bus.ticks(name) * c[name] for name in ("ACT", "PRE", "PREA"))
    columns = sum(bus.ticks(name) * c[name] for name in ("RD", "WR", "RDA", "WRA"))
    both = rows + columns + (c["ACT2"] if two_step else 0)
    needed = max(rows, columns) if bus.split else both
    assert run.ticks + scale * n["nRFC"] >= needed / run.channels


@settings(max_examples=30)
@given(st.sampled_from(MEMORIES), traffic(300), controllers())
def test_the_same_again_is_the_same(
    memory: str, given_traffic: tuple[list[int], list[bool]], options: dict[str, Any]
) -> None:
    runs = [
        simulate_dram(memory, *given_traffic, trace_commands=5000, **possible(memory, options))
        for _ in range(2)
    ]
    assert runs[0].to_dict() == runs[1].to_dict()
    assert runs[0].trace is not None and runs[1].trace is not None
    assert runs[0].trace.equals(runs[1].trace)
    assert runs[0].latency_ticks.tobytes() == runs[1].latency_ticks.tobytes()


@settings(max_examples=30)
@given(st.sampled_from(MEMORIES), traffic(300), st.integers(2, 4))
def test_channels_that_do_not_wait_are_as_if_alone(
    memory: str, given_traffic: tuple[list[int], list[bool]], channels: int
) -> None:
    addresses, writes = np.array(given_traffic[0]), np.array(given_traffic[1])
    together = simulate_dram(memory, addresses, writes, channels=channels, stage_depth=None)
    block = addresses // 256
    alone = []
    per_access = together.transactions // addresses.size
    for channel in range(channels):
        mine = block % channels == channel
        if not mine.any():
            continue
        inside = block[mine] // channels * 256 + addresses[mine] % 256
        run = simulate_dram(memory, inside, writes[mine])
        alone.append(run.ticks)
        kept = np.repeat(mine, per_access)
        assert (together.latency_ticks[kept] == run.latency_ticks).all()
    assert together.ticks == max(alone)


PATTERNS = ["stream", "random", "stride"]


def reads(pattern: str, n: int = 6000) -> np.ndarray[Any, np.dtype[np.int64]]:
    rng = np.random.default_rng(8)
    places = {
        "stream": np.arange(n), "random": rng.integers(0, 1 << 21, n), "stride": 9 * np.arange(n),
    }  # fmt: skip
    return 64 * places[pattern]


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("memory", MEMORIES)
def test_a_larger_queue_is_never_much_worse(memory: str, pattern: str) -> None:
    """More to choose from; a greedy choice may cost 2 % for lack of foresight."""
    ticks = [
        simulate_dram(memory, reads(pattern), read_queue=size).ticks for size in (1, 4, 16, 64, 256)
    ]
    for smaller, larger in pairwise(ticks):
        assert larger <= 1.02 * smaller


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("memory", MEMORIES)
def test_refresh_costs_time(memory: str, pattern: str) -> None:
    """It may save a conflict, never more than half a percent."""

    def run(refresh: str) -> int:
        return simulate_dram(memory, reads(pattern), refresh=refresh).ticks

    assert run("all-bank") >= 0.995 * run("none")
    if not memory.startswith("ddr"):
        assert run("per-bank") >= 0.995 * run("none")


@pytest.mark.parametrize("memory", MEMORIES)
def test_looking_past_the_oldest_pays(memory: str) -> None:
    runs = {
        name: simulate_dram(memory, reads("random"), scheduler=name).ticks
        for name in ("fcfs", "fr-fcfs", "fr-fcfs-rowhit")
    }
    assert runs["fr-fcfs"] <= runs["fcfs"]
    assert runs["fr-fcfs-rowhit"] <= 1.02 * runs["fr-fcfs"]
