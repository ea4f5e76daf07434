"""From a GPU to the flat record that the kernels of thread blocks work on."""

from __future__ import annotations

from functools import lru_cache

from accelsim.arch.action_energy import energy_per_action
from accelsim.arch.chip import Chip
from accelsim.arch.schema import TensorCoreUnit
from accelsim.dtypes import DType
from accelsim.dtypes import dtype as find_dtype
from accelsim.kernels.gpu.processor import Processor

# Register blocks of SIMT GEMM: 8 x 8 sums per thread is customary.
_LANE_TILE = (8, 8, 1)
# A hit in the L2 takes about half of the way to the main memory: V100 193 of 320 ns, A100 200 of
# 404 ns, H100 263 of 478 cycles (Jia 2018, Luo 2024).
_L2_SHARE_OF_LATENCY = 0.55


def runs_thread_blocks(chip: Chip) -> bool:
    """Tell whether the chip's work is timed as grids of thread blocks that share an L2."""
    return chip.programming_model == "thread_blocks" and chip.spec.shared is not None


def _has_whole_sums(dtype: DType) -> bool:
    """Tell whether libraries leave sums over k in one piece.

    So do SmoothQuant's integers on A100 and fp8 with scales of blocks on H100, both measured;
    other formats with scales are taken to be like the latter.
    """
    return dtype.kind == "int" or dtype.block_scaled


@lru_cache(maxsize=256)
def processor_for(chip: Chip, dtype: str) -> Processor:
    """Describe a GPU to the kernels for matrix work whose inputs are `dtype`.

    Parameters
    ----------
    chip : Chip
        One that `runs_thread_blocks`.
    dtype : str
        A dtype that it runs natively (see `Chip.compute_dtype`); "" for work without matrices.

    Returns
    -------
    Processor
        Sustained rates: calibration applied.
    """
    spec, scalars = chip.spec, chip.calibration
    shared, core = spec.shared, spec.core
    prices = energy_per_action(chip)
    if shared is None:
        raise ValueError(f"{chip.name} has no L2")
    unit = chip.matrix_unit(dtype) if dtype else None
    efficiency = scalars.vector_efficiency
    tile, lanes, asynchronous = _LANE_TILE, 1, 0
    if isinstance(unit, TensorCoreUnit):
        depth = max(1, round(unit.tile.k * 2 / find_dtype(dtype).bytes))
        tile, lanes = (unit.tile.m, unit.tile.n, depth), 0
        asynchronous = int(unit.asynchronous)
        efficiency = scalars.matrix_efficiency
    rates = core.vector.flop_per_cycle
    vector = rates.get("fp32") or max(rates.values())
    flop = chip.matrix_flop_per_cycle[dtype] if dtype else vector
    return Processor(
        cores=spec.cores,
        clock_hz=spec.clock_hz,
        flop_per_cycle=flop * efficiency,
        vector_flop_per_cycle=min(vector, rates.get(dtype, vector)) * scalars.vector_efficiency,
        special_per_cycle=core.vector.special_per_cycle * scalars.vector_efficiency,
        tile_m=tile[0],
        tile_n=tile[1],
        tile_k=tile[2],
        lanes=lanes,
        batched_side=core.batched_side if lanes == 1 or dtype == "fp32" else 0,
        integers=int(bool(dtype) and find_dtype(dtype).kind == "int"),
        whole_sums=int(bool(dtype) and _has_whole_sums(find_dtype(dtype))),
        asynchronous=asynchronous,
        through_registers=int(lanes == 1 or not core.asynchronous_copy),
        scratch_bytes=core.scratchpad.capacity_bytes,
        register_bytes=core.registers_bytes or 256 * 1024.0,
        accumulator_bytes=core.scratchpad.accumulator_bytes or 0.0,
        scratch_bytes_per_cycle=core.scratchpad.bandwidth_bytes_per_cycle,
        port_bytes_per_s=chip.port_bytes_per_s,
        cluster=core.cluster,
        shared_bytes=shared.capacity_bytes,
        shared_bytes_per_s=shared.bandwidth_bytes_per_s * scalars.shared_efficiency,
        spread_bytes=shared.spread_stride_bytes or 0.0,
        shared_latency_s=_L2_SHARE_OF_LATENCY * scalars.memory_latency_s,
        latency_s=scalars.memory_latency_s,
        dram_bytes_per_s=chip.transfers.read_bytes_per_s,
        write_ratio=chip.transfers.write_ratio,
        turn_ratio=chip.transfers.turn_ratio,
        mac_j=prices.mac_j[dtype] if dtype else 0.0,
        scratch_j_per_byte=prices.scratchpad_j_per_byte,
        shared_j_per_byte=prices.shared_j_per_byte,
        read_j_per_byte=prices.dram_read_j_per_byte,
        write_j_per_byte=prices.dram_write_j_per_byte,
        deliverable_w=prices.deliverable_w,
        gap_s=scalars.kernel_overhead_s,
    )
