"""Refresh: a rank at a time, while the channel waits, or a bank at a time beside the traffic."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from accelsim.kernels.dram.commands import earliest, issue, issue_to_rank
from accelsim.kernels.dram.layout import (
    ACTIVE,
    ALL_BANK,
    BANKS,
    BANKS_PER_RANK,
    DUE,
    HALF_OPEN,
    HEAD,
    ISSUED,
    NEVER,
    NEXT_REFRESH,
    OPEN_ROW,
    PER_BANK,
    PRE,
    PREA,
    RANKS,
    REFA,
    REFB,
    REFRESH,
    REFRESH_TICKS,
    REFRESHED,
    REFRESHING,
)
from accelsim.kernels.dram.queues import close_bank
from accelsim.kernels.dram.scheduling import forget_choices
from accelsim.kernels.jit import bare_kernel

Table = NDArray[np.int64]


@bare_kernel
def fall_due(cells: Table) -> None:
    """Note that every rank owes one refresh more."""
    cells[0, NEXT_REFRESH] += cells[0, REFRESH_TICKS]
    cells[0, DUE] += cells[0, RANKS]
    if cells[0, REFRESH] == PER_BANK:
        for rank in range(cells[0, RANKS]):
            claim_bank(cells, rank)
        forget_choices(cells)


@bare_kernel
def owes_refresh(cells: Table, rank: int) -> bool:
    """Whether more refreshes of single banks fell due for a rank than it had."""
    first = 1 + rank * cells[0, BANKS_PER_RANK]
    done = 0
    for bank in range(first, first + cells[0, BANKS_PER_RANK]):
        done += cells[bank, REFRESHED]
    return bool(done < cells[0, NEXT_REFRESH] // cells[0, REFRESH_TICKS] - 1)


@bare_kernel
def claim_bank(cells: Table, rank: int) -> None:
    """Set aside the bank of a rank to refresh next: of those behind, first one without work."""
    first = 1 + rank * cells[0, BANKS_PER_RANK]
    chosen, cost = 0, NEVER
    for bank in range(first, first + cells[0, BANKS_PER_RANK]):
        if cells[bank, REFRESHING]:
            return
        busy = cells[bank, HEAD] or cells[bank, HEAD + 1] or cells[bank, ACTIVE]
        price = 2 * cells[bank, REFRESHED] + (1 if busy else 0)
        if price < cost:
            chosen, cost = bank, price
    cells[chosen, REFRESHING] = 1


@bare_kernel
def choose_all_bank(cells: Table, ready: Table, since: int) -> tuple[int, int, int]:
    """Tick, command and rank of the next step towards the refresh of the rank whose turn it is."""
    rank = cells[0, ISSUED + REFA] % cells[0, RANKS]
    first = 1 + rank * cells[0, BANKS_PER_RANK]
    command = REFA
    for bank in range(first, first + cells[0, BANKS_PER_RANK]):
        if cells[bank, ACTIVE] or cells[bank, HALF_OPEN]:
            return NEVER, PREA, rank
        if cells[bank, OPEN_ROW] >= 0:
            command = PREA
    return earliest(cells, ready, command, first, since), command, rank


@bare_kernel
def choose_per_bank(cells: Table, ready: Table, since: int) -> tuple[int, int, int]:
    """Tick, command and bank of the next step towards the refresh of a bank set aside."""
    best, best_command, best_bank = NEVER, REFB, 0
    for bank in range(1, cells[0, BANKS] + 1):
        if not cells[bank, REFRESHING] or cells[bank, ACTIVE] or cells[bank, HALF_OPEN]:
            continue
        command = REFB if cells[bank, OPEN_ROW] < 0 else PRE
        tick = earliest(cells, ready, command, bank, since)
        if tick < best:
            best, best_command, best_bank = tick, command, bank
    return best, best_command, best_bank


@bare_kernel
def choose_refresh(cells: Table, ready: Table, since: int) -> tuple[int, int, int]:
    """Tick, command and place of the next step towards a refresh that is due."""
    if cells[0, DUE] == 0:
        return NEVER, REFA, 0
    if cells[0, REFRESH] == ALL_BANK:
        return choose_all_bank(cells, ready, since)
    return choose_per_bank(cells, ready, since)


@bare_kernel
def issue_refresh(
    cells: Table, ready: Table, rules: Table, out_trace: Table, command: int, where: int
) -> None:
    """Take the step that `choose_refresh` chose."""
    if command in (REFA, PREA):
        issue_to_rank(cells, ready, rules, out_trace, command, where)
    else:
        issue(cells, ready, rules, out_trace, command, where, -1, -1)
    if command == PRE:
        close_bank(cells, where)
    elif command == PREA:
        first = 1 + where * cells[0, BANKS_PER_RANK]
        for bank in range(first, first + cells[0, BANKS_PER_RANK]):
            if cells[bank, OPEN_ROW] >= 0:
                close_bank(cells, bank)
    else:
        cells[0, DUE] -= 1
        if command == REFB:
            cells[where, REFRESHING] = 0
            cells[where, REFRESHED] += 1
            rank = (where - 1) // cells[0, BANKS_PER_RANK]
            if owes_refresh(cells, rank):
                claim_bank(cells, rank)
    forget_choices(cells)
