"""Grids of any shape: every combination has one number, and the columns tell it."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from accelsim.explore.evaluate import Outcome
from accelsim.explore.grid import METRICS, Parameter, Space
from accelsim.explore.table import ResultTable
from accelsim.explore.values import expand_range

AXES = st.lists(st.integers(1, 5), min_size=1, max_size=4)
BASE = {"chip": "h100_sxm", "model": "gpt2"}
NAMES = ("batch", "input_len", "tp", "output_len")


def grid(sizes: list[int]) -> Space:
    axes = zip(NAMES, sizes, strict=False)
    parameters = tuple(Parameter(name, tuple(range(1, size + 1))) for name, size in axes)
    return Space("space.yaml", "", BASE, parameters, ())


@given(AXES)
def test_points_are_the_product(sizes: list[int]) -> None:
    space = grid(sizes)
    product = itertools.product(*(parameter.values for parameter in space.parameters))
    assert [space.choice(i) for i in range(space.size)] == list(product)


@given(AXES, st.data())
def test_columns_tell_the_point_of_every_row(sizes: list[int], data: st.DataObject) -> None:
    space = grid(sizes)
    done = data.draw(st.sets(st.integers(0, space.size - 1)))
    table = ResultTable(space)
    for index in sorted(done, reverse=True):
        table.record(Outcome(index, (float(index),) * len(METRICS), "memory"))
    columns = table.to_arrow().to_pydict()
    assert columns["point"] == sorted(done)
    names = [parameter.path for parameter in space.parameters]
    rows = list(zip(*(columns[name] for name in names), strict=True))
    assert rows == [space.choice(index) for index in sorted(done)]
    assert columns["latency_s"] == [float(index) for index in sorted(done)]
    assert table.missing.tolist() == sorted(set(range(space.size)) - done)


@given(
    st.integers(1, 10**6),
    st.integers(1, 10**6),
    st.integers(2, 50),
    st.sampled_from(["linear", "log"]),
)
def test_ranges_reach_both_ends_in_order(start: int, stop: int, num: int, scale) -> None:
    if start == stop:
        return
    values = expand_range(start, stop, num, scale)
    assert (values[0], values[-1]) == (start, stop)
    assert list(values) == sorted(set(values), reverse=start > stop)
    assert len(values) <= num
