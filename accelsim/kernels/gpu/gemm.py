"""Time of one matmul on a GPU as one grid of thread blocks, for one choice of tile.

A thread block multiplies a tile of the output in steps along k, with the operands of the next steps
in flight. Blocks run in waves; several share a core where shared memory and registers allow. The
L2 hands each block its operands; the main memory sees what the L2 does not hold.
"""

from __future__ import annotations

import math

from accelsim.kernels.folds import ceil_div
from accelsim.kernels.gpu.grid import (
    BlockCost,
    BlockTile,
    Demand,
    Grid,
    grid_cycles,
    into_cores,
    sweeps,
)
from accelsim.kernels.gpu.processor import Processor, memory_s, overlapped
from accelsim.kernels.jit import inlined, kernel
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


@kernel
def step_bytes(processor: Processor) -> float:
    """Bytes of one row of a tile per step along k."""
    return LANE_STEP_BYTES if processor.lanes == 1 else STEP_BYTES


@kernel
def _operand_bytes(processor: Processor, tile: BlockTile) -> float:
    """Bytes of A and of B that a block reads for one step along k."""
    return (tile.tile_m + tile.tile_n) * step_bytes(processor)


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
def blocks_per_core(processor: Processor, tile: BlockTile) -> float:
    """Blocks that a core can hold at once; 0 when not even one fits."""
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
    scratch = tile.stages * _operand_bytes(processor, tile)
    return min(held, math.floor(_USABLE_SCRATCH * processor.scratch_bytes / scratch))


@kernel
def grid_energy_s(
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
def demand_of(processor: Processor, problem: Problem) -> Demand:
    """Describe a problem to the grids that may compute it."""
    a_bytes = float(problem.batch) * problem.m * problem.k * problem.a_bytes
    b_bytes = float(problem.batch) * problem.k * problem.n * problem.b_bytes
    out = float(problem.batch) * problem.m * problem.n * problem.c_bytes
    stride = problem.k * problem.a_bytes
    camped = processor.spread_bytes > 0.0 and stride % (2.0 * processor.spread_bytes) == 0.0
    reads = a_bytes * problem.a_dram + b_bytes * problem.b_dram
    once_s = memory_s(processor, reads, out * problem.c_dram)
    depth_step = max(1, int(step_bytes(processor) / max(problem.a_bytes, problem.b_bytes)))
    slowdown = _CAMPED if camped else 1.0
    return Demand(
        depth_step, a_bytes, b_bytes, out, slowdown, once_s + ramp_s(processor, once_s)
    )  # fmt: skip


@kernel
def _step(processor: Processor, tile: BlockTile, depth_step: int) -> tuple[float, float]:
    """Cycles of one step of a block, and bytes that it reads from shared memory.

    A step takes the matrix units' cycles or those of shared memory.
    """
    padded = 1.0 * ceil_div(tile.tile_m, processor.tile_m) * processor.tile_m
    padded *= ceil_div(tile.tile_n, processor.tile_n) * processor.tile_n
    multiply = 2.0 * padded * depth_step / processor.flop_per_cycle
    if processor.lanes == 1:
        multiply *= 1.0 + _beside_products(tile, depth_step)
    read = _scratch_bytes_of_step(processor, tile, step_bytes(processor))
    return max(multiply, read / processor.scratch_bytes_per_cycle), read


@inlined
def grid_of(processor: Processor, problem: Problem, demand: Demand, tile: BlockTile) -> Grid:
    """Describe the grid of a tile; its stages play no part."""
    step, read = _step(processor, tile, demand.depth_step)
    depth = ceil_div(ceil_div(problem.k, tile.split_k), demand.depth_step)
    start = start_latencies(processor) * processor.latency_s * processor.clock_hz
    store = float(tile.tile_m) * tile.tile_n * problem.c_bytes / _STORE_BYTES_PER_CYCLE
    tiles_m, tiles_n = ceil_div(problem.m, tile.tile_m), ceil_div(problem.n, tile.tile_n)
    blocks = float(problem.batch) * tiles_m * tiles_n * tile.split_k

    into_a, into_b = into_cores(processor, demand.a_bytes, demand.b_bytes, tiles_m, tiles_n)
    sums = 0.0
    if tile.split_k > 1:
        sums = 2.0 * tile.split_k * _SUM_BYTES * problem.batch * problem.m * problem.n
    shared_bytes = into_a + into_b + sums + demand.out_bytes
    active = min(float(processor.cores), blocks)
    rate = min(processor.shared_bytes_per_s, active * processor.port_bytes_per_s)
    spills = 0.0 if sums <= SHARED_USABLE * processor.shared_bytes else 0.5 * sums
    return Grid(
        blocks, step, float(depth), start + store, shared_bytes / rate * demand.slowdown,
        shared_bytes, into_a + into_b + blocks * (read * depth), spills,
        demand.out_bytes * problem.c_dram + spills,
    )  # fmt: skip


@kernel
def _lives(processor: Processor, grid: Grid, stages: int) -> tuple[float, float]:
    """Cycles that a block keeps the units busy, and of the life of a block alone.

    One block alone waits for its loads from the L2: a step at least ``latency / (stages - 1)``.
    Its start and store count where nothing hides them from the next block of the core:
    asynchronous units have a warp that loads the next block's operands meanwhile.
    """
    waits = processor.shared_latency_s * processor.clock_hz / (stages - 1.0)
    alone = max(grid.step_cycles, waits) * grid.depth
    if processor.asynchronous == 0:
        alone += grid.ends_cycles
    return grid.step_cycles * grid.depth, alone


@inlined
def least_s(
    processor: Processor, demand: Demand, grid: Grid, tile: BlockTile, held: float
) -> float:
    """Bound the latency of a grid from below [s].

    Blocks of a core wait for nothing but their units or, in the fewest waves, for one block
    alone; the main memory sees each operand once, and nothing contends.
    """
    work, alone = _lives(processor, grid, tile.stages)
    share = grid.blocks / processor.cores
    cycles = alone * math.ceil(share / held)
    if processor.asynchronous == 0:
        cycles -= grid.ends_cycles
    cycles = max(cycles, work * math.ceil(share))
    longest_s = max(cycles / processor.clock_hz, grid.shared_s, demand.once_s)
    if tile.split_k > 1:
        longest_s += processor.gap_s + processor.latency_s
    return grid.ends_cycles / processor.clock_hz + longest_s


@kernel
def _core_s(processor: Processor, grid: Grid, held: float, stages: int) -> float:
    """Time of the fullest core but for the first start and the last store [s].

    The blocks of a core hide each other's waits: a wave takes the longer of all their steps and
    of one block alone, but for the first start and the last store, which come on top.
    """
    work, alone = _lives(processor, grid, stages)
    share = grid.blocks / processor.cores
    cycles = grid_cycles(share, held, work, alone)
    if processor.asynchronous == 0:
        cycles = max(work * math.ceil(share), cycles - grid.ends_cycles)
    return cycles / processor.clock_hz


@kernel
def grid_cost(
    processor: Processor, problem: Problem, demand: Demand, grid: Grid, tile: BlockTile, held: float
) -> BlockCost:
    """Cost a grid of which a core holds `held` blocks, with the stages of `tile` in flight.

    Notes
    -----
    Core, L2 and main memory work side by side and contend near their balance (`overlapped`). What
    nothing hides: the first start, the last store, the ramp of the main memory, and a second
    kernel that adds the parts of a split sum.
    """
    core_s = _core_s(processor, grid, held, tile.stages)
    at_once = processor.cores * held
    sweeps_a, sweeps_b = sweeps(processor, problem, tile.tile_m, tile.tile_n, at_once)
    reads = demand.a_bytes * (sweeps_a - 1.0 + problem.a_dram)
    reads += demand.b_bytes * (sweeps_b - 1.0 + problem.b_dram)
    reads += grid.spilled_bytes
    in_flight = min(grid.blocks, at_once) * _operand_bytes(processor, tile)
    in_flight = in_flight * (tile.stages - 1.0) * _IN_FLIGHT
    waited_s = reads * processor.latency_s / in_flight
    dram_s = max(memory_s(processor, reads, grid.write_bytes), waited_s)

    streamed_s = dram_s + ramp_s(processor, dram_s)
    latency_s = grid.ends_cycles / processor.clock_hz
    latency_s += overlapped(processor, core_s, grid.shared_s, streamed_s)
    if tile.split_k > 1:
        latency_s += processor.gap_s + processor.latency_s
    beside = _beside_products(tile, demand.depth_step) if processor.lanes == 1 else 0.0
    moved = (grid.shared_bytes, grid.scratch_bytes, reads, grid.write_bytes)
    energy_s = grid_energy_s(processor, problem, moved, beside)
    return BlockCost(
        max(latency_s, energy_s), core_s, grid.shared_s, dram_s, reads, grid.write_bytes,
        grid.shared_bytes, grid.scratch_bytes, grid.blocks,
    )  # fmt: skip


@kernel
def block_cost(processor: Processor, problem: Problem, tile: BlockTile) -> BlockCost:
    """Cost one tile; `blocks` is 0 when it does not fit a core."""
    held = blocks_per_core(processor, tile)
    if held < 1.0:
        return BlockCost(math.inf, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    demand = demand_of(processor, problem)
    grid = grid_of(processor, problem, demand, tile)
    return grid_cost(processor, problem, demand, grid, tile, held)
