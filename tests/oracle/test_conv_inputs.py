"""Inputs that convolutions fetch: sets of addresses, fold by fold, and a buffer that forgets."""

from __future__ import annotations

from collections import OrderedDict
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.arch.array import ArrayBuffers, ArrayFeatures, Sparsity, SystolicArray
from accelsim.errors import CapacityError
from accelsim.timing.systolic_buffers import BufferedRun
from accelsim.timing.systolic_conv import buffered_conv, conv_cycles
from accelsim.workload.conv import ConvShape

Address = tuple[int, int, int, int]


def window_inputs(shape: ConvShape, window: int) -> list[Address | None]:
    """Address that every k meets in a window (order: filter row, filter column, channel)."""
    image, place = divmod(window, shape.out_height * shape.out_width)
    p, q = divmod(place, shape.out_width)
    found: list[Address | None] = []
    for r in range(shape.filter_height):
        for s in range(shape.filter_width):
            h = p * shape.stride[0] + r * shape.dilation[0] - shape.padding[0]
            w = q * shape.stride[1] + s * shape.dilation[1] - shape.padding[2]
            inside = 0 <= h < shape.height and 0 <= w < shape.width
            for c in range(shape.in_channels // shape.groups):
                found.append((image, h, w, c) if inside else None)
    return found


def im2col_addresses(shape: ConvShape) -> list[list[Address | None]]:
    return [window_inputs(shape, window) for window in range(shape.gemm.m)]


def lines(shape: ConvShape, array: SystolicArray) -> list[list[list[Address]]]:
    """Addresses that enter with each line of each pass over A, in order of execution."""
    a = im2col_addresses(shape)
    m, n, k, _ = shape.gemm
    rows, cols = array.rows, array.cols
    passes = []
    if array.dataflow == "ws":
        for _ in range(ceil(n / cols)):
            for i in range(0, k, rows):
                passes.append([[x for x in row[i : i + rows] if x] for row in a])
    else:
        for i in range(0, m, rows):
            block = a[i : i + rows]
            one = [[row[t] for row in block if row[t]] for t in range(k)]
            passes += [one] * ceil(n / cols)
    return passes


def least_recently_used(passes: list[list[list[Address]]], words: int) -> int:
    """Misses of an address-level buffer."""
    held: OrderedDict[Address, None] = OrderedDict()
    misses = 0
    for lines_of in passes:
        for line in lines_of:
            for address in line:
                if address not in held:
                    misses += 1
                    if len(held) == words:
                        held.popitem(last=False)
                held[address] = None
                held.move_to_end(address)
    return misses


@st.composite
def shapes(draw: st.DrawFn) -> ConvShape:
    filters = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    dilation = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    pads = draw(st.tuples(*[st.integers(0, 2)] * 4))
    reach = [d * (f - 1) + 1 for d, f in zip(dilation, filters, strict=True)]
    height = draw(st.integers(max(1, reach[0]), reach[0] + 5))
    width = draw(st.integers(max(1, reach[1]), reach[1] + 5))
    return ConvShape(
        draw(st.integers(1, 2)), draw(st.integers(1, 4)), draw(st.integers(1, 5)), height, width,
        *filters, stride=draw(st.tuples(st.integers(1, 3), st.integers(1, 3))), padding=pads,
        dilation=dilation,
    )  # fmt: skip


def run(shape: ConvShape, dataflow: str, a_words: int, rows: int = 4, cols: int = 3) -> BufferedRun:
    buffers = ArrayBuffers(a_words, 10**6, 10**6)
    return buffered_conv(SystolicArray(dataflow, rows, cols, buffers=buffers), shape)


def touched(shape: ConvShape) -> int:
    return len({address for row in im2col_addresses(shape) for address in row if address})


@given(shapes(), st.sampled_from(("ws", "os", "is")))
@settings(max_examples=150)
def test_a_buffer_for_all_inputs_fetches_each_that_is_touched_once(
    shape: ConvShape, dataflow: str
) -> None:
    assert run(shape, dataflow, 10**6).dram_reads_a == touched(shape)


@given(shapes(), st.sampled_from(("ws", "os")), st.integers(8, 120))
@settings(max_examples=150)
def test_reads_lie_between_one_touch_and_every_meeting(
    shape: ConvShape, dataflow: str, words: int
) -> None:
    array = SystolicArray(dataflow, 4, 3, buffers=ArrayBuffers(words, 10**6, 10**6))
    passes = lines(shape, array)
    meetings = sum(len(line) for one in passes for line in one)
    assert touched(shape) <= buffered_conv(array, shape).dram_reads_a <= meetings


@given(shapes(), st.integers(8, 120))
@settings(max_examples=150)
def test_a_pass_of_ws_fetches_distinct_inputs_if_the_rows_under_windows_fit(
    shape: ConvShape, words: int
) -> None:
    """Pass by pass with an empty buffer: LRU of the same size is never much better."""
    array = SystolicArray("ws", 4, 3, buffers=ArrayBuffers(words, 10**6, 10**6))
    found = buffered_conv(array, shape).dram_reads_a
    if touched(shape) <= words:
        return
    passes = lines(shape, array)
    distinct = sum(len({x for line in one for x in line}) for one in passes)
    meetings = sum(len(line) for one in passes for line in one)
    assert distinct <= found <= meetings
    under = shape.dilation[0] * (shape.filter_height - 1) + 1
    if under * shape.width * shape.in_channels <= words:
        assert found == distinct


@pytest.mark.parametrize(("dataflow", "tolerance"), [("ws", 0.35), ("os", 0.01)])
def test_an_address_level_lru_fetches_about_as_much(dataflow: str, tolerance: float) -> None:
    """32 channels of 14 x 14, 3 x 3 filters, a buffer of a ninth of the input's im2col."""
    shape = ConvShape(1, 32, 32, 14, 14, 3, 3)
    array = SystolicArray(dataflow, 32, 16, buffers=ArrayBuffers(3000, 10**6, 10**6))
    want = least_recently_used(lines(shape, array), 3000)
    assert buffered_conv(array, shape).dram_reads_a == pytest.approx(want, rel=tolerance)


def test_padding_is_not_fetched() -> None:
    shape = ConvShape(1, 8, 8, 4, 4, 3, 3, padding=(8, 8, 8, 8))
    meetings = sum(x is not None for row in im2col_addresses(shape) for x in row)
    assert run(shape, "ws", 64, 8, 8).dram_reads_a <= meetings
    assert run(shape, "ws", 128, 8, 8).dram_reads_a == 4 * 4 * 8


@given(
    shapes(), st.sampled_from(("ws", "os", "is")), st.integers(40, 400), st.integers(1, 200),
    st.integers(1, 3), st.sampled_from((None, "rows", "cols")),
)  # fmt: skip
@settings(max_examples=200)
def test_a_larger_buffer_of_inputs_is_never_slower(
    shape: ConvShape, dataflow: str, words: int, more: int, arrays: int, inner: str | None
) -> None:
    runs = [
        buffered_conv(
            SystolicArray(
                dataflow, 6, 4, ArrayFeatures(arrays=arrays),
                ArrayBuffers(size, 10**6, 10**6, 2, 3, 3, inner=inner),
            ),
            shape,
        )
        for size in (words, words + more)
    ]  # fmt: skip
    assert runs[1].total_cycles <= runs[0].total_cycles
    assert touched(shape) <= runs[1].dram_reads_a <= runs[0].dram_reads_a


def test_folds_deeper_than_the_stream_fit_where_all_inputs_do() -> None:
    shape = ConvShape(1, 64, 1, 8, 8, 1, 1)
    assert run(shape, "is", 64 * 64, 64, 64).dram_reads_a == 64 * 64


def test_groups_that_run_at_once_share_the_buffer() -> None:
    """A group has 196 inputs: one array needs room for one group, four arrays for four."""
    shape = ConvShape(1, 8, 8, 14, 14, 3, 3, padding=(1, 1, 1, 1), groups=8)
    buffers = ArrayBuffers(196, 10**6, 10**6)
    alone = buffered_conv(SystolicArray("os", 256, 16, buffers=buffers), shape)
    assert alone.dram_reads_a == 8 * 196
    four = SystolicArray("os", 256, 16, ArrayFeatures(arrays=4), buffers)
    with pytest.raises(CapacityError, match="4 line"):
        buffered_conv(four, shape)
    roomy = SystolicArray("os", 256, 16, ArrayFeatures(arrays=4), ArrayBuffers(1500, 10**6, 10**6))
    assert buffered_conv(roomy, shape).dram_reads_a == 8 * 196


def test_inputs_come_in_the_order_in_which_folds_need_them() -> None:
    """is, columns innermost: 15 folds need 3600 inputs, at one word a cycle."""
    shape = ConvShape(1, 16, 64, 16, 16, 3, 3, padding=(1, 1, 1, 1))
    buffers = ArrayBuffers(10**6, 10**6, 10**6, 1, inner="cols")
    found = buffered_conv(SystolicArray("is", 16, 16, buffers=buffers), shape)
    assert found.dram_reads_a == 16 * 16 * 16
    loaded = found.turn_stall_cycles[:16].sum() + 15 * (2 * 16 + 16 + 64 - 2) + 16
    assert loaded >= 3600


@pytest.mark.parametrize("sparsity", ["3:8", "2:4", "5:8"])
def test_bundles_that_a_border_cuts_are_fetched_once_where_inputs_stay(sparsity: str) -> None:
    shape = ConvShape(1, 64, 64, 14, 14, 3, 3, padding=(1, 1, 1, 1))
    features = ArrayFeatures(sparsity=Sparsity.parse(sparsity))
    array = SystolicArray("ws", 33, 16, features, ArrayBuffers(2**20, 2**20, 2**20))
    assert buffered_conv(array, shape).dram_reads_a == 64 * 14 * 14


def test_groups_are_folds_of_one_run() -> None:
    shape = ConvShape(1, 16, 16, 9, 9, 3, 3, groups=16)
    array = SystolicArray("ws", 16, 16)
    one = conv_cycles(array, ConvShape(1, 1, 1, 9, 9, 3, 3))
    assert conv_cycles(array, shape).cycles == 16 * one.cycles
