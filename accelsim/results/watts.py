"""Power over time: counted by engine, and of the board.

*Counted* power is idle power and the energy of the counted actions, as in every energy of a result.
A board under load draws more: the counted dynamic power times `Execution.board_over_counted`, where
that is known. A power limit is one of the board.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accelsim.results.execution import Execution, Work
from accelsim.results.over_time import amounts_over_time
from accelsim.results.transfers import MEMORY
from accelsim.units import PS_PER_S

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Watts:
    """Power in each bin of time [W].

    Attributes
    ----------
    idle : float
        What the chips draw always.
    engines : dict of str to float64[bins]
        Counted dynamic power of ``matrix``, ``vector``, ``memory`` (loads and stores), ``network``
        and whatever else has energy.
    counted : float64[bins]
        Idle and dynamic power together.
    board : float64[bins]
        Idle power, and dynamic power with what a board draws above what is counted.
    limit : float
        Of the boards together; infinite where none is stated.
    """

    idle: float
    engines: dict[str, Floats]
    counted: Floats
    board: Floats
    limit: float


def watts(execution: Execution, edges_ps: Ints, chip: int | None = None) -> Watts:
    """Return the power in bins with these edges.

    Parameters
    ----------
    execution : Execution
    edges_ps : int64[bins + 1]
    chip : int, optional
        Place in `Execution.chips`; of several chips that it stands for, one. All chips if left
        out.
    """
    counts = np.array(execution.devices, np.float64)
    if chip is not None:
        counts = (np.arange(len(counts)) == chip).astype(np.float64)
    of_track = counts[[track.chip for track in execution.tracks]]

    def carried(part: Work) -> Floats:
        joules: Floats = part.energy_j * of_track[part.track]
        return joules

    kinds = ["memory" if t.engine in MEMORY else t.engine for t in execution.tracks]
    names = list(dict.fromkeys(kinds))
    columns = np.array([names.index(kind) for kind in kinds], np.intp)
    joules = amounts_over_time(execution, edges_ps, columns, carried)
    by_engine = joules * PS_PER_S / np.diff(edges_ps)
    dynamic: Floats = by_engine.sum(axis=0)
    chips = float(counts.sum())
    idle = execution.idle_w * chips
    return Watts(
        idle,
        {name: row for name, row in zip(names, by_engine, strict=True) if row.any()},
        idle + dynamic,
        idle + execution.board_over_counted * dynamic,
        execution.limit_w * chips,
    )
