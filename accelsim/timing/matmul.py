"""Time of matmuls, grouped matmuls and convolutions from their mapping, with the epilogue."""

from __future__ import annotations

import math
from typing import TypeGuard

from accelsim.arch.chip import Chip
from accelsim.arch.schema import MatrixUnit, SystolicUnit
from accelsim.dtypes import dtype as find_dtype
from accelsim.kernels.matmul import Problem
from accelsim.mapping.fusion import Group
from accelsim.mapping.matmul import MatmulMapping, map_matmul
from accelsim.mapping.processor import processor_for, runs_thread_blocks
from accelsim.results.costs import Activity
from accelsim.workload.conv import Gemm
from accelsim.workload.ops import Conv, GroupedMatMul, MatMul, Op


def matmul_problem(group: Group, unit: MatrixUnit | None) -> Problem:
    """State a (grouped) matmul or a convolution to the search.

    Parameters
    ----------
    group : Group
    unit : TensorCoreUnit, SystolicUnit or None
        What will run it; None means vector lanes.

    Notes
    -----
    Experts are a batch of equal matmuls of the mean number of rows: the balanced case. Their
    gradient ``dW[k, n] = X^T dY`` sums over those rows, and is what is written.

    A convolution is an implicit matmul: its operands have the sizes of the lowered ones, and as
    many bytes per element as makes them the bytes of input, filters and output that there are.
    Not modelled: each tap reads its inputs from the scratchpad again.
    """
    op = group.head
    if isinstance(op, Conv):
        batch, m, n, k, a_bytes, b_bytes, c_bytes = _implicit_matmul(op, unit)
    else:
        batch, m, n, k, a_bytes, b_bytes, c_bytes = _plain_matmul(op)
    # Only the last of the fused ops writes, in its own dtype.
    if len(group.ops) > 1:
        c_bytes *= group.traffic.outputs / op.traffic.outputs
    if op.traffic.weights and _holds_weights(unit) and unit.whole_tiles:
        # Padding is fetched with the weights; it adds nothing to input and output.
        stored_n, stored_k = n, k
        n, k = (math.ceil(n / unit.cols) * unit.cols, math.ceil(k / unit.rows) * unit.rows)
        a_bytes, c_bytes = a_bytes * stored_k / k, c_bytes * stored_n / n
    a_dram = 0.0 if group.input_on_chip else 1.0
    weights_dram = 1.0 if op.traffic.weights else a_dram
    c_dram = 0.0 if group.output_on_chip and not op.traffic.weights_written else 1.0
    return Problem(
        batch, m, n, k, a_bytes, b_bytes, c_bytes, a_dram, weights_dram, c_dram
    )  # fmt: skip


# A block finds its expert by adding up problem sizes, which the lanes of a warp load at once
# (CUTLASS: scheduler of grouped kernels).
_GROUPS_AT_ONCE = 32
_GROUPED_TILE = (64, 128)

_Operands = tuple[int, int, int, int, float, float, float]
"""batch, m, n, k and bytes per element of A, B and C."""


def _plain_matmul(op: Op) -> _Operands:
    if isinstance(op, MatMul):
        batch, m, n, k = op.batch, op.m, op.n, op.k
        a_type, b_type, c_type = op.dtype, op.weight_dtype or op.dtype, op.out_dtype or op.dtype
    elif isinstance(op, GroupedMatMul) and op.traffic.weights_written:
        batch = max(1, math.ceil(op.active))
        m, n, k = op.k, op.n, math.ceil(op.rows / batch)
        a_type, b_type, c_type = op.dtype, op.dtype, op.weight_dtype
    elif isinstance(op, GroupedMatMul):
        batch = max(1, math.ceil(op.active))
        m, n, k = math.ceil(op.rows / batch), op.n, op.k
        a_type, b_type, c_type = op.dtype, op.weight_dtype, op.out_dtype or op.dtype
    else:
        raise TypeError(f"{op.name} is not a matmul")
    a_bytes, b_bytes = find_dtype(a_type).bytes, find_dtype(b_type).bytes
    return batch, m, n, k, a_bytes, b_bytes, find_dtype(c_type).bytes


def _implicit_matmul(op: Conv, unit: MatrixUnit | None) -> _Operands:
    m, n, k, batch = _packed(op.shape.gemm, unit)
    moved = op.traffic
    return (
        batch, m, n, k,
        moved.inputs / (float(batch) * m * k),
        op.filter_bytes / (float(batch) * k * n),
        moved.outputs / (float(batch) * m * n),
    )  # fmt: skip


def _packed(gemm: Gemm, unit: MatrixUnit | None) -> Gemm:
    """Put the filters of several groups on the diagonal of a weight-stationary array.

    The zeros beside them cost nothing more: those rows and columns would stand idle.
    """
    if not _holds_weights(unit):
        return gemm
    together = min(gemm.repeat, unit.rows // gemm.k, unit.cols // gemm.n)
    if together < 2:
        return gemm
    groups = math.ceil(gemm.repeat / together)
    return Gemm(m=gemm.m, n=gemm.n * together, k=gemm.k * together, repeat=groups)


def _holds_weights(unit: MatrixUnit | None) -> TypeGuard[SystolicUnit]:
    return isinstance(unit, SystolicUnit) and unit.dataflow == "weight_stationary"


def matmul_times(
    group: Group, chip: Chip, dtype: str, mapping: MatmulMapping | None = None
) -> tuple[dict[str, float], float, Activity, MatmulMapping]:
    """Times by resource, latency of the pipeline, activity and the mapping behind them.

    Parameters
    ----------
    group : Group
        Its head is a MatMul, GroupedMatMul or Conv; the rest is the epilogue.
    chip : Chip
    dtype : str
        Native dtype of the matrix work.
    mapping : MatmulMapping, optional
        Where it was found before; else it is searched for.

    Returns
    -------
    times_s : dict of str to float
        Per resource [s].
    latency_s : float
        Of the kernel without launch overhead [s].
    activity : Activity
    mapping : MatmulMapping
    """
    unit = chip.matrix_unit(dtype)
    if mapping is None:
        mapping = map_matmul(chip, dtype, matmul_problem(group, unit))
    cost = mapping.cost
    scalars = chip.calibration
    share = cost.active_cores / chip.spec.cores
    vector_flop, special = group.vector_flop, group.special
    if chip.scales_blocks:
        vector_flop -= group.head.scaling_flop
    vector_s = special_s = 0.0
    if vector_flop or special:
        lanes = scalars.vector_efficiency * share
        vector_s = vector_flop / (chip.vector_flop_per_s() * lanes)
        special_s = special / (chip.special_per_s * lanes)
    # What the epilogue reads besides the product (a residual) comes on top of the matmul.
    op_inputs = group.head.traffic.inputs
    extra = 0.0 if group.input_on_chip else max(0.0, group.traffic.inputs - op_inputs)
    beside = group.traffic.weights - group.head.traffic.weights + _bias_bytes(group)
    reads = cost.dram_read_bytes + extra + beside
    memory_s = cost.dram_s + (extra + beside) / chip.sustained_bytes_per_s
    times = {
        "compute": cost.compute_s * mapping.multiplying,
        "load": cost.compute_s if mapping.multiplying < 1 else 0.0,
        "vector": vector_s,
        "special": special_s,
        "l2": cost.shared_s,
        "memory": memory_s,
    }
    latency_s = max(cost.latency_s, memory_s + scalars.memory_latency_s)
    if isinstance(group.head, GroupedMatMul) and runs_thread_blocks(chip):
        search_s, times["l2"] = _grouped_s(group.head, mapping, chip, dtype)
        latency_s = max(latency_s, times["l2"]) + search_s
    epilogue_s = max(vector_s, special_s)
    if epilogue_s > 0.0:
        # That of one tile hides behind the next tile's products, except for the last wave.
        waves = max(1.0, _tiles(mapping) / chip.spec.cores)
        last_s = max(0.0, epilogue_s - _last_fold_s(mapping, unit)) / waves
        latency_s = max(latency_s + last_s, epilogue_s)
    activity = Activity(
        macs={dtype: group.flop / 2},
        vector_flop=vector_flop,
        special=special,
        dram_read_bytes=reads,
        dram_write_bytes=cost.dram_write_bytes,
        shared_bytes=cost.shared_bytes,
        scratchpad_bytes=cost.scratch_bytes,
    )
    return times, latency_s, activity, mapping


def _grouped_s(
    op: GroupedMatMul, mapping: MatmulMapping, chip: Chip, dtype: str
) -> tuple[float, float]:
    """Time in which blocks of a GPU find their experts, and time of its L2 [s].

    Notes
    -----
    Where sums live in registers and warps wait for their products, kernels of experts have tiles
    of 64 x 128: gate and up share the registers (CUTLASS kernels of TensorRT-LLM before Hopper).
    Smaller tiles read more through the L2.
    """
    search_s = math.ceil(op.groups / _GROUPS_AT_ONCE) * chip.calibration.memory_latency_s
    processor = processor_for(chip, dtype)
    if processor.asynchronous == 1 or processor.lanes == 1:
        return search_s, mapping.cost.shared_s
    problem = mapping.problem
    tile_m, tile_n = _GROUPED_TILE
    a = problem.m * problem.k * problem.a_bytes * math.ceil(problem.n / tile_n)
    b = problem.n * problem.k * problem.b_bytes * math.ceil(problem.m / tile_m)
    shared_s = problem.batch * (a + b) / processor.shared_bytes_per_s
    return search_s, max(mapping.cost.shared_s, shared_s)


def _bias_bytes(group: Group) -> float:
    """Bytes of the head's bias, which the tiling does not see [B]."""
    op = group.head
    if isinstance(op, Conv):
        return op.bias_bytes
    if not isinstance(op, MatMul | GroupedMatMul) or not op.bias or op.weight_dtype is None:
        return 0.0
    copies = op.batch if isinstance(op, MatMul) else op.active
    return copies * op.n * find_dtype(op.weight_dtype).bytes


def _last_fold_s(mapping: MatmulMapping, unit: MatrixUnit | None) -> float:
    """Time of the last folds along k, all tiles together, while which results leave row by row [s].

    The epilogue follows them; other units have the results of a tile only at its end.
    """
    if not _holds_weights(unit):
        return 0.0
    return mapping.cost.compute_s / math.ceil(mapping.problem.k / unit.rows)


def _tiles(mapping: MatmulMapping) -> float:
    problem, tiling = mapping.problem, mapping.tiling
    return float(
        problem.batch
        * math.ceil(problem.m / tiling.tile_m)
        * math.ceil(problem.n / tiling.tile_n)
        * tiling.split_k
    )
