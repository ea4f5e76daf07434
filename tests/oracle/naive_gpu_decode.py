"""Decode kernels of GPUs in plain steps: which program, its parts of the keys, and its time.

Constants of the model are those of the kernels; what is done with them is written anew from
their docstrings.
"""

from __future__ import annotations

import math

from accelsim.kernels.attention import AttentionProblem
from accelsim.kernels.gpu import attention_blocks, decode, gemm
from accelsim.kernels.gpu.processor import Processor
from tests.oracle.naive_gpu_gemm import _together, _transfer_s, _with_ramp


def program_and_parts(p: Processor, q: AttentionProblem, cores: int) -> tuple[str, int]:
    """Where the work runs, and into how many parts the keys are split."""
    apart = p.accumulator_bytes > 0
    few = max(1, q.kv_len // decode._MATRIX_KEYS) * q.tasks < cores / decode._LEAST_FILL
    if q.share > decode._MOST_ROWS or (q.share == 1 and not apart):
        on = "lanes"
    else:
        on = "lanes" if few and not apart and not loads_ahead(p, q) else "matrix"
    if on == "lanes":
        waves, least, blocks = decode._LANES_WAVES, decode._LANES_KEYS, q.tasks * q.share
    elif apart:
        waves, least, blocks = decode._CLUSTER_WAVES, decode._CLUSTER_KEYS, q.tasks
    else:
        waves, least, blocks = decode._MATRIX_WAVES, decode._MATRIX_KEYS, q.tasks
    parts = 1
    while (parts + 1) * least <= q.kv_len and (parts + 1) * blocks <= waves * cores:
        parts += 1
    return on, parts


def loads_ahead(p: Processor, q: AttentionProblem) -> bool:
    """Whether the asynchronous kernel runs: registers must hold its accumulators."""
    if not p.asynchronous:
        return False
    if p.accumulator_bytes > 0:
        return True
    return q.kv_bytes < 2 and (q.head_dim <= 128 or q.share <= 8)


def matrix_grid_s(p: Processor, q: AttentionProblem, cores: int, parts: int) -> float:
    """Waves of blocks, one on each core."""
    rows = 8 if q.share <= 8 else len(range(0, q.share, 16)) * 16
    width = q.head_dim / 128
    if loads_ahead(p, q):
        waits = decode._ASYNC_BLOCK_WAITS + decode._ASYNC_ROW_WAITS * width * rows / 8
        ahead = gemm._IN_FLIGHT * gemm._USABLE_SCRATCH * p.scratch_bytes
    else:
        waits = decode._BLOCK_WAITS + width * (decode._WIDTH_WAITS + decode._ROW_WAITS * rows / 8)
        ahead = decode._IN_FLIGHT_BYTES
    keys = q.kv_len / parts
    streams = keys * q.kv_elements * q.kv_bytes * p.latency_s / ahead
    multiplies = 2 * rows * keys * (q.head_dim + q.v_head_dim) / p.flop_per_cycle
    softmax = rows * keys / p.special_per_cycle
    softmax += decode._LANE_SOFTMAX_FLOP * rows * keys / p.vector_flop_per_cycle
    computes = (multiplies + softmax) / p.clock_hz
    alone = waits * p.latency_s
    life = max(alone, decode._SERIAL_SHARE * alone + max(streams, computes))
    waves = q.tasks * parts / cores
    if waves < attention_blocks._MANY_WAVES:
        waves = math.ceil(waves - 1e-9)
    return max(1.0, waves) * life


def matrix_s(p: Processor, q: AttentionProblem, cores: int, parts: int) -> float:
    """Time of the program on matrix units, parts added up."""
    kv = q.tasks * q.kv_len * q.kv_elements * q.kv_bytes
    heads = q.tasks * q.share
    q_in, o_out = heads * q.head_dim * q.q_bytes, heads * q.v_head_dim * q.o_bytes
    reads = kv * q.kv_dram_share + q_in * q.activations_dram
    memory = _transfer_s(p, reads, o_out * q.activations_dram)
    through = (kv + q_in + o_out) / p.shared_bytes_per_s
    seconds = _together(p, matrix_grid_s(p, q, cores, parts), through, _with_ramp(p, memory))
    if parts == 1:
        return seconds
    if p.accumulator_bytes > 0 and parts <= decode._CLUSTER_PARTS:
        return seconds + decode._CLUSTER_SUM_WAITS * p.latency_s
    seconds += decode._MATRIX_SUM_WAITS * p.latency_s
    return seconds + decode._PART_WAITS * parts * p.shared_latency_s
