"""A stretch of a command trace as lanes and bars: what every bank and bus does when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from accelsim.arch.dram_timing import resolved_cycles
from accelsim.arch.memory import MemorySpec
from accelsim.errors import SimulationError
from accelsim.timing.dram.rules import (
    COLUMN_COMMANDS,
    READS,
    WRITES,
    command_bus,
    rules_of,
    tick_s,
)

MOST_BANKS = 32
"""Banks that one picture shows."""
_BEFORE = 0.25
"""Part of a window that lies before what it is about."""
_SETTLED_SPANS = 2
_Place = tuple[int, int, int, int]


@dataclass(frozen=True)
class Lane:
    """One line of the picture.

    Attributes
    ----------
    name : str
        Of a bank or a bus.
    group : str
        What it is part of: a pseudo-channel and bank group, or the buses.
    """

    name: str
    group: str


@dataclass(frozen=True)
class Bar:
    """Something that takes time.

    Attributes
    ----------
    lane : int
        In `Timeline.lanes`.
    kind : str
        "row" (open), "activate", "precharge", "read", "write", "refresh".
    begin_ns, end_ns : float
        [ns]
    text : str
        To write into it.
    """

    lane: int
    kind: str
    begin_ns: float
    end_ns: float
    text: str = ""


@dataclass(frozen=True)
class Timeline:
    """Lanes and bars of one channel over a window of time.

    Attributes
    ----------
    memory : str
    channel : int
    begin_ns, end_ns : float
        The window [ns].
    lanes : tuple of Lane
    bars : tuple of Bar
        Cut to the window.
    commands : int
        That start in the window.
    conflicts : int
        Rows closed in the window whose bank opened another afterwards.
    hidden_banks : int
        Banks at work for which there was no lane left.
    """

    memory: str
    channel: int
    begin_ns: float
    end_ns: float
    lanes: tuple[Lane, ...]
    bars: tuple[Bar, ...]
    commands: int
    conflicts: int
    hidden_banks: int = 0

    @property
    def data_share(self) -> float:
        """Share of the window in which a data bus carries data, mean over the buses."""
        buses = [i for i, lane in enumerate(self.lanes) if lane.name.startswith("data")]
        busy = sum(bar.end_ns - bar.begin_ns for bar in self.bars if bar.lane in buses)
        return busy / (len(buses) * (self.end_ns - self.begin_ns))


def window_about(
    trace: pd.DataFrame,
    memory: MemorySpec,
    *,
    channel: int = 0,
    about: str = "PRE",
    span_s: float | None = None,
) -> tuple[int, int] | None:
    """Choose a stretch of a trace about a command of a kind.

    Parameters
    ----------
    trace : DataFrame
        `DramResult.trace`.
    memory : MemorySpec
    channel : int
    about : str
        A command. Of precharges, one that leaves the start and refreshes alone, if there is one.
    span_s : float, optional
        Length [s]; by default two row cycles, about a refresh one and a half of it.

    Returns
    -------
    (int, int) or None
        First tick, and the tick behind the last; None if the trace holds no such command.
    """
    own = trace[trace["channel"] == channel]
    ticks = own.loc[own["command"] == about, "tick"].to_numpy()
    if not ticks.size:
        return None
    refreshed = own.loc[own["command"].isin(("PREA", "REFab")), "tick"].to_numpy()
    span = _default_span(memory, about) if span_s is None else round(span_s / tick_s(memory))
    starts = np.maximum(ticks - int(_BEFORE * span), 1)
    chosen = starts[0]
    if about not in ("PREA", "REFab"):
        late = starts[starts > _SETTLED_SPANS * span]
        quiet = np.searchsorted(refreshed, late) == np.searchsorted(refreshed, late + span)
        chosen = late[quiet][0] if quiet.any() else chosen
    return int(chosen), int(chosen) + max(span, 1)


def _default_span(memory: MemorySpec, about: str) -> int:
    n, scale = resolved_cycles(memory), command_bus(memory).ticks_per_clock
    if about in ("REFab", "REFpb"):
        return round(1.5 * scale * (n["nRFC"] if about == "REFab" else n["nRFCpb"]))
    return 2 * scale * n["nRC"]


class _Drawing:
    """Turns the commands of one channel into bars, in order of time."""

    def __init__(self, memory: MemorySpec, places: list[_Place]) -> None:
        n, bus = resolved_cycles(memory), command_bus(memory)
        scale = bus.ticks_per_clock
        self.memory, self.bus = memory, bus
        self.burst = scale * n["nBL"]
        self.to_data = dict.fromkeys(READS, scale * n["nCL"])
        self.to_data |= dict.fromkeys(WRITES, scale * n["nCWL"])
        self.closing = scale * n["nRP"]
        self.waits: dict[tuple[str, str], int] = {}
        for rule in rules_of(memory):
            if not rule.siblings and rule.window == 1 and rule.level in ("bank", "rank"):
                key = (rule.before, rule.after)
                self.waits[key] = max(rule.ticks, self.waits.get(key, 0))
        self.longest = max(*self.waits.values(), *self.to_data.values()) + self.burst
        self.places = places
        self.lanes = list(self._lanes())
        self.bank_lane = {place: self.lanes.index(self._bank(place)) for place in places}
        self.open: dict[_Place, tuple[int, int]] = {}
        self.opening: dict[_Place, tuple[int, int]] = {}

    def _bank(self, place: _Place) -> Lane:
        rank, stack, group, bank = place
        several = "pseudo-channel" if self.memory.pseudo_channels > 1 else "rank"
        stacked = f"stack id {stack}, " if self.memory.stack_ids > 1 else ""
        return Lane(f"bank {bank}", f"{several} {rank}, {stacked}group {group}")

    def _lanes(self) -> Iterator[Lane]:
        words = ("row commands", "column commands") if self.bus.split else ("commands",)
        for word in words:
            yield Lane(word, "buses")
        buses = sorted({place[0] for place in self.places}) if self._own_data_bus else [0]
        for rank in buses:
            yield Lane(f"data {rank}" if len(buses) > 1 else "data", "buses")
        for place in self.places:
            yield self._bank(place)

    @property
    def _own_data_bus(self) -> bool:
        return self.memory.pseudo_channels > 1

    def bars(self, commands: pd.DataFrame, end: int) -> Iterator[tuple[int, str, int, int, str]]:
        """Yield (lane, kind, first tick, tick behind the last, text)."""
        columns = ("tick", "command", "rank", "stack", "group", "bank", "row")
        rows = zip(*(commands[name].tolist() for name in columns), strict=True)
        for tick, command, rank, stack, group, bank, row in rows:
            yield self._on_bus(tick, command)
            whole = bank < 0
            for place in (
                [p for p in self.places if p[0] == rank] if whole else [(rank, stack, group, bank)]
            ):
                if place in self.bank_lane:
                    yield from self._at_bank(place, tick, command, row)
            if command in COLUMN_COMMANDS:
                begin = tick + self.to_data[command]
                yield self._data_lane(rank), _KINDS[command], begin, begin + self.burst, ""
        for place, (since, until) in self.opening.items():
            yield self.bank_lane[place], "activate", since, until, ""
        for place, (since, row) in self.open.items():
            yield self.bank_lane[place], "row", since, end, f"row {row}"

    def _on_bus(self, tick: int, command: str) -> tuple[int, str, int, int, str]:
        lane = int(self.bus.split and command in (*COLUMN_COMMANDS, "CAS"))
        return lane, _KINDS[command], tick, tick + self.bus.ticks(command), command

    def _data_lane(self, rank: int) -> int:
        name = f"data {rank}" if Lane(f"data {rank}", "buses") in self.lanes else "data"
        return self.lanes.index(Lane(name, "buses"))

    def _at_bank(
        self, place: _Place, tick: int, command: str, row: int
    ) -> Iterator[tuple[int, str, int, int, str]]:
        lane = self.bank_lane[place]
        kind = _KINDS[command]
        if command == "ACT":
            self.open[place] = (tick, row)
            self.opening[place] = (tick, tick + self.waits["ACT", "RD"])
        elif command in COLUMN_COMMANDS:
            if place in self.opening:  # writes may come sooner than reads
                since, until = self.opening.pop(place)
                yield lane, "activate", since, min(until, tick), ""
            yield lane, kind, tick, tick + self.burst, ""
        elif kind == "refresh":
            yield lane, kind, tick, tick + self.waits[command, "ACT"], "refresh"
        if command in _CLOSING and place in self.open:
            since, row = self.open.pop(place)
            until = tick + self.waits[command, "ACT"]
            begin = tick if kind == "precharge" else until - self.closing
            yield lane, "row", since, begin, f"row {row}"
            yield lane, "precharge", begin, until, ""


_CLOSING = ("PRE", "PREA", "RDA", "WRA")
_KINDS = {
    "ACT": "activate", "ACT2": "activate", "PRE": "precharge", "PREA": "precharge",
    "RD": "read", "RDA": "read", "WR": "write", "WRA": "write", "CAS": "read",
    "REFab": "refresh", "REFpb": "refresh",
}  # fmt: skip


def timeline_of(
    trace: pd.DataFrame, memory: MemorySpec, begin_tick: int, end_tick: int, *, channel: int = 0
) -> Timeline:
    """Lay the commands of one channel out as bars.

    Parameters
    ----------
    trace : DataFrame
        `DramResult.trace`, from the first command on, so that it is known which rows are open.
    memory : MemorySpec
        That was simulated.
    begin_tick, end_tick : int
        The window: first tick, and the tick behind the last.
    channel : int

    Returns
    -------
    Timeline
        Banks with a command in the window, at most MOST_BANKS, and the buses.

    Raises
    ------
    SimulationError
        If the window is empty or holds no command.

    Notes
    -----
    On a bank: from an activate until its first read may go, and from a precharge until the next
    activate may go, as the constraints of the standard say; a column command for the length of its
    burst. On a data bus: the burst, tCL or tCWL behind the command.
    """
    before = trace[(trace["channel"] == channel) & (trace["tick"] < end_tick)]
    shown = before[before["tick"] >= begin_tick]
    ns = 1e9 * tick_s(memory)
    if shown.empty:
        kept = trace["tick"].agg(["min", "max"]) * ns
        raise SimulationError(
            f"no command of channel {channel} between {begin_tick * ns:,.0f} and "
            f"{end_tick * ns:,.0f} ns: the trace holds {kept['min']:,.0f} to {kept['max']:,.0f} ns"
        )
    places = _places(shown, before)
    drawing = _Drawing(memory, places[:MOST_BANKS])
    needed = _needed(before, begin_tick - drawing.longest)
    bars = tuple(
        Bar(lane, kind, max(first, begin_tick) * ns, min(last, end_tick) * ns, text)
        for lane, kind, first, last, text in drawing.bars(needed, end_tick)
        if first < end_tick and last > begin_tick
    )
    return Timeline(
        memory.name, channel, begin_tick * ns, end_tick * ns, tuple(drawing.lanes), bars,
        len(shown), _conflicts(shown), max(len(places) - MOST_BANKS, 0),
    )  # fmt: skip


def _needed(before: pd.DataFrame, since: int) -> pd.DataFrame:
    """Leave out old commands, but for those that say which rows are open."""
    old = before[before["tick"] < since]
    rows = old[old["command"].isin(("ACT", "PRE", "RDA", "WRA"))]
    last = rows.drop_duplicates(["rank", "stack", "group", "bank"], keep="last")
    closed = old[old["command"] == "PREA"].drop_duplicates("rank", keep="last")
    return pd.concat([last, closed, before[before["tick"] >= since]]).sort_index()


def _places(shown: pd.DataFrame, before: pd.DataFrame) -> list[_Place]:
    """List banks with commands in the window; a refresh of all shows every bank used so far."""
    names = ["rank", "stack", "group", "bank"]
    own = shown[shown["bank"] >= 0]
    whole = set(shown.loc[shown["bank"] < 0, "rank"].tolist())
    refreshed = before[before["rank"].isin(whole) & (before["bank"] >= 0)]
    rows = pd.concat([own, refreshed])[names].drop_duplicates().sort_values(names)
    return [(int(a), int(b), int(c), int(d)) for a, b, c, d in rows.itertuples(index=False)]


def _conflicts(shown: pd.DataFrame) -> int:
    """Count precharges of one bank that an activate of the same bank follows."""
    rows = shown[shown["command"].isin(["ACT", "PRE"])]
    commands = rows.groupby(["rank", "stack", "group", "bank"], sort=False)["command"]
    return sum(
        first == "PRE" and second == "ACT"
        for _, found in commands
        for first, second in zip(found.tolist(), found.tolist()[1:], strict=False)
    )
