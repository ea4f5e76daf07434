"""Tables computed from an execution: ops, utilisation, power, bandwidth, totals of engines.

Folded repeats count as if they had been simulated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from accelsim.results.ahead import op_bytes
from accelsim.results.execution import ENGINES, Execution, Track, Work
from accelsim.results.op_facts import host_waits_ps, op_energies_j, op_units
from accelsim.results.over_time import (
    BINS,
    Ints,
    amounts_over_time,
    bin_edges,
    durations,
    spread,
)
from accelsim.results.transfers import MEMORY, amounts_moved
from accelsim.results.unrolled import unrolled_ops, work_parts
from accelsim.results.watts import watts
from accelsim.units import PS_PER_S

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]


def op_table(execution: Execution) -> pd.DataFrame:
    """One row per execution of an op on a chip.

    Returns
    -------
    DataFrame
        name, kind, block, repeat, chip, unit (its group of cores), ready_s, start_s, end_s [s];
        waited_s: from ready to the first work, the start of its kernel included; host_s: how long
        all ops before it had ended and the host had not launched it, before it was ready; ahead_s:
        how long before it was ready its first transfer began [s]; loaded_bytes, read from the main
        memory; ahead_bytes, of these, what was on the chip when it became ready, and ahead_share,
        which part that is (0 where nothing is read) [B], [1]; dynamic_j: counted dynamic energy of
        one chip, without idle power [J]; copied: not simulated but folded.
    """
    import pandas as pd

    ops = unrolled_ops(execution)
    spans = [op.span for op in ops]
    sources = np.array([op.source for op in ops], np.intp)
    units = op_units(execution)
    times = np.array([(s.ready_ps, s.start_ps, s.end_ps) for s in spans], np.int64).reshape(-1, 3)
    ready, start, end = times.T
    ahead, loaded = (found[sources] for found in op_bytes(execution))
    return pd.DataFrame({
        "name": [s.name for s in spans], "kind": [s.kind for s in spans],
        "block": [s.block for s in spans], "repeat": [s.repeat for s in spans],
        "chip": [s.chip for s in spans], "unit": [units[source] for source in sources],
        "ready_s": ready / PS_PER_S,
        "start_s": start / PS_PER_S, "end_s": end / PS_PER_S,
        "waited_s": np.maximum(start - ready, 0) / PS_PER_S,
        "host_s": host_waits_ps(execution, ops) / PS_PER_S,
        "ahead_s": np.maximum(ready - start, 0) / PS_PER_S,
        "loaded_bytes": loaded, "ahead_bytes": ahead,
        "ahead_share": np.divide(ahead, loaded, out=np.zeros(len(ahead)), where=loaded > 0),
        "dynamic_j": op_energies_j(execution)[sources], "copied": [op.copied for op in ops],
    })  # fmt: skip


def utilisation(execution: Execution, bins: int = BINS) -> pd.DataFrame:
    """How busy each engine that does one thing at a time is, and how fast the others go.

    Parameters
    ----------
    execution : Execution
    bins : int
        About how many, see `accelsim.results.over_time.bin_edges`.

    Returns
    -------
    DataFrame
        time_s, where a bin begins, and a column per track such as ``chip0/cores/matrix``, 0 to 1.
        Matrix and vector units: the share of the bin in which they work; the mean over the pass is
        ``share`` of `engine_totals`. Load, store and network: the rate over the peak of the chip,
        which loads and stores have together; the mean is ``of_peak`` there. Launches, which
        overlap and have no peak: the share in which at least one is under way, ``share`` again.
    """
    edges = bin_edges(execution, bins)
    return _frame(edges, [t.name for t in execution.tracks], used_shares(execution, edges))


def used_shares(execution: Execution, edges_ps: Ints) -> Floats:
    """Return `utilisation` as float64[tracks, bins], for any edges of bins."""
    tracks = execution.tracks
    exclusive = np.array([track.exclusive for track in tracks], np.bool_)
    per_ps = np.array([execution.peaks.get(t.engine, 0.0) / PS_PER_S for t in tracks])
    rated = exclusive | (per_ps > 0)
    columns = np.where(exclusive, np.arange(len(tracks)), -1)
    used = np.zeros((len(tracks), len(edges_ps) - 1))
    found = amounts_over_time(execution, edges_ps, columns, durations)
    used[: len(found)] += found
    shared = rated & ~exclusive
    used[shared] = amounts_moved(execution, edges_ps)[shared] / per_ps[shared, None]
    if not rated.all():
        under_way = _covered(execution, np.flatnonzero(~rated).tolist())
        place = under_way.track.astype(np.intp)
        used += spread(edges_ps, under_way, place, durations(under_way), len(tracks))
    shares: Floats = used / np.diff(edges_ps)
    return shares


def power(execution: Execution, bins: int = BINS, chip: int | None = None) -> pd.DataFrame:
    """Power over time of all chips, or of one.

    Parameters
    ----------
    execution : Execution
    bins : int
        About how many, see `accelsim.results.over_time.bin_edges`.
    chip : int, optional
        Place in `Execution.chips`; of several chips that it stands for, one.

    Returns
    -------
    DataFrame
        time_s, where a bin begins [s]; power_w: counted, what the chips draw always and the
        dynamic energy of each piece of work evenly over its time; board_w: the same with what the
        boards draw above what is counted, where that is known (`Execution.board_over_counted`)
        [W]. Each is a mean over its bin: narrower bins have a higher maximum.
    """
    edges = bin_edges(execution, bins)
    found = watts(execution, edges, chip)
    return _frame(edges, ["power_w", "board_w"], np.stack([found.counted, found.board]))


def bandwidth(execution: Execution, bins: int = BINS) -> pd.DataFrame:
    """Bytes per second over time of main memory and links.

    Parameters
    ----------
    execution : Execution
    bins : int
        About how many, see `accelsim.results.over_time.bin_edges`.

    Returns
    -------
    DataFrame
        time_s, where a bin begins [s], and columns ``chip0/memory`` (loads and stores) and
        ``chip0/network`` (sent) for each chip that has such engines [B/s]; never above the peak,
        see `accelsim.results.transfers`.
    """
    edges = bin_edges(execution, bins)
    names, rates = moved_bytes_per_s(execution, edges)
    return _frame(edges, names, rates)


def moved_bytes_per_s(execution: Execution, edges_ps: Ints) -> tuple[list[str], Floats]:
    """Return the names and float64[columns, bins] of `bandwidth`, for any edges of bins [B/s]."""
    moved = amounts_moved(execution, edges_ps)
    columns: dict[str, Floats] = {}
    for track, amounts in zip(execution.tracks, moved, strict=True):
        kind = "memory" if track.engine in MEMORY else track.engine
        if kind in ("memory", "network"):
            name = f"chip{track.chip}/{kind}"
            columns[name] = columns.get(name, 0.0) + amounts
    sums = np.array(list(columns.values())).reshape(len(columns), len(edges_ps) - 1)
    rates: Floats = sums * PS_PER_S / np.diff(edges_ps)
    return list(columns), rates


def engine_totals(execution: Execution) -> pd.DataFrame:
    """One row per track, in the order of a picture.

    Returns
    -------
    DataFrame
        track, chip, unit, engine; pieces of work; busy_s, when at least one piece is under way
        [s]; share of the run that is [1]; amount [B] or [FLOP]; of_peak, amount over what the
        chip's engines of this kind could do in the whole run (NaN without a peak) [1]; dynamic_j,
        counted energy of one chip without idle power [J].
    """
    import pandas as pd

    count = len(execution.tracks)
    pieces = np.zeros(count, np.int64)
    sums = np.zeros((2, count))
    spans: list[list[Ints]] = [[] for _ in range(count)]
    for part in work_parts(execution):
        pieces += np.bincount(part.track, minlength=count)
        sums += [np.bincount(part.track, w, count) for w in (part.amount, part.energy_j)]
        for track in np.unique(part.track).tolist():
            spans[track].append(_union(part.where(part.track == track)))
    rows = []
    for place in track_order(execution.tracks):
        track, amount = execution.tracks[place], float(sums[0, place])
        busy_s = _covered_ps(spans[place]) / PS_PER_S
        run_s = execution.end_ps / PS_PER_S
        reach = execution.peaks.get(track.engine, np.nan) * run_s
        rows.append((
            track.name, track.chip, track.unit, track.engine, int(pieces[place]), busy_s,
            busy_s / run_s if run_s else 0.0, amount, amount / reach if reach else np.nan,
            float(sums[1, place]),
        ))  # fmt: skip
    columns = (
        "track", "chip", "unit", "engine", "pieces", "busy_s", "share", "amount", "of_peak",
        "dynamic_j",
    )  # fmt: skip
    return pd.DataFrame(rows, columns=list(columns))


def critical_path(execution: Execution) -> pd.DataFrame:
    """One row per resource on the critical path, most time first.

    Returns
    -------
    DataFrame
        resource (see `PathShare`), path_s, time that the path spends on it [s], and share of the
        pass [1].
    """
    import pandas as pd

    times_s = np.array([part.path_ps for part in execution.path], np.float64) / PS_PER_S
    whole_s = execution.end_ps / PS_PER_S
    return pd.DataFrame({
        "resource": [part.resource for part in execution.path], "path_s": times_s,
        "share": times_s / whole_s if whole_s else times_s,
    })  # fmt: skip


def track_order(tracks: tuple[Track, ...]) -> list[int]:
    """Places of tracks by chip and then as in `ENGINES`, for a picture or a table."""

    def key(place: int) -> tuple[int, int, str]:
        track = tracks[place]
        known = track.engine in ENGINES
        return track.chip, ENGINES.index(track.engine) if known else len(ENGINES), track.unit

    return sorted(range(len(tracks)), key=key)


def _covered(execution: Execution, chosen: list[int]) -> Work:
    """Stretches in which at least one piece is under way on each of these tracks."""
    spans: dict[int, list[Ints]] = {track: [] for track in chosen}
    for part in work_parts(execution):
        for track in chosen:
            spans[track].append(_union(part.where(part.track == track)))
    merged = [_merged(np.concatenate(spans[track])) for track in chosen]
    rows = np.concatenate(merged)
    of_track = np.repeat(np.array(chosen, np.int32), [len(found) for found in merged])
    nothing = np.zeros(len(rows))
    return Work(np.zeros_like(of_track), of_track, rows[:, 0], rows[:, 1], nothing, nothing)


def _frame(edges: Ints, names: list[str], values: Floats) -> pd.DataFrame:
    import pandas as pd

    columns = dict(zip(names, values, strict=True))
    return pd.DataFrame({"time_s": edges[:-1] / PS_PER_S, **columns})


def _union(work: Work) -> Ints:
    """Times in which at least one of the pieces is under way: int64[n, 2], in order [ps]."""
    return _merged(np.stack([work.start_ps, work.end_ps], axis=1))


def _merged(spans: Ints) -> Ints:
    if not len(spans):
        return spans
    ordered = spans[np.argsort(spans[:, 0], kind="stable")]
    reach = np.maximum.accumulate(ordered[:, 1])
    begins = np.flatnonzero(np.append(True, ordered[1:, 0] > reach[:-1]))
    ends = np.append(begins[1:], len(ordered)) - 1
    return np.stack([ordered[begins, 0], reach[ends]], axis=1)


def _covered_ps(parts: list[Ints]) -> int:
    if not parts:
        return 0
    merged = _merged(np.concatenate(parts))
    return int((merged[:, 1] - merged[:, 0]).sum())
