"""What transfers move over time, never more than the peak that they share.

A transfer is recorded with its begin, end and bytes; its rate between is not. Spread evenly, those
that were slow at first and fast at last add up to more than the memory can do. Here bytes are moved
to times near by, until the sum is below the peak everywhere.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from accelsim.results.execution import Execution, Work
from accelsim.results.over_time import amounts_over_time
from accelsim.results.unrolled import work_parts
from accelsim.units import PS_PER_S

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
MEMORY = ("load", "store")
_ROUNDING, _NOTHING = 1e-9, 1e-12


def amounts_moved(execution: Execution, edges_ps: Ints) -> Floats:
    """Sum what each track moves in each bin.

    Parameters
    ----------
    execution : Execution
    edges_ps : int64[bins + 1]

    Returns
    -------
    float64[tracks, bins]
        `Work.amount`. Of shared tracks with a peak those of a chip (loads and stores together)
        stay below it; see `below_peak`. Others are spread evenly over the time of each piece.
    """
    before, after = int(edges_ps[0] > 0), int(edges_ps[-1] < execution.end_ps)
    whole = np.concatenate([[0] * before, edges_ps, [execution.end_ps] * after]).astype(np.int64)
    tracks = np.arange(len(execution.tracks), dtype=np.intp)
    moved = amounts_over_time(execution, whole, tracks, lambda part: part.amount)
    for places, per_ps in _groups(execution):
        used = moved[places] / per_ps
        if (used.sum(axis=0) > np.diff(whole) * (1 + _ROUNDING)).any():
            begun, ended = _begun_and_ended(execution, whole, places)
            total = below_peak(used.sum(axis=0), begun / per_ps, ended / per_ps, np.diff(whole))
            moved[places] = _as_in(used, total) * per_ps
    found: Floats = moved[:, before : before + len(edges_ps) - 1]
    return found


def below_peak(even: Floats, begun: Floats, ended: Floats, room: NDArray[np.number]) -> Floats:
    """Move amounts to other bins so that none holds more than there is room for.

    Parameters
    ----------
    even : float64[bins]
        What transfers move in each bin if each is spread evenly over its time.
    begun, ended : float64[bins]
        Sum of the transfers that begin, and that end, in a bin.
    room : float64[bins]
        What a bin can hold.

    Returns
    -------
    float64[bins]
        With the same sum; `even` itself where no bin is too full, or where the transfers cannot be
        done below the peak whatever their rates.

    Notes
    -----
    The sum from the start, A, must never rise faster than the peak. Excess that goes to later
    times gives the curve just below A that does not, excess to earlier times the one just above; in
    the middle lies one that moves bytes both ways, to the next times with room. It is held
    between the latest curve that has all of every transfer moved when it ends, and the earliest one
    that has moved nothing of a transfer before it begins: of all transfers together, that is; which
    of them is under way is not looked at.
    """
    peak = _summed(room)
    curve = _summed(even)
    earliest = peak + np.minimum.accumulate(_summed(begun) - peak)
    latest = peak + _from_end(_summed(ended) - peak)
    tolerance = _ROUNDING * curve[-1]
    if (latest > earliest + tolerance).any():
        return even
    later = peak + np.minimum.accumulate(curve - peak)
    sooner = peak + _from_end(curve - peak)
    moved = np.maximum(latest, np.minimum(earliest, 0.5 * (later + sooner))) - curve
    moved[np.abs(moved) <= _NOTHING * curve[-1]] = 0.0  # no digit changes there
    found: Floats = np.maximum(even + np.diff(moved), 0.0)
    return found


def _groups(execution: Execution) -> list[tuple[list[int], float]]:
    """Places of shared tracks that have one peak, and the peak per picosecond."""
    found: dict[tuple[int, str], list[int]] = {}
    for place, track in enumerate(execution.tracks):
        if not track.exclusive and execution.peaks.get(track.engine, 0.0) > 0:
            kind = "memory" if track.engine in MEMORY else track.engine
            found.setdefault((track.chip, kind), []).append(place)
    peaks = (execution.peaks[execution.tracks[own[0]].engine] for own in found.values())
    return [(own, peak / PS_PER_S) for own, peak in zip(found.values(), peaks, strict=True)]


def _begun_and_ended(execution: Execution, edges: Ints, places: list[int]) -> tuple[Floats, Floats]:
    """Sum the transfers on some tracks by the bin in which they begin, and end."""
    begun, ended = np.zeros((2, len(edges) - 1))
    for part in work_parts(execution):
        own = part.where(np.isin(part.track, places))
        first, last = _bins_of(own, edges)
        begun += np.bincount(first, own.amount, len(begun))
        ended += np.bincount(last, own.amount, len(ended))
    return begun, ended


def _bins_of(work: Work, edges: Ints) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Bins in which pieces begin and end; one that ends on an edge ends in the bin before it."""
    most = len(edges) - 2
    first = np.clip(np.searchsorted(edges, work.start_ps, "right") - 1, 0, most)
    last = np.clip(np.searchsorted(edges, work.end_ps, "left") - 1, 0, most)
    return first, np.maximum(first, last)


def _as_in(used: Floats, total: Floats) -> Floats:
    """Divide a new sum among tracks: what a track moves keeps its place in the order of all."""
    old, new = _summed(used.sum(axis=0)), _summed(total)
    still = np.abs(new - old) <= _NOTHING * old[-1]
    new = np.where(still, old, new)
    same = still[:-1] & still[1:]
    parts = np.array([np.diff(np.interp(new, old, _summed(row))) for row in used])
    divided: Floats = np.where(same, used, parts)
    return divided


def _summed(amounts: NDArray[np.number]) -> Floats:
    """Sum from the start up to each edge."""
    total: Floats = np.append(0.0, np.cumsum(amounts, dtype=np.float64))
    return total


def _from_end(values: Floats) -> Floats:
    """Greatest of the values from each place on."""
    found: Floats = np.maximum.accumulate(values[::-1])[::-1]
    return found
