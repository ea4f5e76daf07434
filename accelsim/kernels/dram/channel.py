"""One channel in time: jump to the next tick at which a command can go, and let it go."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from accelsim.kernels.dram.layout import (
    ACTIVE_BANK,
    ACTIVE_TICK,
    ALL_BANK,
    BANKS,
    CLOSE_SLOT,
    CLOSE_TICK,
    COLUMN_SLOT,
    COLUMN_TICK,
    DUE,
    FCFS,
    HALF_OPEN,
    HALVES,
    LONG_AGO,
    NEVER,
    NEXT_REFRESH,
    NOW,
    OPEN_SLOT,
    OPEN_TICK,
    OPEN_WINDOW,
    OPENED_AT,
    REFRESH,
    SCHEDULER,
    SHARED_TICKS,
    SLOT_BANK,
    SPLIT_BUS,
)
from accelsim.kernels.dram.refresh import choose_refresh, fall_due, issue_refresh
from accelsim.kernels.dram.scheduling import (
    choose_active,
    choose_close,
    choose_column,
    choose_mode,
    choose_open,
    find_oldest,
    goes_before,
)
from accelsim.kernels.dram.serving import open_fully, serve_active, serve_hit, serve_row
from accelsim.kernels.jit import bare_kernel, inlined

Table = NDArray[np.int64]
Latencies = NDArray[np.int32]


@inlined
def choose_rows(cells: Table, ready: Table, since: int) -> None:
    """Make sure that the kept choices for the row bus are good."""
    if cells[0, SCHEDULER] == FCFS:
        find_oldest(cells)
    if cells[0, OPEN_TICK] < since:
        choose_open(cells, ready, since)
    if cells[0, CLOSE_TICK] < since:
        choose_close(cells, ready, since)


@inlined
def row_turn(cells: Table) -> tuple[int, int]:
    """Tick and slot of the kept choice for the row bus."""
    opens, opening = cells[0, OPEN_TICK], cells[0, OPEN_SLOT]
    closes, closing = cells[0, CLOSE_TICK], cells[0, CLOSE_SLOT]
    if goes_before(cells, opening, opens, closing, closes):
        return opens, opening
    return closes, closing


@bare_kernel
def opening_due(cells: Table, since: int, at_once: bool) -> tuple[int, int]:
    """Tick and bank of the half-open row that must open wholly first."""
    opened, first = NEVER, 0
    if cells[0, HALVES]:
        for bank in range(1, cells[0, BANKS] + 1):
            if cells[bank, HALF_OPEN] and cells[bank, OPENED_AT] < opened:
                opened, first = cells[bank, OPENED_AT], bank
    if first == 0:
        return NEVER, 0
    return since if at_once else max(since, opened + cells[0, OPEN_WINDOW]), first


@inlined
def serve_column(
    cells: Table, ready: Table, rules: Table, out_trace: Table, out_latency_ticks: Latencies
) -> None:
    """Serve the kept choice of the queue for the column bus."""
    slot = cells[0, COLUMN_SLOT]
    bank = cells[slot, SLOT_BANK]
    if cells[bank, HALF_OPEN]:
        open_fully(cells, ready, rules, bank, out_trace)
    else:
        serve_hit(cells, ready, rules, slot, out_trace, out_latency_ticks)


@inlined
def tick_on_one_bus(
    cells: Table,
    ready: Table,
    rules: Table,
    refresh: tuple[int, int, int],
    forced: tuple[int, int],
    out_trace: Table,
    out_latency_ticks: Latencies,
) -> None:
    """Let one command go at the present tick."""
    tick = cells[0, NOW]
    row, row_slot = row_turn(cells)
    if forced[0] == tick:
        open_fully(cells, ready, rules, forced[1], out_trace)
    elif cells[0, ACTIVE_TICK] == tick:
        serve_active(cells, ready, rules, cells[0, ACTIVE_BANK], out_trace, out_latency_ticks)
    elif refresh[0] == tick:
        issue_refresh(cells, ready, rules, out_trace, refresh[1], refresh[2])
    elif cells[0, COLUMN_TICK] == tick and goes_before(
        cells, cells[0, COLUMN_SLOT], tick, row_slot, row
    ):
        serve_column(cells, ready, rules, out_trace, out_latency_ticks)
    else:
        serve_row(cells, ready, rules, row_slot, out_trace)
    for kept in (ACTIVE_TICK, COLUMN_TICK, OPEN_TICK, CLOSE_TICK):
        if cells[0, kept] <= tick + cells[0, SHARED_TICKS]:
            cells[0, kept] = LONG_AGO


@inlined
def tick_on_two_buses(
    cells: Table,
    ready: Table,
    rules: Table,
    refresh: tuple[int, int, int],
    from_queue: bool,
    out_trace: Table,
    out_latency_ticks: Latencies,
) -> None:
    """Let a column command and a row command go at the present tick."""
    tick = cells[0, NOW]
    if cells[0, ACTIVE_TICK] == tick:
        serve_active(cells, ready, rules, cells[0, ACTIVE_BANK], out_trace, out_latency_ticks)
    elif from_queue and cells[0, COLUMN_TICK] == tick:
        serve_column(cells, ready, rules, out_trace, out_latency_ticks)
    if refresh[0] == tick:
        issue_refresh(cells, ready, rules, out_trace, refresh[1], refresh[2])
    elif from_queue:
        choose_mode(cells)
        choose_rows(cells, ready, tick)
        row, slot = row_turn(cells)
        if row == tick:
            serve_row(cells, ready, rules, slot, out_trace)


@bare_kernel
def step(
    cells: Table,
    ready: Table,
    rules: Table,
    limit: int,
    out_trace: Table,
    out_latency_ticks: Latencies,
) -> int:
    """Run the next tick with a command, unless it lies beyond `limit`; return it, or NEVER."""
    while cells[0, NOW] < limit:
        wake = cells[0, NOW] + 1
        if cells[0, NEXT_REFRESH] == wake:
            fall_due(cells)
        from_queue = cells[0, DUE] == 0 or cells[0, REFRESH] != ALL_BANK
        refresh = choose_refresh(cells, ready, wake)
        forced = opening_due(cells, wake, not from_queue)
        if cells[0, ACTIVE_TICK] < wake:
            choose_active(cells, ready, wake)
        tick = min(cells[0, ACTIVE_TICK], refresh[0], forced[0])
        if from_queue:
            if cells[0, ACTIVE_TICK] > wake:
                choose_mode(cells)
                if cells[0, SCHEDULER] == FCFS:
                    find_oldest(cells)
                if cells[0, COLUMN_TICK] < wake:
                    choose_column(cells, ready, wake)
                tick = min(tick, cells[0, COLUMN_TICK])
            choose_rows(cells, ready, wake)
            tick = min(tick, row_turn(cells)[0])
        if cells[0, NEXT_REFRESH] <= tick:
            if cells[0, NEXT_REFRESH] > limit:
                return NEVER
            cells[0, NOW] = cells[0, NEXT_REFRESH] - 1
            continue
        if tick > limit:
            return NEVER
        cells[0, NOW] = tick
        if cells[0, SPLIT_BUS]:
            tick_on_two_buses(
                cells, ready, rules, refresh, from_queue, out_trace, out_latency_ticks
            )
        else:
            tick_on_one_bus(cells, ready, rules, refresh, forced, out_trace, out_latency_ticks)
        return int(tick)
    return NEVER
