"""Systolic arrays PE by PE: real values through real registers, one cycle after the other.

The slow twin of `accelsim.timing.systolic`: it knows none of its formulas. Cycles are those that
the simulation stepped until the last result had left, and the result is what came out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accelsim.arch.array import TEXTBOOK, SystolicArray
from accelsim.errors import CapacityError, SimulationError, SpecError
from accelsim.kernels.pe_array import output_array, stationary_array
from accelsim.kernels.pe_features import (
    BUS_CONFLICT,
    MACS,
    READS_A,
    READS_B,
    TRACE_FULL,
    WRITES_C,
    Operands,
    Pes,
    Trace,
)
from accelsim.kernels.pe_outputs import run_outputs
from accelsim.kernels.pe_stationary import run_stationary
from accelsim.timing.pe_work import (
    Deal,
    count_zeros,
    deal_folds,
    read_operands,
    store_weights,
    widened,
)
from accelsim.timing.systolic import array_cycles

MAX_PE_CYCLES = {"textbook": 2e12, "features": 1e11}
"""About half an hour on one core, at a billion PE-cycles/s; with features, at 50 million."""
MAX_CYCLES = 2**25
"""One count per cycle is kept: 256 MiB."""
MAX_REGISTERS = 2**23
"""PEs times the most values of one kind in a PE: a few hundred MiB."""
TRACE_BYTES = 200_000_000


@dataclass(frozen=True, eq=False)
class ArrayTrace:
    """What every PE does in every cycle; of the first array where there are several.

    Attributes
    ----------
    active : (cycles, rows, cols) array of bool
        The PE multiplies operands of the problem, not padding.
    a, b : (cycles, rows, cols) array
        Activation and weight in the PE in this cycle; of the first of its lanes where it packs
        several multiply-adds, and the activation that it picks where weights are sparse.
    sums : (cycles, rows, cols) array
        Partial sum after the cycle: handed to the row below (ws, is), or held (os).
    fold : (cycles,) array of int64
        Fold that loads or streams; the newest of them with double buffers.
    phase : (cycles,) array of int8
        0: only weights load; 1: operands stream in or results are under way.
    """

    active: NDArray[np.bool_]
    a: NDArray[Any]
    b: NDArray[Any]
    sums: NDArray[Any]
    fold: NDArray[np.int64]
    phase: NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class ArrayRun:
    """What came out of a simulated array, and what it took.

    Attributes
    ----------
    array : SystolicArray
        What was simulated.
    result : (m, n) array
        Product, in the array's own order of additions.
    cycles : int
        From the first load to the last result [cycle].
    folds : int
        Pieces of the stationary operand.
    sram_reads_a, sram_reads_b, sram_writes_c : int
        Values that crossed the array's edge; padding is neither read nor written.
    macs : int
        Useful multiply-adds; with sparsity those of stored weights only.
    zero_a_macs, zero_b_macs, zero_macs : int
        Of these, with a zero activation, a zero weight, either: what zero-skipping PEs would gate.
    active_per_cycle : (cycles,) array of int64
        PEs, of all arrays, with a useful multiply-add.
    trace : ArrayTrace or None
        On request.
    """

    array: SystolicArray
    result: NDArray[Any]
    cycles: int
    folds: int
    sram_reads_a: int
    sram_reads_b: int
    sram_writes_c: int
    macs: int
    zero_a_macs: int
    zero_b_macs: int
    zero_macs: int
    active_per_cycle: NDArray[np.int64]
    trace: ArrayTrace | None = None

    @property
    def active_pe_cycles(self) -> int:
        """PE-cycles with a useful multiply-add (with packing: at least one)."""
        return int(self.active_per_cycle.sum())

    @property
    def pe_cycles(self) -> int:
        """PE-cycles in all, idle ones and idle arrays included."""
        return self.cycles * self.array.pes * self.array.features.arrays

    @property
    def utilization(self) -> float:
        """Multiply-adds over the most that the arrays could do in these cycles [1]."""
        return self.macs / (self.pe_cycles * self.array.features.packing)

    @property
    def gated_share(self) -> float:
        """Share of the multiply-adds that zero-skipping PEs would gate [1]."""
        return self.zero_macs / self.macs


def simulate_array(
    a: ArrayLike,
    b: ArrayLike,
    array: SystolicArray,
    *,
    accumulate: str | None = None,
    trace: bool = False,
) -> ArrayRun:
    """Multiply ``a @ b`` on a systolic array, cycle by cycle and PE by PE.

    Parameters
    ----------
    a, b : (m, k) and (k, n) arrays
        Both of integers (int8 to int64) or both of float32 or float64.
    array : SystolicArray
        Its buffers are taken to keep up.
    accumulate : str, optional
        Type of sums: int64 (default) or int32 for integers, both wrap around; for floats the
        operands' own type is the only one.
    trace : bool
        Keep the state of every PE in every cycle.

    Returns
    -------
    ArrayRun
        Result, cycles and counts.

    Raises
    ------
    WorkloadError
        If the operands are no matrices of such types, do not match, or do not fit `accumulate`;
        if `b` is not as sparse as the array expects.
    SpecError
        If `accumulate` is no type of sums for these operands.
    CapacityError
        If the run would take too long, or the trace would exceed 200 MB.

    Notes
    -----
    ws: weights load one row per cycle, activations enter skewed by row and move right, sums move
    down and, at the bottom, are added to an accumulator: k ascends in a fold, then folds follow
    each other. is: the same for ``b^T a^T``: the activations stay, weights stream. os: activations
    move right, weights down, and every PE adds with k ascending. Every product and every sum is
    rounded (no fused multiply-add). Folds run innermost along k (ws, is) or along n (os).

    Zero counts come from the operands afterwards, since which pairs meet in a PE is known: each
    activation of column k meets every stored weight of row k once.

    Not modelled: memory behind the edge (see `accelsim.timing.systolic` on waiting).

    Examples
    --------
    >>> from accelsim.arch.array import SystolicArray
    >>> run = simulate_array([[1, 2], [3, 4]], [[5, 6], [7, 8]], SystolicArray("os", 2, 2))
    >>> run.result.tolist(), run.cycles
    ([[19, 22], [43, 50]], 4)
    """
    if not isinstance(array, SystolicArray):
        raise SpecError(f"array is {array!r}, expected SystolicArray(dataflow, rows, cols)")
    left, right, sums = read_operands(a, b, accumulate)
    m, n, k = len(left), right.shape[1], len(right)
    deal = deal_folds(array, m, n, k)
    _refuse_long_runs(array, deal, m, n, k)
    left, right = widened("a", left, sums), widened("b", right, sums)
    sparsity = array.features.sparsity
    given = met = store_weights(left, right, sparsity)
    if array.dataflow == "is":
        met = store_weights(np.ascontiguousarray(right.T), np.ascontiguousarray(left.T), None)
    if array.features == TEXTBOOK and not trace:
        out, tally, active = _run_textbook(array, met)
        states = None
    else:
        out, tally, active, states = _run_features(array, met, deal, trace)
    reads_a, reads_b = tally[READS_A], tally[READS_B]
    if array.dataflow == "is":
        out = np.ascontiguousarray(out.T)
        reads_a, reads_b = reads_b, reads_a
        states = states and replace(states, a=states.b, b=states.a)
    zero_a, zero_b, zero = count_zeros(given, sparsity)
    return ArrayRun(
        array=array,
        result=out,
        cycles=len(active),
        folds=deal.folds,
        sram_reads_a=int(reads_a),
        sram_reads_b=int(reads_b),
        sram_writes_c=int(tally[WRITES_C]),
        macs=int(tally[MACS]),
        zero_a_macs=zero_a,
        zero_b_macs=zero_b,
        zero_macs=zero,
        active_per_cycle=active,
        trace=states,
    )


def _refuse_long_runs(array: SystolicArray, deal: Deal, m: int, n: int, k: int) -> None:
    """Refuse what would take hours or fill the memory; the run itself is not told."""
    extra = array.features
    registers = array.pes * deal.arrays
    registers *= max(extra.mac_latency_cycles, extra.sparsity.m if extra.sparsity else 1)
    registers *= extra.packing
    if registers > MAX_REGISTERS:
        raise CapacityError(
            f"{deal.arrays} x {array} hold {registers:,} values of each kind, at most "
            f"{MAX_REGISTERS:,} can be simulated PE by PE; take a smaller array, or "
            "systolic_cycles for the counts alone"
        )
    cycles = array_cycles(array, m, n, k).cycles
    pe_cycles = 1.0 * cycles * array.pes * deal.arrays
    limit = MAX_PE_CYCLES["textbook" if extra == TEXTBOOK else "features"]
    if pe_cycles > limit or cycles > MAX_CYCLES:
        raise CapacityError(
            f"a {m} x {n} x {k} matmul (m, n, k) takes {cycles:,} cycles, {pe_cycles:.3g} "
            f"PE-cycles, on {deal.arrays} x {array}; at most {MAX_CYCLES:,} cycles and "
            f"{limit:.0e} PE-cycles are simulated PE by PE: take a smaller problem, or "
            "systolic_cycles for the counts alone"
        )


def _run_textbook(
    array: SystolicArray, met: Operands
) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64]]:
    run = output_array if array.dataflow == "os" else stationary_array
    out, counts = run(met.a, met.weights, array.rows, array.cols)
    tally = np.array([counts.reads_a, counts.reads_b, counts.writes_c, counts.active.sum()])
    return out, tally, counts.active


def _run_features(
    array: SystolicArray, met: Operands, deal: Deal, traced: bool
) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64], ArrayTrace | None]:
    extra = array.features
    pes = Pes(
        rows=array.rows,
        cols=array.cols,
        stages=extra.mac_latency_cycles,
        double_buffer=int(extra.double_buffer),
        high=deal.high // array.rows,
        wide=deal.wide // array.cols,
        many=extra.packing if extra.packed == "stream" else 1,
        keep=extra.sparsity.n if extra.sparsity else 1,
        group=extra.sparsity.m if extra.sparsity else 1,
    )
    room = _trace_room(array, met.a.dtype) if traced else 0
    grid = (room, array.rows, array.cols)
    notes = Trace(
        active=np.empty(grid, dtype=np.bool_),
        a=np.empty(grid, dtype=met.a.dtype),
        b=np.empty(grid, dtype=met.a.dtype),
        sums=np.empty(grid, dtype=met.a.dtype),
        fold=np.empty(room, dtype=np.int64),
        phase=np.empty(room, dtype=np.int8),
    )
    out = np.zeros((len(met.a), met.weights.shape[1]), dtype=met.a.dtype)
    run = run_outputs if array.dataflow == "os" else run_stationary
    status, tally, active = run(pes, met, deal.jobs(), notes, out)
    if status == TRACE_FULL:
        raise CapacityError(
            f"a trace of {TRACE_BYTES // 10**6} MB holds {room:,} cycles of {array}, and the run "
            "takes more; trace a smaller problem or array, or run without trace"
        )
    if status == BUS_CONFLICT:
        raise SimulationError(f"two results met on one bus of {array}: a fault of the simulator")
    if not traced:
        return out, tally, active, None
    # Room was made for the longest trace, but only the pages written exist: keep those.
    cycles = len(active)
    states = ArrayTrace(
        active=notes.active[:cycles].copy(),
        a=notes.a[:cycles].copy(),
        b=notes.b[:cycles].copy(),
        sums=notes.sums[:cycles].copy(),
        fold=notes.fold[:cycles].copy(),
        phase=notes.phase[:cycles].copy(),
    )
    return out, tally, active, states


def _trace_room(array: SystolicArray, dtype: np.dtype[Any]) -> int:
    """Return how many cycles of an array a trace can hold."""
    bytes_per_cycle = array.pes * (1 + 3 * dtype.itemsize) + 9
    room = TRACE_BYTES // bytes_per_cycle
    if room < 1:
        raise CapacityError(
            f"one cycle of {array} takes {bytes_per_cycle / 1e6:.0f} MB of trace, at most "
            f"{TRACE_BYTES // 10**6} MB are kept; trace a smaller array"
        )
    return room
