"""How a GPU reduces rows: threads per row, instructions of a thread, and sweeps that miss the L1.

The kernels are those of eager frameworks, whose source is public: a short row of a softmax stays
in the registers of one warp; a longer one has a block of threads that sweeps it once for every
reduction and once more to write; a norm has a block of fixed size. A sweep after the first finds
the row in the L1, in the L2 or in the main memory, by what passed since the one before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from accelsim.dtypes import dtype as find_dtype
from accelsim.kernels.gpu.processor import Processor
from accelsim.timing.circle import ramp
from accelsim.workload.ops import Vector

WARP_THREADS = 32
CORE_THREADS = 2048
"""Threads that a core keeps in flight (64 warps of 32, or 32 of 64); CUDA and CDNA alike."""
VECTOR_LOAD_BYTES = 16
"""Of one load of one thread: 128 bits, where the row is aligned to it."""
SPECIAL_INSTRUCTIONS = 6.5
"""Instructions around one exp, tanh or reciprocal: range reduction, scaling (a fit; 4 to 10)."""
# Instructions per cycle that a core sustains, however many lanes it has: of the four warps of 32
# that issue in a cycle, many load, convert, index and branch (an estimate: serving kernels of gated
# activations and norms in fp16 finish 1.25 times as much per cycle on the 128 lanes of an SM of
# H100 as on the 64 of A100; softmax in fp32 there cannot tell, the memory bounds it).
_MOST_ISSUED_PER_CYCLE = 80.0

# Longest row of a softmax that one warp holds in registers: 32 values per thread.
_WARP_COLUMNS = 1024
# Threads of a block for a norm. That of a softmax has the next power of two below its row's vector
# loads, of which it counts this many at most.
_NORM_THREADS, _MOST_VECTORS = 128, 1024
# Per element and sweep: load, convert, index, loop (a fit).
_SWEEP_INSTRUCTIONS = 5.0
# Per reduction of a block: shuffles of a warp, exchange through shared memory, barriers (a fit).
_REDUCTION_INSTRUCTIONS = 40.0
# What is left over from whole vector loads goes element by element, each with its own load,
# index and bounds check (a fit).
_SCALAR_COST = 1.6
# From one instruction of a thread to the next that needs its result, barriers included (a fit;
# 4 to 6 cycles of arithmetic, about 25 of a shuffle or of shared memory).
_DEPENDENT_CYCLES = 9.0
# Share of a cache that what passed between two sweeps fills, below which all of it is found
# again and above which nothing is (fits to norms and softmax on V100 and A100; an L1 that is
# shared with scratch has room for reads only).
_L1_RAMP = (0.25, 1.5)
_L2_RAMP = (0.55, 1.0)
# Cores whose rows pass through the L2 between two sweeps. One value for all chips, a large GPU
# of 2017 to 2025: that more cores press on the same cache is left out, so that they never cost.
_SHARING_CORES = 128
# Bytes that pass through the L2 for one byte read: half of the rows in flight are being written.
_READ_AND_WRITTEN = 1.5


@dataclass(frozen=True)
class RowWork:
    """Work of a reduction over rows.

    Attributes
    ----------
    threads : int
        That share one row.
    instructions : float
        Of one thread for one row.
    sweeps : int
        Over the row in memory, dependent on one another; 1 when it is held in registers.
    resident : int
        Rows that one core has in flight.
    missed_l1, missed_l2 : float
        Share of a later sweep that leaves the core, and that leaves the L2 as well [1].
    """

    threads: int
    instructions: float
    sweeps: int
    resident: int
    missed_l1: float
    missed_l2: float

    def issue_s(self, processor: Processor, rows: int) -> float:
        """Time in which the lanes of the fullest core issue all of its rows [s]."""
        per_core = math.ceil(rows / processor.cores)
        return per_core * self.instructions * self.threads / issued_per_s(processor)

    def wait_s(self, processor: Processor, rows: int) -> float:
        """Time of the waves of rows when nothing but dependences holds them up [s]."""
        waves = math.ceil(rows / (processor.cores * (CORE_THREADS // self.threads)))
        chain_s = self.instructions * _DEPENDENT_CYCLES / processor.clock_hz
        return waves * (chain_s + self.sweeps * processor.latency_s)


def issued_per_s(processor: Processor) -> float:
    """Instructions that the lanes of one core take in, one per lane [1/s]."""
    lanes = processor.vector_flop_per_cycle / 2.0
    return min(lanes, _MOST_ISSUED_PER_CYCLE) * processor.clock_hz


def row_work(op: Vector, flop: float, special: float, processor: Processor) -> RowWork:
    """Describe a reduction along `cols` to the thread blocks of a GPU.

    Parameters
    ----------
    op : Vector
        With reductions; what is fused before it is in the counts.
    flop, special : float
        Per element, of all that the kernel computes.
    processor : Processor

    Returns
    -------
    RowWork
    """
    threads, held = _threads(op)
    # Welford's recurrence takes mean and variance in one sweep, the second writes.
    reduced = 1 if op.fn == "layernorm" else op.function.reductions
    sweeps = 1 if held else 1 + reduced
    per_element = flop + SPECIAL_INSTRUCTIONS * special + _SWEEP_INSTRUCTIONS * sweeps
    fixed = _REDUCTION_INSTRUCTIONS * op.function.reductions
    resident = min(CORE_THREADS // threads, math.ceil(op.rows / processor.cores))
    row_bytes = op.cols * find_dtype(op.dtype).bytes
    in_core = resident * row_bytes / processor.scratch_bytes
    sharing = min(CORE_THREADS // threads * _SHARING_CORES, op.rows)
    in_chip = _READ_AND_WRITTEN * sharing * row_bytes / processor.shared_bytes
    return RowWork(
        threads=threads,
        instructions=fixed + per_element * _elements(op, threads, held),
        sweeps=sweeps,
        resident=resident,
        missed_l1=ramp(in_core, *_L1_RAMP),
        missed_l2=ramp(in_chip, *_L2_RAMP),
    )


def _threads(op: Vector) -> tuple[int, bool]:
    """Threads of one row, and whether they hold it in registers."""
    if not op.function.special:
        return _NORM_THREADS, False
    if op.cols <= _WARP_COLUMNS:
        return WARP_THREADS, True
    vectors = min(op.cols // _lanes_of_load(op), _MOST_VECTORS)
    half = max(1, (vectors - 1) // 2)
    threads: int = 2 << (half.bit_length() - 1)
    return max(WARP_THREADS, threads), False


def _elements(op: Vector, threads: int, held: bool) -> float:
    """Elements of one thread, idle turns included; an element alone counts more."""
    if held:  # rows are padded to a power of two
        padded: int = 1 << (op.cols - 1).bit_length()
        return max(1.0, padded / WARP_THREADS)
    width = _lanes_of_load(op)
    aligned = op.cols * find_dtype(op.dtype).bytes % VECTOR_LOAD_BYTES == 0
    if not op.function.special:
        if aligned:
            return float(width * math.ceil(op.cols / (width * threads)))
        return _SCALAR_COST * math.ceil(op.cols / threads)
    whole, rest = divmod(op.cols, width * threads)
    alone = math.ceil(rest / threads) + (0 if aligned else 1)
    return width * whole + _SCALAR_COST * alone


def _lanes_of_load(op: Vector) -> int:
    """Elements of one vector load of one thread."""
    return int(VECTOR_LOAD_BYTES / find_dtype(op.dtype).bytes)
