"""Does lowering a convolution to a matmul keep its result, its sizes and its counts?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.errors import WorkloadError
from accelsim.workload.conv import ConvShape, im2col

PLAIN = ConvShape(2, 4, 6, 7, 5, 3, 3)


def direct_conv(x: np.ndarray, weights: np.ndarray, shape: ConvShape) -> np.ndarray:
    """The definition, one output at a time; weights are [K, C/groups, R, S]."""
    top, bottom, left, right = shape.padding
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    (step_h, step_w), (gap_h, gap_w) = shape.stride, shape.dilation
    per_group = shape.in_channels // shape.groups
    out = np.zeros((shape.batch, shape.out_channels, shape.out_height, shape.out_width), int)
    for n, k, p, q in np.ndindex(*out.shape):
        group = k // (shape.out_channels // shape.groups)
        for c, r, s in np.ndindex(per_group, shape.filter_height, shape.filter_width):
            row, col = p * step_h + r * gap_h, q * step_w + s * gap_w
            out[n, k, p, q] += padded[n, group * per_group + c, row, col] * weights[k, c, r, s]
    return out


@st.composite
def shapes(draw: st.DrawFn) -> ConvShape:
    small = st.integers(1, 3)
    groups = draw(small)
    dilation = (draw(small), draw(small))
    filters = (draw(small), draw(small))
    padding = tuple(draw(st.integers(0, 2)) for _ in range(4))
    height, width = (
        max(1, gap * (taps - 1) + 1 - sum(pads)) + draw(st.integers(0, 4))
        for gap, taps, pads in zip(dilation, filters, (padding[:2], padding[2:]), strict=True)
    )
    return ConvShape(
        draw(st.integers(1, 2)), groups * draw(small), groups * draw(small), height, width,
        *filters, stride=(draw(small), draw(small)), padding=padding, dilation=dilation,
        groups=groups,
    )  # fmt: skip


@given(shapes(), st.integers(0, 2**32 - 1))
def test_im2col_times_weights_is_the_convolution(shape: ConvShape, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(-9, 10, (shape.batch, shape.in_channels, shape.height, shape.width))
    per_group = shape.in_channels // shape.groups
    weights = rng.integers(
        -9, 10, (shape.out_channels, per_group, shape.filter_height, shape.filter_width)
    )
    m, n, k, groups = shape.gemm
    b = weights.reshape(groups, n, per_group, *weights.shape[2:]).transpose(0, 3, 4, 2, 1)
    c = im2col(x, shape) @ b.reshape(groups, k, n)
    nchw = c.reshape(groups, shape.batch, shape.out_height, shape.out_width, n)
    nchw = nchw.transpose(1, 0, 4, 2, 3).reshape(shape.batch, -1, shape.out_height, shape.out_width)
    np.testing.assert_array_equal(nchw, direct_conv(x, weights, shape))
    assert shape.macs == groups * m * n * k
    assert (shape.input_elements, shape.weight_elements, shape.output_elements) == (
        x.size, weights.size, nchw.size,
    )  # fmt: skip


def test_a_known_layer() -> None:
    # The first layer of ResNet: 7x7, stride 2, padding 3 on 224x224 gives 112x112.
    shape = ConvShape(1, 3, 64, 224, 224, 7, 7, stride=(2, 2), padding=(3, 3, 3, 3))
    assert (shape.out_height, shape.out_width) == (112, 112)
    assert shape.gemm == (112 * 112, 64, 147, 1)
    assert shape.macs == 118_013_952


def test_the_last_position_that_does_not_fit_is_dropped() -> None:
    assert replace(PLAIN, stride=(3, 2)).gemm.m == 2 * 2 * 2


def test_depthwise() -> None:
    shape = replace(PLAIN, out_channels=8, groups=4)
    assert shape.depthwise
    assert shape.gemm == (2 * 5 * 3, 2, 9, 4)
    assert not PLAIN.depthwise
    assert not ConvShape(1, 1, 1, 3, 3, 1, 1).depthwise


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"batch": 0}, "batch is 0, expected a whole number from 1 to 2147483648"),
        ({"in_channels": 4.0}, "in_channels is 4.0"),
        ({"height": True}, "height is True"),
        ({"stride": (0, 1)}, "stride is 0"),
        ({"stride": 2}, "stride is 2, expected 2 whole numbers"),
        ({"padding": (1, 1)}, "padding is (1, 1), expected 4 whole numbers"),
        ({"padding": (0, 0, 0, -1)}, "padding is -1, expected a whole number from 0 to 2147483648"),
        ({"padding": (10**11, 0, 0, 0)}, "padding is 100000000000, expected a whole number from 0"),
        ({"stride": (1, 2**31 + 1)}, "stride is 2147483649"),
        ({"width": 10**100}, "width is 1000"),
        (
            {"padding": (0, 2**31, 0, 2**31)},
            "batch 2, out_height 2147483653, out_width 2147483651 make 92233720",
        ),
        (
            {"in_channels": 2**31, "height": 2**9, "filter_height": 2**9},
            "filter_height 512, filter_width 3, in_channels 2147483648, groups 1 make 32985348",
        ),
        ({"groups": 3}, "groups is 3, which does not divide in_channels 4"),
        ({"groups": 4}, "groups is 4, which does not divide out_channels 6"),
        ({"filter_width": 6}, "filter_width 6 covers 6 inputs"),
        ({"dilation": (4, 1)}, "filter_height 3 covers 9 inputs with its dilation"),
    ],
)
def test_impossible_shapes_are_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(WorkloadError) as caught:
        replace(PLAIN, **change)
    assert words in str(caught.value)


def test_im2col_refuses_another_input() -> None:
    with pytest.raises(WorkloadError, match=r"shape \(1, 4, 7, 5\).*expects \(2, 4, 7, 5\)"):
        im2col(np.zeros((1, 4, 7, 5)), PLAIN)


@pytest.mark.parametrize(
    "change",
    [{"padding": (10**5, 0, 10**5, 0), "stride": (10**5, 10**5)}, {"padding": (3000,) * 4}],
)
def test_im2col_refuses_copies_that_fill_the_memory(change: dict[str, object]) -> None:
    shape = replace(PLAIN, **change)
    with pytest.raises(WorkloadError, match=r"at most 1073741824 B: use a smaller batch"):
        im2col(np.zeros((2, 4, 7, 5)), shape)
