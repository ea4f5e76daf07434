"""Systolic arrays behind limited memories: stalls, refetched operands, spilled partial sums."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from accelsim.arch.array import ArrayBuffers, SystolicArray
from accelsim.errors import CapacityError, MappingError
from accelsim.kernels.folds import FoldCounts
from accelsim.kernels.line_buffers import LinePlan, LineTable, Waits, step_turns
from accelsim.timing.conv_inputs import FetchedInputs
from accelsim.timing.fold_order import FoldOrder, Ints
from accelsim.timing.line_streams import Stream, line_streams
from accelsim.timing.systolic import counted
from accelsim.workload.conv import ConvShape

_MAX_CYCLES = 2 * 10**9
_MAX_FOLDS = 2**20
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
    repeat: int = 1,
    prefilled: bool = False,
) -> BufferedRun:
    """Run ``C[m, n] = A[m, k] B[k, n]`` on an array with limited buffers and bandwidth.

    Parameters
    ----------
    array : SystolicArray
        With `buffers`; several arrays share them: one fetch serves all that need a block, and
        partial sums meet in one accumulator.
    m, n, k : int
        Sizes.
    repeat : int, optional
        Matmuls of these sizes, each with operands of its own, one after the other.
    prefilled : bool, optional
        Operand buffers are full at the start: the layer before hid their first fill.

    Returns
    -------
    BufferedRun

    Raises
    ------
    MappingError
        If the array has no buffers.
    CapacityError
        If a buffer does not hold two lines (one in use, one on its way), or the run is too long
        to be stepped.

    Notes
    -----
    Words are exact. Waits are exact for the machine of `accelsim.kernels.line_buffers`: circular
    buffers, one port per operand, no port latency. A line counts as needed when its first word
    enters the array, and a partial last line takes as long as a full one. Spilled partial sums are
    read back in time for their fold; reading and writing share the port of C.
    """
    return run_buffered(array, (m, n, k, repeat), prefilled, None)


def run_buffered(
    array: SystolicArray,
    problem: tuple[int, int, int, int],
    prefilled: bool,
    conv: ConvShape | None,
) -> BufferedRun:
    """Run (m, n, k, repeat), fetching the inputs of a convolution instead of an im2col matrix."""
    buffers = array.buffers
    if buffers is None:
        raise MappingError(
            f"{array.name} has no buffers to run out of: give ArrayBuffers(...), or use "
            "systolic_cycles for an array that never waits"
        )
    ideal = counted(array, *problem)
    if ideal.cycles > _MAX_CYCLES or ideal.folds > _MAX_FOLDS:
        raise CapacityError(
            f"{ideal.cycles:,} cycles in {ideal.folds:,} folds are too many to step one by one (at "
            f"most {_MAX_CYCLES:,} and {_MAX_FOLDS:,}): count it without limits, or run "
            "a part of it"
        )
    order = FoldOrder.of(array, ideal)
    inputs = FetchedInputs.of(conv, array, order) if conv else None
    y, x, z = streams = line_streams(array, problem[:3], order, inputs)
    waits, turn_stalls = _step(buffers, ideal, streams, prefilled)
    stalls = {y.operand: waits.y_cycles, x.operand: waits.x_cycles, "c": waits.z_cycles}
    moved = {y.operand: y.moved_in, x.operand: x.moved_in}
    return BufferedRun(
        compute_cycles=ideal.cycles,
        prefetch_cycles=waits.prefetch_cycles,
        stall_a_cycles=stalls["a"],
        stall_b_cycles=stalls["b"],
        stall_c_cycles=stalls["c"],
        drain_cycles=waits.drain_cycles,
        dram_reads_a=moved["a"],
        dram_reads_b=moved["b"],
        dram_reads_c=z.moved_back,
        dram_writes_c=z.moved_out,
        sums_spilled=z.moved_back > 0,
        turn_stall_cycles=turn_stalls,
    )


def _step(
    buffers: ArrayBuffers,
    ideal: FoldCounts,
    streams: tuple[Stream, Stream, Stream],
    prefilled: bool,
) -> tuple[Waits, Ints]:
    """Run the arrays through their turns."""
    turns = len(streams[0].begin)
    alone = ideal.fold_cycles
    period = (ideal.cycles - alone) // (turns - 1) if turns > 1 else alone
    rates = [getattr(buffers, f"{s.operand}_words_per_cycle") for s in streams]
    stalls = np.zeros(turns, dtype=np.int64)
    if not any(rates):  # what arrives at once is never waited for
        return Waits(0, 0, 0, 0, 0), stalls
    # A word takes a fraction of a cycle: count in parts of its denominator.
    times = [1 / rate if rate else Fraction(0) for rate in rates]
    longest = ideal.cycles + sum(
        float(np.sum(1.0 * s.lines * s.words)) * float(time)
        for s, time in zip(streams, times, strict=True)
    )
    finest = max(time.denominator for time in times)
    most = max(
        float(s.words.max()) * time.numerator for s, time in zip(streams, times, strict=True)
    )
    if max(longest * finest, most) > _LATEST_TICK:
        raise CapacityError(
            f"{longest:.3g} cycles with ports of {', '.join(str(r) for r in rates)} words per "
            "cycle do not fit 64-bit time: give bandwidths as round numbers, or run a part of it"
        )
    table = LineTable(
        begin=np.array([s.begin for s in streams]),
        end=np.array([s.begin + s.lines for s in streams]),
        takes=np.array([s.takes for s in streams]),
        gives=np.array([s.gives for s in streams]),
        ticks=np.array([s.words * t.numerator for s, t in zip(streams, times, strict=True)]),
        cycle_ticks=np.array([time.denominator for time in times]),
        slots=np.array([min(s.slots, int((s.lines * s.takes).sum()) + 1) for s in streams]),
    )
    waits = step_turns(LinePlan(turns, period, ideal.cycles, int(prefilled)), table, stalls)
    return waits, stalls
