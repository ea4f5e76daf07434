"""The memory controller: what it may choose, and it and the memory as tables for the kernels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.arch.dram_timing import resolved_cycles
from accelsim.arch.memory import MemorySpec
from accelsim.errors import SimulationError, suggest
from accelsim.kernels.dram import layout
from accelsim.timing.dram.rules import Rule, command_bus, rules_of

SCHEDULERS = {
    "fcfs": layout.FCFS,
    "fr-fcfs": layout.FR_FCFS,
    "fr-fcfs-rowhit": layout.FR_FCFS_ROWHIT,
}
PAGE_POLICIES = {
    "open": layout.OPEN_PAGE, "closed": layout.CLOSED_PAGE, "adaptive": layout.ADAPTIVE_PAGE,
}  # fmt: skip
REFRESHES = {"none": layout.NO_REFRESH, "all-bank": layout.ALL_BANK, "per-bank": layout.PER_BANK}
WHOLE_RANK_ONLY = ("DDR3", "DDR4", "DDR5", "GDDR5")
"""Standards without a command that refreshes one bank (DDR5 has one for the same bank of every
group, which is not modelled)."""
MAX_QUEUE = 4096
MAX_CHANNELS = 1024
MAX_BANKS = 1024
_LEVELS = {name: i for i, name in enumerate(layout.LEVELS)}
_COMMANDS = {name: i for i, name in enumerate(layout.COMMANDS)}


@dataclass(frozen=True)
class Controller:
    """Policies and sizes of the controllers, one per channel, and of what feeds them.

    Attributes
    ----------
    scheduler : str
        "fcfs" (oldest of the queue only; those whose row was opened are out of it), "fr-fcfs"
        (oldest of those that can go), "fr-fcfs-rowhit" (that, and no row closes while an older
        transaction hits it).
    page_policy : str
        "open" (rows close on conflicts and refreshes), "closed" (behind the last queued hit),
        "adaptive" (closed where reopening showed that it pays, by a counter per bank).
    refresh : str
        "all-bank", "per-bank" or "none".
    read_queue, write_queue : int
        Transactions per channel, each.
    write_high, write_low : float
        Shares of the write queue above which writes start and below which reads resume.
    address_map : str
        See `accelsim.timing.dram.address_map.address_map`.
    channel_interleave_bytes : int
        Addresses go round the channels in blocks of so many bytes.
    stage_depth : int or None
        Transactions that wait before each channel; the front end, in program order, stops at the
        first full one. None: as many as there are, so that no channel waits for another.
    outstanding : int or None
        Most transactions under way at once, all channels together; None: what the queues take.
    """

    scheduler: str = "fr-fcfs-rowhit"
    page_policy: str = "open"
    refresh: str = "all-bank"
    read_queue: int = 64
    write_queue: int = 64
    write_high: float = 0.8
    write_low: float = 0.2
    address_map: str = "bgix"
    channel_interleave_bytes: int = 256
    stage_depth: int | None = 1
    outstanding: int | None = None

    def __post_init__(self) -> None:
        """Refuse what no controller is."""
        for name, known in (
            ("scheduler", SCHEDULERS), ("page_policy", PAGE_POLICIES), ("refresh", REFRESHES),
        ):  # fmt: skip
            word = getattr(self, name)
            if not isinstance(word, str) or word not in known:
                raise SimulationError(f"{name} '{word}' is unknown: {suggest(str(word), known)}")
        for name in ("read_queue", "write_queue"):
            check_whole(name, getattr(self, name), 1, MAX_QUEUE)
        check_whole("channel_interleave_bytes", self.channel_interleave_bytes, 32, 1 << 40)
        for name in ("stage_depth", "outstanding"):
            if getattr(self, name) is not None:
                check_whole(name, getattr(self, name), 1, 1 << 40)
        low, high = self.write_low, self.write_high
        numbers = isinstance(low, int | float | np.floating) and isinstance(
            high, int | float | np.floating
        )
        if not (numbers and 0 <= low < high <= 1):
            raise SimulationError(
                f"write_low {low!r} and write_high {high!r}: expected "
                "0 <= write_low < write_high <= 1"
            )


def check_whole(name: str, value: Any, least: int, most: int) -> None:
    """Refuse what is no whole number between two.

    Raises
    ------
    SimulationError
        Naming `name`, the value and the limits.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise SimulationError(f"{name} {value!r} is not a whole number")
    if not least <= value <= most:
        raise SimulationError(f"{name} {value} is not between {least} and {most}")


@dataclass(frozen=True)
class Tables:
    """A stack of channels as the kernels know it; see `accelsim.kernels.dram.layout`."""

    cells: NDArray[np.int64]
    ready: NDArray[np.int64]
    rules: NDArray[np.int64]


def kernel_tables(
    memory: MemorySpec, controller: Controller, channels: int, pseudo_channels: int
) -> Tables:
    """Lay out idle channels with all banks closed.

    Raises
    ------
    SpecError
        If the memory has no timing or its standard no bank model.
    SimulationError
        If it has too many banks, or the standard cannot refresh as asked.
    """
    per_rank = memory.banks
    check_whole("pseudo_channels", pseudo_channels, 1, memory.pseudo_channels)
    if pseudo_channels > 1 and memory.ranks > 1:
        raise SimulationError(
            f"memory '{memory.name}' has ranks and pseudo-channels: not modelled together; state "
            "stack_ids instead of ranks, or simulate pseudo_channels=1"
        )
    ranks = pseudo_channels * memory.ranks
    banks = ranks * per_rank
    check_whole("channels", channels, 1, MAX_CHANNELS)
    check_whole("banks of a channel", banks, 1, MAX_BANKS)
    if controller.refresh == "per-bank" and memory.standard in WHOLE_RANK_ONLY:
        raise SimulationError(
            f"{memory.standard} has no refresh of one bank here: take refresh 'all-bank' or 'none'"
        )
    slots = controller.read_queue + controller.write_queue + banks
    cells = np.zeros((1 + banks + slots, layout.CELL_FIELDS), np.int64)
    sizes = (
        banks,
        per_rank,
        memory.bank_groups * memory.banks_per_group,
        memory.banks_per_group,
        1,
    )
    rows = np.arange(1, banks + 1)
    for level, size in enumerate(sizes):
        first = 1 + (rows - 1) // size * size
        cells[1 : banks + 1, layout.FIRST + level] = first
        cells[1 : banks + 1, layout.PAST + level] = first + size
    table = cells[1 : banks + 1]
    table[:, [layout.OPEN_ROW, layout.LAST_ROW]] = -1
    table[:, layout.KEEP_OPEN] = 3
    table[:, layout.RINGS : layout.RINGS + 3 * layout.WINDOWS] = layout.LONG_AGO // 2
    cells[banks + 1 : -1, layout.NEXT] = np.arange(banks + 2, banks + 1 + slots)
    for field, value in _settings(memory, controller, ranks, per_rank).items():
        cells[0, field] = value
    ready = np.zeros((len(layout.COMMANDS), banks + 1), np.int64)
    return Tables(
        np.repeat(cells[None], channels, axis=0),
        np.repeat(ready[None], channels, axis=0),
        rule_table(rules_of(memory), controller),
    )


def _settings(
    memory: MemorySpec, controller: Controller, ranks: int, per_rank: int
) -> dict[int, int]:
    bus, n = command_bus(memory), resolved_cycles(memory)
    scale = bus.ticks_per_clock
    interval = {"none": 0, "all-bank": n["nREFI"], "per-bank": n["nREFIpb"]}[controller.refresh]
    read_ticks = scale * (n["nCL"] + n["nBL"])
    longest = max(bus.ticks(command) for command in layout.COMMANDS)
    return {
        layout.BANKS: ranks * per_rank,
        layout.RANKS: ranks,
        layout.BANKS_PER_RANK: per_rank,
        layout.SPLIT_BUS: bus.split,
        layout.RISING_ONLY: bus.rising_only,
        layout.TWO_STEP: bus.two_step_activate,
        layout.SYNC_TICKS: read_ticks + scale * n["nWCKPST"] if n["nWCKPST"] else 0,
        layout.READ_TICKS: read_ticks,
        layout.REFRESH_TICKS: scale * interval,
        layout.SCHEDULER: SCHEDULERS[controller.scheduler],
        layout.PAGE: PAGE_POLICIES[controller.page_policy],
        layout.REFRESH: REFRESHES[controller.refresh],
        layout.READ_LIMIT: controller.read_queue,
        layout.WRITE_LIMIT: controller.write_queue,
        layout.HIGH_WATER: math.floor(controller.write_high * controller.write_queue),
        layout.LOW_WATER: max(math.ceil(controller.write_low * controller.write_queue), 1),
        layout.SHARED_TICKS: longest,
        layout.OPEN_WINDOW: scale * n["nAAD"],
        layout.NEXT_REFRESH: scale * interval or layout.NEVER,
        layout.SYNCED: -1,
        layout.FREE: 1 + ranks * per_rank,
        layout.ACTIVE_TICK: layout.LONG_AGO,
        layout.COLUMN_TICK: layout.LONG_AGO,
        layout.OPEN_TICK: layout.LONG_AGO,
        layout.CLOSE_TICK: layout.LONG_AGO,
    }


def _needed(rule: Rule, controller: Controller) -> bool:
    """Tell whether the controller could come up against a rule.

    Column commands with auto-precharge are chosen by when those without may go.
    """
    commands = {rule.before, rule.after}
    if rule.after in ("RDA", "WRA"):
        return False
    if commands & {"RDA", "WRA"} and controller.page_policy == "open":
        return False
    if commands & {"REFab", "PREA"} and controller.refresh != "all-bank":
        return False
    return not ("REFpb" in commands and controller.refresh != "per-bank")


def rule_table(rules: tuple[Rule, ...], controller: Controller) -> NDArray[np.int64]:
    """Constraints as rows, by command and level, headed by where each command's begin and end."""
    longest: dict[tuple[int, int, int, bool, bool], int] = {}
    for rule in rules:
        if _needed(rule, controller):
            key = (
                _COMMANDS[rule.before], _LEVELS[rule.level], _COMMANDS[rule.after], rule.siblings,
                rule.window > 1,
            )  # fmt: skip
            longest[key] = max(rule.ticks, longest.get(key, 0))
    windows = 0
    table = np.zeros((len(_COMMANDS) + len(longest), layout.RULE_FIELDS), np.int64)
    row = len(_COMMANDS)
    for command in range(len(_COMMANDS)):
        table[command, layout.RULES_BEGIN] = row
        for key, ticks in sorted(longest.items()):
            if key[0] == command:
                windows += key[4]
                table[row] = (key[1], key[2], ticks, windows if key[4] else 0, key[3])
                row += 1
        table[command, layout.RULES_END] = row
    assert windows <= layout.WINDOWS
    return table
