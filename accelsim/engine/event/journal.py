"""What happened: every piece of work with its cause, and every op, kept for results."""

from __future__ import annotations

from typing import Final, NamedTuple

from accelsim.results.execution import Track

NOTHING = -1
"""The cause of what nothing had to wait for."""
SPENT_ON = (
    "matrix", "vector", "power", "memory", "shared", "ports", "link", "network", "launch",
    "memory_latency", "others",
)  # fmt: skip
"""What the time of a piece of work can go to: units, bandwidths, waiting."""
CODES = {name: code for code, name in enumerate(SPENT_ON)}
"""Places in `SPENT_ON`."""


Piece = tuple[int, int, int, int, float, float, int, int]
"""Work on one track.

Places of its op and its track in the journal; start and end in simulated time [ps]; amount and
energy (see `accelsim.results.execution.Work`); the piece whose end let it start; the code of what
its time is spent on. A plain tuple of numbers: Python's garbage collector looks at it once.
"""
END_PS: Final = 3
"""Place of the end in a `Piece`."""


class Where(NamedTuple):
    """Place of an op: chip, sequencer that issued it, block, repeat, place in the block."""

    chip: int
    stream: int
    block: int
    repeat: int
    place: int


class OpRecord:
    """One execution of one op: when [ps], and the piece of work that ended it.

    Parameters
    ----------
    name, kind : str
    where : Where
    """

    __slots__ = ("end_ps", "kind", "last_piece", "name", "ready_ps", "start_ps", "where")

    def __init__(self, name: str, kind: str, where: Where) -> None:
        self.name = name
        self.kind = kind
        self.where = where
        self.ready_ps = self.start_ps = self.end_ps = -1
        self.last_piece = NOTHING


class Journal:
    """What is kept of a run: tracks, ops, and pieces of work in the order in which they ended."""

    def __init__(self) -> None:
        self.tracks: list[Track] = []
        self.ops: list[OpRecord] = []
        self.pieces: list[Piece] = []

    def add_track(self, track: Track) -> int:
        """Add a track; return its place."""
        self.tracks.append(track)
        return len(self.tracks) - 1

    def add_op(self, record: OpRecord) -> int:
        """Add an op; return its place."""
        self.ops.append(record)
        return len(self.ops) - 1

    def add(self, piece: Piece) -> int:
        """Add a piece of work; return its place."""
        self.pieces.append(piece)
        return len(self.pieces) - 1

    def later(self, one: int, other: int) -> int:
        """Return the piece that ended later; the other of equals."""
        if other == NOTHING:
            return one
        if one == NOTHING:
            return other
        pieces = self.pieces
        return one if pieces[one][END_PS] > pieces[other][END_PS] else other
