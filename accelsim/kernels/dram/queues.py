"""Transactions in a channel: queues by bank, oldest first, and what each bank could do next.

Every bank keeps its queued reads and its queued writes as linked lists in order of arrival, with
the oldest that hits the open row and the oldest that wants another one. Lists over the banks say
which have a hit, which have work behind a closed row, which have work for another row. A
transaction for which a row was opened leaves the queue and waits at its bank ("active") for its
column command.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from accelsim.kernels.dram.layout import (
    ACTIVE,
    ACTIVE_LIST,
    ACTIVE_PLACE,
    ACTIVES,
    ARRIVED,
    BEFORE,
    FORWARDED,
    FREE,
    HEAD,
    HIT,
    HIT_BANKS,
    HIT_LIST,
    HIT_PLACE,
    LAST,
    MERGED,
    MISS,
    MISS_BANKS,
    MISS_LIST,
    MISS_PLACE,
    NEXT,
    NOW,
    OPEN_ROW,
    OPEN_TICKS,
    OPENED_AT,
    ORDER,
    ORDERS,
    QUEUED,
    READ_LIMIT,
    SEEN,
    SHUT_BANKS,
    SHUT_LIST,
    SHUT_PLACE,
    SLOT_BANK,
    SLOT_COLUMN,
    SLOT_ROW,
    SLOT_WRITE,
    TAIL,
    TX,
)
from accelsim.kernels.jit import bare_kernel, inlined

Table = NDArray[np.int64]
FULL, QUEUED_BEHIND, NEW_HIT, NEW_MISS, ANSWERED = range(5)


@inlined
def accept(cells: Table, tx: int, bank: int, row: int, column: int, write: int) -> int:
    """Take a transaction into its queue, unless that is full, or answer it from a queued write.

    NEW_HIT and NEW_MISS say that it is the first of its kind at its bank, so can be chosen now.
    """
    if queued_write(cells, bank, row, column):
        cells[0, MERGED if write else FORWARDED] += 1
        cells[0, LAST] = max(cells[0, LAST], cells[0, NOW] + 1 - write)
        return ANSWERED
    if cells[0, QUEUED + write] >= cells[0, READ_LIMIT + write]:
        return FULL
    slot = cells[0, FREE]
    cells[0, FREE] = cells[slot, NEXT]
    cells[slot, SLOT_BANK] = bank
    cells[slot, SLOT_ROW] = row
    cells[slot, SLOT_COLUMN] = column
    cells[slot, SLOT_WRITE] = write
    cells[slot, ARRIVED] = cells[0, NOW]
    cells[slot, ORDER] = cells[0, ORDERS]
    cells[slot, SEEN] = 0
    cells[slot, TX] = tx
    cells[0, ORDERS] += 1
    append(cells, slot, bank, write)
    open_row = cells[bank, OPEN_ROW]
    if open_row == row:
        if not cells[bank, HIT + write]:
            cells[bank, HIT + write] = slot
            join(cells, bank, HIT_BANKS + write, HIT_PLACE + write, HIT_LIST + write)
            return NEW_HIT
    elif not cells[bank, MISS + write]:
        cells[bank, MISS + write] = slot
        if open_row < 0:
            join(cells, bank, SHUT_BANKS + write, SHUT_PLACE + write, SHUT_LIST + write)
        else:
            join(cells, bank, MISS_BANKS + write, MISS_PLACE + write, MISS_LIST + write)
        return NEW_MISS
    return QUEUED_BEHIND


@inlined
def queued_write(cells: Table, bank: int, row: int, column: int) -> bool:
    """Whether a write to the same place waits in the queue."""
    slot = cells[bank, HEAD + 1]
    while slot:
        if cells[slot, SLOT_COLUMN] == column and cells[slot, SLOT_ROW] == row:
            return True
        slot = cells[slot, NEXT]
    return False


@inlined
def append(cells: Table, slot: int, bank: int, write: int) -> None:
    """Put a slot at the end of a bank's queue."""
    tail = cells[bank, TAIL + write]
    cells[slot, NEXT] = 0
    cells[slot, BEFORE] = tail
    cells[bank, TAIL + write] = slot
    if tail:
        cells[tail, NEXT] = slot
    else:
        cells[bank, HEAD + write] = slot
    cells[0, QUEUED + write] += 1


@inlined
def unlink(cells: Table, slot: int) -> None:
    """Take a slot out of its bank's queue."""
    bank, write = cells[slot, SLOT_BANK], cells[slot, SLOT_WRITE]
    before, after = cells[slot, BEFORE], cells[slot, NEXT]
    if before:
        cells[before, NEXT] = after
    else:
        cells[bank, HEAD + write] = after
    if after:
        cells[after, BEFORE] = before
    else:
        cells[bank, TAIL + write] = before
    cells[0, QUEUED + write] -= 1


@inlined
def join(cells: Table, bank: int, length: int, place_field: int, list_field: int) -> None:
    """Put a bank on a list, unless it is there."""
    if cells[bank, place_field] == 0:
        place = cells[0, length] + 1
        cells[0, length] = place
        cells[place, list_field] = bank
        cells[bank, place_field] = place


@inlined
def drop(cells: Table, bank: int, length: int, place_field: int, list_field: int) -> None:
    """Take a bank off a list, moving the last one into its place."""
    place = cells[bank, place_field]
    if place == 0:
        return
    last = cells[cells[0, length], list_field]
    cells[place, list_field] = last
    cells[last, place_field] = place
    cells[bank, place_field] = 0
    cells[0, length] -= 1


@bare_kernel
def sort_bank(cells: Table, bank: int) -> None:
    """Find what the queues hold for a bank whose row has just opened or closed."""
    row = cells[bank, OPEN_ROW]
    for write in range(2):
        hit = miss = 0
        slot = cells[bank, HEAD + write]
        if row < 0:
            miss, slot = slot, 0
        while slot and not (hit and miss):
            if cells[slot, SLOT_ROW] == row:
                if not hit:
                    hit = slot
            elif not miss:
                miss = slot
            slot = cells[slot, NEXT]
        cells[bank, HIT + write] = hit
        cells[bank, MISS + write] = miss
        drop(cells, bank, SHUT_BANKS + write, SHUT_PLACE + write, SHUT_LIST + write)
        drop(cells, bank, MISS_BANKS + write, MISS_PLACE + write, MISS_LIST + write)
        drop(cells, bank, HIT_BANKS + write, HIT_PLACE + write, HIT_LIST + write)
        if hit:
            join(cells, bank, HIT_BANKS + write, HIT_PLACE + write, HIT_LIST + write)
        if miss and row < 0:
            join(cells, bank, SHUT_BANKS + write, SHUT_PLACE + write, SHUT_LIST + write)
        elif miss:
            join(cells, bank, MISS_BANKS + write, MISS_PLACE + write, MISS_LIST + write)


@inlined
def close_bank(cells: Table, bank: int) -> None:
    """Note that the row of a bank is closed."""
    cells[bank, OPEN_TICKS] += cells[0, NOW] - cells[bank, OPENED_AT]
    cells[bank, OPEN_ROW] = -1
    sort_bank(cells, bank)


@inlined
def take_hit(cells: Table, slot: int) -> None:
    """Remove a served row hit from its queue and find the next one."""
    bank, write, row = cells[slot, SLOT_BANK], cells[slot, SLOT_WRITE], cells[slot, SLOT_ROW]
    after = cells[slot, NEXT]
    while after and cells[after, SLOT_ROW] != row:
        after = cells[after, NEXT]
    cells[bank, HIT + write] = after
    if not after:
        drop(cells, bank, HIT_BANKS + write, HIT_PLACE + write, HIT_LIST + write)
    unlink(cells, slot)
    release(cells, slot)


@inlined
def release(cells: Table, slot: int) -> None:
    """Give a slot back."""
    cells[slot, NEXT] = cells[0, FREE]
    cells[0, FREE] = slot


@inlined
def make_active(cells: Table, slot: int) -> None:
    """Move a transaction from its queue to the row that opens for it."""
    bank = cells[slot, SLOT_BANK]
    unlink(cells, slot)
    place = cells[0, ACTIVES] + 1
    cells[0, ACTIVES] = place
    cells[place, ACTIVE_LIST] = bank
    cells[bank, ACTIVE_PLACE] = place
    cells[bank, ACTIVE] = slot


@inlined
def finish_active(cells: Table, bank: int) -> None:
    """Remove the transaction for which a bank's row was opened."""
    drop(cells, bank, ACTIVES, ACTIVE_PLACE, ACTIVE_LIST)
    release(cells, cells[bank, ACTIVE])
    cells[bank, ACTIVE] = 0
