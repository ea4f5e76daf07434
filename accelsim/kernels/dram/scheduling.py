"""Which command goes next: the first that the constraints allow, of those the oldest transaction's.

The best choice of each kind is kept with its tick. It stays the best until a command changes what
it was compared by, so most ticks look at one bank instead of all: `consider_*` compares one bank
with the choice kept, `choose_*` all of them. A kept tick in the past is no choice.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from accelsim.kernels.dram.commands import earliest
from accelsim.kernels.dram.layout import (
    ACT,
    ACT2,
    ACTIVE,
    ACTIVE_BANK,
    ACTIVE_LIST,
    ACTIVE_TICK,
    ACTIVES,
    ARRIVED,
    BANKS,
    CLOSE_SLOT,
    CLOSE_TICK,
    COLUMN_SLOT,
    COLUMN_TICK,
    DRAINING,
    FCFS,
    FR_FCFS_ROWHIT,
    HALF_OPEN,
    HEAD,
    HIGH_WATER,
    HIT,
    HIT_BANKS,
    HIT_LIST,
    LONG_AGO,
    LOW_WATER,
    MISS,
    MISS_BANKS,
    MISS_LIST,
    NEVER,
    OLDEST,
    OPEN_SLOT,
    OPEN_TICK,
    OPENED_AT,
    ORDER,
    PRE,
    QUEUED,
    RD,
    REFRESHING,
    SCHEDULER,
    SHUT_BANKS,
    SHUT_LIST,
    SLOT_WRITE,
    SWITCHES,
    WR,
)
from accelsim.kernels.jit import bare_kernel, inlined

Table = NDArray[np.int64]


@inlined
def choose_mode(cells: Table) -> None:
    """Turn to the writes when many wait or no read does, back when few do and a read waits."""
    reads, writes = cells[0, QUEUED], cells[0, QUEUED + 1]
    if cells[0, DRAINING] == 0:
        if reads > 0 and writes <= cells[0, HIGH_WATER]:
            return
        cells[0, DRAINING] = 1
        cells[0, SWITCHES] += 1
    else:
        if reads == 0 or writes >= cells[0, LOW_WATER]:
            return
        cells[0, DRAINING] = 0
    forget_queue(cells)


@inlined
def forget_queue(cells: Table) -> None:
    """Choose anew from the queue."""
    cells[0, COLUMN_TICK] = LONG_AGO
    cells[0, OPEN_TICK] = LONG_AGO
    cells[0, CLOSE_TICK] = LONG_AGO


@inlined
def forget_choices(cells: Table) -> None:
    """Choose everything anew."""
    cells[0, ACTIVE_TICK] = LONG_AGO
    forget_queue(cells)


@inlined
def consider_active(cells: Table, ready: Table, bank: int, since: int) -> None:
    """Compare the transaction with a row of its own at one bank."""
    slot = cells[bank, ACTIVE]
    tick = earliest(cells, ready, WR if cells[slot, SLOT_WRITE] else RD, bank, since)
    best = cells[0, ACTIVE_TICK]
    if tick > best:
        return
    if tick == best:
        rival = cells[0, ACTIVE_BANK]
        age, other = cells[slot, ARRIVED], cells[cells[rival, ACTIVE], ARRIVED]
        if age > other or (age == other and cells[bank, OPENED_AT] > cells[rival, OPENED_AT]):
            return
    cells[0, ACTIVE_TICK] = tick
    cells[0, ACTIVE_BANK] = bank


@inlined
def choose_active(cells: Table, ready: Table, since: int) -> None:
    """Choose among the transactions with a row of their own."""
    cells[0, ACTIVE_TICK] = NEVER
    for i in range(1, cells[0, ACTIVES] + 1):
        consider_active(cells, ready, cells[i, ACTIVE_LIST], since)


@inlined
def goes_before(cells: Table, slot: int, tick: int, other: int, other_tick: int) -> bool:
    """Whether a queued transaction can go sooner than another, or as soon and is older."""
    if tick != other_tick:
        return bool(tick < other_tick)
    return bool(cells[slot, ORDER] < cells[other, ORDER])


@inlined
def consider_column(cells: Table, ready: Table, bank: int, since: int) -> None:
    """Compare the oldest row hit of one bank that has some, or what opens its row wholly."""
    write = cells[0, DRAINING]
    if cells[bank, REFRESHING] or (
        cells[bank, ACTIVE] and cells[cells[bank, ACTIVE], SLOT_WRITE] == write
    ):
        return  # what was opened for a transaction of the same kind goes before
    slot = cells[bank, HIT + write]
    if cells[0, SCHEDULER] == FCFS and slot != cells[0, OLDEST]:
        return
    command = WR if write else RD
    if cells[bank, HALF_OPEN]:
        if cells[bank, HALF_OPEN] != slot:
            return
        command = ACT2
    tick = earliest(cells, ready, command, bank, since)
    if goes_before(cells, slot, tick, cells[0, COLUMN_SLOT], cells[0, COLUMN_TICK]):
        cells[0, COLUMN_TICK] = tick
        cells[0, COLUMN_SLOT] = slot


@inlined
def choose_column(cells: Table, ready: Table, since: int) -> None:
    """Choose among the row hits of the present queue."""
    write = cells[0, DRAINING]
    cells[0, COLUMN_TICK] = NEVER
    for i in range(1, cells[0, HIT_BANKS + write] + 1):
        consider_column(cells, ready, cells[i, HIT_LIST + write], since)


@inlined
def may_close(cells: Table, bank: int, slot: int, write: int) -> bool:
    """Whether a transaction for another row may close this one."""
    if cells[bank, ACTIVE] or cells[bank, HALF_OPEN]:
        return False
    hit = cells[bank, HIT + write]
    if not hit or cells[0, SCHEDULER] != FR_FCFS_ROWHIT:
        return True
    return bool(cells[hit, ARRIVED] > cells[slot, ARRIVED])


@inlined
def consider_open(cells: Table, ready: Table, bank: int, since: int) -> None:
    """Compare opening the closed row of one bank for the oldest transaction there."""
    slot = cells[bank, MISS + cells[0, DRAINING]]
    if cells[bank, REFRESHING] or (cells[0, SCHEDULER] == FCFS and slot != cells[0, OLDEST]):
        return
    tick = earliest(cells, ready, ACT, bank, since)
    if goes_before(cells, slot, tick, cells[0, OPEN_SLOT], cells[0, OPEN_TICK]):
        cells[0, OPEN_TICK] = tick
        cells[0, OPEN_SLOT] = slot


@inlined
def choose_open(cells: Table, ready: Table, since: int) -> None:
    """Choose among the rows that the present queue wants opened."""
    write = cells[0, DRAINING]
    cells[0, OPEN_TICK] = NEVER
    for i in range(1, cells[0, SHUT_BANKS + write] + 1):
        consider_open(cells, ready, cells[i, SHUT_LIST + write], since)


@inlined
def consider_close(cells: Table, ready: Table, bank: int, since: int) -> None:
    """Compare closing the row of one bank for the oldest transaction that wants another."""
    write = cells[0, DRAINING]
    slot = cells[bank, MISS + write]
    if cells[bank, REFRESHING] or (cells[0, SCHEDULER] == FCFS and slot != cells[0, OLDEST]):
        return
    tick = earliest(cells, ready, PRE, bank, since)
    sooner = goes_before(cells, slot, tick, cells[0, CLOSE_SLOT], cells[0, CLOSE_TICK])
    if sooner and may_close(cells, bank, slot, write):
        cells[0, CLOSE_TICK] = tick
        cells[0, CLOSE_SLOT] = slot


@inlined
def choose_close(cells: Table, ready: Table, since: int) -> None:
    """Choose among the rows that the present queue wants closed."""
    write = cells[0, DRAINING]
    cells[0, CLOSE_TICK] = NEVER
    for i in range(1, cells[0, MISS_BANKS + write] + 1):
        consider_close(cells, ready, cells[i, MISS_LIST + write], since)


@bare_kernel
def find_oldest(cells: Table) -> None:
    """Find the transaction that has waited longest in the present queue (for FCFS)."""
    write = cells[0, DRAINING]
    oldest = 0
    for bank in range(1, cells[0, BANKS] + 1):
        slot = cells[bank, HEAD + write]
        if slot and (not oldest or cells[slot, ORDER] < cells[oldest, ORDER]):
            oldest = slot
    if oldest != cells[0, OLDEST]:
        cells[0, OLDEST] = oldest
        forget_queue(cells)
