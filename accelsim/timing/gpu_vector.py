"""Time of elementwise and row-wise work, lookups and optimizer updates on a GPU."""

from __future__ import annotations

import math

from accelsim.arch.chip import Chip
from accelsim.dtypes import dtype as find_dtype
from accelsim.kernels.gpu.processor import Processor
from accelsim.mapping.fusion import Group
from accelsim.mapping.processor import processor_for
from accelsim.results.costs import Activity
from accelsim.timing.circle import share_gone
from accelsim.timing.gpu_rows import (
    CORE_THREADS,
    SPECIAL_INSTRUCTIONS,
    VECTOR_LOAD_BYTES,
    RowWork,
    issued_per_s,
    row_work,
)
from accelsim.workload.ops import Op, Vector

BYTES_PER_CORE = 4096.0
"""Least work worth a core of its own: four 128-byte lines for each of eight warps in flight."""
# One instruction moves, converts or indexes four bytes of an elementwise kernel, unrolled.
_MOVED_PER_INSTRUCTION_BYTES = 4.0
# A power is exp2(y log2 x) with the logarithm in twice the precision; instructions beyond those
# of its two special results (a fit; about 25 with CUDA's library, 45 with ROCm's).
_LIBRARY_INSTRUCTIONS = {"pow": 36.0, "pow_scalar": 36.0}
# The kernel that finds a tensor's largest magnitude loads single elements; so many of a thread are
# in flight (a fit to the conversions of TensorRT-LLM on H100: 2.7 TB/s from its L2, 1.3 TB/s from
# the main memory, whose latency is twice as long).
_SINGLE_LOADS = {"amax": 1.5}
# Lanes, caches and memory work on different rows at a time, but sweeps of one row follow one
# another: times add as the root of the sum of their powers. Elementwise work overlaps wholly.
_ROW_OVERLAP_POWER = 3.0


def gpu_vector_times(
    group: Group, chip: Chip, scatter: float = 1.0
) -> tuple[dict[str, float], float, Activity]:
    """Times by resource [s], latency without launch [s], and what a group without matrices moves.

    Parameters
    ----------
    group : Group
        Elementwise ops, ending in at most one reduction; a lookup; an optimizer's update.
    chip : Chip
        One that runs thread blocks.
    scatter : float
        Time of a byte read over that of one in a long read.

    Notes
    -----
    A kernel issues instructions on its lanes, moves bytes through the L2 and the main memory, and
    waits, for its data and for the look-ups before them. Elementwise, the longest of them decides:
    ``T = max(issue, special, l2, memory) + (1 + lookups) latency``. A reduction gives each row to
    one core (see `accelsim.timing.gpu_rows`): ``T^3 = issue^3 + wait^3 + l2^3 + memory^3``, where
    sweeps after the first add to the L2's and the memory's traffic what the caches did not keep.

    Not modelled: partition camping, and inputs for which a library function
    takes a short way.
    """
    processor = processor_for(chip, "")
    op = group.ops[-1]
    rows = None
    if isinstance(op, Vector) and op.function.reductions:
        flop, special = group.vector_flop / op.elements, group.special / op.elements
        rows = row_work(op, flop, special, processor)
    reads, writes = _dram_bytes(group, processor)
    moved = group.traffic.total
    active = _active_cores(group, processor)
    if rows is not None and isinstance(op, Vector):
        again = (rows.sweeps - 1) * rows.missed_l1 * _row_input_bytes(group, op)
        moved += again
        reads += again * rows.missed_l2
    special_per_s = processor.special_per_cycle * processor.clock_hz * active
    waiting = processor.latency_s * (1 + sum(_lookups(op) for op in group.ops))
    times = {
        "vector": _vector_s(group, rows, processor, active),
        "special": group.special / special_per_s,
        "l2": _shared_s(group, moved, processor, active),
        "memory": max(
            chip.transfers.seconds(reads * scatter, writes), _loads_s(group, reads, processor)
        ),
        "overhead": waiting,
    }
    activity = Activity(
        vector_flop=group.vector_flop,
        special=group.special,
        dram_read_bytes=reads,
        dram_write_bytes=writes,
        shared_bytes=moved,
        scratchpad_bytes=moved if isinstance(group.head, Vector) else 0.0,
    )
    return times, _overlapped_s(times, rows is not None) + waiting, activity


def _lookups(op: Op) -> int:
    """Dependent accesses beside those of the data."""
    return op.function.lookups if isinstance(op, Vector) else 0


def _loads_s(group: Group, reads: float, processor: Processor) -> float:
    """Time of loads of single elements: what is in flight, over its latency (Little's law) [s]."""
    op = group.head
    loads = _SINGLE_LOADS.get(op.fn) if isinstance(op, Vector) else None
    if loads is None or not isinstance(op, Vector):
        return 0.0
    in_flight = processor.cores * CORE_THREADS * loads * find_dtype(op.dtype).bytes
    near = max(0.0, group.traffic.inputs - reads)
    return (reads * processor.latency_s + near * processor.shared_latency_s) / in_flight


def _active_cores(group: Group, processor: Processor) -> float:
    """Cores with work: a row, or enough bytes, for each."""
    op = group.ops[-1]
    pieces = max(1.0, group.traffic.total / BYTES_PER_CORE)
    if isinstance(op, Vector) and op.function.reductions:
        pieces = float(op.rows)
    return min(pieces, float(processor.cores))


def _row_input_bytes(group: Group, op: Vector) -> float:
    """What a sweep over the rows reads again: the input of the reduction, once [B]."""
    return min(group.traffic.inputs, op.traffic.inputs)


def _dram_bytes(group: Group, processor: Processor) -> tuple[float, float]:
    """Bytes read from and written to the main memory, before rows are read again.

    Activations that the mapping leaves on the chip are there as far as all of them fit.
    """
    traffic = group.traffic
    gone = share_gone(traffic.inputs + traffic.outputs, processor.shared_bytes)
    reads, writes = group.dram_read_bytes, group.dram_write_bytes
    if group.input_on_chip:
        reads += gone * traffic.inputs
    if group.output_on_chip:
        writes += gone * traffic.outputs
    return reads, writes


def _vector_s(group: Group, rows: RowWork | None, processor: Processor, active: float) -> float:
    """Time in which lanes issue, and rows wait for their own results [s]."""
    op = group.ops[-1]
    if rows is not None and isinstance(op, Vector):
        times = (rows.issue_s(processor, op.rows), rows.wait_s(processor, op.rows))
        return _added_s(*times)
    library = sum(
        _LIBRARY_INSTRUCTIONS.get(op.fn, 0.0) * op.elements
        for op in group.ops
        if isinstance(op, Vector)
    )
    instructions = group.vector_flop + SPECIAL_INSTRUCTIONS * group.special + library
    instructions += group.traffic.total / _MOVED_PER_INSTRUCTION_BYTES
    return instructions / (issued_per_s(processor) * active)


def _shared_s(group: Group, moved: float, processor: Processor, active: float) -> float:
    """Time of the L2 and of what lies between it and the cores [s].

    Every core pulls in the parameters that are broadcast along rows; what a core has asked for
    and not received is limited by its threads.
    """
    broadcast = group.traffic.weights if isinstance(group.head, Vector) else 0.0
    into_cores = (moved + broadcast * (active - 1.0)) / active
    waited_s = into_cores * processor.latency_s / (CORE_THREADS * VECTOR_LOAD_BYTES)
    pulled_s = into_cores / processor.port_bytes_per_s
    return max(moved / processor.shared_bytes_per_s, pulled_s, waited_s)


def _overlapped_s(times: dict[str, float], by_row: bool) -> float:
    """Time of the resources side by side [s]."""
    busy = [seconds for name, seconds in times.items() if name != "overhead"]
    return _added_s(*busy) if by_row else max(busy)


def _added_s(*times: float) -> float:
    """Root of the sum of powers: a little more than the longest [s]."""
    longest = max(times)
    if longest == 0.0:
        return 0.0
    shares = math.fsum((seconds / longest) ** _ROW_OVERLAP_POWER for seconds in times)
    return float(longest * shares ** (1.0 / _ROW_OVERLAP_POWER))
