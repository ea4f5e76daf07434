"""Replay of a command trace against the standard: which commands came too early, or not at all.

It knows the rules, which rows are open, who holds the bus, and the last commands to every place,
and nothing of queues or policies. The rules themselves are those that the controller keeps.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from accelsim.arch.dram_timing import resolved_cycles
from accelsim.arch.memory import MemorySpec
from accelsim.errors import SimulationError, suggest
from accelsim.timing.dram.rules import (
    COLUMN_COMMANDS,
    PRECHARGES,
    READS,
    ROW_COMMANDS,
    WRITES,
    command_bus,
    rules_of,
)

Path = tuple[int, ...]
"""A place in a channel: (), (rank,), (rank, stack), ... (rank, stack, group, bank)."""
PLACE = ("rank", "stack", "group", "bank")
_COLUMNS = ("tick", "command", *PLACE, "row")
_DEPTHS = {level: depth for depth, level in enumerate(("channel", *PLACE))}
_TO_RANKS = ("PREA", "REFab")
_KNOWN = (*ROW_COMMANDS, *COLUMN_COMMANDS, "ACT2", "CAS")
_LONGEST_WINDOW = 4
POSTPONED = 8
"""Refreshes that the standards let a controller owe."""


@dataclass(frozen=True)
class Violation:
    """One command that the standard does not allow.

    Attributes
    ----------
    tick, channel, command, place
        Of the command. A place is (rank, stack, group, bank) or (rank,).
    rule : str
        What it breaks: timing parameters ("tCWL + tBL + tWTRS"), "state", "command bus", ...
    missing_ticks : int
        How much later it would have been legal; 0 where no wait would help.
    message : str
    """

    tick: int
    channel: int
    command: str
    place: Path
    rule: str
    missing_ticks: int
    message: str


def dram_violations(memory: MemorySpec, trace: pd.DataFrame) -> tuple[Violation, ...]:
    """Find every command of a trace that breaks a rule of the standard.

    Parameters
    ----------
    memory : MemorySpec
        With timing.
    trace : DataFrame
        As `DramResult.trace`: tick, command, channel (0 where the column is missing), rank, stack,
        group, bank, row; one line per command, in order of time within a channel. All rows are
        closed before the first one.

    Returns
    -------
    tuple of Violation
        By channel and tick; empty where all is legal.

    Raises
    ------
    SpecError
        If the memory has no timing, or its standard no bank model.
    SimulationError
        If columns are missing, a command is unknown, or ticks go backwards.

    Notes
    -----
    Checked are all of `rules_of`, and besides: no data from a closed or another row; no ACT or
    refresh of an open bank; ACT2 after its ACT, within tAAD (LPDDR5); one command at a time on a
    bus, on its edges; one burst at a time on the data bus of a rank (ranks of one channel that are
    no pseudo-channels share it); the data clock started by CAS (LPDDR5); never more than eight
    refreshes postponed. A trace without any refresh
    is taken for one of a model without refresh.

    Not checked: whether all banks get their share of the refreshes, power-down, mode registers.
    """
    missing = [name for name in _COLUMNS if name not in trace.columns]
    if missing:
        raise SimulationError(
            f"command trace: no column {', '.join(missing)} among {', '.join(trace.columns)}"
        )
    unknown = set(trace["command"]) - set(_KNOWN)
    if unknown:
        word = min(map(str, unknown))
        raise SimulationError(f"command trace: unknown command '{word}': {suggest(word, _KNOWN)}")
    of_channel = trace["channel"].to_numpy() if "channel" in trace.columns else np.zeros(len(trace))
    found: list[Violation] = []
    for channel in sorted(set(of_channel.tolist())):
        replay = _Channel(memory, int(channel))
        columns = (trace.loc[of_channel == channel, name].tolist() for name in _COLUMNS)
        for tick, command, rank, stack, group, bank, row in zip(*columns, strict=True):
            place = (rank,) if command in _TO_RANKS else (rank, stack, group, bank)
            found += replay.check(int(tick), command, place, int(row))
        found += replay.end()
    return tuple(found)


class _Channel:
    """What has happened in one channel so far."""

    def __init__(self, memory: MemorySpec, number: int) -> None:
        self.memory, self.number = memory, number
        self.bus, n = command_bus(memory), resolved_cycles(memory)
        scale = self.bus.ticks_per_clock
        # by command: depth, command before, ticks, name, window, siblings
        self.rules: dict[str, list[tuple[int, str, int, str, int, bool]]] = {}
        depths = {1}
        for rule in rules_of(memory):
            depth = _DEPTHS[rule.level]
            self.rules.setdefault(rule.after, []).append(
                (depth, rule.before, rule.ticks, rule.name, rule.window, rule.siblings)
            )
            depths.add(depth)
        self.depths = sorted(depths)
        self.history: dict[tuple[Path, str], deque[tuple[int, Path]]] = {}
        self.children: dict[Path, set[Path]] = {}
        self.open_row: dict[Path, int] = {}
        self.half_open: dict[Path, int] = {}
        self.now = -1
        self.bus_until: dict[str, tuple[int, str]] = {}
        self.data_until: dict[int, tuple[int, str, int]] = {}
        self.data_ticks = scale * n["nBL"]
        self.data_after = {
            **dict.fromkeys(READS, scale * n["nCL"]), **dict.fromkeys(WRITES, scale * n["nCWL"]),
        }  # fmt: skip
        self.half_ticks = scale * n["nAAD"]
        self.intervals = {"REFab": scale * n["nREFI"], "REFpb": scale * n["nREFIpb"]}
        self.clock_ticks = scale * (n["nCL"] + n["nBL"] + n["nWCKPST"]) if n["nWCKPST"] else 0
        self.clock_until = -1
        self.ranks: set[int] = set()
        self.refreshes: dict[int, list[tuple[int, str]]] = {}
        self.refresh_commands: set[str] = set()
        self.first = -1

    def check(self, tick: int, command: str, place: Path, row: int) -> Iterator[Violation]:
        """Yield what is wrong with the next command, then take it as issued."""
        if tick < self.now:
            raise SimulationError(
                f"command trace of channel {self.number}: {command} at tick {tick} after tick "
                f"{self.now}: sort it by time"
            )
        self.now = tick
        self.first = tick if self.first < 0 else self.first
        for problems in (
            self._edge_and_bus(tick, command), self._too_early(tick, command, place),
            self._state(tick, command, place, row), self._data_bus(tick, command, place),
            self._rank_state(command, place), self._data_clock(tick, command),
        ):  # fmt: skip
            for rule, missing, text in problems:
                yield Violation(
                    tick, self.number, command, place, rule, missing,
                    f"tick {tick}: {command} {_at(place)}: {text}",
                )  # fmt: skip
        self._note(tick, command, place, row)

    def end(self) -> Iterator[Violation]:
        """Yield ranks that went too long without refresh, if the trace has any refresh."""
        for rank in sorted(self.ranks) if self.refresh_commands else ():
            for tick, text in self._unrefreshed(rank):
                yield Violation(tick, self.number, "", (rank,), "tREFI", 0, text)

    def _too_early(self, tick: int, command: str, place: Path) -> Iterator[tuple[str, int, str]]:
        """Every rule that keeps the command away, by the last commands that it counts from."""
        for depth, before, ticks, name, window, siblings in self.rules.get(command, ()):
            if depth > len(place):
                continue
            node = place[:depth]
            nodes = self.children.get(node[:-1], set()) - {node} if siblings else (node,)
            for each in nodes:
                earlier = self.history.get((each, before))
                if earlier is None or len(earlier) < window:
                    continue
                since, where = earlier[-window]
                if tick < since + ticks:
                    missing = since + ticks - tick
                    yield (
                        name, missing,
                        f"{tick - since} ticks after {before} {_at(where)} at tick {since}, "
                        f"{name} needs {ticks}: {missing} too early",
                    )  # fmt: skip

    def _edge_and_bus(self, tick: int, command: str) -> Iterator[tuple[str, int, str]]:
        if self.bus.rising_only and tick % 2 == 0 and command not in PRECHARGES:
            yield "rising edge", 1, "on a falling edge, where only precharges may start"
        kind = "row" if command in ROW_COMMANDS else "column"
        kind = kind if self.bus.split else "command"
        until, holder = self.bus_until.get(kind, (0, ""))
        if tick < until:
            yield "command bus", until - tick, f"{holder} holds the {kind} bus until tick {until}"
        self.bus_until[kind] = (max(until, tick + self.bus.ticks(command)), command)

    def _state(
        self, tick: int, command: str, place: Path, row: int
    ) -> Iterator[tuple[str, int, str]]:
        """Rows: what must be open, or closed, for a command."""
        is_open = self.open_row.get(place)
        if command in COLUMN_COMMANDS or command == "CAS":
            if is_open is None:
                yield "state", 0, "the bank is closed"
            elif command != "CAS" and is_open != row:
                yield "state", 0, f"row {row}, but row {is_open} is open"
            elif place in self.half_open:
                yield "state", 0, "the row is half open, ACT2 is missing"
        elif command == "ACT2":
            if place not in self.half_open:
                yield "state", 0, "no ACT before it"
            elif is_open != row:
                yield "state", 0, f"row {row}, but ACT was for row {is_open}"
            elif tick > self.half_open[place] + self.half_ticks:
                late = tick - self.half_open[place]
                yield "tAAD", 0, f"{late} ticks after its ACT, at most {self.half_ticks} allowed"
        elif command in ("ACT", "REFpb"):
            if is_open is not None:
                yield "state", 0, f"row {is_open} is open"
        elif command == "PRE" and place in self.half_open:
            yield "state", 0, "the row is half open, ACT2 is missing"

    def _rank_state(self, command: str, place: Path) -> Iterator[tuple[str, int, str]]:
        """Rows: what must be closed, or wholly open, for a command to a rank."""
        if command in _TO_RANKS:
            mine = [path for path in self.open_row if path[0] == place[0]]
            if command == "REFab" and mine:
                yield "state", 0, f"{len(mine)} banks are open, first {_at(min(mine))}"
            half = [path for path in self.half_open if path[0] == place[0]]
            if command == "PREA" and half:
                yield "state", 0, f"the row {_at(min(half))} is half open, ACT2 is missing"

    def _data_bus(self, tick: int, command: str, place: Path) -> Iterator[tuple[str, int, str]]:
        if command not in self.data_after:
            return
        wire = 0 if self.memory.ranks > 1 else place[0]
        start = tick + self.data_after[command]
        until, holder, since = self.data_until.get(wire, (0, "", 0))
        if start < until:
            yield (
                "data bus", until - start,
                f"its data from tick {start} on meets that of {holder} at tick {since}",
            )  # fmt: skip
        self.data_until[wire] = (max(until, start + self.data_ticks), command, tick)

    def _data_clock(self, tick: int, command: str) -> Iterator[tuple[str, int, str]]:
        if self.clock_ticks == 0 or command not in (*COLUMN_COMMANDS, "CAS"):
            return
        if command != "CAS" and tick > self.clock_until:
            yield "data clock", 0, f"it stopped at tick {self.clock_until}, CAS is missing"
        self.clock_until = tick + self.clock_ticks

    def _unrefreshed(self, rank: int) -> Iterator[tuple[int, str]]:
        """Yield the first tick at which a rank has gone too long without refresh."""
        mine = self.refreshes.get(rank, [])
        commands = {command for _, command in mine} or self.refresh_commands
        interval = max(self.intervals[command] for command in commands)
        covered = self.first
        for tick, command in [*mine, (self.now, "")]:
            limit = covered + (POSTPONED + 1) * interval
            if tick > limit:
                yield (
                    tick,
                    f"tick {tick}: {_at((rank,))}: refreshed only for the time until tick "
                    f"{covered}; with {POSTPONED} of tREFI {interval} postponed, one was due by "
                    f"tick {limit}",
                )
                return
            if command:
                ahead = tick + POSTPONED * interval
                covered = min(covered + self.intervals[command], ahead)

    def _note(self, tick: int, command: str, place: Path, row: int) -> None:
        """Take a command as issued."""
        for depth in self.depths:
            if depth > len(place):
                break
            key = (place[:depth], command)
            known = self.history.get(key)
            if known is None:
                known = self.history[key] = deque(maxlen=_LONGEST_WINDOW)
                if depth:
                    self.children.setdefault(place[: depth - 1], set()).add(place[:depth])
            known.append((tick, place))
        self.ranks.add(place[0])
        if command == "ACT":
            self.open_row[place] = row
            if self.bus.two_step_activate:
                self.half_open[place] = tick
        elif command == "ACT2":
            self.half_open.pop(place, None)
        elif command in ("PRE", "RDA", "WRA"):
            self.open_row.pop(place, None)
            self.half_open.pop(place, None)
        elif command == "PREA":
            for rows in (self.open_row, self.half_open):
                for path in [path for path in rows if path[0] == place[0]]:
                    del rows[path]
        elif command in self.intervals:
            self.refreshes.setdefault(place[0], []).append((tick, command))
            self.refresh_commands.add(command)


def _at(place: Path) -> str:
    """Write a place, for example "rank 0, group 2, bank 1"."""
    return ", ".join(f"{name} {n}" for name, n in zip(PLACE, place, strict=False))
