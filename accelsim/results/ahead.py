"""What was fetched ahead: bytes on the chip before the op that reads them could start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accelsim.results.execution import Execution, StagePass

Floats = NDArray[np.float64]


class FetchedAhead(NamedTuple):
    """Bytes of the main memory that one chip read.

    Attributes
    ----------
    ahead_bytes : float
        Of transfers that had ended when their op became ready [B].
    loaded_bytes : float
        All [B].
    """

    ahead_bytes: float
    loaded_bytes: float

    @property
    def share(self) -> float:
        """Bytes ahead over all bytes read; 0 where nothing was read [1]."""
        return self.ahead_bytes / self.loaded_bytes if self.loaded_bytes else 0.0


def op_bytes(execution: Execution) -> tuple[Floats, Floats]:
    """Bytes that each simulated op read ahead, and all that it read, float64[ops] each [B]."""
    work, count = execution.work, len(execution.ops)
    loads = np.array([track.engine == "load" for track in execution.tracks], np.bool_)[work.track]
    ready_ps = np.array([span.ready_ps for span in execution.ops], np.int64)[work.op]
    early = loads & (work.end_ps <= ready_ps)
    ahead, loaded = (
        np.bincount(work.op, np.where(chosen, work.amount, 0.0), count).astype(np.float64)
        for chosen in (early, loads)
    )
    return ahead, loaded


def fetched_ahead(execution: Execution) -> FetchedAhead:
    """Sum over the ops of one pass, copies too, on one chip: the mean of all of them."""
    devices = np.array(execution.devices, np.float64)
    weights = devices[[span.chip for span in execution.ops]] / devices.sum()
    for fold in execution.folds:
        weights[fold.first_op : fold.last_op] *= 1 + fold.copies
    ahead, loaded = op_bytes(execution)
    return FetchedAhead(float(ahead @ weights), float(loaded @ weights))


def passes_fetched_ahead(passes: Sequence[StagePass]) -> FetchedAhead:
    """Sum over all passes of a run."""
    found = [(one.times, fetched_ahead(one.execution)) for one in passes]
    return FetchedAhead(
        sum(times * one.ahead_bytes for times, one in found),
        sum(times * one.loaded_bytes for times, one in found),
    )
