"""Does the checker of command traces let pass what the standards allow, and nothing else?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from accelsim.arch.loader import load_memory
from accelsim.arch.memory import MemorySpec
from accelsim.errors import SimulationError
from accelsim.scenarios.dram import simulate_dram
from accelsim.timing.dram.controller import WHOLE_RANK_ONLY
from accelsim.timing.dram.legality import Violation, dram_violations
from accelsim.timing.dram.rules import Rule, rules_of

MEMORIES = sorted(path.stem for path in Path("arch_specs/memory").glob("*.yaml"))
Line = tuple[int, str, tuple[int, ...], int]
HERE = (0, 0, 0, 0)
LEVELS = ("channel", "rank", "stack", "group", "bank")
TO_RANKS = ("PREA", "REFab")


def replay(memory: MemorySpec | str, lines: list[Line], **columns: Any) -> tuple[Violation, ...]:
    """Check commands given as (tick, command, place, row)."""
    spec = load_memory(memory) if isinstance(memory, str) else memory
    rows = [(t, c, *(*place, -1, -1, -1)[:4], row) for t, c, place, row in lines]
    names = ["tick", "command", "rank", "stack", "group", "bank", "row"]
    return dram_violations(spec, pd.DataFrame(rows, columns=names).assign(**columns))


def broken(memory: MemorySpec | str, lines: list[Line]) -> set[str]:
    """Names of the rules that commands break."""
    return {violation.rule for violation in replay(memory, lines)}


def elsewhere(rule: Rule, memory: MemorySpec) -> tuple[int, ...] | None:
    """A place that shares with HERE what the rule is about, and no more if there is more."""
    sizes = [2, memory.stack_ids, memory.bank_groups, memory.banks_per_group]
    depth = LEVELS.index(rule.level)
    if rule.siblings:
        depth -= 1
    path = [0, 0, 0, 0]
    if depth < 4 and sizes[depth] > 1:
        path[depth] = 1
    elif rule.siblings:
        return None
    return tuple(path)


def two_commands(rule: Rule, memory: MemorySpec, wait: int) -> list[Line] | None:
    """Return the commands of a rule, the last `wait` ticks after the first, starting at tick 1001.

    1001 is a rising edge, and the other commands of a window follow at once.
    """
    there = elsewhere(rule, memory)
    if there is None:
        return None
    lines: list[Line] = []
    for i in range(rule.window):
        bank = (0, 0, 0, i % memory.banks_per_group)
        place: tuple[int, ...] = (0,) if rule.before in TO_RANKS else bank
        lines.append((1001 + i, rule.before, place, 5))
    place = there[:1] if rule.after in TO_RANKS else there
    return [*lines, (1001 + wait, rule.after, place, 5)]


@pytest.mark.parametrize("name", MEMORIES)
def test_every_rule_is_legal_at_its_tick_and_not_one_before(name: str) -> None:
    memory = load_memory(name)
    tried = 0
    for rule in rules_of(memory):
        legal = two_commands(rule, memory, rule.ticks)
        early = two_commands(rule, memory, rule.ticks - 1)
        if legal is None or early is None or rule.ticks < rule.window:
            continue
        tried += 1
        assert rule.name not in broken(memory, legal), rule
        missing = [v.missing_ticks for v in replay(memory, early) if v.rule == rule.name]
        assert missing and max(missing) == 1, rule
    assert tried > 50


# (memory, command, place, command, place, ticks), by hand from the standards' tables. Delays count
# from the end of a command to the end of the next: ACT takes 2 ticks on HBM2 and DDR5 (as do RD
# and WR there), 3 on HBM3 and HBM4 (RD and WR 2, PRE 1), whose ticks are half clocks.
GROUP = (0, 0, 0, 1)  # another bank of the same group
OTHER = (0, 0, 1, 0)  # another group
BY_HAND = [
    ("hbm2_2000", "ACT", HERE, "RD", HERE, 15),  # tRCDRD 14 + 2 - 1
    ("hbm2_2000", "ACT", HERE, "WR", HERE, 13),  # tRCDWR 12 + 2 - 1
    ("hbm2_2000", "ACT", HERE, "PRE", HERE, 35),  # tRAS 34 + 2 - 1
    ("hbm2_2000", "PRE", HERE, "ACT", HERE, 13),  # tRP 14 + 1 - 2
    ("hbm2_2000", "ACT", HERE, "ACT", HERE, 48),  # tRC
    ("hbm2_2000", "ACT", HERE, "ACT", OTHER, 4),  # tRRDS
    ("hbm2_2000", "RD", HERE, "RD", OTHER, 2),  # tCCDS
    ("hbm2_2000", "RD", HERE, "RD", GROUP, 4),  # tCCDL
    ("hbm2_2000", "RD", HERE, "WR", OTHER, 13),  # tCL 14 + BL 2 + 2 - tCWL 5
    ("hbm2_2000", "WR", HERE, "RD", OTHER, 13),  # tCWL 5 + BL 2 + tWTRS 6
    ("hbm2_2000", "WR", HERE, "RD", GROUP, 15),  # tCWL 5 + BL 2 + tWTRL 8
    ("hbm2_2000", "WR", HERE, "PRE", HERE, 23),  # tCWL 5 + BL 2 + tWR 16
    ("hbm2_2000", "REFab", (0,), "ACT", HERE, 159),  # tRFC 160 + 1 - 2
    ("hbm4_8000", "ACT", HERE, "RD", HERE, 79),  # tRCDRD 39 clocks, 78 + 3 - 2
    ("hbm4_8000", "PRE", HERE, "ACT", HERE, 64),  # tRP 33 clocks, 66 + 1 - 3
    ("hbm4_8000", "RD", HERE, "WR", OTHER, 50),  # tRTW 25 clocks
    ("hbm4_8000", "WR", HERE, "RD", GROUP, 50),  # (tCWL 10 + BL 2 + tWTRL 13) x 2
    ("ddr5_4800", "ACT", HERE, "RD", HERE, 34),  # 14.144 ns of 0.416 ns
    ("ddr5_4800", "RD", HERE, "RD", GROUP, 12),  # 4.992 ns, more than 8
    ("ddr5_4800", "WR", HERE, "WR", GROUP, 48),  # 19.968 ns, more than 32
    ("ddr5_4800", "WR", HERE, "RD", GROUP, 64),  # tCWL 32 + BL 8 + tWTRL 24
    ("gddr6_14000", "RD", HERE, "WR", OTHER, 25),  # tCL 24 + 1
    ("gddr6_14000", "WR", HERE, "PRE", HERE, 38),  # tCWL 6 + BL 2 + tWR 30
    ("lpddr5_6400", "ACT", HERE, "RD", HERE, 15),  # 18.75 ns of 1.25 ns
    ("lpddr5_6400", "WR", HERE, "RD", OTHER, 16),  # tCWL 9 + BL/n_min 2 + tWTRS 5
    ("lpddr5_6400", "WR", HERE, "RD", GROUP, 23),  # tCWL 9 + BL/n_max 4 + tWTRL 10
    ("lpddr5_6400", "PREA", (0,), "ACT", HERE, 17),  # tRPab
]  # fmt: skip


@pytest.mark.parametrize(("memory", "first", "at", "second", "then", "ticks"), BY_HAND)
def test_delays_by_hand(
    memory: str, first: str, at: tuple[int, ...], second: str, then: tuple[int, ...], ticks: int
) -> None:
    def too_early(wait: int) -> bool:
        found = replay(memory, [(1001, first, at, 5), (1001 + wait, second, then, 5)])
        return any(v.missing_ticks and v.rule.startswith(("t", "command")) for v in found)

    assert too_early(ticks - 1)
    assert not too_early(ticks)


def test_the_fifth_activate_waits_for_the_first() -> None:
    """DDR5: tFAW 48 ticks; four activates, 8 ticks (tRRDS) apart, and one more."""
    lines: list[Line] = [(1 + 8 * i, "ACT", (0, 0, i, 0), 5) for i in range(4)]
    assert broken("ddr5_4800", [*lines, (48, "ACT", (0, 0, 4, 0), 5)]) == {"tFAW"}
    assert not broken("ddr5_4800", [*lines, (49, "ACT", (0, 0, 4, 0), 5)])


def test_another_stack_id_waits_for_its_own_delay() -> None:
    """HBM3: tCCDR between stack ids; a read every 2 clocks within one."""
    rule = next(r for r in rules_of(load_memory("hbm3_6400")) if r.siblings)
    lines: list[Line] = [(1, "RD", (0, 0, 0, 0), 5), (1 + rule.ticks - 2, "RD", (0, 1, 0, 0), 5)]
    assert "tCCDR" in broken("hbm3_6400", lines)
    assert "tCCDR" not in broken("hbm3_6400", [lines[0], (1 + rule.ticks, *lines[1][1:])])


def test_a_message_names_both_commands_and_what_is_missing() -> None:
    found = replay("hbm2_2000", [(1, "ACT", HERE, 5), (10, "RD", HERE, 5)])
    assert [v.message for v in found] == [
        "tick 10: RD rank 0, stack 0, group 0, bank 0: 9 ticks after ACT rank 0, stack 0, group 0, "
        "bank 0 at tick 1, tRCDRD needs 15: 6 too early"
    ]
    assert (found[0].tick, found[0].rule, found[0].missing_ticks) == (10, "tRCDRD", 6)


# Commands far enough apart that only what is open or closed matters.
STATES: list[tuple[str, list[tuple[str, tuple[int, ...], int]], str]] = [
    ("hbm2_2000", [("RD", HERE, 5)], "the bank is closed"),
    ("hbm2_2000", [("ACT", HERE, 5), ("WR", HERE, 6)], "row 6, but row 5 is open"),
    ("hbm2_2000", [("ACT", HERE, 5), ("ACT", HERE, 6)], "row 5 is open"),
    ("hbm2_2000", [("ACT", HERE, 5), ("REFab", (0,), -1)], "1 banks are open, first rank 0, stack"),
    ("hbm2_2000", [("ACT", HERE, 5), ("REFpb", HERE, -1)], "row 5 is open"),
    ("hbm2_2000", [("ACT", HERE, 5), ("RDA", HERE, 5), ("RD", HERE, 5)], "the bank is closed"),
    ("hbm2_2000", [("ACT", HERE, 5), ("PREA", (0,), -1), ("RD", HERE, 5)], "the bank is closed"),
    ("hbm2_2000", [("ACT", HERE, 5), ("REFab", (1,), -1), ("RD", HERE, 5)], ""),
    ("hbm2_2000", [("ACT", HERE, 5), ("REFpb", OTHER, -1), ("RD", HERE, 5)], ""),
    ("hbm2_2000", [("PRE", HERE, -1), ("ACT", HERE, 5), ("WRA", HERE, 5), ("ACT", HERE, 7)], ""),
    ("lpddr5_6400", [("ACT", HERE, 5), ("CAS", HERE, -1)], "the row is half open, ACT2 is missing"),
    ("lpddr5_6400", [("ACT2", HERE, 5)], "no ACT before it"),
    ("lpddr5_6400", [("ACT", HERE, 5), ("ACT2", HERE, 6)], "row 6, but ACT was for row 5"),
    ("lpddr5_6400", [("ACT", HERE, 5), ("PRE", HERE, 5)], "the row is half open, ACT2 is missing"),
    ("lpddr5_6400", [("ACT", HERE, 5), ("PREA", (0,), 5)], "is half open, ACT2 is missing"),
]


@pytest.mark.parametrize(("memory", "commands", "expected"), STATES)
def test_what_must_be_open_or_closed(
    memory: str, commands: list[tuple[str, tuple[int, ...], int]], expected: str
) -> None:
    lines = [(1 + 600 * i, command, at, row) for i, (command, at, row) in enumerate(commands)]
    found = [v.message for v in replay(memory, lines) if v.rule == "state"]
    assert any(expected in message for message in found) if expected else not found


def test_the_second_half_of_an_activate_comes_within_its_window() -> None:
    """LPDDR5: tAAD is 8 clocks."""
    for wait, expected in ((1, set()), (8, set()), (9, {"tAAD"})):
        lines: list[Line] = [(1, "ACT", HERE, 5), (1 + wait, "ACT2", HERE, 5)]
        assert broken("lpddr5_6400", lines) == expected


def test_the_data_clock_runs_on_for_a_while() -> None:
    """LPDDR5: tCL 17 + BL 2 + tWCKPST 1 after a command that needs it."""
    start: list[Line] = [(1, "ACT", HERE, 5), (2, "ACT2", HERE, 5)]
    assert broken("lpddr5_6400", [*start, (30, "RD", HERE, 5)]) == {"data clock"}
    on = [*start, (30, "CAS", HERE, -1), (31, "RD", HERE, 5)]
    assert not broken("lpddr5_6400", [*on, (51, "RD", HERE, 5)])
    assert broken("lpddr5_6400", [*on, (52, "RD", HERE, 5)]) == {"data clock"}


def test_one_command_at_a_time_on_a_bus() -> None:
    both: list[Line] = [(1, "ACT", HERE, 5), (101, "RD", HERE, 5), (101, "PRE", OTHER, -1)]
    assert not broken("hbm2_2000", both)
    assert broken("gddr6_14000", both) == {"command bus"}
    rows: list[Line] = [(101, "PRE", OTHER, -1), (101, "PRE", (1, 0, 0, 0), -1)]
    assert broken("hbm2_2000", rows) == {"command bus"}
    assert not broken("hbm2_2000", [(1, "ACT", HERE, 5), (3, "PRE", (1, 0, 0, 0), -1)])
    assert "command bus" in broken("hbm2_2000", [(1, "ACT", HERE, 5), (2, "PRE", (1, 0, 0, 0), -1)])


def test_only_precharges_start_on_falling_edges() -> None:
    """HBM3: ticks are half clocks, rising ones odd."""
    assert broken("hbm3_6400", [(2, "ACT", HERE, 5)]) == {"rising edge"}
    assert broken("hbm3_6400", [(2, "REFab", (0,), -1)]) == {"rising edge"}
    assert not broken("hbm3_6400", [(2, "PRE", HERE, -1)])
    assert not broken("hbm2_2000", [(2, "ACT", HERE, 5)])


def refreshes(n: int, apart: int) -> list[Line]:
    return [(1 + i * apart, "REFab", (0,), -1) for i in range(n)]


def test_at_most_eight_refreshes_are_postponed() -> None:
    """HBM2: one per 3900 ticks."""
    assert not broken("hbm2_2000", refreshes(30, 3900))
    assert not broken("hbm2_2000", [(1, "PRE", HERE, -1), (1 + 9 * 3900, "REFab", (0,), -1)])
    found = replay("hbm2_2000", [(1, "PRE", HERE, -1), (2 + 9 * 3900, "REFab", (0,), -1)])
    assert [v.rule for v in found] == ["tREFI"]
    assert "one was due by tick 35101" in found[0].message
    assert broken("hbm2_2000", refreshes(100, 4400)) == {"tREFI"}
    late: list[Line] = [*refreshes(3, 3900), (50_000, "PRE", HERE, -1)]
    assert broken("hbm2_2000", late) == {"tREFI"}
    assert not broken("hbm2_2000", [(1, "PRE", HERE, -1), (500_000, "PRE", HERE, -1)])


def test_refreshes_in_advance_count_for_eight_intervals() -> None:
    early = refreshes(40, 400)
    last = early[-1][0]
    assert not broken("hbm2_2000", [*early, (last + 17 * 3900, "PRE", HERE, -1)])
    assert broken("hbm2_2000", [*early, (last + 17 * 3900 + 1, "PRE", HERE, -1)]) == {"tREFI"}


def test_a_rank_that_is_never_refreshed_is_found() -> None:
    lines = sorted([*refreshes(12, 3900), (9, "ACT", (1, 0, 0, 0), 5)])
    assert {v.place for v in replay("hbm2_2000", lines)} == {(1,)}


def test_channels_are_checked_apart() -> None:
    lines: list[Line] = [(1, "ACT", HERE, 5), (1, "ACT", HERE, 6)]
    assert not replay("hbm2_2000", lines, channel=[0, 1])
    assert {v.channel for v in replay("hbm2_2000", lines, channel=[3, 3])} == {3}


def test_an_empty_trace_is_legal() -> None:
    assert replay("hbm2_2000", []) == ()


def test_what_is_no_trace_is_refused() -> None:
    memory = load_memory("hbm2_2000")
    with pytest.raises(SimulationError, match="unknown command 'ACTIVATE': did you mean 'ACT'"):
        replay("hbm2_2000", [(1, "ACTIVATE", HERE, 5)])
    with pytest.raises(SimulationError, match="no column row among tick"):
        columns = {"tick": [1], "command": ["ACT"], "rank": [0], "stack": [0], "group": [0]}
        dram_violations(memory, pd.DataFrame({**columns, "bank": [0]}))
    with pytest.raises(SimulationError, match="ACT at tick 1 after tick 5: sort it by time"):
        replay("hbm2_2000", [(5, "PRE", HERE, -1), (1, "ACT", HERE, 5)])


POLICIES: list[dict[str, Any]] = [
    {},
    {"page_policy": "closed", "refresh": "per-bank", "scheduler": "fcfs"},
    {"page_policy": "adaptive", "refresh": "per-bank", "write_queue": 8},
    {"page_policy": "closed", "channels": 2, "read_queue": 8},
    {"outstanding": 1, "page_policy": "adaptive"},
]


def traffic() -> Iterator[tuple[np.ndarray[Any, np.dtype[np.int64]], bool]]:
    """Spread out, and among few rows."""
    rng = np.random.default_rng(5)
    for accesses, write in ((1 << 21, False), (1 << 9, True)):
        yield 64 * rng.integers(0, accesses, 300), write


@pytest.mark.parametrize("name", MEMORIES)
def test_the_controller_breaks_no_rule(name: str) -> None:
    memory = load_memory(name)
    for addresses, mixed in traffic():
        writes = np.arange(addresses.size) % 3 == 0 if mixed else False
        for policy in POLICIES:
            options = dict(policy)
            if memory.standard in WHOLE_RANK_ONLY:
                options.pop("refresh", None)
            run = simulate_dram(name, addresses, writes, trace_commands=20_000, **options)
            assert run.trace is not None
            assert [v.message for v in dram_violations(memory, run.trace)] == []
