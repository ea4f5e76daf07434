"""Inputs that the folds of a convolution fetch: windows overlap, so fewer than im2col has.

The buffer of A holds inputs, not their im2col copies; a unit behind it repeats them. Which ones
a fold needs follows from the filter taps (k) and windows (m) that it covers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np

from accelsim.arch.array import SystolicArray
from accelsim.errors import CapacityError
from accelsim.timing.fold_order import FoldOrder, Ints
from accelsim.workload.conv import ConvShape

_MOST_MEETINGS = 5 * 10**7
_Range = tuple[int, int]


@dataclass(frozen=True)
class FetchedInputs:
    """What one group of a convolution fetches of its input.

    Attributes
    ----------
    shape : ConvShape
    array : SystolicArray
        With buffers.
    order : FoldOrder
        Of the folds of all groups.
    meetings : (windows, taps) array of int
        Input position that each tap of each window meets, -1 in the padding; channels apart.
    """

    shape: ConvShape
    array: SystolicArray
    order: FoldOrder = field(repr=False)
    meetings: Ints = field(repr=False)

    @classmethod
    def of(cls, shape: ConvShape, array: SystolicArray, order: FoldOrder) -> FetchedInputs:
        """Find out which input meets which tap.

        Raises
        ------
        CapacityError
            If there are too many windows and taps to look at.
        """
        windows, _, depth, _ = shape.gemm
        taps = shape.filter_height * shape.filter_width
        if windows * taps > _MOST_MEETINGS:
            raise CapacityError(
                f"{windows} windows of {taps} taps are too many to follow one by one (at most "
                f"{_MOST_MEETINGS} together): run fewer images at a time, or without buffers"
            )
        rows, cols = _positions(shape, 0), _positions(shape, 1)
        # [P, R], [Q, S] -> [P, Q, R, S]
        place = rows[:, None, :, None] * shape.width + cols[None, :, None, :]
        outside = (rows < 0)[:, None, :, None] | (cols < 0)[None, :, None, :]
        image = np.where(outside, -1, place).reshape(-1, taps)
        first = np.arange(shape.batch)[:, None, None] * (shape.height * shape.width)
        all_images = np.where(image[None] < 0, -1, image[None] + first)
        assert depth % taps == 0
        return cls(shape, array, order, all_images.reshape(windows, taps))

    @property
    def channels(self) -> int:
        """Input channels of the group."""
        return self.shape.in_channels // self.shape.groups

    @cached_property
    def whole_words(self) -> int:
        """Inputs that some window touches [word]."""
        return self._touched((0, len(self.meetings)), (0, self.meetings.shape[1])) * self.channels

    @property
    def capacity_words(self) -> int:
        """Of the buffer of A [word]."""
        assert self.array.buffers is not None
        return self.array.buffers.a_words

    @cached_property
    def stays(self) -> bool:
        """Whether the buffer holds all inputs of the groups that a turn of folds works on."""
        grid, folds = self.order.row_folds * self.order.col_folds, len(self.order.row)
        at_once = 1 if folds == grid else 1 + -(-(self.order.arrays - 1) // grid)
        return at_once * self.whole_words <= self.capacity_words

    @property
    def block_words(self) -> int:
        """Room for what one fold touches: arrays that work in step share the buffer [word]."""
        return self.capacity_words // min(self.order.arrays, len(self.order.row))

    def resident_lines(self) -> int | None:
        """Lines that the buffer holds if all inputs of a group stay; None if they do not."""
        if not self.stays:
            return None
        order = self.order
        of_group = order.row_folds * order.col_folds * max(order.beats, self.array.rows)
        return self.capacity_words // max(1, self.whole_words) * of_group * order.arrays

    def of_folds(self) -> Ints:
        """Words that each fold fetches when its block enters: new ones only if inputs stay."""
        order = self.order
        words = np.zeros((order.row_folds, order.col_folds), dtype=np.int64)
        for i in range(order.row_folds):
            for j in range(order.col_folds if self.array.dataflow == "is" else 1):
                windows, depth = self._covered(i, j)
                words[i, j] = self._new(windows, depth) if self.stays else self._all(windows, depth)
        if self.array.dataflow != "is":
            words[:, 1:] = words[:, :1]
        return words[order.row, order.col]

    def _covered(self, i: int, j: int) -> tuple[_Range, _Range]:
        """Windows, and part of k, that the fold at (i, j) covers."""
        array, extra = self.array, self.array.features
        m, k = len(self.meetings), self.meetings.shape[1] * self.channels
        high, wide = array.fold_rows, array.fold_cols
        if array.dataflow == "os":
            return (i * high, min(m, (i + 1) * high)), (0, k)
        begin, end = i * high, (i + 1) * high
        if extra.sparsity is not None:
            # A group cut by a border enters both folds; what stays is fetched for the first.
            begin = (begin + (extra.sparsity.n - 1) * self.stays) // extra.sparsity.n
            begin *= extra.sparsity.m
            end = -(-end // extra.sparsity.n) * extra.sparsity.m
        windows = (j * wide, min(m, (j + 1) * wide)) if array.dataflow == "is" else (0, m)
        return windows, (begin, min(k, end))

    def _all(self, windows: _Range, depth: _Range) -> int:
        """Words of a block on its own: each input once if what windows share stays that long."""
        if self.array.dataflow == "os":
            return self._all_taps(windows)
        distinct = sum(n * self._touched(windows, taps) for n, taps in self._channels(depth))
        # is: the block is one tile, loaded at once; ws: windows pass row by row.
        needed = distinct if self.array.dataflow == "is" else self._rows_under_windows(depth)
        if needed <= self.block_words:
            return distinct
        return sum(n * self._met(windows, taps) for n, taps in self._channels(depth))

    def _all_taps(self, windows: _Range) -> int:
        """Words of windows that stay while all taps pass (os), tap by tap and row by row."""
        room, taps = self.block_words // self.channels, self.meetings.shape[1]
        if self._touched(windows, (0, taps)) <= room:
            # What these windows share with those before them is still there.
            start = max(0, windows[0] - self.array.fold_rows)
            both, before = (self._touched((start, end), (0, taps)) for end in windows[::-1])
            return (both - before) * self.channels
        wide = self.shape.filter_width
        by_row = [self._touched(windows, (t, t + wide)) for t in range(0, taps, wide)]
        positions = sum(by_row) if max(by_row) <= room else self._met(windows, (0, taps))
        return positions * self.channels

    def _new(self, windows: _Range, depth: _Range) -> int:
        """Words of a block that no fold before it has fetched, in the order of execution."""
        if depth[0] >= depth[1]:
            return 0
        new = 0
        for n, (first, last) in self._channels(depth):
            seen = np.zeros(self._all_positions(), dtype=np.bool_)
            if self.array.dataflow == "is" and not self.order.rows_inner:
                _mark(seen, self.meetings[:, :first])
                _mark(seen, self.meetings[: windows[0], first:last])
            else:  # all taps of the windows before, and earlier taps of these
                _mark(seen, self.meetings[: windows[0]])
                _mark(seen, self.meetings[windows[0] : windows[1], :first])
            before = int(np.count_nonzero(seen))
            _mark(seen, self.meetings[windows[0] : windows[1], first:last])
            new += n * (int(np.count_nonzero(seen)) - before)
        return new

    def _touched(self, windows: _Range, taps: _Range) -> int:
        """Distinct positions that taps of windows meet."""
        mask = np.zeros(self._all_positions(), dtype=np.bool_)
        _mark(mask, self.meetings[windows[0] : windows[1], taps[0] : taps[1]])
        return int(np.count_nonzero(mask))

    def _met(self, windows: _Range, taps: _Range) -> int:
        """Meetings of taps and windows outside the padding."""
        part = self.meetings[windows[0] : windows[1], taps[0] : taps[1]]
        return int(np.count_nonzero(part >= 0))

    def _all_positions(self) -> int:
        return self.shape.batch * self.shape.height * self.shape.width

    def _rows_under_windows(self, depth: _Range) -> int:
        """Words from the first to the last input of one window and its neighbour's start."""
        shape, channels = self.shape, min(self.channels, depth[1] - depth[0])
        first, last = depth[0] // self.channels, (depth[1] - 1) // self.channels
        rows = last // shape.filter_width - first // shape.filter_width
        if rows > 0:
            return (rows * shape.dilation[0] + 1) * shape.width * channels
        return ((last - first) * shape.dilation[1] + 1) * channels

    def _channels(self, depth: _Range) -> Iterator[tuple[int, _Range]]:
        """Split the channels by the taps that part of k covers: (channels, taps).

        k runs over filter row, filter column, channel; so a part begins and ends within a tap.
        """
        tap_in, channel_in = divmod(depth[0], self.channels)
        tap_out, channel_out = divmod(depth[1] - 1, self.channels)
        borders = sorted({0, channel_in, channel_out + 1, self.channels})
        for low, high in pairwise(borders):
            first = tap_in + (low < channel_in)
            last = tap_out + (low <= channel_out)
            if first < last:
                yield high - low, (first, last)


def _mark(mask: np.ndarray[tuple[int], np.dtype[np.bool_]], positions: Ints) -> None:
    mask[positions[positions >= 0]] = True


def _positions(shape: ConvShape, axis: int) -> Ints:
    """Input row (axis 0) or column (1) that each tap meets at each output; -1 in the padding."""
    outputs = (shape.out_height, shape.out_width)[axis]
    taps = (shape.filter_height, shape.filter_width)[axis]
    steps = shape.stride[axis] * np.arange(outputs)[:, None]
    at = steps + shape.dilation[axis] * np.arange(taps) - shape.padding[2 * axis]
    return np.where((at >= 0) & (at < (shape.height, shape.width)[axis]), at, -1)
