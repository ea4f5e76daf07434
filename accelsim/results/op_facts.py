"""What the pieces of work say of the ops: energy, group of cores, launches, waits for the host."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from accelsim.results.execution import Execution
from accelsim.results.unrolled import UnrolledOp

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def op_energies_j(execution: Execution) -> Floats:
    """Counted dynamic energy of each simulated op on one chip, float64[ops] [J]."""
    joules: Floats = np.bincount(
        execution.work.op, execution.work.energy_j, len(execution.ops)
    ).astype(np.float64)
    return joules


def op_units(execution: Execution) -> list[str]:
    """Group of cores of each simulated op; empty where links alone worked and there are several."""
    tracks = execution.tracks
    on_cores = [track.engine in ("launch", "matrix", "vector") for track in tracks]
    groups: dict[int, set[str]] = {}
    for track, is_core in zip(tracks, on_cores, strict=True):
        if is_core:
            groups.setdefault(track.chip, set()).add(track.unit)
    alone = {chip: next(iter(units)) for chip, units in groups.items() if len(units) == 1}
    units = [alone.get(span.chip, "") for span in execution.ops]
    for op, place in {*zip(execution.work.op.tolist(), execution.work.track.tolist(), strict=True)}:
        if tracks[place].unit in groups.get(tracks[place].chip, ()):
            units[op] = tracks[place].unit
    return units


def launches_ps(execution: Execution) -> Ints:
    """How long the start of each simulated op's kernel takes once it is ready, int64[ops] [ps]."""
    found = np.zeros(len(execution.ops), np.int64)
    op, start_ps, end_ps = _launches(execution)
    ready = _ready_ps(execution)[op]
    own = start_ps >= ready
    np.maximum.at(found, op[own], (end_ps - ready)[own])
    return found


def host_waits_ps(execution: Execution, ops: Sequence[UnrolledOp]) -> Ints:
    """How long each unrolled op could have begun, were it not for the host, int64[ops] [ps].

    Notes
    -----
    The host's work on an op ends when the op becomes ready if the op waits for it. Counted is what
    of it lies behind the end of all ops before, on the same group of cores: from then on nothing
    else keeps the op.
    """
    lead = np.zeros(len(execution.ops), np.int64)
    op, start_ps, end_ps = _launches(execution)
    ready = _ready_ps(execution)[op]
    last = (end_ps == ready) & (start_ps < ready)
    np.maximum.at(lead, op[last], (ready - start_ps)[last])
    waits = np.zeros(len(ops), np.int64)
    if not lead.any():
        return waits
    units = op_units(execution)
    ended: dict[tuple[int, str], int] = {}
    for place, (span, _, source) in enumerate(ops):
        key = (span.chip, units[source])
        waits[place] = max(0, min(int(lead[source]), span.ready_ps - ended.get(key, 0)))
        ended[key] = max(ended.get(key, 0), span.end_ps)
    return waits


def _launches(execution: Execution) -> tuple[NDArray[np.int32], Ints, Ints]:
    """Op, start and end of the pieces on launch tracks."""
    tracks = np.array([track.engine == "launch" for track in execution.tracks], np.bool_)
    chosen = execution.work.where(tracks[execution.work.track])
    return chosen.op, chosen.start_ps, chosen.end_ps


def _ready_ps(execution: Execution) -> Ints:
    return np.array([span.ready_ps for span in execution.ops], np.int64)
