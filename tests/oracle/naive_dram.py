"""A DRAM channel as slow as the bus: every tick, every queued transaction, every rule.

The twin of `accelsim.kernels.dram`, built on nothing but `rules_of(memory)`. A bank is a path,
(rank, stack, group, bank); what holds it is a beginning of the path: () is the channel, (rank,) a
rank or pseudo-channel, and so on. The front end that feeds channels is in `naive_dram_front`.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

from accelsim.arch.dram_timing import resolved_cycles
from accelsim.arch.memory import MemorySpec
from accelsim.timing.dram.controller import Controller
from accelsim.timing.dram.rules import command_bus, rules_of

Path = tuple[int, ...]
Command = tuple[int, str, Path, int, int]  # tick, name, path, row, column
DEPTH = {"channel": 0, "rank": 1, "stack": 2, "group": 3, "bank": 4}
COLUMN = ("RD", "WR", "RDA", "WRA", "ACT2", "CAS")


@dataclass(eq=False)
class Transaction:
    """One burst: where it goes, when it came, and what its first command found."""

    number: int
    path: Path
    row: int
    column: int
    write: bool
    arrived: int = 0
    opened: int = 0
    kind: str = ""

    @property
    def place(self) -> tuple[Path, int, int]:
        """Where its bytes are."""
        return self.path, self.row, self.column


class Constraints:
    """The first tick at which a command may go, for every command and node of a channel."""

    def __init__(self, memory: MemorySpec, ranks: int) -> None:
        self.children = (ranks, memory.stack_ids, memory.bank_groups, memory.banks_per_group)
        self.by_command: dict[str, list[tuple[int, str, int, int, bool]]] = {}
        for r in rules_of(memory):
            row = (DEPTH[r.level], r.after, r.ticks, r.window, r.siblings)
            self.by_command.setdefault(r.before, []).append(row)
        self.first_allowed: dict[tuple[Path, str], int] = {}
        self.history: dict[tuple[Path, str], list[int]] = {}
        self.known: dict[tuple[str, Path], int] = {}  # answers since the last command

    def allow(self, command: str, path: Path, tick: int) -> bool:
        """Whether no rule keeps `command` to `path` away at `tick`."""
        first = self.known.get((command, path))
        if first is None:
            nodes = (path[:depth] for depth in range(len(path) + 1))
            first = max(self.first_allowed.get((node, command), 0) for node in nodes)
            self.known[command, path] = first
        return first <= tick

    def note(self, command: str, path: Path, tick: int) -> None:
        """Apply what `command` at `tick` forbids."""
        self.known.clear()
        for depth in range(len(path) + 1):
            self.history.setdefault((path[:depth], command), []).append(tick)
        for depth, after, ticks, window, siblings in self.by_command.get(command, ()):
            if depth > len(path):
                continue  # a command to a whole rank says nothing about single banks
            node = path[:depth]
            earlier = self.history[node, command]
            if len(earlier) < window:
                continue
            nodes = [node]
            if siblings:
                others = range(self.children[depth - 1])
                nodes = [(*node[:-1], i) for i in others if i != node[-1]]
            for held in nodes:
                until = max(self.first_allowed.get((held, after), 0), earlier[-window] + ticks)
                self.first_allowed[held, after] = until


@dataclass
class Counts:
    """What a channel has counted."""

    hit: int = 0
    miss: int = 0
    conflict: int = 0
    forwarded: int = 0
    merged: int = 0
    turnarounds: int = 0


@dataclass
class Channel:
    """One channel and its controller; `tick` takes it one slot of the command bus further."""

    memory: MemorySpec
    controller: Controller
    ranks: int
    latency_ticks: dict[int, int]
    now: int = 0
    last: int = 0
    draining: bool = False
    clock_until: int = -1
    reads: list[Transaction] = field(default_factory=list)
    writes: list[Transaction] = field(default_factory=list)
    active: list[Transaction] = field(default_factory=list)  # a row was opened for each
    half_open: dict[Path, Transaction] = field(default_factory=dict)
    half_since: dict[Path, int] = field(default_factory=dict)
    open_row: dict[Path, int] = field(default_factory=dict)
    last_row: dict[Path, int] = field(default_factory=dict)
    keep_open: dict[Path, int] = field(default_factory=dict)
    ranks_due: list[int] = field(default_factory=list)
    owed: dict[int, int] = field(default_factory=dict)
    set_aside: dict[int, Path] = field(default_factory=dict)
    refreshed: dict[Path, int] = field(default_factory=dict)
    commands: list[Command] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)

    def __post_init__(self) -> None:
        n, self.bus = resolved_cycles(self.memory), command_bus(self.memory)
        scale = self.bus.ticks_per_clock
        self.constraints = Constraints(self.memory, self.ranks)
        self.read_ticks = scale * (n["nCL"] + n["nBL"])
        self.clock_ticks = self.read_ticks + scale * n["nWCKPST"] if n["nWCKPST"] else 0
        self.half_ticks = scale * n["nAAD"]
        name = {"none": "", "all-bank": "nREFI", "per-bank": "nREFIpb"}[self.controller.refresh]
        self.refresh_ticks = scale * n[name] if name else 0
        self.banks = list(itertools.product(*map(range, self.constraints.children)))
        self.high = self.controller.write_high * self.controller.write_queue
        self.low = self.controller.write_low * self.controller.write_queue

    # What comes in.

    def accept(self, new: Transaction) -> str:
        """Queue a transaction, answer it from a write that waits ("answered"), or refuse it."""
        if any(write.place == new.place for write in self.writes):
            if new.write:
                self.counts.merged += 1
                self.last = max(self.last, self.now)
            else:
                self.counts.forwarded += 1
                self.last = max(self.last, self.now + 1)
            self.latency_ticks[new.number] = 0
            return "answered"
        queue = self.writes if new.write else self.reads
        size = self.controller.write_queue if new.write else self.controller.read_queue
        if len(queue) >= size:
            return "full"
        new.arrived = self.now
        queue.append(new)
        return "queued"

    @property
    def busy(self) -> bool:
        """Whether anything waits."""
        return bool(self.reads or self.writes or self.active)

    # One tick.

    def tick(self) -> list[Transaction]:
        """Go one tick further; returns the transactions that got their RD or WR."""
        self.now += 1
        if self.refresh_ticks and self.now % self.refresh_ticks == 0:
            self.refreshes_fall_due()
        slots = (COLUMN, self.row_commands()) if self.bus.split else (None,)
        served = [self.slot(names) for names in slots]
        return [transaction for transaction in served if transaction]

    @staticmethod
    def row_commands() -> tuple[str, ...]:
        return ("ACT", "PRE", "PREA", "REFab", "REFpb")

    def can_go(self, command: str, path: Path, names: tuple[str, ...] | None) -> bool:
        """Whether the bus of this slot, its edge and the rules let a command go."""
        if names is not None and command not in names:
            return False
        if self.bus.rising_only and self.now % 2 == 0 and command not in ("PRE", "PREA"):
            return False
        return self.constraints.allow(command, path, self.now)

    def slot(self, names: tuple[str, ...] | None) -> Transaction | None:
        """Use one slot of a bus (`names`: the commands that go over it; None: all of them)."""
        for path, since in self.half_since.items():
            # The last tick at which ACT2 may come; at once if a refresh waits for the row to close.
            if self.now >= since + self.half_ticks or self.ranks_due:
                self.open_wholly(path)
                return None
        for mine in sorted(self.active, key=lambda each: (each.arrived, each.opened)):
            if self.can_go(self.column_command(mine), mine.path, names):
                return self.move_data(mine, self.active)
        if not self.ranks_due and (names is None or "RD" in names):
            self.choose_queue()
        if self.refresh_step(names) or self.ranks_due:
            return None  # nothing from the queue while a whole rank waits for its refresh
        self.choose_queue()
        queue = self.writes if self.draining else self.reads
        candidates = queue[:1] if self.controller.scheduler == "fcfs" else queue
        for mine in candidates:
            command = self.next_command(mine, queue)
            if command and self.can_go(command, mine.path, names):
                return self.serve(mine, command, queue)
        return None

    def choose_queue(self) -> None:
        """Writes when many wait or no read does; reads again when few do and a read waits."""
        if not self.draining and (len(self.writes) > self.high or not self.reads):
            self.draining = True
            self.counts.turnarounds += 1
        elif self.draining and self.reads and (len(self.writes) < self.low or not self.writes):
            self.draining = False

    # Transactions.

    def active_at(self, path: Path) -> bool:
        return any(each.path == path for each in self.active)

    def next_command(self, mine: Transaction, queue: list[Transaction]) -> str:
        """The command that brings a queued transaction nearer to its data; "" if none may."""
        path = mine.path
        if self.set_aside and path in self.set_aside.values():
            return ""
        if path in self.half_open:
            return "ACT2" if self.half_open[path] is mine else ""
        row = self.open_row.get(path)
        if row is None:
            return "ACT"
        if row != mine.row and not self.constraints.allow("PRE", path, self.now):
            return ""
        if row == mine.row:
            return self.column_command(mine)
        if self.active_at(path) or self.has_older_hit(mine, row, queue):
            return ""
        return "PRE"

    def has_older_hit(self, mine: Transaction, row: int, queue: list[Transaction]) -> bool:
        """Whether the scheduler keeps an open row for a transaction that came before."""
        if self.controller.scheduler != "fr-fcfs-rowhit":
            return False
        hits = (each for each in queue if each.row == row and each.path == mine.path)
        return any(hit.arrived <= mine.arrived for hit in hits)

    def column_command(self, mine: Transaction) -> str:
        """RD or WR; with auto-precharge if the page policy closes the row behind it."""
        name = "WR" if mine.write else "RD"
        if self.controller.page_policy == "open":
            return name
        everyone = (*self.reads, *self.writes, *self.active)
        if any(o is not mine and o.path == mine.path and self.wants_row(o) for o in everyone):
            return name
        adaptive = self.controller.page_policy == "adaptive"
        return name if adaptive and self.keep_open.get(mine.path, 3) >= 2 else name + "A"

    def wants_row(self, other: Transaction) -> bool:
        return other.row == self.open_row.get(other.path)

    def serve(
        self, mine: Transaction, command: str, queue: list[Transaction]
    ) -> Transaction | None:
        path = mine.path
        if command in ("RD", "WR", "RDA", "WRA"):
            return self.move_data(mine, queue)
        if command == "ACT2":
            self.open_wholly(path)
            return None
        self.issue(command, path, mine.row, mine.column)
        if command == "PRE":
            mine.kind = mine.kind or "conflict"
            self.keep_open[path] = max(self.keep_open.get(path, 3) - 1, 0)
            del self.open_row[path]
            return None
        mine.kind = mine.kind or "miss"
        mine.opened = self.now
        if self.last_row.get(path) == mine.row:
            self.keep_open[path] = min(self.keep_open.get(path, 3) + 1, 3)
        self.last_row[path] = self.open_row[path] = mine.row
        if self.bus.two_step_activate:
            self.half_open[path] = mine
            self.half_since[path] = self.now
        else:
            queue.remove(mine)
            self.active.append(mine)
        return None

    def open_wholly(self, path: Path) -> None:
        """ACT2: from here on the row is there, for the transaction that it was opened for."""
        mine = self.half_open.pop(path)
        del self.half_since[path]
        self.issue("ACT2", path, mine.row, mine.column)
        (self.writes if mine.write else self.reads).remove(mine)
        self.active.append(mine)

    def move_data(self, mine: Transaction, queue: list[Transaction]) -> Transaction | None:
        """Read or write; or, if the data clock has stopped, start it first."""
        if self.clock_ticks:
            running = self.now <= self.clock_until
            self.clock_until = self.now + self.clock_ticks
            if not running:
                self.issue("CAS", mine.path, -1, -1)
                return None
        command = self.column_command(mine)
        mine.kind = mine.kind or "hit"
        setattr(self.counts, mine.kind, getattr(self.counts, mine.kind) + 1)
        queue.remove(mine)
        self.issue(command, mine.path, mine.row, mine.column)
        if command in ("RDA", "WRA"):
            del self.open_row[mine.path]
        done = self.now if mine.write else self.now + self.read_ticks
        self.last = max(self.last, done)
        self.latency_ticks[mine.number] = done - mine.arrived
        return mine

    def issue(self, command: str, path: Path, row: int, column: int) -> None:
        self.commands.append((self.now, command, path, row, column))
        self.constraints.note(command, path, self.now)

    # Refresh.

    def refreshes_fall_due(self) -> None:
        for rank in range(self.ranks):
            if self.controller.refresh == "all-bank":
                self.ranks_due.append(rank)
            else:
                self.owed[rank] = self.owed.get(rank, 0) + 1
                self.set_bank_aside(rank)

    def set_bank_aside(self, rank: int) -> None:
        """Take the bank to refresh next: of those refreshed least, the first without work."""
        if rank in self.set_aside:
            return
        wanted = {each.path for each in (*self.reads, *self.writes, *self.active)}
        mine = [path for path in self.banks if path[0] == rank]
        self.set_aside[rank] = min(
            mine, key=lambda path: (self.refreshed.get(path, 0), path in wanted)
        )

    def refresh_step(self, names: tuple[str, ...] | None) -> bool:
        """Close what a refresh needs closed, or refresh; whether this slot is used."""
        if self.ranks_due:
            return self.refresh_rank(self.ranks_due[0], names)
        for rank, path in sorted(self.set_aside.items()):
            if self.active_at(path) or path in self.half_open:
                continue
            command = "PRE" if path in self.open_row else "REFpb"
            if not self.can_go(command, path, names):
                continue
            self.issue(command, path, -1, -1)
            if command == "PRE":
                del self.open_row[path]
                return True
            self.refreshed[path] = self.refreshed.get(path, 0) + 1
            del self.set_aside[rank]
            self.owed[rank] -= 1
            if self.owed[rank]:
                self.set_bank_aside(rank)
            return True
        return False

    def refresh_rank(self, rank: int, names: tuple[str, ...] | None) -> bool:
        if any(each.path[0] == rank for each in (*self.active, *self.half_open.values())):
            return False
        mine = [path for path in self.open_row if path[0] == rank]
        command = "PREA" if mine else "REFab"
        if not self.can_go(command, (rank,), names):
            return False
        self.issue(command, (rank,), -1, -1)
        for path in mine:
            del self.open_row[path]
        if command == "REFab":
            self.ranks_due.pop(0)
        return True
