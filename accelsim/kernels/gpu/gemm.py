"""Time of one matmul on a GPU as one grid of thread blocks, for one choice of tile.

A thread block multiplies a tile of the output in steps along k, with the operands of the next steps
in flight. Blocks run in waves; several share a core where shared memory and registers allow. The
L2 hands each block its operands; the main memory sees what the L2 does not hold.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from accelsim.kernels.folds import ceil_div
from accelsim.kernels.gpu.processor import Processor, memory_s, overlapped
from accelsim.kernels.jit import kernel
from accelsim.kernels.machine import SHARED_USABLE
from accelsim.kernels.matmul import Problem

STEP_BYTES = 64.0
"""Bytes of one row of a tile that a step along k reads, on matrix units: four 16-byte copies."""
LANE_STEP_BYTES = 32.0
"""The same where lanes multiply: eight fp32 products per sum and step."""
MOST_SUMS = 128 * 256
"""Sums of a block: half of a 256 KiB register file."""
MOST_LANE_SUMS = 128 * 128
"""The same on lanes, where 256 threads keep 8 x 8 sums each."""
_SUM_BYTES = 4.0
_THREAD_BYTES = 4.0 * 70
"""Registers of a thread besides its sums: operands in flight, addresses, counters (a fit; CUTLASS
kernels show 60 to 90)."""
_LANE_THREAD_BYTES = 4.0 * 62
"""The same on lanes: 118 to 126 registers with 64 sums (cuBLAS kernels volta_sgemm_*), so that two
blocks of 256 threads share 256 KiB."""
_THREADS_OF_CORE = 2048.0
_MOST_BLOCKS = 8.0
_USABLE_SCRATCH = 0.98  # a KiB per block is the system's
_START_LATENCIES = 3.2
"""Dependent latencies before the first product of a kernel: parameters, instructions, first tile
through cold translation (a fit to kernels that do next to nothing)."""
_EARLY_START_LATENCIES = 0.8
"""The same where a kernel starts while the one before drains (programmatic dependent launch, of
architectures with asynchronous matrix instructions)."""
_STORE_BYTES_PER_CYCLE = 14.0
"""Rate at which one block stores its tile: registers, shared memory, L2."""
_IN_FLIGHT = 0.37
"""Share of the stages that are in flight towards memory on average: a stage is asked for when the
one before it has been used up."""
_RAMP_LATENCIES = 1.8
"""Latencies' worth of time that a stream from main memory loses before it runs at full rate."""
_CAMPED = 7.5
"""Slowdown of the L2 when rows of operands lie a stride apart that its hash does not spread."""
_WARP_TILE = 64
_COPY_INSTRUCTIONS = 1.25
_STEP_INSTRUCTIONS = 6.0


class BlockTile(NamedTuple):
    """Tile of a block, split of k, and stages of operands in shared memory."""

    tile_m: int
    tile_n: int
    split_k: int
    stages: int


class BlockCost(NamedTuple):
    """Time without launch [s], of each resource [s], and traffic [B]."""

    latency_s: float
    core_s: float
    shared_s: float
    dram_s: float
    dram_read_bytes: float
    dram_write_bytes: float
    shared_bytes: float
    scratch_bytes: float
    blocks: float


@kernel
def step_bytes(processor: Processor) -> float:
    """Bytes of one row of a tile per step along k."""
    return LANE_STEP_BYTES if processor.lanes == 1 else STEP_BYTES


@kernel
def start_latencies(processor: Processor) -> float:
    """Latencies of the main memory before the first product of a kernel."""
    return _EARLY_START_LATENCIES if processor.asynchronous == 1 else _START_LATENCIES


@kernel
def ramp_s(processor: Processor, stream_s: float) -> float:
    """Time that a stream of `stream_s` at full rate loses before it reaches that rate [s]."""
    whole_s = _RAMP_LATENCIES * processor.latency_s
    if whole_s <= 0.0:
        return 0.0
    return whole_s * (1.0 - math.exp(-stream_s / whole_s))


@kernel
def ring_bytes_in_flight(processor: Processor) -> float:
    """Bytes on their way from memory to a core whose shared memory is one ring of stages."""
    return _IN_FLIGHT * _USABLE_SCRATCH * processor.scratch_bytes


@kernel
def _kept_sums(sums: float) -> float:
    """Sums of one thread on lanes: 8 x 8, 8 x 4 or 4 x 4."""
    if sums >= 128 * 64:
        return 64.0
    return 32.0 if sums >= 64 * 64 else 16.0


@kernel
def blocks_per_core(processor: Processor, tile: BlockTile, operand_bytes: float) -> float:
    """Blocks that a core can hold at once; 0 when not even one fits.

    `operand_bytes` are those of A and of B that a block reads for one step along k.
    """
    sums = float(tile.tile_m) * tile.tile_n
    threads = 128.0 if sums <= 64 * 64 else 256.0
    if processor.lanes == 1:
        threads = max(64.0, sums / _kept_sums(sums))
    elif processor.asynchronous == 1:
        threads = 384.0 if sums >= 128 * 128 else 256.0
    registers = threads * (_LANE_THREAD_BYTES if processor.lanes == 1 else _THREAD_BYTES)
    held = min(_MOST_BLOCKS, math.floor(_THREADS_OF_CORE / threads))
    if processor.accumulator_bytes > 0.0:
        held = min(held, math.floor(processor.accumulator_bytes / (sums * _SUM_BYTES)))
    else:
        registers += sums * _SUM_BYTES
    held = min(held, math.floor(processor.register_bytes / registers))
    scratch = tile.stages * operand_bytes
    return min(held, math.floor(_USABLE_SCRATCH * processor.scratch_bytes / scratch))


@kernel
def power_limited_s(
    processor: Processor,
    problem: Problem,
    moved: tuple[float, float, float, float],
    beside: float = 0.0,
) -> float:
    """Least time in which the board can deliver the energy of a grid [s].

    `moved` are the bytes of L2, shared memory, and main memory, read and written; `beside` the
    instructions that do not multiply over those that do. Issue and registers take most of the
    energy of either, so they cost the same.
    """
    macs = float(problem.batch) * problem.m * problem.n * problem.k * (1.0 + beside)
    joules = macs * processor.mac_j + moved[0] * processor.shared_j_per_byte
    joules += moved[1] * processor.scratch_j_per_byte
    joules += moved[2] * processor.read_j_per_byte + moved[3] * processor.write_j_per_byte
    return joules / processor.deliverable_w


@kernel
def _scratch_bytes_of_step(processor: Processor, tile: BlockTile, row: float) -> float:
    """Bytes that the units of a core read from shared memory for one step of a block.

    Warps read the operands of their part of the tile, so parts read the same operands again.
    Asynchronous instructions of 64 rows share them within the core's four units.
    """
    m, n = float(tile.tile_m), float(tile.tile_n)
    if processor.lanes == 1:
        return m * n * row * (1.0 / 64 + 1.0 / 32)
    if processor.asynchronous == 1:
        return row * (m + n * ceil_div(tile.tile_m, _WARP_TILE))
    warp = _WARP_TILE if m * n > 64 * 64 else _WARP_TILE // 2
    warp_m, warp_n = min(m, warp), min(n, warp)
    return m * n / (warp_m * warp_n) * (warp_m + warp_n) * row


@kernel
def _beside_products(tile: BlockTile, depth_step: int) -> float:
    """Instructions of a block on lanes that do not multiply, over those that do.

    For each product along k a thread loads a row and a column of its sums, four words at a time.
    Once per step the block copies the next operands to shared memory (a quarter of an instruction
    in, one out per element) and counts, checks and waits.
    """
    sums = float(tile.tile_m * tile.tile_n)
    kept = _kept_sums(sums)
    loads = 4.0 if kept == 64.0 else 3.0 if kept == 32.0 else 2.0
    copies = _COPY_INSTRUCTIONS * (tile.tile_m + tile.tile_n) / sums
    return loads / kept + copies + _STEP_INSTRUCTIONS / (kept * depth_step)


@kernel
def _grid_cycles(share: float, held: float, work: float, alone: float) -> float:
    """Cycles of the fullest core for `share` blocks, at most `held` at a time.

    `work` is what a block keeps the units busy, `alone` the life of a block alone. A wave of h
    blocks takes ``max(h work, alone)``. Blocks drift apart and new ones start as others end, so
    waves are as even as the best h makes them; room for more blocks never costs.
    """
    least = math.ceil(share) * max(work, alone)
    if alone <= work:
        return least
    at_once = 2.0
    while at_once <= min(held, math.ceil(share)):
        waves = math.floor(share / at_once)
        left = math.ceil(share - waves * at_once)
        cycles = waves * max(work * at_once, alone)
        if left > 0:
            cycles += max(work * left, alone)
        least = min(least, cycles)
        at_once += 1.0
    return least


@kernel
def _core_seconds(
    processor: Processor, problem: Problem, tile: BlockTile, held: float, blocks: float
) -> tuple[float, float, float]:
    """Time of the fullest core [s], of a first start and last store [s], and bytes read per block.

    Notes
    -----
    A step takes the matrix units' cycles or those of shared memory. One block alone waits for its
    loads from the L2: a step at least ``latency / (stages - 1)``. The blocks of a core hide each
    other's waits, so a wave takes the longer of all their steps and of one block alone, start and
    store included, but for the first start and the last store, which are returned apart.
    Asynchronous units have a warp that loads the next block's operands meanwhile: their later
    starts and stores cost nothing.
    """
    row = step_bytes(processor)
    depth_step = max(1, int(row / max(problem.a_bytes, problem.b_bytes)))
    depth = ceil_div(ceil_div(problem.k, tile.split_k), depth_step)
    padded = 1.0 * ceil_div(tile.tile_m, processor.tile_m) * processor.tile_m
    padded *= ceil_div(tile.tile_n, processor.tile_n) * processor.tile_n
    multiply = 2.0 * padded * depth_step / processor.flop_per_cycle
    if processor.lanes == 1:
        multiply *= 1.0 + _beside_products(tile, depth_step)
    read = _scratch_bytes_of_step(processor, tile, row)
    step = max(multiply, read / processor.scratch_bytes_per_cycle)
    waits = processor.shared_latency_s * processor.clock_hz / (tile.stages - 1.0)
    alone = max(step, waits) * depth
    start = start_latencies(processor) * processor.latency_s * processor.clock_hz
    store = float(tile.tile_m) * tile.tile_n * problem.c_bytes / _STORE_BYTES_PER_CYCLE
    ends = start + store
    if processor.asynchronous == 0:
        alone += ends
    share = blocks / processor.cores
    cycles = _grid_cycles(share, held, step * depth, alone)
    if processor.asynchronous == 0:
        cycles = max(step * depth * math.ceil(share), cycles - ends)
    return cycles / processor.clock_hz, ends / processor.clock_hz, read * depth


@kernel
def _sweeps(
    processor: Processor, problem: Problem, tile: BlockTile, at_once: float
) -> tuple[float, float]:
    """Times that A and B come from main memory through the L2.

    The blocks at work cover a near-square patch of the output (swizzled order). An operand is read
    once per row or column of patches, unless it stays in L2, or the panel of it that the patch
    sweeps does; a patch may be narrower than square so that its panel stays. The order of blocks
    that reads least is taken.
    """
    tiles_m = ceil_div(problem.m, tile.tile_m)
    tiles_n = ceil_div(problem.n, tile.tile_n)
    at_once = min(at_once, float(tiles_m) * tiles_n)
    patch_m = math.sqrt(at_once * tile.tile_n / tile.tile_m)
    patch_m = max(at_once / tiles_n, min(patch_m, float(tiles_m)))
    patch_n = at_once / patch_m
    usable = SHARED_USABLE * processor.shared_bytes
    row_a, row_b = problem.k * problem.a_bytes, problem.k * problem.b_bytes
    a, b = problem.m * row_a, problem.n * row_b
    sweeps_a = 1.0 if a <= usable else max(1.0, tiles_n / patch_n)
    sweeps_b = 1.0 if b <= usable else max(1.0, tiles_m / patch_m)
    least_a, least_b = sweeps_a, sweeps_b
    kept_n = min(patch_n, usable / (tile.tile_n * row_b))
    if kept_n >= 1.0:
        over_a = 1.0 if a <= usable else max(1.0, tiles_n / kept_n)
        if a * over_a + b < a * least_a + b * least_b:
            least_a, least_b = over_a, 1.0
    kept_m = min(patch_m, usable / (tile.tile_m * row_a))
    if kept_m >= 1.0:
        over_b = 1.0 if b <= usable else max(1.0, tiles_m / kept_m)
        if a + b * over_b < a * least_a + b * least_b:
            least_a, least_b = 1.0, over_b
    return least_a, least_b


@kernel
def _into_cores(
    processor: Processor, problem: Problem, tile: BlockTile
) -> tuple[float, float, float]:
    """Bytes of A and B read from the L2 for all blocks, and of partial sums through it.

    Cores of a cluster share each read: a patch of them, of the shape that reads least. Nothing is
    read less than once.
    """
    whole_a = float(problem.batch) * problem.m * problem.k * problem.a_bytes
    whole_b = float(problem.batch) * problem.k * problem.n * problem.b_bytes
    all_a = whole_a * ceil_div(problem.n, tile.tile_n)
    all_b = whole_b * ceil_div(problem.m, tile.tile_m)
    a, b = all_a, all_b
    along_n = 1
    while along_n <= processor.cluster:
        shared_a = max(whole_a, all_a / along_n)
        shared_b = max(whole_b, all_b * along_n / processor.cluster)
        if shared_a + shared_b < a + b:
            a, b = shared_a, shared_b
        along_n *= 2
    sums = 0.0
    if tile.split_k > 1:
        sums = 2.0 * tile.split_k * _SUM_BYTES * problem.batch * problem.m * problem.n
    return a, b, sums


@kernel
def block_cost(processor: Processor, problem: Problem, tile: BlockTile) -> BlockCost:
    """Cost one tile; `blocks` is 0 when it does not fit a core.

    Notes
    -----
    Core, L2 and main memory work side by side and contend near their balance (`overlapped`). What
    nothing hides: the first start, the last store, the ramp of the main memory, and a second
    kernel that adds the parts of a split sum.
    """
    row = step_bytes(processor)
    step = (tile.tile_m + tile.tile_n) * row
    held = blocks_per_core(processor, tile, step)
    if held < 1.0:
        return BlockCost(math.inf, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    blocks = (
        float(problem.batch) * ceil_div(problem.m, tile.tile_m)
        * ceil_div(problem.n, tile.tile_n) * tile.split_k
    )  # fmt: skip
    core_s, ends_s, scratch = _core_seconds(processor, problem, tile, held, blocks)

    into_a, into_b, sums = _into_cores(processor, problem, tile)
    out = float(problem.batch) * problem.m * problem.n * problem.c_bytes
    shared_bytes = into_a + into_b + sums + out
    active = min(float(processor.cores), blocks)
    rate = min(processor.shared_bytes_per_s, active * processor.port_bytes_per_s)
    shared_s = shared_bytes / rate
    stride = problem.k * problem.a_bytes
    if processor.spread_bytes > 0.0 and stride % (2.0 * processor.spread_bytes) == 0.0:
        shared_s *= _CAMPED

    sweeps_a, sweeps_b = _sweeps(processor, problem, tile, processor.cores * held)
    whole_a = float(problem.batch) * problem.m * problem.k * problem.a_bytes
    whole_b = float(problem.batch) * problem.k * problem.n * problem.b_bytes
    reads = whole_a * (sweeps_a - 1.0 + problem.a_dram)
    reads += whole_b * (sweeps_b - 1.0 + problem.b_dram)
    spills = 0.0 if sums <= SHARED_USABLE * processor.shared_bytes else sums
    reads, writes = reads + 0.5 * spills, out * problem.c_dram + 0.5 * spills
    in_flight = min(blocks, processor.cores * held) * step * (tile.stages - 1.0) * _IN_FLIGHT
    dram_s = max(memory_s(processor, reads, writes), reads * processor.latency_s / in_flight)

    streamed_s = dram_s + ramp_s(processor, dram_s)
    latency_s = ends_s + overlapped(processor, core_s, shared_s, streamed_s)
    if tile.split_k > 1:
        latency_s += processor.gap_s + processor.latency_s
    scratch = into_a + into_b + blocks * scratch
    depth_step = max(1, int(row / max(problem.a_bytes, problem.b_bytes)))
    beside = _beside_products(tile, depth_step) if processor.lanes == 1 else 0.0
    moved = (shared_bytes, scratch, reads, writes)
    energy_s = power_limited_s(processor, problem, moved, beside)
    return BlockCost(
        max(latency_s, energy_s), core_s, shared_s, dram_s, reads, writes, shared_bytes, scratch,
        blocks,
    )  # fmt: skip
