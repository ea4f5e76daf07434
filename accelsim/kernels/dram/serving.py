"""What a transaction's turn does: its command, its end, and what is left to choose from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from accelsim.kernels.dram.commands import issue
from accelsim.kernels.dram.layout import (
    ACT,
    ACT2,
    ACTIVE,
    ACTIVE_TICK,
    ADAPTIVE_PAGE,
    ARRIVED,
    CAS,
    CLOSE_SLOT,
    CLOSE_TICK,
    COLUMN_SLOT,
    COLUMN_TICK,
    CONFLICTS,
    DRAINING,
    HALF_OPEN,
    HALVES,
    HIT,
    HIT_PLACE,
    HITS,
    KEEP_OPEN,
    LAST,
    LAST_ROW,
    LONG_AGO,
    MISS_PLACE,
    MISSES,
    NOW,
    OPEN_PAGE,
    OPEN_ROW,
    OPEN_TICK,
    PAGE,
    PRE,
    RD,
    RDA,
    READ_TICKS,
    SEEN,
    SHARED_TICKS,
    SHUT_PLACE,
    SLOT_BANK,
    SLOT_COLUMN,
    SLOT_ROW,
    SLOT_WRITE,
    SYNC_TICKS,
    SYNCED,
    TWO_STEP,
    TX,
    WR,
    WRA,
)
from accelsim.kernels.dram.queues import (
    close_bank,
    finish_active,
    make_active,
    sort_bank,
    take_hit,
)
from accelsim.kernels.dram.scheduling import (
    consider_active,
    consider_close,
    consider_column,
    consider_open,
)
from accelsim.kernels.jit import bare_kernel, inlined

Table = NDArray[np.int64]


@inlined
def closes_row(cells: Table, bank: int) -> bool:
    """Whether the page policy closes the row behind a column command, nobody waiting for it."""
    if cells[0, PAGE] == OPEN_PAGE or cells[bank, ACTIVE]:
        return False
    if cells[bank, HIT] or cells[bank, HIT + 1]:
        return False
    return bool(cells[0, PAGE] != ADAPTIVE_PAGE or cells[bank, KEEP_OPEN] < 2)


@inlined
def clock_runs(cells: Table, ready: Table, rules: Table, out_trace: Table, bank: int) -> bool:
    """Whether the data clock runs; if it has stopped, this tick goes into starting it."""
    running = cells[0, NOW] <= cells[0, SYNCED]
    if not running:
        issue(cells, ready, rules, out_trace, CAS, bank, -1, -1)
    cells[0, SYNCED] = cells[0, NOW] + cells[0, SYNC_TICKS]
    return bool(running)


@inlined
def review_rows(cells: Table, ready: Table, bank: int) -> None:
    """Bring the choices for the row bus up to date with what has changed at one bank."""
    since = cells[0, NOW] + 1
    write = cells[0, DRAINING]
    if cells[bank, SHUT_PLACE + write] and cells[0, OPEN_TICK] >= since:
        consider_open(cells, ready, bank, since)
    if cells[cells[0, CLOSE_SLOT], SLOT_BANK] == bank:
        cells[0, CLOSE_TICK] = LONG_AGO
    elif cells[bank, MISS_PLACE + write] and cells[0, CLOSE_TICK] >= since:
        consider_close(cells, ready, bank, since)


@inlined
def move_data(
    cells: Table,
    ready: Table,
    rules: Table,
    slot: int,
    out_trace: Table,
    out_latency_ticks: NDArray[np.int32],
) -> None:
    """Read or write for a transaction that has left its queue; a write is done with its command."""
    bank = cells[slot, SLOT_BANK]
    done = cells[0, NOW]
    command = WR
    if not cells[slot, SLOT_WRITE]:
        done += cells[0, READ_TICKS]
        command = RD
    cells[0, LAST] = max(cells[0, LAST], done)
    out_latency_ticks[cells[slot, TX]] = done - cells[slot, ARRIVED]
    closing = closes_row(cells, bank)
    if closing:
        command = RDA if command == RD else WRA
    issue(
        cells, ready, rules, out_trace, command, bank, cells[slot, SLOT_ROW],
        cells[slot, SLOT_COLUMN],
    )  # fmt: skip
    if closing:
        close_bank(cells, bank)
    cells[0, ACTIVE_TICK] = LONG_AGO
    cells[0, COLUMN_TICK] = LONG_AGO
    review_rows(cells, ready, bank)


@inlined
def serve_active(
    cells: Table,
    ready: Table,
    rules: Table,
    bank: int,
    out_trace: Table,
    out_latency_ticks: NDArray[np.int32],
) -> None:
    """Read or write for the transaction for which a row was opened."""
    if cells[0, SYNC_TICKS] and not clock_runs(cells, ready, rules, out_trace, bank):
        cells[0, ACTIVE_TICK] = LONG_AGO
        return
    slot = cells[bank, ACTIVE]
    finish_active(cells, bank)
    move_data(cells, ready, rules, slot, out_trace, out_latency_ticks)


@inlined
def serve_hit(
    cells: Table,
    ready: Table,
    rules: Table,
    slot: int,
    out_trace: Table,
    out_latency_ticks: NDArray[np.int32],
) -> None:
    """Read or write for a queued transaction that hits an open row."""
    bank = cells[slot, SLOT_BANK]
    if cells[0, SYNC_TICKS] and not clock_runs(cells, ready, rules, out_trace, bank):
        cells[0, COLUMN_TICK] = LONG_AGO
        return
    if not cells[slot, SEEN]:
        cells[slot, SEEN] = 1
        cells[0, HITS] += 1
    take_hit(cells, slot)
    move_data(cells, ready, rules, slot, out_trace, out_latency_ticks)


@bare_kernel
def open_fully(cells: Table, ready: Table, rules: Table, bank: int, out_trace: Table) -> None:
    """Give the second activate command of LPDDR5."""
    slot = cells[bank, HALF_OPEN]
    issue(
        cells, ready, rules, out_trace, ACT2, bank, cells[slot, SLOT_ROW],
        cells[slot, SLOT_COLUMN],
    )  # fmt: skip
    cells[bank, HALF_OPEN] = 0
    cells[0, HALVES] -= 1
    make_active(cells, slot)
    sort_bank(cells, bank)
    cells[0, ACTIVE_TICK] = LONG_AGO
    cells[0, COLUMN_TICK] = LONG_AGO


@inlined
def serve_row(cells: Table, ready: Table, rules: Table, slot: int, out_trace: Table) -> None:
    """Open or close a row for a queued transaction; its first command says miss or conflict."""
    bank, row = cells[slot, SLOT_BANK], cells[slot, SLOT_ROW]
    opening = cells[bank, OPEN_ROW] < 0
    if not cells[slot, SEEN]:
        cells[slot, SEEN] = 1
        cells[0, MISSES if opening else CONFLICTS] += 1
    command = ACT if opening else PRE
    issue(cells, ready, rules, out_trace, command, bank, row, cells[slot, SLOT_COLUMN])
    if not opening:
        cells[bank, KEEP_OPEN] = max(cells[bank, KEEP_OPEN] - 1, 0)
        close_bank(cells, bank)
        review_rows(cells, ready, bank)
        cells[0, CLOSE_TICK] = LONG_AGO
        if cells[cells[0, COLUMN_SLOT], SLOT_BANK] == bank:
            cells[0, COLUMN_TICK] = LONG_AGO
        return
    cells[0, OPEN_TICK] = LONG_AGO
    if cells[0, CLOSE_TICK] <= cells[0, NOW] + cells[0, SHARED_TICKS]:
        cells[0, CLOSE_TICK] = LONG_AGO
    if cells[bank, LAST_ROW] == row:
        cells[bank, KEEP_OPEN] = min(cells[bank, KEEP_OPEN] + 1, 3)
    cells[bank, LAST_ROW] = row
    if cells[0, TWO_STEP]:
        cells[bank, HALF_OPEN] = slot
        cells[0, HALVES] += 1
    else:
        make_active(cells, slot)
    sort_bank(cells, bank)
    since = cells[0, NOW] + 1
    if cells[bank, ACTIVE] and cells[0, ACTIVE_TICK] >= since:
        consider_active(cells, ready, bank, since)
    if cells[bank, HIT_PLACE + cells[0, DRAINING]] and cells[0, COLUMN_TICK] >= since:
        consider_column(cells, ready, bank, since)
    review_rows(cells, ready, bank)
