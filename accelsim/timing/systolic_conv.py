"""Convolutions on systolic arrays: each group is lowered to a matmul (im2col) and counted."""

from __future__ import annotations

from accelsim.arch.array import SystolicArray
from accelsim.timing.systolic import SystolicCycles, array_cycles
from accelsim.timing.systolic_buffers import BufferedRun, run_buffered
from accelsim.workload.conv import ConvShape


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
        Counts of all groups together; their folds follow each other and share the arrays.

    Raises
    ------
    MappingError
        If a count would not fit 64 bits.

    Notes
    -----
    With N images, P x Q outputs, R x S filters, C input and K output channels in G groups, each
    group is a matmul of ``m = N P Q``, ``n = K / G``, ``k = R S C / G``. Padding is multiplied
    like other inputs. A depthwise layer leaves all but one column of a weight stationary array
    idle: that is what the counts show. (`accelsim run` may put several groups on the diagonal of
    one array.)
    """
    return array_cycles(array, *shape.gemm)


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
        All groups together.

    Raises
    ------
    MappingError, CapacityError
        As `accelsim.timing.systolic_buffers.buffered_cycles`.

    Notes
    -----
    The buffer of A holds the input itself; a unit behind it copies overlapping windows (im2col).
    If that buffer holds all inputs that windows touch, each is fetched once. If not, each fold
    fetches the inputs that it touches, each once as long as the buffer holds what windows share:
    ws the input rows under one row of windows; os all that the fold touches (then less what the
    fold before left there), or else what one row of taps touches; is the tile that stays. If not
    even that fits, once per window. Padding is not fetched.
    """
    return run_buffered(array, shape.gemm, prefilled, shape)
