"""The shape of a two-dimensional convolution, and its lowering to a matrix multiplication."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import WorkloadError
from accelsim.workload.sizes import shown

SIDES = {"filter": (1, 2), "stride": (1, 2), "dilation": (1, 2), "padding": (0, 4)}
"""Least value and count of the numbers that describe a window, by field."""
_LARGEST_SIZE = 2**31
_LARGEST_MATRIX = 2**40
_LARGEST_COPY_BYTES = 2**30
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
        If a size is not a whole number from 1 (padding: 0) to 2^31, groups do not divide the
        channels, the filter is larger than the padded input, or there are more than 2^40 output
        positions or weights per filter.
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
        for name in ("stride", "dilation", "padding"):
            check_sides(name, getattr(self, name), *SIDES[name])
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
        self._check_products()

    def _check_products(self) -> None:
        """Bound the sides of the matrices that it is lowered to."""
        m, _, k, _ = self.gemm
        for size, names, what in (
            (m, ("batch", "out_height", "out_width"), "output positions"),
            (k, ("filter_height", "filter_width", "in_channels", "groups"), "weights per filter"),
        ):
            if size > _LARGEST_MATRIX:
                factors = ", ".join(f"{name} {getattr(self, name)}" for name in names)
                raise WorkloadError(
                    f"{factors} make {size} {what}, expected at most {_LARGEST_MATRIX}"
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
        If `x` does not have the shape's sizes, or a copy of it would take more than 1 GiB.

    References
    ----------
    Chellapilla, Puri, Simard: High performance convolutional neural networks for document
    processing, 2006.
    """
    expected = (shape.batch, shape.in_channels, shape.height, shape.width)
    if x.shape != expected:
        raise WorkloadError(f"the input has shape {x.shape}, the convolution expects {expected}")
    top, bottom, left, right = shape.padding
    _check_copies(x, shape)
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


def _check_copies(x: NDArray[Any], shape: ConvShape) -> None:
    """Bound the memory of the padded input and of the matrix."""
    m, _, k, repeat = shape.gemm
    padded = (shape.height + sum(shape.padding[:2])) * (shape.width + sum(shape.padding[2:]))
    elements = max(repeat * m * k, shape.batch * shape.in_channels * padded)
    if elements * x.itemsize > _LARGEST_COPY_BYTES:
        raise WorkloadError(
            f"the convolution's matrix and padded input take up to {elements} elements of "
            f"{x.itemsize} B, expected at most {_LARGEST_COPY_BYTES} B: use a smaller batch, "
            "fewer channels, a smaller input or less padding"
        )


def _check_whole(name: str, value: object, least: int) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or not least <= value <= _LARGEST_SIZE:  # type: ignore[operator]
        raise WorkloadError(
            f"{name} is {shown(value)}, expected a whole number from {least} to {_LARGEST_SIZE}"
        )


def check_sides(name: str, value: object, least: int, sides: int) -> None:
    """Require a tuple of `sides` whole numbers from `least` to 2^31."""
    if not isinstance(value, tuple) or len(value) != sides:
        raise WorkloadError(f"{name} is {shown(value)}, expected {sides} whole numbers")
    for side in value:
        _check_whole(name, side, least)
