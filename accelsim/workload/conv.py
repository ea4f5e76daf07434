"""The shape of a two-dimensional convolution, and its lowering to a matrix multiplication."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import WorkloadError

_COUNTS = (
    "batch", "in_channels", "out_channels", "height", "width",
    "filter_height", "filter_width", "groups",
)  # fmt: skip


class Gemm(NamedTuple):
    """``C[m, n] = A[m, k] B[k, n]``, `repeat` times with its own A and B."""

    m: int
    n: int
    k: int
    repeat: int


@dataclass(frozen=True)
class ConvShape:
    """Sizes of a convolution; also of a pooling window, whose channels do not mix.

    Attributes
    ----------
    batch, in_channels, out_channels : int
        N, C and K of the literature.
    height, width : int
        Of the input, without padding (H, W).
    filter_height, filter_width : int
        R and S.
    stride, dilation : (int, int)
        Along height and width.
    padding : (int, int, int, int)
        Zeros added at the top, bottom, left and right.
    groups : int
        Independent parts that channels are divided into; `in_channels` of them is depthwise.

    Raises
    ------
    WorkloadError
        If a size is not a positive whole number, padding is negative, groups do not divide the
        channels, or the filter is larger than the padded input.
    """

    batch: int
    in_channels: int
    out_channels: int
    height: int
    width: int
    filter_height: int
    filter_width: int
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    def __post_init__(self) -> None:
        for name in _COUNTS:
            _check_whole(name, getattr(self, name), 1)
        for name, least, sides in (("stride", 1, 2), ("dilation", 1, 2), ("padding", 0, 4)):
            _check_sides(name, getattr(self, name), least, sides)
        for name in ("in_channels", "out_channels"):
            channels = getattr(self, name)
            if channels % self.groups:
                raise WorkloadError(
                    f"groups is {self.groups}, which does not divide {name} {channels}"
                )
        top, bottom, left, right = self.padding
        for axis, size, reach in (
            ("height", self.height + top + bottom, self._reach_height),
            ("width", self.width + left + right, self._reach_width),
        ):
            if reach > size:
                raise WorkloadError(
                    f"filter_{axis} {getattr(self, f'filter_{axis}')} covers {reach} inputs with "
                    f"its dilation, but the padded {axis} is {size}: use a smaller filter or more "
                    "padding"
                )

    @property
    def _reach_height(self) -> int:
        return self.dilation[0] * (self.filter_height - 1) + 1

    @property
    def _reach_width(self) -> int:
        return self.dilation[1] * (self.filter_width - 1) + 1

    @property
    def out_height(self) -> int:
        """Rows of the output (P); a last position that does not fit whole is dropped."""
        return (self.height + sum(self.padding[:2]) - self._reach_height) // self.stride[0] + 1

    @property
    def out_width(self) -> int:
        """Columns of the output (Q)."""
        return (self.width + sum(self.padding[2:]) - self._reach_width) // self.stride[1] + 1

    @property
    def depthwise(self) -> bool:
        """Whether every input channel has filters of its own."""
        return self.groups == self.in_channels > 1

    @property
    def gemm(self) -> Gemm:
        """Sizes of the matrix multiplication that it is, one per group."""
        return Gemm(
            m=self.batch * self.out_height * self.out_width,
            n=self.out_channels // self.groups,
            k=self.filter_height * self.filter_width * (self.in_channels // self.groups),
            repeat=self.groups,
        )

    @property
    def macs(self) -> int:
        """Multiply-adds, those with padding included."""
        m, n, k, repeat = self.gemm
        return repeat * m * n * k

    @property
    def input_elements(self) -> int:
        """Elements of the input, padding excluded."""
        return self.batch * self.in_channels * self.height * self.width

    @property
    def weight_elements(self) -> int:
        """Elements of all filters."""
        return self.filter_height * self.filter_width * self.in_channels * (
            self.out_channels // self.groups
        )  # fmt: skip

    @property
    def output_elements(self) -> int:
        """Elements of the output."""
        return self.batch * self.out_channels * self.out_height * self.out_width


def im2col(x: NDArray[Any], shape: ConvShape) -> NDArray[Any]:
    """Copy each filter position's inputs into a row, so that the convolution is a matmul.

    Parameters
    ----------
    x : ndarray [batch, in_channels, height, width]
    shape : ConvShape

    Returns
    -------
    ndarray [groups, m, k]
        Rows ordered by batch, output row, output column; columns by filter row, filter column,
        channel of the group.

    Raises
    ------
    WorkloadError
        If `x` does not have the shape's sizes.

    References
    ----------
    Chellapilla, Puri, Simard: High performance convolutional neural networks for document
    processing, 2006.
    """
    expected = (shape.batch, shape.in_channels, shape.height, shape.width)
    if x.shape != expected:
        raise WorkloadError(f"the input has shape {x.shape}, the convolution expects {expected}")
    top, bottom, left, right = shape.padding
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    rows = _positions(shape.out_height, shape.stride[0], shape.filter_height, shape.dilation[0])
    cols = _positions(shape.out_width, shape.stride[1], shape.filter_width, shape.dilation[1])
    # [N, C, H, W] -> [N, C, P, R, Q, S]
    windows = padded[:, :, rows[:, :, None, None], cols]
    grouped = windows.reshape(shape.batch, shape.groups, -1, *windows.shape[2:])
    # [N, G, c, P, R, Q, S] -> [G, N, P, Q, R, S, c]
    ordered = grouped.transpose(1, 0, 3, 5, 4, 6, 2)
    m, _, k, repeat = shape.gemm
    return ordered.reshape(repeat, m, k)


def _positions(outputs: int, stride: int, taps: int, dilation: int) -> NDArray[np.intp]:
    """Index of the input that each filter tap meets at each output, [outputs, taps]."""
    return stride * np.arange(outputs)[:, None] + dilation * np.arange(taps)


def _check_whole(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise WorkloadError(f"{name} is {value!r}, expected a whole number of at least {least}")


def _check_sides(name: str, value: object, least: int, sides: int) -> None:
    if not isinstance(value, tuple) or len(value) != sides:
        raise WorkloadError(f"{name} is {value!r}, expected {sides} whole numbers")
    for side in value:
        _check_whole(name, side, least)
