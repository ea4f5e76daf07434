"""What the event engine saw: every op and every piece of work on every engine, with times."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import SimulationError

ENGINES = ("launch", "load", "matrix", "vector", "store", "network")
"""Kinds of tracks, in the order of a picture: the start of kernels, transfers from and to the main
memory, matrix units, vector units, transfers from there, links."""


class Track(NamedTuple):
    """One engine: of which chip, of which group of cores, and its kind, one of `ENGINES`.

    `exclusive` engines work on one thing at a time; transfers and links are shared.
    """

    chip: int
    unit: str
    engine: str
    exclusive: bool = True

    @property
    def name(self) -> str:
        """Path of the engine, such as ``chip0/cores/matrix``."""
        return "/".join(part for part in (f"chip{self.chip}", self.unit, self.engine) if part)


class OpSpan(NamedTuple):
    """One execution of one op on one chip [ps].

    Attributes
    ----------
    chip : int
    name, kind, block : str
        The block is that of the graph ("layers.0").
    repeat : int
        Of the block, from 0.
    ready_ps : int
        What it reads has been made, and a host that launches it has come to it.
    start_ps, end_ps : int
        From its first work, which may be a transfer ahead of `ready_ps`, to its last.
    """

    chip: int
    name: str
    kind: str
    block: str
    repeat: int
    ready_ps: int
    start_ps: int
    end_ps: int


class Fold(NamedTuple):
    """Repeats that were not simulated: copies of the repeat before them, a period apart.

    Attributes
    ----------
    first_op, last_op : int
        Ops `first_op` up to, not including, `last_op` of `Execution.ops` are copied.
    copies : int
        How many times; copy i lies ``i period_ps`` later, i from 1.
    period_ps : int
    """

    first_op: int
    last_op: int
    copies: int
    period_ps: int


class PathShare(NamedTuple):
    """Time that the critical path spends on one resource.

    Attributes
    ----------
    resource : str
        ``matrix``, ``vector``, ``memory``, ``memory_latency`` (first bytes, and loads in flight
        too few for the bandwidth), ``shared``, ``network``, ``power``, ``launch``, ``gaps``
        (nothing is worked on), or ``others`` (waiting for other members of a collective).
    path_ps : int
        Of the critical path, copies included; less would go if the resource were infinite, where
        another path is almost as long.
    """

    resource: str
    path_ps: int


@dataclass(frozen=True, eq=False)
class Work:
    """Pieces of work, one row each.

    Attributes
    ----------
    op : int32[n]
        Place in `Execution.ops`.
    track : int32[n]
        Place in `Execution.tracks`.
    start_ps, end_ps : int64[n]
        On exclusive tracks they never overlap.
    amount : float64[n]
        Main-memory bytes of load and store, bytes sent of network, FLOP of matrix and vector.
    energy_j : float64[n]
        Dynamic energy [J].
    """

    op: NDArray[np.int32]
    track: NDArray[np.int32]
    start_ps: NDArray[np.int64]
    end_ps: NDArray[np.int64]
    amount: NDArray[np.float64]
    energy_j: NDArray[np.float64]

    def __post_init__(self) -> None:
        columns = (self.track, self.start_ps, self.end_ps, self.amount, self.energy_j)
        if any(len(column) != len(self.op) for column in columns):
            raise SimulationError(
                f"columns of work have {len(self.op)} and {[len(c) for c in columns]} rows; "
                "give all of them the same number"
            )

    def __len__(self) -> int:
        return len(self.op)

    def where(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> Work:
        """Return the chosen rows, by a mask or by their places."""
        return Work(
            self.op[chosen], self.track[chosen], self.start_ps[chosen], self.end_ps[chosen],
            self.amount[chosen], self.energy_j[chosen],
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Execution:
    """One pass of one graph, as simulated.

    Attributes
    ----------
    chips : tuple of str
        Names; chips that do the same are simulated once, and the name says for how many.
    tracks : tuple of Track
    ops : tuple of OpSpan
        Simulated ones: by chip, and then in program order.
    work : Work
    folds : tuple of Fold
        What stands for more than itself.
    end_ps : int
        When the last op ends, folds unrolled.
    idle_w : float
        That a chip draws always [W].
    peaks : dict of str to float
        By engine, what `Work.amount` of one chip can reach per second [B/s], [FLOP/s].
    path : tuple of PathShare
        The critical path, most time first.
    events : int
        That were simulated.
    chip_counts : tuple of int
        How many chips each of `chips` stands for; empty when each stands for itself.
    limit_w : float
        Power limit of the board of one chip; infinite where none is stated [W].
    board_over_counted : float
        Power of a board under load over that of the counted actions, idle power apart; 1 where it
        is not known [1].

    Raises
    ------
    SimulationError
        If a fold copies ops that are not there, or ops of another fold; if counts of chips are
        missing; if a limit is not above 0, or a board draws less than what is counted.
    """

    chips: tuple[str, ...]
    tracks: tuple[Track, ...]
    ops: tuple[OpSpan, ...]
    work: Work
    folds: tuple[Fold, ...]
    end_ps: int
    idle_w: float
    peaks: dict[str, float]
    path: tuple[PathShare, ...]
    events: int
    chip_counts: tuple[int, ...] = ()
    limit_w: float = math.inf
    board_over_counted: float = 1.0

    def __post_init__(self) -> None:
        before = 0
        for fold in sorted(self.folds):
            if not before <= fold.first_op < fold.last_op <= len(self.ops):
                raise SimulationError(
                    f"a fold copies ops {fold.first_op} to {fold.last_op}, but ops {before} to "
                    f"{len(self.ops)} are left for it; folds must not overlap or be empty"
                )
            before = fold.last_op
        if len(self.chip_counts) not in (0, len(self.chips)):
            raise SimulationError(
                f"{len(self.chip_counts)} chip_counts for {len(self.chips)} chips; give one each"
            )
        if not (self.limit_w > 0 and self.board_over_counted >= 1):
            raise SimulationError(
                f"limit_w is {self.limit_w!r} and board_over_counted {self.board_over_counted!r}: "
                "give a limit above 0 W (math.inf for none) and a factor from 1"
            )

    @property
    def devices(self) -> tuple[int, ...]:
        """How many chips each of `chips` stands for."""
        return self.chip_counts or (1,) * len(self.chips)


class StagePass(NamedTuple):
    """One pass of a stage of a run (prefill, decode, ...), and how many such passes there are.

    `ideal_s` is how long the pass takes if each resource is infinite, where that was asked for [s].
    """

    stage: str
    times: float
    execution: Execution
    ideal_s: Mapping[str, float] = {}
