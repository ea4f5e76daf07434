"""Convolutions on systolic arrays: each group is lowered to a matmul (im2col) and counted."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

from accelsim.arch.array import SystolicArray
from accelsim.errors import MappingError
from accelsim.timing.systolic import SystolicCycles, array_cycles
from accelsim.timing.systolic_buffers import BufferedRun, buffered_cycles
from accelsim.workload.conv import ConvShape

_RATIOS = ("fold_cycles", "mapping_efficiency", "utilization")


def conv_cycles(array: SystolicArray, shape: ConvShape) -> SystolicCycles:
    """Count the cycles and SRAM accesses of a convolution on an array that never waits.

    Parameters
    ----------
    array : SystolicArray
    shape : ConvShape
        With stride, padding, dilation and groups; depthwise is one group per channel.

    Returns
    -------
    SystolicCycles
        Counts of all groups together, one after the other.

    Raises
    ------
    MappingError
        If a count would not fit 64 bits.

    Notes
    -----
    With N images, P x Q outputs, R x S filters, C input and K output channels in G groups, each
    group is a matmul of ``m = N P Q``, ``n = K / G``, ``k = R S C / G``. Padding is multiplied
    like other inputs. A depthwise layer leaves all but one column of a weight stationary array
    idle: that is what the counts show.
    """
    m, n, k, repeat = shape.gemm
    one = array_cycles(array, m, n, k)
    return one._replace(
        **{
            name: value * repeat
            for name, value in one._asdict().items()
            if name not in _RATIOS and name not in ("row_folds", "col_folds")
        }
    )


def buffered_conv(
    array: SystolicArray, shape: ConvShape, *, prefilled: bool = False
) -> BufferedRun:
    """Run a convolution on an array with limited buffers and bandwidth.

    Parameters
    ----------
    array : SystolicArray
        With `buffers`.
    shape : ConvShape
    prefilled : bool, optional
        Operand buffers are full at the start.

    Returns
    -------
    BufferedRun
        All groups, one after the other; `turn_stall_cycles` are those of one group.

    Raises
    ------
    MappingError, CapacityError
        As `accelsim.timing.systolic_buffers.buffered_cycles`.

    Notes
    -----
    The buffer of A holds the input itself; a unit behind it copies overlapping windows (im2col).
    When it holds the input rows under one row of windows, every input element of a pass is
    fetched once; when it does not, each window is fetched on its own. Padding is not fetched.
    """
    if array.buffers is None:
        raise MappingError(f"{array.name} has no buffers: use conv_cycles, or give ArrayBuffers")
    m, n, k, repeat = shape.gemm
    run = buffered_cycles(
        array, m, n, k, prefilled=prefilled, distinct_a=distinct_share(shape, array.buffers.a_words)
    )
    counts = {
        field.name: getattr(run, field.name) * repeat
        for field in dataclasses.fields(run)
        if field.name not in ("sums_spilled", "turn_stall_cycles")
    }
    return dataclasses.replace(run, **counts)


def distinct_share(shape: ConvShape, a_words: int) -> Fraction:
    """Share of the im2col matrix that must be fetched, given a buffer of `a_words` [1]."""
    m, _, k, repeat = shape.gemm
    reach = shape.dilation[0] * (shape.filter_height - 1) + 1
    under_windows = reach * shape.width * shape.in_channels // repeat
    if under_windows > a_words:
        return Fraction(1)
    return min(Fraction(1), Fraction(shape.input_elements // repeat, m * k))
