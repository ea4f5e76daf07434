"""Time of matmuls and grouped matmuls from their mapping, with the fused epilogue."""

from __future__ import annotations

import math

from accelsim.arch.chip import Chip
from accelsim.dtypes import dtype as find_dtype
from accelsim.kernels.matmul import Problem
from accelsim.mapping.fusion import Group
from accelsim.mapping.matmul import MatmulMapping, map_matmul
from accelsim.results.costs import Activity
from accelsim.workload.ops import GroupedMatMul, MatMul


def matmul_problem(group: Group) -> Problem:
    """State a (grouped) matmul to the search.

    Experts are a batch of equal matmuls of the mean number of rows: the balanced case. Their
    gradient ``dW[k, n] = X^T dY`` sums over those rows, and is what is written.
    """
    op = group.head
    if isinstance(op, GroupedMatMul) and op.traffic.weights_written:
        batch = max(1, math.ceil(op.active))
        m, n, k = op.k, op.n, math.ceil(op.rows / batch)
        a_type, b_type, c_type = op.dtype, op.dtype, op.weight_dtype
    elif isinstance(op, GroupedMatMul):
        batch = max(1, math.ceil(op.active))
        m, n, k = math.ceil(op.rows / batch), op.n, op.k
        a_type, b_type, c_type = op.dtype, op.weight_dtype, op.dtype
    elif isinstance(op, MatMul):
        batch, m, n, k = op.batch, op.m, op.n, op.k
        a_type, b_type, c_type = op.dtype, op.weight_dtype or op.dtype, op.out_dtype or op.dtype
    else:
        raise TypeError(f"{op.name} is not a matmul")
    # Only the last of the fused ops writes, in its own dtype.
    c_bytes = find_dtype(c_type).bytes
    if len(group.ops) > 1:
        c_bytes *= group.traffic.outputs / op.traffic.outputs
    a_dram = 0.0 if group.input_on_chip else 1.0
    weights_dram = 1.0 if op.traffic.weights else a_dram
    c_dram = 0.0 if group.output_on_chip and not op.traffic.weights_written else 1.0
    return Problem(
        batch, m, n, k,
        find_dtype(a_type).bytes, find_dtype(b_type).bytes, c_bytes,
        a_dram, weights_dram, c_dram,
    )  # fmt: skip


def matmul_times(
    group: Group, chip: Chip, dtype: str
) -> tuple[dict[str, float], float, Activity, MatmulMapping]:
    """Times by resource, latency of the pipeline, activity and the mapping behind them.

    Parameters
    ----------
    group : Group
        Its head is a MatMul or GroupedMatMul; the rest is the epilogue.
    chip : Chip
    dtype : str
        Native dtype of the matrix work.

    Returns
    -------
    times_s : dict of str to float
        Per resource [s].
    latency_s : float
        Of the kernel without launch overhead [s].
    activity : Activity
    mapping : MatmulMapping
    """
    mapping = map_matmul(chip, dtype, matmul_problem(group))
    cost = mapping.cost
    scalars = chip.calibration
    share = cost.active_cores / chip.spec.cores
    vector_s = group.vector_flop / (chip.vector_flop_per_s() * scalars.vector_efficiency * share)
    special_s = group.special / (chip.special_per_s * scalars.vector_efficiency * share)
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
    # The epilogue of one tile hides behind the next tile's products, except for the last wave.
    waves = max(1.0, _tiles(mapping) / chip.spec.cores)
    epilogue_s = max(vector_s, special_s)
    latency_s = max(latency_s + epilogue_s / waves, epilogue_s)
    activity = Activity(
        macs={dtype: group.flop / 2},
        vector_flop=group.vector_flop,
        special=group.special,
        dram_read_bytes=reads,
        dram_write_bytes=cost.dram_write_bytes,
        shared_bytes=cost.shared_bytes,
        scratchpad_bytes=cost.scratch_bytes,
    )
    return times, latency_s, activity, mapping


def _bias_bytes(group: Group) -> float:
    """Bytes of the head's bias, which the tiling does not see [B]."""
    op = group.head
    if not isinstance(op, MatMul | GroupedMatMul) or not op.bias or op.weight_dtype is None:
        return 0.0
    copies = op.batch if isinstance(op, MatMul) else op.active
    return copies * op.n * find_dtype(op.weight_dtype).bytes


def _tiles(mapping: MatmulMapping) -> float:
    problem, tiling = mapping.problem, mapping.tiling
    return float(
        problem.batch
        * math.ceil(problem.m / tiling.tile_m)
        * math.ceil(problem.n / tiling.tile_n)
        * tiling.split_k
    )
