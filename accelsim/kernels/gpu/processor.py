"""What the GPU kernels know of a chip: cores that run thread blocks, and the memory behind them."""

from __future__ import annotations

from typing import NamedTuple

from accelsim.kernels.jit import kernel
from accelsim.kernels.machine import weigh


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
        Of one core's lanes (fp32) and special-function units, times vector efficiency.
    tile_m, tile_n, tile_k : int
        Native tile of the matrix instructions; smaller work is padded.
    lanes : int
        1 when matrix work runs on the lanes: operands then come from registers.
    asynchronous : int
        1 when matrix instructions read the scratchpad and run beside the warp that issues them.
    scratch_bytes, register_bytes : float
        Shared memory and register file of one core [B].
    scratch_bytes_per_cycle : float
        Shared memory to the units of a core.
    port_bytes_per_s : float
        L2 to one core [B/s].
    cluster : int
        Cores that one read of the L2 can feed.
    shared_bytes, shared_bytes_per_s : float
        L2 capacity [B] and bandwidth to all cores [B/s].
    shared_latency_s, latency_s : float
        Of a load that hits the L2, and of one that goes to the main memory [s].
    dram_bytes_per_s : float
        Long reads of the main memory [B/s].
    write_ratio, turn_ratio : float
        Time of a byte written, and of turning the bus for one, over that of a byte read.
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
    asynchronous: int
    scratch_bytes: float
    register_bytes: float
    scratch_bytes_per_cycle: float
    port_bytes_per_s: float
    cluster: int
    shared_bytes: float
    shared_bytes_per_s: float
    shared_latency_s: float
    latency_s: float
    dram_bytes_per_s: float
    write_ratio: float
    turn_ratio: float
    gap_s: float


@kernel
def memory_s(processor: Processor, reads: float, writes: float) -> float:
    """Time of a long transfer from and to the main memory [s]; the law of `arch.memory_rates`."""
    weighted = weigh(reads, writes, processor.write_ratio, processor.turn_ratio)
    return weighted / processor.dram_bytes_per_s
