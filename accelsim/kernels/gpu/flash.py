"""FlashAttention on a GPU: a block takes a tile of query rows through the keys it sees.

The tile kernel of prefill, and of decode where the query heads of a KV head are packed into rows.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from accelsim.kernels.attention import AttentionProblem, AttentionTiling, key_tiles
from accelsim.kernels.folds import ceil_div
from accelsim.kernels.gpu.attention_blocks import EXPOSED, Lives, grid_s, split_sums_s
from accelsim.kernels.gpu.processor import Processor, memory_s
from accelsim.kernels.jit import kernel
from accelsim.kernels.machine import SHARED_USABLE

_SUM_BYTES = 4.0
# Rows of one group of four warps; kernels for asynchronous units run two groups in a block
# (Dao 2023 and Shah 2024, FlashAttention-2 and -3).
_GROUP_ROWS = 64
# K and V of one step: 64 KiB where two synchronous blocks share a core (128 keys of width 128),
# half of it per 16-bit step where stages are in flight (64 keys), 256 keys at 8 bits.
_STEP_BYTES = 65536.0
_MOST_KEYS = 256
_FEWEST = 16
# Instructions of the lanes per score: scale and subtract, maximum, and sum; conversions are
# packed with them. Each counts as 2 FLOP of the lanes' peak.
_LANE_STEPS = 3.0
_PRODUCT_SHARE = 0.88
"""Rate of the matrix units over that in long GEMMs: two short products alternate, each step of keys
fills and drains them (a fit)."""
# Of a block's softmax, what the matrix instructions of the same warps do not hide; of the shorter
# of the two, what groups of warps that take turns do not; and of a step's loads, what synchronous
# blocks wait for (in memory latencies).
_SOFTMAX_EXPOSED = 0.55
_TURNS_EXPOSED = 0.4
_STEP_WAIT = 0.85
# Start and end of a block in memory latencies: launch, table of pages, Q, first K, result. Blocks
# of asynchronous units are twice as high, alone on their core, and set up barriers and
# descriptors too; a quarter of theirs is loads that grow with the width of the head.
_BLOCK_WAITS = 2.6
_ASYNC_BLOCK_WAITS = 4.7
_WIDTH_SHARE = 0.25
# Chain of the kernel that adds up split keys, its launch included [memory latencies]; its
# partial sums move at two thirds of the memory's rate (4-byte stores of single rows). It loops over
# the parts, each a hit of the L2 with the next one in flight.
_SUM_WAITS = 6.5
_PART_WAITS = 0.55
_SUM_TRAFFIC = 1.5
# Split of FlashAttention-2: the least that fills the slots as well as 85 % of the best does.
_FILL = 0.85
_MOST_PARTS = 128


class KernelCost(NamedTuple):
    """Times [s], main memory traffic [B], into the cores [B] and blocks of one kernel."""

    latency_s: float
    compute_s: float
    special_s: float
    shared_s: float
    dram_s: float
    reads: float
    writes: float
    pulled: float
    blocks: float


@kernel
def group_rows(processor: Processor) -> int:
    """Query rows of a block."""
    return 2 * _GROUP_ROWS if processor.asynchronous == 1 else _GROUP_ROWS


@kernel
def step_keys(processor: Processor, problem: AttentionProblem) -> int:
    """Keys of one step of a block: what kernels choose by the width and type of the head."""
    limit = _STEP_BYTES
    if processor.asynchronous == 1 and problem.q_bytes > 1.0:
        limit = 0.5 * _STEP_BYTES
    keys = _MOST_KEYS
    while keys > _FEWEST and keys * problem.kv_elements * problem.q_bytes > limit:
        keys //= 2
    return keys


@kernel
def fitting_tile(
    processor: Processor, problem: AttentionProblem, rows: int, keys: int
) -> tuple[int, int]:
    """Shrink a tile until Q, K and V fit the shared memory and the sums the registers.

    Returns (0, 0) where not even 16 x 16 fits. The time stays that of the wanted tile: smaller
    steps wait more often and reload less at their ends.
    """
    while True:
        q = rows * problem.head_dim * problem.q_bytes
        kv = keys * problem.kv_elements * problem.q_bytes
        sums = _SUM_BYTES * rows * problem.v_head_dim
        if q + kv <= processor.scratch_bytes and sums <= 0.75 * processor.register_bytes:
            return rows, keys
        if keys > _FEWEST and (keys > rows or rows <= _FEWEST):
            keys //= 2
        elif rows > _FEWEST:
            rows //= 2
        else:
            return 0, 0


@kernel
def _filled(problem: AttentionProblem, parts: int, slots: float) -> float:
    """Share of the slots that waves of `parts` fill."""
    waves = problem.tasks * parts / slots
    return float(waves / np.ceil(waves))


@kernel
def _more_parts(tiles: int, parts: int) -> int:
    """Least number of parts that are shorter than those of `parts`."""
    longest = ceil_div(tiles, parts)
    return ceil_div(tiles, longest - 1) if longest > 1 else tiles + 1


@kernel
def flash2_split(problem: AttentionProblem, cores: float) -> int:
    """Parts of the keys for packed decode: the least that fills two blocks per core well.

    A grid of heads that share no KV head is not split (FlashAttention-2 with paged keys).
    """
    slots = 2.0 * cores
    tiles = ceil_div(problem.kv_len, 128)
    if problem.share == 1 or problem.tasks >= 0.8 * slots:
        return 1
    most = int(max(1.0, min(_MOST_PARTS, slots, tiles)))
    best, parts = 0.0, 1
    while parts <= most:
        best = max(best, _filled(problem, parts, slots))
        parts = _more_parts(tiles, parts)
    parts = 1
    while _filled(problem, parts, slots) < _FILL * best:
        parts = _more_parts(tiles, parts)
    return parts


@kernel
def step_s(
    processor: Processor, problem: AttentionProblem, rows: int, keys: int
) -> tuple[float, float]:
    """Matrix work and softmax of one step of a block with the core to itself [s]."""
    deep = float(ceil_div(problem.head_dim, processor.tile_k) * processor.tile_k)
    wide = float(problem.v_head_dim)
    if problem.q_bytes <= 1.0:  # 8-bit kernels exist for widths that are powers of two
        deep = max(deep, 2.0 ** math.ceil(math.log2(problem.head_dim)))
        wide = max(wide, 2.0 ** math.ceil(math.log2(problem.v_head_dim)))
    pairs = float(rows) * keys
    matrix = 2.0 * pairs * (deep + wide) / (_PRODUCT_SHARE * processor.flop_per_cycle)
    lanes = _LANE_STEPS * pairs + float(rows) * problem.v_head_dim
    softmax = pairs / processor.special_per_cycle + 2.0 * lanes / processor.vector_flop_per_cycle
    return matrix / processor.clock_hz, softmax / processor.clock_hz


@kernel
def _lives(
    processor: Processor, problem: AttentionProblem, matrix_s: float, softmax_s: float,
    mean: float, most: float,
) -> tuple[float, Lives]:  # fmt: skip
    """Blocks resident on a core, and their lives."""
    if processor.asynchronous == 1:
        # Warp groups take turns: one's softmax runs beside the other's matrix instructions.
        step = max(matrix_s, softmax_s) + _TURNS_EXPOSED * min(matrix_s, softmax_s)
        wider = 1.0 + _WIDTH_SHARE * (problem.head_dim / 128.0 - 1.0)
        fixed = _ASYNC_BLOCK_WAITS * wider * processor.latency_s
        alone, longest = fixed + mean * step, fixed + most * step
        return 1.0, Lives(alone, alone, longest, longest)
    exposed = 1.0 if processor.lanes == 1 else _SOFTMAX_EXPOSED
    step = matrix_s + exposed * softmax_s
    pace = step + _STEP_WAIT * processor.latency_s
    crowded = max(pace, 2.0 * step)
    fixed = _BLOCK_WAITS * processor.latency_s
    return 2.0, Lives(
        fixed + mean * pace, fixed + mean * crowded, fixed + most * pace, fixed + most * crowded
    )


@kernel
def flash_cost(
    processor: Processor, problem: AttentionProblem, cores: float, packed: int, split: int
) -> KernelCost:
    """Cost the tile kernel on `cores` cores.

    Parameters
    ----------
    processor : Processor
    problem : AttentionProblem
    cores : float
        Cores that the grid is made for.
    packed : int
        1 when the query heads of a KV head are rows of one tile.
    split : int
        Parts of the keys.

    Notes
    -----
    A block's tile and its steps are whole, whatever the mask cuts off. Q and O of a block that
    is alone on its core are loaded and stored while nothing else runs there; beside another
    block a quarter of that shows.

    References
    ----------
    Dao 2023, FlashAttention-2, arXiv 2307.08691; Shah et al. 2024, FlashAttention-3, arXiv
    2407.08608.
    """
    heads = problem.tasks * problem.share
    q_len = problem.rows // problem.share
    grid, rows, share = heads, q_len, 1
    if packed == 1:
        grid, rows, share = problem.tasks, problem.rows, problem.share
    tile, keys = group_rows(processor), step_keys(processor, problem)
    tiles = ceil_div(rows, tile)
    positions = max(1, min(ceil_div(tile, share), q_len))
    tiling = AttentionTiling(positions * problem.share, keys, split)
    mean, most = key_tiles(problem, tiling)
    used = min(tile, ceil_div(rows, _GROUP_ROWS) * _GROUP_ROWS)
    matrix_s, softmax_s = step_s(processor, problem, used, keys)
    resident, lives = _lives(processor, problem, matrix_s, softmax_s, mean, most)
    blocks = float(grid) * tiles * split
    core_s = grid_s(blocks / cores, resident, lives, problem.masked)

    q = float(heads) * q_len * problem.head_dim * problem.q_bytes
    o = float(heads) * q_len * problem.v_head_dim * problem.o_bytes
    head_kv = float(problem.kv_len) * problem.kv_elements * problem.kv_bytes
    partial = 0.0
    if split > 1:
        partial = 2.0 * split * heads * q_len * (problem.v_head_dim + 1) * _SUM_BYTES
    seen = min(1.0, mean * split * keys / problem.kv_len)
    pulled = blocks * mean * keys * problem.kv_elements * problem.kv_bytes
    sweeps = 1.0
    if head_kv > SHARED_USABLE * processor.shared_bytes:
        sweeps = max(1.0, ceil_div(tiles, max(1, int(cores))) * seen)
    shared_s = (pulled + q + o) / processor.shared_bytes_per_s
    kv = problem.tasks * head_kv * sweeps * problem.kv_dram_share
    moved = problem.activations_dram
    ends_s = memory_s(processor, q * moved, o * moved)
    ends_s += (1.0 - moved) * (q + o) / processor.shared_bytes_per_s
    dram_s = memory_s(processor, kv + q * moved, o * moved)
    if processor.asynchronous == 1:
        latency_s = max(core_s + ends_s, shared_s, dram_s)  # loads of all steps run ahead
    else:
        longest = max(core_s + EXPOSED * ends_s, shared_s, dram_s)
        latency_s = longest + EXPOSED * max(0.0, core_s + shared_s + dram_s - longest)
    latency_s += split_sums_s(processor, _SUM_WAITS, _PART_WAITS, split, _SUM_TRAFFIC * partial)
    busy = blocks * mean / cores
    return KernelCost(
        latency_s, busy * matrix_s, busy * softmax_s, shared_s, dram_s, kv + q * moved, o * moved,
        pulled + q + o + partial, blocks,
    )  # fmt: skip
