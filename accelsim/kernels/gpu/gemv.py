"""Time of a matrix times one or a few vectors on a GPU: products on the lanes, no tiles.

A warp takes one row of the matrix, each lane 16 bytes at a time, and adds across its lanes.
"""

from __future__ import annotations

import math

from accelsim.kernels.gpu.gemm import grid_energy_s, ramp_s, start_latencies
from accelsim.kernels.gpu.grid import BlockCost
from accelsim.kernels.gpu.processor import Processor, memory_s, overlapped
from accelsim.kernels.jit import kernel
from accelsim.kernels.matmul import Problem

MOST_VECTORS = 4
"""Vectors that one pass over a matrix of integers serves (dot products of four bytes); floats go to
the matrix units from two vectors on."""
_WARPS_OF_CORE = 32.0
_WARP_BYTES = 512.0  # 32 lanes of 16 bytes
_LOADS_IN_FLIGHT = 3.0
_SUM_CYCLES = 480.0
"""Adding across the lanes of a warp and storing one result, per vector: five shuffles and adds,
each dependent on the last, and the first load's index arithmetic (a fit)."""


@kernel
def vector_cost(processor: Processor, problem: Problem) -> BlockCost:
    """Cost the product of the larger operand with the few rows (or columns) of the other."""
    vectors = min(problem.m, problem.n)
    matrix_is_b = problem.n >= problem.m
    rows = float(problem.batch) * max(problem.m, problem.n)
    row_bytes = problem.k * (problem.b_bytes if matrix_is_b else problem.a_bytes)
    share = problem.b_dram if matrix_is_b else problem.a_dram
    steps = math.ceil(row_bytes / _WARP_BYTES)
    latency_cycles = processor.latency_s * processor.clock_hz
    warp_cycles = latency_cycles * math.ceil(steps / _LOADS_IN_FLIGHT) + _SUM_CYCLES * vectors
    waves = math.ceil(rows / (processor.cores * _WARPS_OF_CORE))
    flop = 2.0 * vectors * problem.k
    issue = flop / processor.vector_flop_per_cycle + _SUM_CYCLES * vectors / _WARPS_OF_CORE
    cycles = max(waves * warp_cycles, rows * issue / processor.cores)
    core_s = cycles / processor.clock_hz

    matrix = rows * row_bytes
    others = float(problem.batch) * vectors * problem.k
    others *= problem.a_bytes if matrix_is_b else problem.b_bytes
    out = rows * vectors * problem.c_bytes
    reads = matrix * share + others * (problem.a_dram if matrix_is_b else problem.b_dram)
    shared_bytes = matrix + others + out
    shared_s = shared_bytes / processor.shared_bytes_per_s
    writes = out * problem.c_dram
    dram_s = memory_s(processor, reads, writes)
    start_s = start_latencies(processor) * processor.latency_s
    streamed_s = dram_s + ramp_s(processor, dram_s)
    latency_s = start_s + overlapped(processor, core_s, shared_s, streamed_s)
    moved = (shared_bytes, matrix + others, reads, writes)
    latency_s = max(latency_s, grid_energy_s(processor, problem, moved))
    blocks = min(rows, processor.cores * _WARPS_OF_CORE)
    return BlockCost(
        latency_s, core_s, shared_s, dram_s, reads, writes, shared_bytes, matrix + others, blocks
    )  # fmt: skip
