"""What the GPU kernels know of a chip: cores that run thread blocks, and the memory behind them."""

from __future__ import annotations

import math
from typing import NamedTuple

from accelsim.kernels.jit import kernel
from accelsim.kernels.machine import weigh

_CONTENTION = 3.5
"""Exponent by which the chip and its main memory add up (a fit to GEMMs of 1 to 8,192 rows on A100,
A40 and H100; 2 would be no overlap at the balance worth speaking of, infinity a perfect one)."""


class Processor(NamedTuple):
    """A GPU seen by one dtype of matrix work. Rates are sustained ones (calibration applied).

    Attributes
    ----------
    cores : int
        Streaming multiprocessors or compute units.
    clock_hz : float
        At which the rates per cycle hold.
    flop_per_cycle : float
        Of one core's matrix units (lanes where there are none) times their sustained efficiency.
    vector_flop_per_cycle, special_per_cycle : float
        Of one core's lanes (fp32, or what is slower of the dtype) and special-function units,
        times vector efficiency.
    tile_m, tile_n, tile_k : int
        Native tile of the matrix instructions; smaller work is padded.
    lanes : int
        1 when matrix work runs on the lanes: operands then come from registers.
    batched_side : int
        Side of the tiles of batches of matrices; 0 where the library has as many as for one.
    integers : int
        1 when operands are integers.
    whole_sums : int
        1 when libraries add no parts of a sum: integers, and formats whose blocks have scales.
    asynchronous : int
        1 when matrix instructions read the scratchpad and run beside the warp that issues them.
    through_registers : int
        1 when operands pass through registers on their way to shared memory: fewer steps ahead.
    scratch_bytes, register_bytes, accumulator_bytes : float
        Shared memory, register file and memory of sums of one core; accumulator_bytes is 0 where
        sums live in registers [B].
    scratch_bytes_per_cycle : float
        Shared memory to the units of a core.
    port_bytes_per_s : float
        L2 to one core [B/s].
    cluster : int
        Cores that one read of the L2 can feed.
    shared_bytes, shared_bytes_per_s : float
        L2 capacity [B] and bandwidth to all cores [B/s].
    spread_bytes : float
        Largest power-of-two stride between rows that the L2's hash still spreads over all its
        slices; 0 when every stride is spread [B].
    shared_latency_s, latency_s : float
        Of a load that hits the L2, and of one that goes to the main memory [s].
    dram_bytes_per_s : float
        Long reads of the main memory [B/s].
    write_ratio, turn_ratio : float
        Time of a byte written, and of turning the bus for one, over that of a byte read.
    mac_j, scratch_j_per_byte, shared_j_per_byte, read_j_per_byte, write_j_per_byte : float
        Energy of a multiply-add and of a byte of shared memory, L2, and main memory [J], [J/B].
    deliverable_w : float
        Counted power at which the board reaches its limit; infinite where none is stated [W].
    gap_s : float
        From the end of a kernel to the start of the next in a graph, ramp included [s].
    """

    cores: int
    clock_hz: float
    flop_per_cycle: float
    vector_flop_per_cycle: float
    special_per_cycle: float
    tile_m: int
    tile_n: int
    tile_k: int
    lanes: int
    batched_side: int
    integers: int
    whole_sums: int
    asynchronous: int
    through_registers: int
    scratch_bytes: float
    register_bytes: float
    accumulator_bytes: float
    scratch_bytes_per_cycle: float
    port_bytes_per_s: float
    cluster: int
    shared_bytes: float
    shared_bytes_per_s: float
    spread_bytes: float
    shared_latency_s: float
    latency_s: float
    dram_bytes_per_s: float
    write_ratio: float
    turn_ratio: float
    mac_j: float
    scratch_j_per_byte: float
    shared_j_per_byte: float
    read_j_per_byte: float
    write_j_per_byte: float
    deliverable_w: float
    gap_s: float


@kernel
def memory_s(processor: Processor, reads: float, writes: float) -> float:
    """Time of a long transfer from and to the main memory [s]; the law of `arch.memory_rates`."""
    weighted = weigh(reads, writes, processor.write_ratio, processor.turn_ratio)
    return weighted / processor.dram_bytes_per_s


@kernel
def _added(one_s: float, other_s: float) -> float:
    """``(a^p + b^p)^(1/p)``: the longer of two where it is far longer, more near their balance."""
    longest, shorter = max(one_s, other_s), min(one_s, other_s)
    if longest <= 0.0:
        return 0.0
    return longest * math.pow(1.0 + math.pow(shorter / longest, _CONTENTION), 1.0 / _CONTENTION)


@kernel
def overlapped(processor: Processor, core_s: float, shared_s: float, dram_s: float) -> float:
    """Time of work that cores, L2 and main memory do side by side [s].

    Notes
    -----
    ``(max(core, shared)^p + dram^p)^(1/p)``: copies from the L2 run a few steps ahead of the
    products, so the longer decides. Waits for the main memory are longer than that: near the
    balance, each waits for the other now and then. Where copies pass through registers, the warps
    that multiply make them, and the L2 adds up in the same way.
    """
    if processor.through_registers == 1:
        return _added(_added(core_s, shared_s), dram_s)
    return _added(max(core_s, shared_s), dram_s)
