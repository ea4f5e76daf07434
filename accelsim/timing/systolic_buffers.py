"""Systolic arrays behind limited memories: stalls, refetched operands, spilled partial sums."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from accelsim.arch.array import ArrayBuffers, SystolicArray
from accelsim.errors import CapacityError, MappingError
from accelsim.kernels.folds import fold_fill
from accelsim.kernels.line_buffers import (
    GIVES_SLOT,
    READS_BACK,
    TAKES_SLOT,
    LinePlan,
    LineTable,
    Waits,
    step_turns,
)
from accelsim.timing.line_streams import Folds, Ints, Stream, line_streams
from accelsim.timing.systolic import CODES, SystolicCycles, array_cycles

_MAX_CYCLES = 2 * 10**10
_MAX_TURNS = 2**24
_LATEST_TICK = 4.0e18


@dataclass(frozen=True)
class BufferedRun:
    """One matmul on an array behind SRAMs of limited size and ports of limited bandwidth.

    Attributes
    ----------
    compute_cycles : int
        The array alone, as `systolic_cycles` counts [cycle].
    prefetch_cycles : int
        Before the first line is there and the array can start [cycle].
    stall_a_cycles, stall_b_cycles, stall_c_cycles : int
        Waiting for a line of A, for one of B, for room in the result buffer [cycle].
    drain_cycles : int
        After the array's last cycle, until the last result is written [cycle].
    dram_reads_a, dram_reads_b : int
        Words fetched; more than the operand's size when it does not stay [word].
    dram_reads_c, dram_writes_c : int
        Partial sums read back; results and partial sums written [word].
    sums_spilled : bool
        The partial sums of one strip do not fit the result buffer.
    turn_stall_cycles : (turns,) array of int
        Waits by fold, in execution order, the first one's prefetch included [cycle].
    """

    compute_cycles: int
    prefetch_cycles: int
    stall_a_cycles: int
    stall_b_cycles: int
    stall_c_cycles: int
    drain_cycles: int
    dram_reads_a: int
    dram_reads_b: int
    dram_reads_c: int
    dram_writes_c: int
    sums_spilled: bool
    turn_stall_cycles: Ints

    @property
    def stall_cycles(self) -> int:
        """All waiting after the start [cycle]."""
        return self.stall_a_cycles + self.stall_b_cycles + self.stall_c_cycles

    @property
    def cycles(self) -> int:
        """From the first line to the array's last result [cycle]."""
        return self.compute_cycles + self.stall_cycles

    @property
    def total_cycles(self) -> int:
        """From the first request to the last word written [cycle]."""
        return self.prefetch_cycles + self.cycles + self.drain_cycles


def buffered_cycles(
    array: SystolicArray,
    m: int,
    n: int,
    k: int,
    *,
    prefilled: bool = False,
    distinct_a: Fraction = Fraction(1),
) -> BufferedRun:
    """Run ``C[m, n] = A[m, k] B[k, n]`` on an array with limited buffers and bandwidth.

    Parameters
    ----------
    array : SystolicArray
        With `buffers`; several arrays each have such buffers and ports of their own.
    m, n, k : int
        Sizes.
    prefilled : bool, optional
        Operand buffers are full at the start: the layer before hid their first fill.
    distinct_a : Fraction, optional
        Share of A's elements that are different ones; a unit between buffer and array repeats
        the others, as im2col needs them (`accelsim.timing.systolic_conv`) [1].

    Returns
    -------
    BufferedRun

    Raises
    ------
    SpecError
        If the array has no buffers.
    CapacityError
        If a buffer does not hold two lines (one in use, one on its way), or the run is too long
        to be stepped.

    Notes
    -----
    Word counts and waits are exact for the machine of `accelsim.kernels.line_buffers`: circular
    buffers, one port per operand, no port latency. A line counts as needed when its first word
    enters the array. Spilled partial sums are read back in time for their fold; reading and
    writing share the port of C.
    """
    buffers = array.buffers
    if buffers is None:
        raise MappingError(
            f"{array.name} has no buffers to run out of: give ArrayBuffers(...), or use "
            "systolic_cycles for an array that never waits"
        )
    ideal = array_cycles(array, m, n, k)
    shares = _shares(array, ideal)
    if ideal.cycles > _MAX_CYCLES or len(shares[0]) > _MAX_TURNS:
        raise CapacityError(
            f"{ideal.cycles} cycles in {len(shares[0])} folds are too many to step one by one (at "
            f"most {_MAX_CYCLES} and {_MAX_TURNS}): use systolic_cycles, or run a part of it"
        )
    streams = [
        line_streams(array, (m, n, k), share, CODES[array.dataflow], distinct_a) for share in shares
    ]
    waits, turn_stalls = _step(array, buffers, ideal, streams[0], prefilled)
    by_operand = dict(zip(("y", "x", "z"), streams[0], strict=True))
    stalls = {
        by_operand["y"].operand: waits.y_cycles,
        by_operand["x"].operand: waits.x_cycles,
        by_operand["z"].operand: waits.z_cycles,
    }
    moved = {"a": 0, "b": 0, "read_c": 0, "write_c": 0}
    for y, x, z in streams:
        moved[y.operand] += y.moved(TAKES_SLOT)
        moved[x.operand] += x.moved(TAKES_SLOT)
        moved["read_c"] += z.moved(READS_BACK)
        moved["write_c"] += z.moved(GIVES_SLOT)
    return BufferedRun(
        compute_cycles=ideal.cycles,
        prefetch_cycles=waits.prefetch_cycles,
        stall_a_cycles=stalls["a"],
        stall_b_cycles=stalls["b"],
        stall_c_cycles=stalls["c"],
        drain_cycles=waits.drain_cycles,
        dram_reads_a=moved["a"],
        dram_reads_b=moved["b"],
        dram_reads_c=moved["read_c"],
        dram_writes_c=moved["write_c"],
        sums_spilled=moved["read_c"] > 0,
        turn_stall_cycles=turn_stalls,
    )


def _shares(array: SystolicArray, ideal: SystolicCycles) -> list[Folds]:
    """Deal the folds to the arrays in equal runs; the first array has the most."""
    buffers, extra = array.buffers, array.features
    inner = (buffers.inner if buffers else None) or ("cols" if array.dataflow == "os" else "rows")
    fill = fold_fill(CODES[array.dataflow], array.rows, array.cols, extra.mac_latency_cycles)
    beats = ideal.fold_cycles - fill
    turns = math.ceil(ideal.folds / extra.arrays)
    grid = (ideal.row_folds, ideal.col_folds)
    shares = [
        Folds.dealt(grid, inner == "rows", beats, (start, min(ideal.folds, start + turns)))
        for start in range(0, ideal.folds, turns)
    ]
    copies = max(1, extra.arrays // ideal.folds) if array.dataflow != "os" else 1
    return shares * copies  # a stream cut over idle arrays: each repeats what stays


def _step(
    array: SystolicArray,
    buffers: ArrayBuffers,
    ideal: SystolicCycles,
    streams: tuple[Stream, Stream, Stream],
    prefilled: bool,
) -> tuple[Waits, Ints]:
    """Run the busiest array through its folds."""
    turns = len(streams[0].begin)
    alone = ideal.fold_cycles
    period = (ideal.cycles - alone) // (turns - 1) if turns > 1 else alone
    rates = [getattr(buffers, f"{s.operand}_words_per_cycle") for s in streams]
    if not any(rates):  # what arrives at once is never waited for
        return Waits(0, 0, 0, 0, 0), np.zeros(turns, dtype=np.int64)
    times = [s.share / r if r else Fraction(0) for s, r in zip(streams, rates, strict=True)]
    table = LineTable(
        begin=np.array([s.begin for s in streams]),
        end=np.array([s.begin + s.lines for s in streams]),
        flags=np.array([s.flags for s in streams], dtype=np.uint8),
        # A word takes a fraction of a cycle: count in parts of its denominator.
        ticks=np.array([s.words * t.numerator for s, t in zip(streams, times, strict=True)]),
        cycle_ticks=np.array([time.denominator for time in times]),
        slots=np.array([min(s.slots, int(s.lines.sum()) + 1) for s in streams]),
    )
    longest = ideal.cycles + sum(
        float(np.sum(2.0 * s.lines * ticks)) / per_cycle
        for s, ticks, per_cycle in zip(streams, table.ticks, table.cycle_ticks, strict=True)
    )
    if longest * float(table.cycle_ticks.max()) > _LATEST_TICK:
        raise CapacityError(
            f"{longest:.3g} cycles with ports of {', '.join(str(r) for r in rates)} words per "
            "cycle do not fit 64-bit time: give bandwidths as round numbers, or run a part of it"
        )
    stalls = np.zeros(turns, dtype=np.int64)
    waits = step_turns(LinePlan(turns, period, ideal.cycles, int(prefilled)), table, stalls)
    return waits, stalls
