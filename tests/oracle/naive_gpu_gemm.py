"""GEMMs as grids of thread blocks in plain loops, with small invented processors.

Constants of the model are those of the kernels; what is done with them is written anew from
their docstrings.
"""

from __future__ import annotations

import math

from accelsim.kernels.gpu import gemm, gemm_search, gemv, processor
from accelsim.kernels.gpu.grid import BlockTile
from accelsim.kernels.gpu.processor import Processor
from accelsim.kernels.machine import SHARED_USABLE, WRITES_PER_READ
from accelsim.kernels.matmul import Problem

_INTEGERS = {"cores", "tile_m", "tile_n", "tile_k", "lanes", "integers", "whole_sums",
             "asynchronous", "through_registers", "cluster", "batched_side"}  # fmt: skip
_SMALL = {
    "cores": 6, "clock_hz": 1e9, "flop_per_cycle": 256, "vector_flop_per_cycle": 64,
    "special_per_cycle": 8, "tile_m": 16, "tile_n": 8, "tile_k": 16, "lanes": 0,
    "batched_side": 0, "integers": 0, "whole_sums": 0, "asynchronous": 0,
    "through_registers": 0, "scratch_bytes": 98304, "register_bytes": 262144,
    "accumulator_bytes": 0, "scratch_bytes_per_cycle": 64, "port_bytes_per_s": 32e9, "cluster": 1,
    "shared_bytes": 1 << 18, "shared_bytes_per_s": 90e9, "spread_bytes": 0,
    "shared_latency_s": 2e-7, "latency_s": 4e-7, "dram_bytes_per_s": 30e9, "write_ratio": 1.1,
    "turn_ratio": 0.2, "mac_j": 1e-12, "scratch_j_per_byte": 1e-12, "shared_j_per_byte": 4e-12,
    "read_j_per_byte": 3e-11, "write_j_per_byte": 3e-11, "deliverable_w": math.inf, "gap_s": 1e-6,
}  # fmt: skip


def small_processor(**changes: float) -> Processor:
    """A GPU of six cores."""
    values = _SMALL | changes
    return Processor(**{k: int(v) if k in _INTEGERS else float(v) for k, v in values.items()})


PROCESSORS = {
    "tensor cores": small_processor(),
    "asynchronous": small_processor(asynchronous=1, cluster=2),
    "large clusters": small_processor(asynchronous=1, cluster=4, shared_bytes_per_s=20e9),
    "memory of sums": small_processor(asynchronous=1, accumulator_bytes=131072, spread_bytes=512),
    "lanes": small_processor(
        lanes=1, tile_m=8, tile_n=8, tile_k=1, through_registers=1, batched_side=64
    ),
    "wide batches": small_processor(batched_side=128, through_registers=1),
    "integers": small_processor(integers=1, whole_sums=1, tile_k=32),
    "few registers": small_processor(register_bytes=98304, through_registers=1),
    "camped strides": small_processor(spread_bytes=128),
    "power limit": small_processor(deliverable_w=0.4),
}


def _pieces(size: int, tile: int) -> int:
    return len(range(0, size, tile))


def kept_by_thread(sums: int) -> tuple[int, int]:
    """Sums of one thread on lanes, and loads of four words for one product of each."""
    return (64, 4) if sums >= 8192 else (32, 3) if sums >= 4096 else (16, 2)


def beside_products(p: Processor, q: Problem, tile: BlockTile) -> float:
    """Instructions on lanes that do not multiply, for each that does."""
    if not p.lanes:
        return 0.0
    sums = tile.tile_m * tile.tile_n
    kept, loads = kept_by_thread(sums)
    copied = gemm._COPY_INSTRUCTIONS * (tile.tile_m + tile.tile_n) / sums
    products = int(gemm.LANE_STEP_BYTES // max(q.a_bytes, q.b_bytes))
    return loads / kept + copied + gemm._STEP_INSTRUCTIONS / kept / products


def held_by_core(p: Processor, tile: BlockTile) -> int:
    """Blocks that fit a core: shared memory, registers, sums, threads."""
    sums = tile.tile_m * tile.tile_n
    per_thread = gemm._THREAD_BYTES
    if p.lanes:
        threads = max(64, sums // kept_by_thread(sums)[0])
        per_thread = gemm._LANE_THREAD_BYTES
    elif p.asynchronous:
        threads = 384 if sums >= 128 * 128 else 256
    else:
        threads = 128 if sums <= 64 * 64 else 256
    row = gemm.LANE_STEP_BYTES if p.lanes else gemm.STEP_BYTES
    held = 0
    while held < gemm._MOST_BLOCKS:
        more = held + 1
        scratch = more * tile.stages * (tile.tile_m + tile.tile_n) * row
        registers = more * threads * per_thread
        if not p.accumulator_bytes:
            registers += more * 4 * sums
        elif more * 4 * sums > p.accumulator_bytes:
            break
        if scratch > gemm._USABLE_SCRATCH * p.scratch_bytes or registers > p.register_bytes:
            break
        if more * threads > gemm._THREADS_OF_CORE:
            break
        held = more
    return held


def grid_cycles(blocks: int, cores: int, held: int, work: float, alone: float) -> float:
    """Deal blocks to cores in waves, for the best number at once."""
    ends = []
    for at_once in range(1, held + 1):
        left, cycles = blocks, 0.0
        while left > 0:
            wave = min(left, at_once * cores)
            cycles += max(math.ceil(wave / cores) * work, alone)
            left -= wave
        ends.append(cycles)
    return min(ends)


def _scratch_of_step(p: Processor, tile: BlockTile, row: float) -> float:
    """Bytes that warps read from shared memory for one step."""
    m, n = tile.tile_m, tile.tile_n
    if p.lanes:  # each sum of a thread needs a 64th of a column and a 32nd of a row
        return m * n * row / 64 + m * n * row / 32
    if p.asynchronous:  # A once, B once for every 64 rows
        return m * row + n * row * _pieces(m, 64)
    side = 64 if m * n > 64 * 64 else 32
    return sum(
        (min(m, side) + min(n, side)) * row
        for _ in range(0, m, min(m, side))
        for _ in range(0, n, min(n, side))
    )


def _core(
    p: Processor, q: Problem, tile: BlockTile, held: int, blocks: int
) -> tuple[float, float, float]:
    """Seconds of the fullest core, of start and store, and scratchpad bytes read by a block."""
    row = gemm.LANE_STEP_BYTES if p.lanes else gemm.STEP_BYTES
    products = int(row // max(q.a_bytes, q.b_bytes))  # along k per step
    steps = _pieces(_pieces(q.k, 1) if tile.split_k == 1 else -(-q.k // tile.split_k), products)
    padded = _pieces(tile.tile_m, p.tile_m) * p.tile_m * _pieces(tile.tile_n, p.tile_n) * p.tile_n
    multiply = 2 * padded * products / p.flop_per_cycle
    sums = tile.tile_m * tile.tile_n
    multiply *= 1 + beside_products(p, q, tile)
    read = _scratch_of_step(p, tile, row)
    step = max(multiply, read / p.scratch_bytes_per_cycle)
    alone = steps * max(step, p.shared_latency_s * p.clock_hz / (tile.stages - 1))
    waits = gemm._EARLY_START_LATENCIES if p.asynchronous else gemm._START_LATENCIES
    ends = waits * p.latency_s * p.clock_hz + sums * q.c_bytes / gemm._STORE_BYTES_PER_CYCLE
    if p.asynchronous:
        cycles = grid_cycles(blocks, p.cores, held, steps * step, alone)
    else:
        cycles = grid_cycles(blocks, p.cores, held, steps * step, alone + ends) - ends
        cycles = max(cycles, -(-blocks // p.cores) * steps * step)
    return cycles / p.clock_hz, ends / p.clock_hz, read * steps


def _from_memory(p: Processor, q: Problem, tile: BlockTile, at_once: float) -> tuple[float, float]:
    """Sweeps over A and B of the order of blocks that reads least."""
    down, across = _pieces(q.m, tile.tile_m), _pieces(q.n, tile.tile_n)
    at_once = min(at_once, down * across)
    high = math.sqrt(at_once * tile.tile_n / tile.tile_m)  # of a square patch, in tiles
    high = min(high, down)
    high = max(high, at_once / across)
    wide = at_once / high
    room = SHARED_USABLE * p.shared_bytes
    a, b = q.m * q.k * q.a_bytes, q.n * q.k * q.b_bytes
    fits_a, fits_b = a <= room, b <= room

    def sweeps(high: float, wide: float) -> tuple[float, float]:
        return 1 if fits_a else max(1, across / wide), 1 if fits_b else max(1, down / high)

    orders = [sweeps(high, wide)]
    narrow = min(wide, room / (tile.tile_n * q.k * q.b_bytes))
    low = min(high, room / (tile.tile_m * q.k * q.a_bytes))
    if narrow >= 1:
        orders.append((sweeps(high, narrow)[0], 1))
    if low >= 1:
        orders.append((1, sweeps(low, wide)[1]))
    return min(orders, key=lambda order: a * order[0] + b * order[1])


def _into_cores(p: Processor, q: Problem, tile: BlockTile) -> float:
    """Bytes of A and B through the L2; clusters share reads."""
    whole_a, whole_b = q.m * q.k * q.a_bytes, q.n * q.k * q.b_bytes
    all_a = sum(whole_a for _ in range(0, q.n, tile.tile_n))
    all_b = sum(whole_b for _ in range(0, q.m, tile.tile_m))
    patches = [2**i for i in range(p.cluster) if 2**i <= p.cluster]
    return q.batch * min(
        max(whole_a, all_a / wide) + max(whole_b, all_b * wide / p.cluster) for wide in patches
    )


def _transfer_s(p: Processor, reads: float, writes: float) -> float:
    turns = min(writes, WRITES_PER_READ * reads)
    return (reads + p.write_ratio * writes + p.turn_ratio * turns) / p.dram_bytes_per_s


def _together(p: Processor, core_s: float, shared_s: float, dram_s: float) -> float:
    """Side by side; what contends adds up as a root of powers."""
    power = processor._CONTENTION

    def added(*times: float) -> float:
        longest = max(times)
        if longest == 0:
            return 0.0
        return float(longest * math.fsum((t / longest) ** power for t in times) ** (1 / power))

    near = added(core_s, shared_s) if p.through_registers else max(core_s, shared_s)
    return added(near, dram_s)


def _with_ramp(p: Processor, stream_s: float) -> float:
    lost = gemm._RAMP_LATENCIES * p.latency_s
    return stream_s + lost * (1 - math.exp(-stream_s / lost))


def tile_s(p: Processor, q: Problem, tile: BlockTile) -> dict[str, float] | None:
    """Times and traffic of one tile; None where it does not fit a core."""
    held = held_by_core(p, tile)
    if not held:
        return None
    blocks = q.batch * _pieces(q.m, tile.tile_m) * _pieces(q.n, tile.tile_n) * tile.split_k
    core_s, ends_s, read_by_block = _core(p, q, tile, held, blocks)
    operands, out = _into_cores(p, q, tile), q.batch * q.m * q.n * q.c_bytes
    sums = 0 if tile.split_k == 1 else 4 * q.batch * q.m * q.n * tile.split_k * 2
    through = operands + sums + out
    shared_s = through / min(p.shared_bytes_per_s, min(p.cores, blocks) * p.port_bytes_per_s)
    if p.spread_bytes and not (q.k * q.a_bytes) % (2 * p.spread_bytes):
        shared_s *= gemm._CAMPED
    over_a, over_b = _from_memory(p, q, tile, p.cores * held)
    # The first sweep comes from wherever the operand lies, later ones from memory.
    reads = q.batch * q.m * q.k * q.a_bytes * (q.a_dram + over_a - 1)
    reads += q.batch * q.n * q.k * q.b_bytes * (q.b_dram + over_b - 1)
    writes = out * q.c_dram
    if sums > SHARED_USABLE * p.shared_bytes:
        reads, writes = reads + sums / 2, writes + sums / 2
    row = gemm.LANE_STEP_BYTES if p.lanes else gemm.STEP_BYTES
    ahead = (tile.stages - 1) * (tile.tile_m + tile.tile_n) * row * gemm._IN_FLIGHT
    by_latency_s = reads * p.latency_s / (ahead * min(blocks, p.cores * held))
    dram_s = max(_transfer_s(p, reads, writes), by_latency_s)
    latency_s = ends_s + _together(p, core_s, shared_s, _with_ramp(p, dram_s))
    if tile.split_k > 1:
        latency_s += p.gap_s + p.latency_s
    scratch = operands + blocks * read_by_block
    found = {
        "core_s": core_s, "shared_s": shared_s, "dram_s": dram_s, "dram_read_bytes": reads,
        "dram_write_bytes": writes, "shared_bytes": through, "scratch_bytes": scratch,
        "blocks": blocks,
    }  # fmt: skip
    return found | {
        "latency_s": max(latency_s, _energy_s(p, q, found, beside_products(p, q, tile)))
    }


def _energy_s(p: Processor, q: Problem, moved: dict[str, float], beside: float = 0) -> float:
    joules = q.batch * q.m * q.n * q.k * p.mac_j * (1 + beside)
    joules += moved["shared_bytes"] * p.shared_j_per_byte
    joules += moved["scratch_bytes"] * p.scratch_j_per_byte
    joules += moved["dram_read_bytes"] * p.read_j_per_byte
    joules += moved["dram_write_bytes"] * p.write_j_per_byte
    return joules / p.deliverable_w


def turned(q: Problem) -> Problem:
    """B^T A^T."""
    return q._replace(m=q.n, n=q.m, a_bytes=q.b_bytes, b_bytes=q.a_bytes, a_dram=q.b_dram,
                      b_dram=q.a_dram)  # fmt: skip


def vectors_s(p: Processor, q: Problem) -> dict[str, float]:
    """A matrix times a few vectors, one warp per row; the matrix is B or else turned."""
    if q.n < q.m:
        return vectors_s(p, turned(q))
    rows, row_bytes = q.batch * q.n, q.k * q.b_bytes
    loads = math.ceil(math.ceil(row_bytes / gemv._WARP_BYTES) / gemv._LOADS_IN_FLIGHT)
    adding = gemv._SUM_CYCLES * q.m
    life = loads * p.latency_s * p.clock_hz + adding
    slots = int(p.cores * gemv._WARPS_OF_CORE)
    issue = 2 * q.m * q.k / p.vector_flop_per_cycle + adding / gemv._WARPS_OF_CORE
    core_s = max(_pieces(rows, slots) * life, rows * issue / p.cores) / p.clock_hz
    matrix, others = rows * row_bytes, q.batch * q.m * q.k * q.a_bytes
    out = rows * q.m * q.c_bytes
    reads, writes = matrix * q.b_dram + others * q.a_dram, out * q.c_dram
    dram_s, shared_s = _transfer_s(p, reads, writes), (matrix + others + out) / p.shared_bytes_per_s
    waits = gemm._EARLY_START_LATENCIES if p.asynchronous else gemm._START_LATENCIES
    latency_s = waits * p.latency_s + _together(p, core_s, shared_s, _with_ramp(p, dram_s))
    found = {
        "core_s": core_s, "shared_s": shared_s, "dram_s": dram_s, "dram_read_bytes": reads,
        "dram_write_bytes": writes, "shared_bytes": matrix + others + out,
        "scratch_bytes": matrix + others, "blocks": min(rows, slots),
    }  # fmt: skip
    return found | {"latency_s": max(latency_s, _energy_s(p, q, found))}


def tiles_for(p: Processor, q: Problem) -> list[BlockTile]:
    """Every tile, split and depth of the pipeline that libraries offer, one way round."""
    if p.batched_side and q.batch > 1:
        stages = (2,) if p.through_registers else gemm_search._STAGES
        return [BlockTile(p.batched_side, p.batched_side, 1, one) for one in stages]
    tall = gemm_search._WIDE_SIDES if p.asynchronous else gemm_search._SIDES
    wide = gemm_search._NARROW_SIDES if p.asynchronous else gemm_search._SIDES
    most = gemm.MOST_LANE_SUMS if p.lanes else gemm.MOST_SUMS
    offered = []
    for m, n in ((m, n) for m in tall for n in wide if m * n <= most):
        if (m > 64 and m // 2 >= q.m) or (n > 64 and n // 2 >= q.n):
            continue
        if p.lanes and min(m, n) < gemm_search._LEAST_LANE_SIDE:
            continue
        blocks = q.batch * _pieces(q.m, m) * _pieces(q.n, n)
        splits = {2**i for i in range(int(math.log2(gemm_search._MOST_SPLIT)) + 1)}
        splits.add(min(p.cores // blocks, q.k // gemm_search._LEAST_DEPTH))
        for split in sorted(splits):
            deep = q.k // split >= gemm_search._LEAST_DEPTH if split else False
            few = blocks * split <= p.cores * gemm_search._MOST_BLOCKS_PER_CORE
            if split > gemm_search._MOST_SPLIT or (split != 1 and not (deep and few)):
                continue
            if split > 1 and p.whole_sums:
                continue
            depths = (2,) if p.through_registers else gemm_search._STAGES
            offered += [BlockTile(m, n, split, stages) for stages in depths]
    return offered


def best_s(p: Processor, q: Problem) -> tuple[dict[str, float], int]:
    """The fastest grid, both ways round or as vectors, and how many there are."""
    grids = [tile_s(p, way, tile) for way in (q, turned(q)) for tile in tiles_for(p, way)]
    found = [cost for cost in grids if cost]
    vectors = gemv.MOST_VECTORS if p.integers and q.batch == 1 else 1
    if min(q.m, q.n) <= vectors:
        found.append(vectors_s(p, q))
    return min(found, key=lambda cost: cost["latency_s"]), len(found)
