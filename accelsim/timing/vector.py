"""Time of elementwise and row-wise work, lookups and optimizer updates.

GPUs have a file of their own, `accelsim.timing.gpu_vector`; this one serves all other chips.
"""

from __future__ import annotations

import math

from accelsim.arch.chip import Chip
from accelsim.mapping.fusion import Group
from accelsim.mapping.processor import runs_thread_blocks
from accelsim.results.costs import Activity
from accelsim.timing.gpu_vector import BYTES_PER_CORE, gpu_vector_times
from accelsim.workload.ops import Gather, Vector
from accelsim.workload.ops.base import nbytes


def vector_times(group: Group, chip: Chip) -> tuple[dict[str, float], float, Activity]:
    """Times of a group without matrix work [s], its latency without launch [s], what it moves.

    Notes
    -----
    Lanes, special-function units and memory overlap. A reduction keeps a row on one core, so
    few rows occupy few cores; each dependent sweep over a row adds one latency. Every core pulls in
    the parameters that are broadcast along rows; the shared buffer serves them together.
    """
    if runs_thread_blocks(chip):
        return gpu_vector_times(group, chip, _scatter(group, chip))
    spec, scalars = chip.spec, chip.calibration
    moved = group.traffic.total
    pieces = max(1.0, moved / BYTES_PER_CORE)
    sweeps = 0
    for op in group.ops:
        if isinstance(op, Vector) and op.function.reductions:
            pieces = min(pieces, op.rows)
            sweeps = max(sweeps, op.function.reductions)
    active = min(pieces, float(spec.cores))
    share = active / spec.cores
    broadcast = group.traffic.weights if isinstance(group.head, Vector) else 0.0
    into_cores = moved + broadcast * (active - 1.0)
    vector = chip.vector_flop_per_s() * scalars.vector_efficiency * share
    special = chip.special_per_s * scalars.vector_efficiency * share
    ports = chip.port_bytes_per_s * active
    reads, writes = group.dram_read_bytes, group.dram_write_bytes
    times = {
        "vector": group.vector_flop / vector,
        "special": group.special / special,
        "l2": max(moved / _shared_bytes_per_s(chip), into_cores / ports),
        "memory": chip.transfers.seconds(reads * _scatter(group, chip), writes),
        "overhead": (1 + sweeps) * scalars.memory_latency_s,
    }
    has_shared = spec.shared is not None
    activity = Activity(
        vector_flop=group.vector_flop,
        special=group.special,
        dram_read_bytes=reads,
        dram_write_bytes=writes,
        shared_bytes=moved if has_shared else 0.0,
        scratchpad_bytes=moved if isinstance(group.head, Vector) else 0.0,
    )
    busy = max(seconds for name, seconds in times.items() if name != "overhead")
    return times, busy + times["overhead"], activity


def _scatter(group: Group, chip: Chip) -> float:
    """Time of a byte looked up in a table over that of one in a long read."""
    head, rates = group.head, chip.memory_rates
    if not isinstance(head, Gather) or rates is None:
        return 1.0
    return rates.read / rates.random_share(nbytes(head.cols, head.weight_dtype))


def _shared_bytes_per_s(chip: Chip) -> float:
    if chip.spec.shared is None:
        return math.inf
    return chip.spec.shared.bandwidth_bytes_per_s * chip.calibration.shared_efficiency
