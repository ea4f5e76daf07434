"""Commands on the bus: when the constraints allow one, and what issuing it does to a channel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from accelsim.kernels.dram.layout import (
    ACT,
    ACTIVATES,
    BANK,
    BANKS_PER_RANK,
    FIRST,
    ISSUED,
    NOW,
    OPEN_ROW,
    OPENED_AT,
    PAST,
    PRE,
    PREA,
    RANK,
    RINGS,
    RISING_ONLY,
    RULE_AFTER,
    RULE_LEVEL,
    RULE_SIBLING,
    RULE_TICKS,
    RULE_WINDOW,
    RULES_BEGIN,
    RULES_END,
    TRACED,
)
from accelsim.kernels.jit import bare_kernel, inlined

Table = NDArray[np.int64]


@inlined
def earliest(cells: Table, ready: Table, command: int, bank: int, since: int) -> int:
    """First tick from `since` on at which `command` breaks no constraint at `bank`."""
    tick = max(since, ready[command, bank])
    if cells[0, RISING_ONLY] and command not in (PRE, PREA):
        tick |= 1
    return int(tick)


@inlined
def push_back(ready: Table, command: int, first: int, past: int, until: int) -> None:
    """Forbid a command before `until` at a range of banks."""
    for bank in range(np.uint64(first), np.uint64(past)):
        ready[command, bank] = max(ready[command, bank], until)


@inlined
def window_end(cells: Table, bank: int, ring: int, ticks: int) -> int:
    """Until when the fourth-last command keeps the next one away, and note the present one."""
    until = cells[bank, ring] + ticks
    cells[bank, ring] = cells[bank, ring + 1]
    cells[bank, ring + 1] = cells[bank, ring + 2]
    cells[bank, ring + 2] = cells[0, NOW]
    return int(until)


@inlined
def constrain(
    cells: Table, ready: Table, rules: Table, command: int, bank: int, lowest: int
) -> None:
    """Push back what `command` forbids from now on, down to the level `lowest`."""
    tick = cells[0, NOW]
    for r in range(rules[command, RULES_BEGIN], rules[command, RULES_END]):
        level = rules[r, RULE_LEVEL]
        if level > lowest:
            break
        first, past = cells[bank, FIRST + level], cells[bank, PAST + level]
        after = rules[r, RULE_AFTER]
        until = tick + rules[r, RULE_TICKS]
        if rules[r, RULE_WINDOW]:
            ring = RINGS + 3 * (rules[r, RULE_WINDOW] - 1)
            until = window_end(cells, first, ring, rules[r, RULE_TICKS])
        if rules[r, RULE_SIBLING]:
            push_back(ready, after, cells[bank, FIRST + level - 1], first, until)
            push_back(ready, after, past, cells[bank, PAST + level - 1], until)
        else:
            push_back(ready, after, first, past, until)


@bare_kernel
def issue(
    cells: Table, ready: Table, rules: Table, out_trace: Table, command: int, bank: int, row: int,
    column: int,
) -> None:  # fmt: skip
    """Put a command to one bank on the bus at the present tick."""
    constrain(cells, ready, rules, command, bank, BANK)
    note(cells, out_trace, command, bank - 1, row, column)
    if command == ACT:
        cells[bank, OPEN_ROW] = row
        cells[bank, OPENED_AT] = cells[0, NOW]
        cells[bank, ACTIVATES] += 1


@bare_kernel
def issue_to_rank(
    cells: Table, ready: Table, rules: Table, out_trace: Table, command: int, rank: int
) -> None:
    """Put a command to all banks of a rank on the bus at the present tick."""
    constrain(cells, ready, rules, command, 1 + rank * cells[0, BANKS_PER_RANK], RANK)
    note(cells, out_trace, command, rank, -1, -1)


@inlined
def note(cells: Table, out_trace: Table, command: int, where: int, row: int, column: int) -> None:
    """Count a command, and keep it while the trace has room."""
    cells[0, ISSUED + command] += 1
    n = cells[0, TRACED]
    if n < out_trace.shape[0]:
        out_trace[n, 0] = cells[0, NOW]
        out_trace[n, 1] = command
        out_trace[n, 2] = where
        out_trace[n, 3] = row
        out_trace[n, 4] = column
        cells[0, TRACED] = n + 1
