"""Systolic arrays in closed form: cycles, folds and SRAM accesses of matmuls, exactly."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accelsim.arch.array import MAX_SIDE, TEXTBOOK, ArrayFeatures, SystolicArray, known_dataflow
from accelsim.errors import MappingError, SpecError, WorkloadError
from accelsim.kernels.folds import (
    COLS_PACKED,
    DATAFLOW_CODES,
    ROWS_PACKED,
    STREAM_PACKED,
    ArrayShape,
    FoldCounts,
    fold_counts,
    fold_many,
)

_PACKED = {"stream": STREAM_PACKED, "rows": ROWS_PACKED, "cols": COLS_PACKED}
_MAX_SIZE = 2**40
_MOST_BITS = 9.0e18


class SystolicCycles(NamedTuple):
    """What matmuls cost on an array; every field is an integer, or an array of them.

    Attributes
    ----------
    cycles : int or array
        From the first load to the last result, buffers never waiting [cycle].
    folds, row_folds, col_folds : int or array
        Pieces of the stationary operand: in all, along rows, along columns.
    fold_cycles : int or array
        One fold alone [cycle].
    sram_reads_a, sram_reads_b : int or array
        Elements of A (m x k) and B (k x n) that enter the array.
    sram_writes_c : int or array
        Results and partial sums that leave the array.
    sram_reads_c : int or array
        Partial sums that are read to be added to.
    mapping_efficiency : float or array
        Share of the PEs that folds cover, mean over folds [1].
    utilization : float or array
        Multiply-adds over the most that the array could do in these cycles [1].
    macs : int or array
        Multiply-adds; with N:M sparsity those of kept weights only.
    metadata_bits : int or array
        Indices of kept weights, read with B [bit].
    """

    cycles: Any
    folds: Any
    row_folds: Any
    col_folds: Any
    fold_cycles: Any
    sram_reads_a: Any
    sram_reads_b: Any
    sram_writes_c: Any
    sram_reads_c: Any
    mapping_efficiency: Any
    utilization: Any
    macs: Any
    metadata_bits: Any


def systolic_cycles(  # noqa: PLR0917  (the order of the published contract)
    dataflow: str,
    rows: ArrayLike,
    cols: ArrayLike,
    m: ArrayLike,
    n: ArrayLike,
    k: ArrayLike,
    features: ArrayFeatures = TEXTBOOK,
) -> SystolicCycles:
    """Count the cycles and SRAM accesses of ``C[m, n] = A[m, k] B[k, n]`` on a systolic array.

    Parameters
    ----------
    dataflow : str
        ``ws``, ``os`` or ``is``: weights B, outputs C or inputs A stay in the array.
    rows, cols : int or array of int
        Processing elements.
    m, n, k : int or array of int
        Sizes. Arrays of any shape; all five broadcast as NumPy's do.
    features : ArrayFeatures, optional
        Several arrays, double buffering, packing, pipelining, sparsity; default: none.

    Returns
    -------
    SystolicCycles
        Integers for scalar sizes, arrays of the common shape otherwise.

    Raises
    ------
    SpecError
        If the dataflow is unknown or the array has no legal size.
    WorkloadError
        If a size is not a positive integer, or shapes do not broadcast.
    MappingError
        If a count would not fit 64 bits.

    Notes
    -----
    With Sr and Sc the sizes along rows and columns and T the streamed one (ws: k, n, m; is: k, m,
    n; os: m, n, k), ``folds = ceil(Sr/rows) ceil(Sc/cols)`` and a fold takes ``T + rows + cols -
    2`` cycles (os) or ``T + 2 rows + cols - 2`` (ws, is). Partial folds cost as much as full ones.
    Not modelled here: waiting for memory (see `accelsim.timing.systolic_buffers`), and the way of
    the last outputs of an os array to its edge, which the next fold hides.

    References
    ----------
    Samajdar et al., A Systematic Methodology for Characterizing Scalability of DNN Accelerators
    using SCALE-Sim, ISPASS 2020, equations 1 to 3.

    Examples
    --------
    >>> systolic_cycles("ws", 32, 32, 512, 3072, 768).cycles
    1396224
    """
    if not isinstance(features, ArrayFeatures):
        raise SpecError(f"features is {features!r}, expected ArrayFeatures(...)")
    if type(rows) is type(cols) is type(m) is type(n) is type(k) is int:
        return array_cycles(_array(str(dataflow), rows, cols, features), m, n, k)
    shape = _shape(SystolicArray(known_dataflow(dataflow), 1, 1, features))
    named = {"rows": rows, "cols": cols, "m": m, "n": n, "k": k}
    sizes = np.stack(np.broadcast_arrays(*_checked(named)), axis=-1)
    problems = sizes.reshape(-1, len(named))
    counts = np.empty((len(FoldCounts._fields), *sizes.shape[:-1]), dtype=np.int64)
    fold_many(shape, problems, counts.reshape(len(counts), -1))
    if counts[0].any():
        _refuse_overflow(*problems[np.argmax(counts[0].ravel()), 2:].tolist())
    pes, scalar = sizes[..., 0] * sizes[..., 1], sizes.ndim == 1
    del sizes, problems  # a million problems are 40 MB
    if scalar:
        return _explained(FoldCounts._make(counts.tolist()), features, int(pes))
    return _explained(FoldCounts._make(counts), features, pes)


def array_cycles(array: SystolicArray, m: int, n: int, k: int, repeat: int = 1) -> SystolicCycles:
    """Count one matmul on one array: `systolic_cycles` for integers.

    Parameters
    ----------
    array : SystolicArray
    m, n, k : int
        Sizes.
    repeat : int, optional
        Matmuls of these sizes, with operands of their own; arrays share all their folds, and with
        double buffers the first fold of one loads behind the last of another.
    """
    return _explained(counted(array, m, n, k, repeat), array.features, array.pes)


def counted(array: SystolicArray, m: int, n: int, k: int, repeat: int) -> FoldCounts:
    """Return the kernel's counts of checked sizes."""
    for name, size in (("m", m), ("n", n), ("k", k), ("repeat", repeat)):
        if not 1 <= size <= _MAX_SIZE:
            raise WorkloadError(f"{name} is {size}, expected an integer from 1 to {_MAX_SIZE}")
    found = fold_counts(_shape(array), m, n, k, repeat)
    if found.status:
        _refuse_overflow(m, n, k)
    return found


@lru_cache(maxsize=1024)
def _array(dataflow: str, rows: int, cols: int, features: ArrayFeatures) -> SystolicArray:
    return SystolicArray(known_dataflow(dataflow), rows, cols, features)


@lru_cache(maxsize=1024)
def _shape(array: SystolicArray) -> ArrayShape:
    extra = array.features
    sparsity = extra.sparsity
    return ArrayShape(
        dataflow=DATAFLOW_CODES[array.dataflow],
        rows=array.rows,
        cols=array.cols,
        arrays=extra.arrays,
        double_buffer=int(extra.double_buffer),
        mac_latency_cycles=extra.mac_latency_cycles,
        packing=extra.packing,
        packed=_PACKED[extra.packed],
        keep=sparsity.n if sparsity else 1,
        group=sparsity.m if sparsity else 1,
    )


def _explained(found: FoldCounts, extra: ArrayFeatures, pes: Any) -> SystolicCycles:
    """Add the ratios to the counts."""
    slots = pes * (1 if extra.packed == "stream" else extra.packing)
    can_do = 1.0 * found.cycles * (extra.arrays * extra.packing) * pes
    bits = extra.sparsity.index_bits if extra.sparsity else 0
    if bits and 1.0 * np.max(found.sram_reads_b, initial=0) * bits > _MOST_BITS:
        raise MappingError("the indices of sparse weights are too many to count in 64 bits")
    return SystolicCycles(
        cycles=found.cycles,
        folds=found.folds,
        row_folds=found.row_folds,
        col_folds=found.col_folds,
        fold_cycles=found.fold_cycles,
        sram_reads_a=found.sram_reads_a,
        sram_reads_b=found.sram_reads_b,
        sram_writes_c=found.sram_writes_c,
        sram_reads_c=found.sram_writes_c - found.results,
        mapping_efficiency=found.used / (found.folds * slots),
        utilization=found.macs / can_do,
        macs=found.macs,
        metadata_bits=found.sram_reads_b * bits,
    )


def _checked(named: dict[str, ArrayLike]) -> list[NDArray[np.int64]]:
    """Return sizes as arrays that are positive and broadcast."""
    try:
        columns = {name: np.asarray(value) for name, value in named.items()}
    except ValueError as error:
        raise WorkloadError(f"sizes must be whole numbers or arrays of them: {error}") from None
    for name, column in columns.items():
        if not np.issubdtype(column.dtype, np.integer) and column.size:
            raise WorkloadError(
                f"{name} is of type {column.dtype}, expected whole numbers: one, or an array"
            )
        limit = MAX_SIDE if name in ("rows", "cols") else _MAX_SIZE
        if column.size and not (column.min() >= 1 and column.max() <= limit):
            worst = column.min() if column.min() < 1 else column.max()
            raise WorkloadError(f"{name} has {worst}, expected whole numbers from 1 to {limit}")
    try:
        np.broadcast_shapes(*(column.shape for column in columns.values()))
    except ValueError:
        shapes = ", ".join(f"{name} {column.shape}" for name, column in columns.items())
        raise WorkloadError(
            f"sizes of shapes {shapes} do not broadcast: give one shape, scalars, or axes as in "
            "rows[:, None] and cols[None, :]"
        ) from None
    return [column.astype(np.int64, copy=False) for column in columns.values()]


def _refuse_overflow(m: int, n: int, k: int) -> None:
    raise MappingError(
        f"counts of a {m} x {n} x {k} matmul (m, n, k) do not fit 64 bits: it is too large to "
        "count exactly on this array"
    )
