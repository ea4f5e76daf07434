"""From a chip to the flat record that the mapping kernels work on."""

from __future__ import annotations

from functools import lru_cache

from accelsim.arch.array import known_dataflow
from accelsim.arch.chip import Chip
from accelsim.arch.schema import SystolicUnit, TensorCoreUnit
from accelsim.dtypes import dtype as find_dtype
from accelsim.kernels.folds import DATAFLOW_CODES
from accelsim.kernels.machine import TENSOR_CORE, Machine

# Lanes multiply outer products of register blocks; 8 x 8 per thread group is customary.
_LANE_TILE = (16, 16, 8)
_STREAM_QUANTUM = 8  # rows streamed through a systolic array are cut in multiples of 8
# Three quarters of the register file may hold accumulators (about 190 of a thread's 255
# registers, as FlashMLA uses); the rest holds operands in flight and addresses.
_ACCUMULATOR_SHARE = 0.75


@lru_cache(maxsize=256)
def machine_for(chip: Chip, dtype: str) -> Machine:
    """Describe `chip` to the kernels for matmuls whose inputs are `dtype`.

    Parameters
    ----------
    chip : Chip
    dtype : str
        A dtype that the chip runs natively (see `Chip.compute_dtype`).

    Returns
    -------
    Machine
        Sustained rates: calibration applied.
    """
    spec, scalars = chip.spec, chip.calibration
    unit = chip.matrix_unit(dtype)
    style, rows, cols, count, hides, macs = TENSOR_CORE, 1, 1, 1, 1, 1.0
    ahead = 0.0
    if isinstance(unit, SystolicUnit):
        style = DATAFLOW_CODES[known_dataflow(unit.dataflow)]
        rows, cols, count = unit.rows, unit.cols, unit.count
        hides = int(unit.weight_double_buffer)
        ahead = unit.weight_fifo_bytes or 0.0
        macs = unit.macs_per_pe[dtype] * scalars.matrix_efficiency
    tile = _native_tile(unit, dtype)
    pad = spec.core.scratchpad
    clock = spec.clock_hz
    rates = spec.core.vector.flop_per_cycle
    vector = rates.get("fp32") or max(rates.values())
    shared = spec.shared
    return Machine(
        style=style,
        cores=spec.cores,
        units=count,
        cluster=spec.core.cluster,
        clock_hz=clock,
        flop_per_cycle=chip.matrix_flop_per_cycle[dtype] * scalars.matrix_efficiency,
        tile_m=tile[0],
        tile_n=tile[1],
        tile_k=tile[2],
        rows=rows,
        cols=cols,
        macs_per_pe=macs,
        hides_load=hides,
        scratch_bytes=pad.capacity_bytes,
        accumulator_bytes=_accumulator_bytes(chip, unit),
        scratch_bytes_per_s=pad.bandwidth_bytes_per_cycle * clock,
        port_bytes_per_s=chip.port_bytes_per_s,
        shared_bytes=chip.shared_bytes,
        shared_bytes_per_s=(
            shared.bandwidth_bytes_per_s * scalars.shared_efficiency if shared else 0.0
        ),
        dram_bytes_per_s=chip.transfers.read_bytes_per_s,
        latency_s=scalars.memory_latency_s,
        vector_flop_per_cycle=vector * scalars.vector_efficiency,
        special_per_cycle=spec.core.vector.special_per_cycle * scalars.vector_efficiency,
        fetched_ahead_bytes=ahead,
        write_ratio=chip.transfers.write_ratio,
        turn_ratio=chip.transfers.turn_ratio,
    )


def _native_tile(unit: SystolicUnit | TensorCoreUnit | None, dtype: str) -> tuple[int, int, int]:
    if isinstance(unit, SystolicUnit):
        if unit.dataflow == "output_stationary":
            return unit.rows, unit.cols, _STREAM_QUANTUM
        if unit.dataflow == "input_stationary":
            return unit.cols, _STREAM_QUANTUM, unit.rows
        return _STREAM_QUANTUM, unit.cols, unit.rows
    if unit is None:
        return _LANE_TILE
    # A narrower input packs more of k into the same operand registers.
    depth = max(1, round(unit.tile.k * 2 / find_dtype(dtype).bytes))
    return unit.tile.m, unit.tile.n, depth


def _accumulator_bytes(chip: Chip, unit: SystolicUnit | TensorCoreUnit | None) -> float:
    pad = chip.spec.core.scratchpad
    if pad.accumulator_bytes:
        return pad.accumulator_bytes
    if isinstance(unit, SystolicUnit) or not chip.spec.core.registers_bytes:
        return 0.0
    return _ACCUMULATOR_SHARE * chip.spec.core.registers_bytes
