"""The engine on a chip small enough to reckon by hand, and emulated dtypes."""

from __future__ import annotations

import pytest

from accelsim.arch.loader import load_chip
from accelsim.arch.system import System
from accelsim.engine.core import Target, bound_of
from accelsim.engine.graph import ENGINES
from accelsim.errors import MappingError, WorkloadError
from accelsim.mapping.fusion import single
from accelsim.timing.dispatch import dispatched_s
from accelsim.timing.launch import LAUNCH
from accelsim.workload.ops import MatMul, Vector

BOARD = load_chip("teach_systolic_16x16", {
    "calibration.matrix_efficiency": 1.0, "calibration.memory_efficiency": 1.0,
    "calibration.kernel_overhead": "0 us", "calibration.memory_latency": "0 us",
})  # fmt: skip


def test_one_fold_by_hand() -> None:
    """64 x 16 x 16 on a 16 x 16 array: 2 R + C + T - 2 = 110 cycles of 1 ns.

    The first tile (A 64 x 16 and B 16 x 16 in bf16, 2,560 B) must come and C (2,048 B) must go
    before and after: 4,608 B at 17.06 GB/s, as long as the whole op's 270 ns of memory time.
    """
    op = MatMul("mm", m=64, n=16, k=16, weight_dtype="bf16")
    cost = ENGINES["analytic"].cost(single(op), Target(System.of_chip(BOARD)))
    assert cost.activity.dram_bytes == 2 * (64 * 16 + 16 * 16 + 64 * 16)
    memory_s = 4608 / 17.06e9
    assert cost.times_s["memory"] == pytest.approx(memory_s, rel=1e-9)
    folds = cost.times_s["compute"] * 1e9
    assert folds >= 110 - 1e-6
    assert cost.latency_s <= memory_s + 110e-9 + 1e-15


def test_the_bound_is_the_longest_resource() -> None:
    assert bound_of({"compute": 1.0, "memory": 3.0, "l2": 2.0}) == "memory"


def test_many_groups_cost_what_each_costs_alone() -> None:
    """Mapped at once, of several kinds and dtypes, one of which the chip lacks."""
    target = Target(System.of_chip(load_chip("a100_sxm_80gb")), emulate=True)
    groups = [
        *(single(MatMul("mm", m=m, n=512, k=96)) for m in range(1, 80)),
        single(MatMul("emulated", m=64, n=64, k=64, dtype="fp8", weight_dtype="fp8")),
        single(Vector("add", fn="add", rows=8, cols=64)),
        single(MatMul("mm", m=3, n=512, k=96, dtype="fp32"), on_chip=True),
    ]
    for name, engine in ENGINES.items():
        alone = [engine.cost(group, target) for group in groups]
        together = list(engine.costs(groups, target))
        assert [cost.mapping for cost in together] == [cost.mapping for cost in alone], name
        assert [cost[:-1] for cost in together] == [cost[:-1] for cost in alone], name


def test_a_dtype_that_the_chip_lacks_needs_consent() -> None:
    op = MatMul("mm", m=64, n=64, k=64, dtype="fp8", weight_dtype="fp8")
    system = System.of_chip(load_chip("a100_sxm_80gb"))
    with pytest.raises(MappingError, match="emulate-dtype"):
        ENGINES["analytic"].cost(single(op), Target(system))
    cost = ENGINES["analytic"].cost(single(op), Target(system, emulate=True))
    assert list(cost.activity.macs) == ["bf16"]
    assert cost.activity.dram_read_bytes == 2 * 64 * 64  # stored narrow, multiplied wide


@pytest.mark.parametrize("chip", ["h100_sxm", "tpu_v5e"])
@pytest.mark.parametrize("size", [64, 8192])
def test_eager_launch_pays_the_dispatch_of_the_host(chip: str, size: int) -> None:
    op, loaded = MatMul("mm", m=size, n=size, k=size, weight_dtype="bf16"), load_chip(chip)
    graph, eager, compiled = (
        ENGINES["analytic"].cost(single(op), Target(System.of_chip(loaded), launch))
        for launch in LAUNCH
    )
    host_s = loaded.calibration.host_dispatch_s
    assert eager.latency_s == dispatched_s(op, graph.latency_s, host_s, "eager")
    assert compiled == eager  # a compiled graph calls the same library
    added_s = eager.times_s["overhead"] - graph.times_s["overhead"]
    assert added_s == pytest.approx(eager.latency_s - graph.latency_s)


def test_an_unknown_way_to_launch_is_refused() -> None:
    with pytest.raises(WorkloadError, match="unknown launch 'egaer': did you mean 'eager'"):
        Target(System.of_chip(load_chip("h100_sxm")), "egaer")
