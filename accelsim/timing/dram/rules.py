"""What a DRAM standard forbids, as data: every command that must wait for another, and how long.

The list reads like the timing tables of the JEDEC standards: after a command, none of those
commands at the same bank (bank group, stack id, rank, channel) for a sum of timing parameters. The
controller model, the legality checker and the documentation all take it from here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from accelsim.arch.dram_timing import clock_period_s, resolved_cycles
from accelsim.arch.memory import MemorySpec
from accelsim.errors import SpecError, suggest

READS, WRITES, PRECHARGES = ("RD", "RDA"), ("WR", "WRA"), ("PRE", "PREA")
COLUMN_COMMANDS = (*READS, *WRITES)
ROW_COMMANDS = ("ACT", "PRE", "PREA", "REFab", "REFpb")


@dataclass(frozen=True)
class CommandBus:
    """How commands reach the devices of a standard.

    Attributes
    ----------
    ticks_per_clock : int
        Command slots per command-clock period: 2 where commands may start on both edges.
    length_ticks : dict
        Ticks that a command holds its bus; 1 where not named.
    split : bool
        Row and column commands have buses of their own.
    rising_only : bool
        Only precharges may start on a falling edge (even ticks).
    two_step_activate : bool
        A row opens by ACT and, within tAAD, ACT2 (LPDDR5).
    """

    ticks_per_clock: int = 1
    length_ticks: tuple[tuple[str, int], ...] = ()
    split: bool = False
    rising_only: bool = False
    two_step_activate: bool = False

    def ticks(self, command: str) -> int:
        """Ticks that `command` holds its bus."""
        return dict(self.length_ticks).get(command, 1)


_PLAIN = CommandBus()
_HBM2 = CommandBus(split=True, length_ticks=(("ACT", 2),))
_HBM3 = CommandBus(
    ticks_per_clock=2, split=True, rising_only=True,
    length_ticks=(("ACT", 3), *((command, 2) for command in COLUMN_COMMANDS)),
)  # fmt: skip
_DDR5 = CommandBus(length_ticks=(("ACT", 2), *((command, 2) for command in COLUMN_COMMANDS)))
_LPDDR4 = CommandBus(
    length_ticks=(
        ("ACT", 4), *((command, 4) for command in COLUMN_COMMANDS),
        ("PRE", 2), ("PREA", 2), ("REFab", 2), ("REFpb", 2),
    )
)  # fmt: skip
_LPDDR5 = CommandBus(two_step_activate=True)
_GDDR6X = CommandBus(ticks_per_clock=2)  # a burst takes one clock: a slot for it, one for rows
COMMAND_BUSES = {
    "DDR3": _PLAIN, "DDR4": _PLAIN, "GDDR5": _PLAIN, "GDDR6": _PLAIN, "GDDR6X": _GDDR6X,
    "GDDR7": _PLAIN, "DDR5": _DDR5, "LPDDR4": _LPDDR4, "LPDDR4X": _LPDDR4, "LPDDR5": _LPDDR5,
    "LPDDR5X": _LPDDR5, "HBM2": _HBM2, "HBM2E": _HBM2, "HBM3": _HBM3, "HBM3E": _HBM3,
    "HBM4": _HBM3,
}  # fmt: skip
"""JESD79-3/-4/-5, JESD209-4/-5, JESD212, JESD250, JESD235, JESD238, JESD270-4: command truth
tables. ACT is one and a half clocks on HBM3 and HBM4, two on HBM2 and DDR5."""


@dataclass(frozen=True)
class Rule:
    """One constraint of a standard.

    Attributes
    ----------
    level : str
        Where it holds: "channel", "rank" (or pseudo-channel), "stack", "group", "bank".
    before, after : str
        Commands: after `before`, no `after` ...
    ticks : int
        ... for so many ticks.
    name : str
        The parameters it is made of, as "tCWL + tBL + tWTRS".
    window : int
        Counted from the window-th last `before` (tFAW: 4).
    siblings : bool
        Holds at the other nodes of the same parent, not at the node itself.
    """

    level: str
    before: str
    after: str
    ticks: int
    name: str
    window: int = 1
    siblings: bool = False


# level, commands before, commands after, parameters; columns as in the standards' tables.
_WRITE_END = ("CWL", "BL", "WR")
_COMMON: tuple[tuple[str, tuple[str, ...], tuple[str, ...], tuple[str, ...]], ...] = (
    ("rank", READS, READS, ("BL",)),
    ("rank", READS, READS, ("CCDS",)),
    ("rank", WRITES, WRITES, ("BL",)),
    ("rank", WRITES, WRITES, ("CCDS_WR",)),
    ("rank", READS, WRITES, ("RTW",)),
    ("rank", WRITES, READS, ("CWL", "BL", "WTRS")),
    ("rank", ("RD",), ("PREA",), ("RTP",)),
    ("rank", ("WR",), ("PREA",), _WRITE_END),
    ("rank", ("ACT",), ("ACT",), ("RRDS",)),
    ("rank", ("ACT",), ("PREA",), ("RAS",)),
    ("rank", ("PREA",), ("ACT",), ("RPab",)),
    ("rank", PRECHARGES, PRECHARGES, ("PPD",)),
    ("rank", ("ACT",), ("REFab",), ("RC",)),
    ("rank", ("PRE",), ("REFab",), ("RP",)),
    ("rank", ("PREA",), ("REFab", "REFpb"), ("RPab",)),
    ("rank", ("RDA",), ("REFab",), ("RTP", "RP")),
    ("rank", ("WRA",), ("REFab",), (*_WRITE_END, "RP")),
    ("rank", ("REFab",), ("ACT", "PREA", "REFab", "REFpb"), ("RFC",)),
    ("rank", ("REFpb",), ("REFab",), ("RFCpb",)),
    ("stack", READS, READS, ("CCDS",)),
    ("stack", WRITES, WRITES, ("CCDS_WR",)),
    ("group", READS, READS, ("CCDL",)),
    ("group", WRITES, WRITES, ("CCDL_WR",)),
    ("group", ("ACT",), ("ACT",), ("RRDL",)),
    ("bank", ("ACT",), ("ACT",), ("RC",)),
    ("bank", ("ACT",), READS, ("RCDRD",)),
    ("bank", ("ACT",), WRITES, ("RCDWR",)),
    ("bank", ("ACT",), ("PRE",), ("RAS",)),
    ("bank", ("PRE",), ("ACT",), ("RP",)),
    ("bank", ("RD",), ("PRE",), ("RTP",)),
    ("bank", ("WR",), ("PRE",), _WRITE_END),
    ("bank", ("RDA",), ("ACT", "REFpb"), ("RTP", "RP")),
    ("bank", ("WRA",), ("ACT", "REFpb"), (*_WRITE_END, "RP")),
    ("bank", ("REFpb",), ("ACT", "REFpb"), ("RFCpb",)),
    ("bank", ("ACT",), ("REFpb",), ("RC",)),
    ("bank", ("PRE",), ("REFpb",), ("RP",)),
)


def command_bus(memory: MemorySpec) -> CommandBus:
    """Return how commands reach `memory`; of a standard of one's own, one a clock.

    Raises
    ------
    SpecError
        If the standard is unknown and the memory states no clock_ratio of its own.
    """
    if memory.standard in COMMAND_BUSES:
        return COMMAND_BUSES[memory.standard]
    if memory.clock_ratio is not None:
        return _PLAIN
    raise SpecError(
        f"memory '{memory.name}': standard '{memory.standard}' is unknown: "
        f"{suggest(memory.standard, COMMAND_BUSES)}, or state clock_ratio for one of your own"
    )


def tick_s(memory: MemorySpec) -> float:
    """One slot of the command bus [s]."""
    return clock_period_s(memory) / command_bus(memory).ticks_per_clock


def _special(memory: MemorySpec) -> Iterator[tuple[str, str, str, tuple[str, ...]]]:
    """Constraints that differ by standard: write to read, refresh of one bank."""
    burst = "BLmax" if memory.standard.startswith("LPDDR5") else "BL"
    for before in WRITES:
        for after in READS:
            yield "group", before, after, ("CWL", burst, "WTRL")
    yield "rank", "ACT", "REFpb", ("RRDS",)
    yield "group", "ACT", "REFpb", ("RRDL",)
    if memory.standard.startswith("LPDDR"):
        yield "rank", "REFpb", "REFpb", ("PBR2PBR",)
        yield "rank", "REFpb", "ACT", ("PBR2ACT",)
        return
    yield "rank", "REFpb", "REFpb", ("RREFD",)
    yield "rank", "REFpb", "ACT", ("RREFD",)
    if memory.standard == "HBM4":
        yield "group", "REFpb", "ACT", ("RRDL",)


def _stated(memory: MemorySpec) -> Iterator[tuple[str, str, str, tuple[str, ...]]]:
    for level, before, after, names in _COMMON:
        for first in before:
            for second in after:
                yield level, first, second, names
    yield from _special(memory)


def _shared_bus(bus: CommandBus) -> Iterator[Rule]:
    """Yield that a long command holds its bus, and that ranks share the data bus."""
    for before in (*ROW_COMMANDS, *COLUMN_COMMANDS):
        ticks = bus.ticks(before)
        mates = ROW_COMMANDS if before in ROW_COMMANDS else COLUMN_COMMANDS
        for after in mates if bus.split else (*ROW_COMMANDS, *COLUMN_COMMANDS):
            if ticks > 1:
                yield Rule("channel", before, after, ticks, "command bus")


def _between_ranks(n: dict[str, int], scale: int) -> Iterator[Rule]:
    """Yield what ranks that share a data bus owe each other."""
    for before in COLUMN_COMMANDS:
        for after in COLUMN_COMMANDS:
            ticks, name = n["nBL"] + n["nCS"], "tBL + tCS"
            if before in READS and after in WRITES:
                ticks, name = ticks + n["nCL"] - n["nCWL"], f"tCL + {name} - tCWL"
            elif before in WRITES and after in READS:
                ticks, name = ticks + n["nCWL"] - n["nCL"], f"tCWL + {name} - tCL"
            yield Rule("rank", before, after, scale * max(ticks, 0), name, siblings=True)


def rules_of(memory: MemorySpec) -> tuple[Rule, ...]:
    """Every constraint of a memory, in ticks of its command bus.

    Parameters
    ----------
    memory : MemorySpec
        With timing.

    Returns
    -------
    tuple of Rule
        Several may hold between the same commands: the longest counts.

    Raises
    ------
    SpecError
        If the memory has no timing, or its standard no bank model.

    Notes
    -----
    Parameters count from the end of one command to the end of the next, while ticks here count
    from start to start: between commands of different length the difference is added.

    References
    ----------
    JEDEC JESD79-4 and -5, JESD209-5, JESD250, JESD235, JESD238 and JESD270-4, tables of command
    timing constraints.
    """
    bus, n = command_bus(memory), resolved_cycles(memory)
    scale = bus.ticks_per_clock
    found = list(_shared_bus(bus))
    for level, before, after, names in _stated(memory):
        clocks = sum(n[f"n{name}"] for name in names)
        if clocks == 0:
            continue
        ticks = scale * clocks + bus.ticks(before) - bus.ticks(after)
        found.append(Rule(level, before, after, ticks, " + ".join(f"t{name}" for name in names)))
    found.append(Rule("rank", "ACT", "ACT", scale * n["nFAW"], "tFAW", window=4))
    if memory.stack_ids > 1 and n["nCCDR"]:
        found += [
            Rule("stack", before, after, scale * n["nCCDR"], "tCCDR", siblings=True)
            for before in READS
            for after in READS
        ]
    if memory.ranks > 1:
        found += _between_ranks(n, scale)
    return tuple(found)
