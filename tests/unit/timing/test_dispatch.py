"""What the host adds to a kernel that it launches."""

from __future__ import annotations

import pytest

from accelsim.timing.dispatch import dispatched_s, host_work
from accelsim.workload.ops import Gather, MatMul, Op, Vector


def vector(fn: str) -> Vector:
    return Vector(fn, fn=fn, rows=8, cols=8)


LINEAR = MatMul("linear", m=8, n=8, k=8)


@pytest.mark.parametrize(
    ("less", "more"),
    [
        (vector("add"), vector("relu")),
        (vector("add"), vector("add_scalar")),
        (vector("tanh"), vector("gelu")),
        (vector("relu"), vector("softmax")),
        (vector("softmax"), vector("layernorm")),
        (MatMul("bmm", m=8, n=8, k=8, batch=4), LINEAR),
    ],
)
def test_some_ops_need_more_of_the_host(less: Op, more: Op) -> None:
    assert 1.0 <= host_work(less) < host_work(more)


def test_the_unit_of_the_hosts_work_is_a_sum_of_two_tensors() -> None:
    assert host_work(vector("add")) == host_work(vector("pow")) == 1.0
    assert host_work(Gather("lookup", rows=1, cols=8, table_rows=8)) == 1.0


def test_a_short_kernel_hides_behind_the_host() -> None:
    assert dispatched_s(vector("add"), 3e-6, 10e-6, "eager") == pytest.approx(10e-6)
    assert dispatched_s(vector("gelu"), 3e-6, 10e-6, "compiled") == pytest.approx(41e-6)


def test_a_long_kernel_starts_when_it_is_launched() -> None:
    assert dispatched_s(vector("add"), 1e-3, 10e-6, "eager") == pytest.approx(1e-3 + 6e-6)
    assert dispatched_s(LINEAR, 1e-3, 10e-6, "eager") == pytest.approx(1e-3 + 20e-6)
    assert dispatched_s(vector("add"), 1e-3, 10e-6, "compiled") == pytest.approx(1e-3 + 31e-6)


def test_a_captured_graph_hides_the_host() -> None:
    assert dispatched_s(vector("layernorm"), 3e-6, 10e-6, "graph") == 3e-6


@pytest.mark.parametrize("op", [LINEAR, Gather("lookup", rows=1, cols=8, table_rows=8)])
def test_what_libraries_launch_costs_the_same_compiled(op: Op) -> None:
    eager, compiled = (dispatched_s(op, 5e-6, 10e-6, how) for how in ("eager", "compiled"))
    assert eager == compiled
