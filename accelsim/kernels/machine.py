"""What the mapping kernels know of a chip: a flat record of numbers, and cycles of one tile."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accelsim.kernels.folds import OUTPUT_STATIONARY, ceil_div, fold_axes, fold_fill
from accelsim.kernels.jit import kernel

TENSOR_CORE = 0  # systolic styles are the dataflows of kernels/folds.py
SHARED_USABLE = 0.5
"""Share of a shared buffer that one operand may fill and still be there at its next use: the
other half is passed through by what streams meanwhile (an estimate; caches are not exact)."""
_UNHIDDEN = 0.01
WRITES_PER_READ = 5.0
"""Written bytes for which one byte read makes the memory's bus turn, at most (a fit to the bank
model with 10 to 90 % of the bytes read)."""


class Machine(NamedTuple):
    """A chip seen by one matmul dtype. Rates are sustained ones (calibration applied).

    Attributes
    ----------
    style : int
        TENSOR_CORE or one of the systolic dataflows.
    cores, units, cluster : int
        Cores of the chip; matrix units (arrays) of a core; cores that one read of the shared
        buffer (of main memory, where there is none) can feed by multicast.
    clock_hz : float
        Of the matrix units.
    flop_per_cycle : float
        Of one core, all units, times the sustained matrix efficiency.
    tile_m, tile_n, tile_k : int
        Granularity below which work is padded (tensor core) or tiles are not cut (systolic).
    rows, cols : int
        Of a systolic array (1 otherwise).
    macs_per_pe : float
        Multiply-adds per processing element and cycle, efficiency applied.
    hides_load : int
        1 when the next stationary tile loads behind the current one.
    scratch_bytes, accumulator_bytes : float
        Of one core; accumulator_bytes is 0 when accumulators live in the scratchpad [B].
    scratch_bytes_per_s, port_bytes_per_s : float
        Scratchpad to units, and outside to scratchpad, of one core [B/s].
    shared_bytes, shared_bytes_per_s : float
        Shared buffer; 0 when there is none [B], [B/s].
    dram_bytes_per_s, latency_s : float
        Reads of the main memory [B/s], [s].
    vector_flop_per_cycle, special_per_cycle : float
        Vector unit of one core.
    fetched_ahead_bytes : float
        Weights that wait on chip when an op starts, fetched during the op before [B].
    write_ratio, turn_ratio : float
        Time of a byte written, and of turning the bus for one, over that of a byte read.
    """

    style: int
    cores: int
    units: int
    cluster: int
    clock_hz: float
    flop_per_cycle: float
    tile_m: int
    tile_n: int
    tile_k: int
    rows: int
    cols: int
    macs_per_pe: float
    hides_load: int
    scratch_bytes: float
    accumulator_bytes: float
    scratch_bytes_per_s: float
    port_bytes_per_s: float
    shared_bytes: float
    shared_bytes_per_s: float
    dram_bytes_per_s: float
    latency_s: float
    vector_flop_per_cycle: float
    special_per_cycle: float
    fetched_ahead_bytes: float = 0.0
    write_ratio: float = 1.0
    turn_ratio: float = 0.0


@kernel
def tile_cycles(machine: Machine, m: int, n: int, k: int) -> float:
    """Cycles in which one core multiplies an m x k by a k x n tile, operands at hand.

    Notes
    -----
    Tensor core: sizes padded to the native tile, at the issue rate. Systolic: folds of the
    stationary operand over the arrays; a fold streams T rows, and costs ``2R + C + T - 2`` alone
    (output stationary ``T + R + C - 2``), or ``max(T, R)`` when the next fold loads behind it.
    """
    if machine.style == TENSOR_CORE:
        padded = 1.0 * ceil_div(m, machine.tile_m) * machine.tile_m
        padded *= ceil_div(n, machine.tile_n) * machine.tile_n
        padded *= ceil_div(k, machine.tile_k) * machine.tile_k
        return 2.0 * padded / machine.flop_per_cycle
    on_rows, on_cols, streamed = fold_axes(machine.style, m, n, k)
    folds = ceil_div(on_rows, machine.rows) * ceil_div(on_cols, machine.cols)
    if folds < machine.units and machine.style != OUTPUT_STATIONARY:
        # Idle arrays take a share of the stream; with outputs that stay it would be one of k.
        streamed = ceil_div(streamed, machine.units // folds)
    per_array = ceil_div(folds, machine.units)
    beats = streamed / machine.macs_per_pe
    if machine.hides_load == 1:
        return per_array * max(beats, float(machine.rows))
    return per_array * (beats + fold_fill(machine.style, machine.rows, machine.cols, 1))


@kernel
def fill_cycles(machine: Machine) -> float:
    """Cycles before the first result of a pipeline of tiles leaves the unit."""
    if machine.style == TENSOR_CORE:
        return 32.0  # depth of the multiply-accumulate pipeline, order of magnitude
    if machine.hides_load == 0:
        return 0.0  # every fold already pays its own fill
    return float(fold_fill(machine.style, machine.rows, machine.cols, 1))


@kernel
def weigh(reads: float, writes: float, write_ratio: float, turn_ratio: float) -> float:
    """Bytes read that take as long as a transfer: writes, and turning the bus for them, weighted.

    `write_ratio` and `turn_ratio` are the time of a byte written, and of turning for one, over
    that of a byte read.
    """
    return reads + write_ratio * writes + turn_ratio * min(writes, WRITES_PER_READ * reads)


@kernel
def transfer_s(machine: Machine, reads: float, writes: float) -> float:
    """Time of a transfer from and to the main memory [s]; the law of `arch.memory_rates`."""
    weighted = weigh(reads, writes, machine.write_ratio, machine.turn_ratio)
    return weighted / machine.dram_bytes_per_s


@kernel
def overlapped_s(core_s: float, shared_s: float, dram_s: float) -> float:
    """Time of work that double-buffered cores, shared buffer and main memory do side by side [s].

    Notes
    -----
    The longest of the three, plus a hundredth of the others: buffers swap at tile borders and
    loads and stores collide now and then (an estimate; unhidden work of 1 %). It also makes the
    search prefer less traffic among tilings that the longest resource cannot tell apart.
    """
    longest = max(core_s, shared_s, dram_s)
    return longest + _UNHIDDEN * (core_s + shared_s + dram_s - longest)


@kernel
def store(values: tuple[float, ...], out_row: NDArray[np.float64]) -> None:
    """Write the fields of a record of equal types to one row of an array."""
    for i in range(len(values)):
        out_row[i] = values[i]


@kernel
def next_tile(size: int, quantum: int, limit: int) -> int:
    """Double a tile size, ending on `limit` rounded up to the quantum; 0 when there is no more.

    `size` 0 asks for the first candidate.
    """
    last = ceil_div(limit, quantum) * quantum
    if size == 0:
        return min(quantum, last)
    if size >= last:
        return 0
    return min(2 * size, last)
