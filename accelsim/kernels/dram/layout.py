"""Names of the numbers that the DRAM kernels share: commands, levels, and columns of the tables.

A channel is two tables of int64. In `cells`, row 0 is the controller, then come the banks, then
the places for transactions ("slots"); a bank or a slot is named by its row, and 0 names none.
`ready[command, bank]` is the first tick at which no constraint forbids the command. `rules` holds
the constraints of the standard, sorted by command and level. Banks are numbered so that those of a
bank group, stack id and rank (pseudo-channel) follow each other. All times are ticks, one slot of
the command bus, counted from 1.
"""

from __future__ import annotations

COMMANDS = ("ACT", "PRE", "PREA", "RD", "WR", "RDA", "WRA", "REFab", "REFpb", "ACT2", "CAS")
ACT, PRE, PREA, RD, WR, RDA, WRA, REFA, REFB, ACT2, CAS = range(len(COMMANDS))
LEVELS = ("channel", "rank", "stack", "group", "bank")
CHANNEL, RANK, STACK, GROUP, BANK = range(len(LEVELS))

NEVER = 1 << 60
"""A tick that does not come."""
LONG_AGO = -(1 << 60)

FCFS, FR_FCFS, FR_FCFS_ROWHIT = range(3)
OPEN_PAGE, CLOSED_PAGE, ADAPTIVE_PAGE = range(3)
NO_REFRESH, ALL_BANK, PER_BANK = range(3)

# Columns of cells[0]: what the standard and the controller are.
(
    BANKS, RANKS, BANKS_PER_RANK, SPLIT_BUS, RISING_ONLY, TWO_STEP, SYNC_TICKS, READ_TICKS,
    REFRESH_TICKS, SCHEDULER, PAGE, REFRESH, READ_LIMIT, WRITE_LIMIT, HIGH_WATER, LOW_WATER,
    SHARED_TICKS, OPEN_WINDOW,
) = range(18)  # fmt: skip
# ... and where it stands. Names with a comment "x 2" are pairs: reads, then writes.
(
    NOW, LAST, NEXT_REFRESH, DUE, DRAINING, SYNCED, FREE, ORDERS, OFFERED, TAKEN, TRACED, OLDEST,
    HALVES, ACTIVES,
) = range(18, 32)  # fmt: skip
QUEUED, HIT_BANKS, SHUT_BANKS, MISS_BANKS = range(32, 40, 2)  # x 2: waiting; lengths of lists
# Best choices, each a tick and what goes then.
ACTIVE_TICK, ACTIVE_BANK, COLUMN_TICK, COLUMN_SLOT = range(40, 44)
OPEN_TICK, OPEN_SLOT, CLOSE_TICK, CLOSE_SLOT = range(44, 48)
HITS, MISSES, CONFLICTS, FORWARDED, MERGED, SWITCHES = range(48, 54)
ISSUED = 54  # x commands
CELL_FIELDS = ISSUED + len(COMMANDS)

# Columns of a bank.
FIRST, PAST = 0, 5  # x levels: the banks that a constraint of the level holds for
OPEN_ROW, ACTIVE, OPENED_AT, HALF_OPEN, REFRESHING, REFRESHED, KEEP_OPEN, LAST_ROW = range(10, 18)
HEAD, TAIL, HIT, MISS = 18, 20, 22, 24  # each x 2
HIT_PLACE, SHUT_PLACE, MISS_PLACE, ACTIVE_PLACE = 26, 28, 30, 32  # in the lists, from 1
HIT_LIST, SHUT_LIST, MISS_LIST, ACTIVE_LIST = 33, 35, 37, 39  # the lists, down the banks
OPEN_TICKS, ACTIVATES = 40, 41
RINGS = 42  # x windows x 3: ticks of the last commands that a window counts, at its first bank
WINDOWS = 1

# Columns of a slot.
(
    SLOT_BANK, SLOT_ROW, SLOT_COLUMN, SLOT_WRITE, ARRIVED, ORDER, NEXT, BEFORE, SEEN, TX,
) = range(10)  # fmt: skip

# Columns of a rule; the first rows, one per command, hold where its rules begin and end.
RULE_LEVEL, RULE_AFTER, RULE_TICKS, RULE_WINDOW, RULE_SIBLING, RULE_FIELDS = range(6)
RULES_BEGIN, RULES_END = 0, 1
