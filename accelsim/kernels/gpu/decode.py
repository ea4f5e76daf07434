"""Decode kernels of one query per sequence that split the keys for any head sharing.

Two programs, as serving libraries ship them: one head per block on the lanes, and the rows of all
heads that share a KV head through the matrix units. Constants were fitted to TensorRT-LLM on H100;
what other kernels do differently where sums have a memory of their own (Blackwell) is public.

References
----------
TensorRT-LLM, cpp/tensorrt_llm/kernels: xqaDispatcher.cpp and trtllmGenKernels/fmha/fmhaKernels.h
(which program, its grid, and where parts are added up).
"""

from __future__ import annotations

from accelsim.kernels.attention import AttentionProblem
from accelsim.kernels.folds import ceil_div
from accelsim.kernels.gpu.attention_blocks import Lives, grid_s, split_sums_s
from accelsim.kernels.gpu.flash import KernelCost
from accelsim.kernels.gpu.gemm import ramp_s, ring_bytes_in_flight
from accelsim.kernels.gpu.processor import Processor, memory_s, overlapped
from accelsim.kernels.jit import kernel

LANES, MATRIX = 0, 1
# The matrix kernel packs up to 32 rows, and a grid of less than a quarter of the cores goes to
# the lanes (TensorRT-LLM: XQA and masked multi-head attention).
_MOST_ROWS = 32
_LEAST_FILL = 4
# It splits keys into eight blocks per core, of no less than 128 keys; where sums have a memory of
# their own into one per core, of 256 keys.
_MATRIX_WAVES, _MATRIX_KEYS = 8.0, 128
_CLUSTER_WAVES, _CLUSTER_KEYS = 1.0, 256
_LANES_WAVES, _LANES_KEYS = 2.0, 256
# Life of a block in memory latencies, alone on its core. Synchronous: 6 (pages, Q, K, scores, V
# and result one after the other) + 1.3 for a head of width 128 + 1.15 per 8 rows of it;
# asynchronous ones load all at once and pay for the rows. Of it, the share not hidden by loads.
_BLOCK_WAITS, _WIDTH_WAITS, _ROW_WAITS = 6.0, 1.3, 1.15
_ASYNC_BLOCK_WAITS, _ASYNC_ROW_WAITS = 1.1, 1.3
_SERIAL_SHARE = 0.7
# Bytes that a synchronous block keeps in flight: its rate is this over the memory's latency.
_IN_FLIGHT_BYTES = 25.0 * 1024
# A block of 256 threads on the lanes: eight fit a core; it lives 7.2 memory latencies, occupies
# its core for 2.1, and waits one and a half more for the first 64 keys.
_LANES_RESIDENT = 8.0
_LANES_WAITS, _LANES_BUSY_WAITS = 7.2, 2.1
_FIRST_KEYS_WAITS, _KEYS_AT_ONCE = 1.5, 64.0
# Instructions per element of K and V: convert, multiply-add, addresses, reduction among lanes.
_LANE_STEPS = 7.5
# Chains of adding up parts, in the same kernel (the last block does it) [memory latencies]. Up to
# sixteen blocks of one cluster read each other's parts from shared memory instead: one barrier.
_MATRIX_SUM_WAITS, _LANES_SUM_WAITS = 5.0, 12.0
_CLUSTER_SUM_WAITS, _CLUSTER_PARTS = 1.0, 16
# And latencies of the L2 per part: a warp loads a dozen parts at once.
_PART_WAITS = 0.08
_LANE_SOFTMAX_FLOP = 6.0
_SUM_BYTES = 4.0


@kernel
def sums_apart(processor: Processor) -> bool:
    """Tell whether sums have a memory of their own, which leaves registers to everything else."""
    return processor.accumulator_bytes > 0.0


@kernel
def padded_rows(share: int) -> int:
    """Rows of the matrix kernel: 8, or multiples of 16."""
    return 8 if share <= 8 else ceil_div(share, 16) * 16


@kernel
def _is_asynchronous(processor: Processor, problem: AttentionProblem) -> bool:
    """Tell whether the block is the asynchronous one.

    For 8-bit caches, of widths and rows whose accumulators fit the registers; 16-bit caches use
    the synchronous kernel, as it is memory that bounds them. For all where sums are apart.
    """
    if processor.asynchronous == 0 or sums_apart(processor):
        return processor.asynchronous == 1
    wide = problem.head_dim > 128 and problem.share > 8
    return problem.kv_bytes < 2.0 and not wide


@kernel
def decode_program(processor: Processor, problem: AttentionProblem, cores: float) -> int:
    """Choose between lanes and matrix units."""
    if problem.share > _MOST_ROWS:
        return LANES
    if sums_apart(processor):
        return MATRIX
    if problem.share == 1:
        return LANES
    if _is_asynchronous(processor, problem):
        return MATRIX
    most = max(1, problem.kv_len // _MATRIX_KEYS) * problem.tasks
    return MATRIX if most * _LEAST_FILL >= cores else LANES


@kernel
def decode_split(
    processor: Processor, problem: AttentionProblem, program: int, cores: float
) -> int:
    """Parts of the keys: some blocks per core, none shorter than the program allows."""
    if program == MATRIX and sums_apart(processor):
        parts = min(problem.kv_len // _CLUSTER_KEYS, int(_CLUSTER_WAVES * cores / problem.tasks))
    elif program == MATRIX:
        parts = min(problem.kv_len // _MATRIX_KEYS, int(_MATRIX_WAVES * cores / problem.tasks))
    else:
        heads = problem.tasks * problem.share
        parts = min(problem.kv_len // _LANES_KEYS, int(_LANES_WAVES * cores / heads))
    return max(1, parts)


@kernel
def _matrix_life(
    processor: Processor, problem: AttentionProblem, keys: float
) -> tuple[float, float, float]:
    """Life of a block of the matrix kernel, and its matrix and softmax time [s]."""
    rows = padded_rows(problem.share)
    wide = problem.head_dim / 128.0
    if _is_asynchronous(processor, problem):
        waits = _ASYNC_BLOCK_WAITS + _ASYNC_ROW_WAITS * rows / 8.0 * wide
        in_flight = ring_bytes_in_flight(processor)
    else:
        waits = _BLOCK_WAITS + (_WIDTH_WAITS + _ROW_WAITS * rows / 8.0) * wide
        in_flight = _IN_FLIGHT_BYTES
    fixed = waits * processor.latency_s
    rate = in_flight / processor.latency_s
    loads = keys * problem.kv_elements * problem.kv_bytes / rate
    pairs = rows * keys
    matrix = 2.0 * pairs * (problem.head_dim + problem.v_head_dim) / processor.flop_per_cycle
    lanes = _LANE_SOFTMAX_FLOP * pairs / processor.vector_flop_per_cycle
    matrix /= processor.clock_hz
    softmax = (pairs / processor.special_per_cycle + lanes) / processor.clock_hz
    return max(fixed, _SERIAL_SHARE * fixed + max(loads, matrix + softmax)), matrix, softmax


@kernel
def _lanes_lives(
    processor: Processor, problem: AttentionProblem, keys: float
) -> tuple[Lives, float, float]:
    """Lives of a block on the lanes, and its multiply-adds and softmax [s]."""
    latency = processor.latency_s
    flop = 2.0 * _LANE_STEPS * (problem.head_dim + problem.v_head_dim)
    work = keys * flop / processor.vector_flop_per_cycle / processor.clock_hz
    lanes = _LANE_SOFTMAX_FLOP / processor.vector_flop_per_cycle
    softmax = keys * (1.0 / processor.special_per_cycle + lanes) / processor.clock_hz
    loads = _FIRST_KEYS_WAITS * min(1.0, keys / _KEYS_AT_ONCE)
    alone = (_LANES_WAITS + loads) * latency + work
    among = max(alone, _LANES_RESIDENT * (_LANES_BUSY_WAITS * latency + work))
    return Lives(alone, among, alone, among), work, softmax


@kernel
def _sum_s(processor: Processor, program: int, split: int) -> float:
    """Time to add up the parts of the keys [s]."""
    if program == LANES:
        return split_sums_s(processor, _LANES_SUM_WAITS, _PART_WAITS, split, 0.0)
    if sums_apart(processor) and split <= _CLUSTER_PARTS:
        return split_sums_s(processor, _CLUSTER_SUM_WAITS, 0.0, split, 0.0)
    return split_sums_s(processor, _MATRIX_SUM_WAITS, _PART_WAITS, split, 0.0)


@kernel
def decode_cost(
    processor: Processor, problem: AttentionProblem, cores: float, program: int, split: int
) -> KernelCost:
    """Cost one of the decode programs on `cores` cores.

    Notes
    -----
    Blocks of the matrix kernel are alone on their core and run in waves, each of which lasts a
    chain of dependent loads, however few its keys; long keys stream at the rate that a block's
    bytes in flight allow (Little's law) or the memory's. Cores, L2 and main memory work side by
    side as in a matmul.
    """
    heads = problem.tasks * problem.share
    keys = problem.kv_len / split
    kv = float(problem.tasks) * problem.kv_len * problem.kv_elements * problem.kv_bytes
    q = float(heads) * problem.head_dim * problem.q_bytes
    o = float(heads) * problem.v_head_dim * problem.o_bytes
    if program == MATRIX:
        blocks = float(problem.tasks) * split
        life, matrix_s, softmax_s = _matrix_life(processor, problem, keys)
        core_s = grid_s(blocks / cores, 1.0, Lives(life, life, life, life), 0)
        pulled = kv
    else:
        blocks = float(heads) * split
        lives, matrix_s, softmax_s = _lanes_lives(processor, problem, keys)
        core_s = grid_s(blocks / cores, _LANES_RESIDENT, lives, 0)
        pulled = kv * problem.share
    moved = problem.activations_dram
    reads, writes = kv * problem.kv_dram_share + q * moved, o * moved
    dram_s = memory_s(processor, reads, writes)
    shared_s = (pulled + q + o) / processor.shared_bytes_per_s
    busy = blocks / cores
    streamed_s = dram_s + ramp_s(processor, dram_s)
    latency_s = overlapped(processor, core_s, shared_s, streamed_s)
    latency_s = max(latency_s, busy * matrix_s, busy * softmax_s)
    latency_s += _sum_s(processor, program, split)
    partial = 2.0 * split * heads * (problem.v_head_dim + 1) * _SUM_BYTES if split > 1 else 0.0
    return KernelCost(
        latency_s, busy * matrix_s, busy * softmax_s, shared_s, dram_s, reads, writes,
        pulled + q + o + partial, blocks,
    )  # fmt: skip
