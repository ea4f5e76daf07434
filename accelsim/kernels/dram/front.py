"""Transactions in program order into the channels, and channels run to their end."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from accelsim.kernels.dram.channel import step
from accelsim.kernels.dram.layout import (
    ACTIVES,
    CLOSE_SLOT,
    CLOSE_TICK,
    COLUMN_TICK,
    DRAINING,
    FORWARDED,
    ISSUED,
    LAST,
    LONG_AGO,
    MERGED,
    NEVER,
    NOW,
    OFFERED,
    OPEN_ROW,
    OPEN_TICK,
    QUEUED,
    RD,
    RDA,
    READ_TICKS,
    SLOT_BANK,
    TAKEN,
    WR,
    WRA,
)
from accelsim.kernels.dram.queues import FULL, NEW_HIT, NEW_MISS, accept
from accelsim.kernels.dram.scheduling import consider_close, consider_column, consider_open
from accelsim.kernels.jit import bare_kernel, inlined, parallel_kernel, prange

Table = NDArray[np.int64]
Tables = NDArray[np.int64]
Places = NDArray[np.int32]
Latencies = NDArray[np.int32]


@inlined
def welcome(cells: Table, ready: Table, bank: int, write: int, answer: int) -> None:
    """Bring the choices kept up to date with a transaction that has just arrived."""
    if write != cells[0, DRAINING]:
        return
    since = cells[0, NOW] + 1
    if answer == NEW_HIT:
        if cells[0, COLUMN_TICK] >= since:
            consider_column(cells, ready, bank, since)
        if cells[cells[0, CLOSE_SLOT], SLOT_BANK] == bank:
            cells[0, CLOSE_TICK] = LONG_AGO
    elif answer == NEW_MISS:
        if cells[bank, OPEN_ROW] < 0:
            if cells[0, OPEN_TICK] >= since:
                consider_open(cells, ready, bank, since)
        elif cells[0, CLOSE_TICK] >= since:
            consider_close(cells, ready, bank, since)


@inlined
def take_one(cells: Table, ready: Table, places: Places, tx: int) -> bool:
    """Accept one transaction, unless its queue is full."""
    bank, write = 1 + places[tx, 0], places[tx, 3]
    answer = accept(cells, tx, bank, places[tx, 1], places[tx, 2], write)
    if answer == FULL:
        return False
    welcome(cells, ready, bank, write, answer)
    return True


@inlined
def take(cells: Table, ready: Table, places: Places, mine: Table) -> None:
    """Accept transactions that were offered, in order, until one does not fit."""
    while cells[0, TAKEN] < cells[0, OFFERED]:
        if not take_one(cells, ready, places, mine[cells[0, TAKEN]]):
            return
        cells[0, TAKEN] += 1


@inlined
def has_work(cells: Table) -> bool:
    """Whether a transaction waits in a channel or before it."""
    waiting = cells[0, QUEUED] + cells[0, QUEUED + 1] + cells[0, ACTIVES]
    return bool(waiting > 0 or cells[0, TAKEN] < cells[0, OFFERED])


@bare_kernel
def finish(
    cells: Table,
    ready: Table,
    rules: Table,
    places: Places,
    mine: Table,
    out_trace: Table,
    out_latency_ticks: Latencies,
) -> bool:
    """Run a channel until all that was offered is done; False if it stands still before."""
    take(cells, ready, places, mine)
    while has_work(cells):
        if step(cells, ready, rules, NEVER - 1, out_trace, out_latency_ticks) == NEVER:
            return False
        take(cells, ready, places, mine)
    return True


@bare_kernel
def rest(
    cells: Tables,
    ready: Tables,
    rules: Table,
    out_trace: Tables,
    out_latency_ticks: Latencies,
) -> None:
    """Let channels that are done refresh on until the last of them is."""
    last = 0
    for c in range(cells.shape[0]):
        last = max(last, cells[c, 0, LAST])
    for c in range(cells.shape[0]):
        while step(cells[c], ready[c], rules, last, out_trace[c], out_latency_ticks) != NEVER:
            pass


@bare_kernel
def run_one(
    cells: Table,
    ready: Table,
    rules: Table,
    places: Places,
    mine: Table,
    out_trace: Table,
    out_latency_ticks: Latencies,
) -> bool:
    """Run one channel from its first transaction to its last."""
    cells[0, OFFERED] = mine.size
    return bool(finish(cells, ready, rules, places, mine, out_trace, out_latency_ticks))


@parallel_kernel
def run_apart(
    cells: Tables,
    ready: Tables,
    rules: Table,
    places: Places,
    first: Table,
    order: Table,
    out_trace: Tables,
    out_latency_ticks: Latencies,
    out_done: NDArray[np.bool_],
) -> None:
    """Run channels that do not wait for each other, on all threads."""
    for c in prange(cells.shape[0]):
        mine = order[first[c] : first[c + 1]]
        out_done[c] = run_one(
            cells[c], ready[c], rules, places, mine, out_trace[c], out_latency_ticks
        )


@bare_kernel
def run_in_order(
    cells: Tables,
    ready: Tables,
    rules: Table,
    places: Places,
    channel_of: NDArray[np.int32],
    first: Table,
    order: Table,
    stage_depth: int,
    out_trace: Tables,
    out_latency_ticks: Latencies,
) -> bool:
    """Run channels behind one front end that stops at the first full stage.

    Every channel is run only as far as the front end has come, when it is asked for room.
    """
    now = 0
    for tx in range(channel_of.size):
        c = channel_of[tx]
        mine = order[first[c] : first[c + 1]]
        channel, ready_at = cells[c], ready[c]
        while step(channel, ready_at, rules, now, out_trace[c], out_latency_ticks) != NEVER:
            take(channel, ready_at, places, mine)
        channel[0, NOW] = max(channel[0, NOW], now)
        while channel[0, OFFERED] - channel[0, TAKEN] >= stage_depth:
            tick = step(channel, ready_at, rules, NEVER - 1, out_trace[c], out_latency_ticks)
            if tick == NEVER:
                return False
            now = tick
            take(channel, ready_at, places, mine)
        channel[0, OFFERED] += 1
        take(channel, ready_at, places, mine)
    for c in range(first.size - 1):
        mine = order[first[c] : first[c + 1]]
        if not finish(cells[c], ready[c], rules, places, mine, out_trace[c], out_latency_ticks):
            return False
    return True


@inlined
def moved(cells: Table) -> tuple[int, int]:
    """Reads and writes that a channel has answered with data."""
    reads = cells[0, ISSUED + RD] + cells[0, ISSUED + RDA]
    return reads, cells[0, ISSUED + WR] + cells[0, ISSUED + WRA]


@bare_kernel
def run_window(
    cells: Tables,
    ready: Tables,
    rules: Table,
    places: Places,
    channel_of: NDArray[np.int32],
    window: int,
    out_trace: Tables,
    out_latency_ticks: Latencies,
    returns: Table,
) -> bool:
    """Run channels behind one front end with at most `window` transactions under way.

    Goes tick by tick: what returns decides what may go. `returns` [transactions] is scratch.
    """
    now, tx, under_way, head, tail = 0, 0, 0, 0, 0
    busy = True
    while tx < channel_of.size or busy:
        while head < tail and returns[head] <= now:
            head += 1
            under_way -= 1
        while tx < channel_of.size and under_way < window:
            channel = cells[channel_of[tx]]
            answered = channel[0, FORWARDED] + channel[0, MERGED]
            if not take_one(channel, ready[channel_of[tx]], places, tx):
                break
            under_way += 1 - (channel[0, FORWARDED] + channel[0, MERGED] - answered)
            tx += 1
        now += 1
        busy = False
        for c in range(cells.shape[0]):
            channel = cells[c]
            reads, writes = moved(channel)
            step(channel, ready[c], rules, now, out_trace[c], out_latency_ticks)
            channel[0, NOW] = now
            reads_after, writes_after = moved(channel)
            under_way -= writes_after - writes
            if reads_after > reads:
                returns[tail] = now + channel[0, READ_TICKS]
                tail += 1
            busy = busy or has_work(channel)
        if now >= NEVER:
            return False
    return True
