"""Does a group of fused ops alone take what the analytic engine says, on CPUs too?"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import target as steer

from accelsim.arch.action_energy import energy_per_action
from accelsim.energy.price import dynamic_j
from accelsim.engine.graph import ENGINES
from accelsim.mapping.fusion import Group, group_ops
from accelsim.units import PS_PER_S
from accelsim.workload.ops import MatMul, Op, Vector
from tests.cross.event_cases import group_alone
from tests.cross.random_groups import chips_and_groups
from tests.cross.random_ops import chip_of, target

TOLERANCE = 0.02


def elementwise(name: str, fn: str, rows: int, cols: int, dtype: str, kept: bool = False) -> Op:
    return Vector(name, fn=fn, rows=rows, cols=cols, dtype=dtype, kept=kept)


def projection(tokens: int, n: int, k: int, dtype: str, far: bool = False) -> list[Op]:
    """A layer's last matmul and the residual sum; `far`: from and to other blocks."""
    down = MatMul("down", m=tokens, n=n, k=k, dtype=dtype, weight_dtype=dtype, recalled=far)
    return [down, elementwise("residual", "add", tokens, n, dtype, kept=far)]


def fused(chip: str, ops: list[Op]) -> Group:
    (group,) = group_ops(ops, chip_of(chip))
    return group


# Found by 12,000 random draws and 3,420 projections. Main memory and shared cache (and often the
# matrix units) need about as long; loads take more of one and stores more of the other.
HARD: dict[str, tuple[str, list[Op]]] = {
    "projection to 4096 on a CPU": ("xeon_8480", projection(512, 4096, 14336, "bf16")),
    "projection to 1024 on a CPU": ("xeon_8480", projection(128, 1024, 1024, "bf16", far=True)),
    "projection in bf16 on Orin": ("orin", projection(256, 576, 576, "bf16", far=True)),
    "projection in int8 on Orin": ("orin", projection(256, 1024, 1024, "int8", far=True)),
    "tall matmul and sum on a CPU": ("xeon_8480", [
        MatMul("matmul", m=16384, n=100, k=100, batch=9, dtype="fp32"),
        elementwise("sum", "add", 9 * 16384, 100, "fp32"),
    ]),
    "wide fp64 matmul and two functions on a CPU": ("xeon_8480", [
        MatMul("matmul", m=64, n=16384, k=128, batch=9, dtype="fp64"),
        elementwise("silu", "silu", 9 * 64, 16384, "fp64"),
        elementwise("relu", "relu", 9 * 64, 16384, "fp64"),
    ]),
    "deep matmul and two functions on a CPU": ("xeon_8480", [
        MatMul("matmul", m=1000, n=1000, k=16384, batch=2, dtype="bf16"),
        elementwise("softcap", "softcap", 2000, 1000, "bf16"),
        elementwise("silu", "silu", 2000, 1000, "bf16"),
    ]),
    "square matmul and two caps on an FPGA": ("vck190", [
        MatMul("matmul", m=2048, n=2048, k=2048, dtype="fp32"),
        elementwise("cap 1", "softcap", 2048, 2048, "fp32"),
        elementwise("cap 2", "softcap", 2048, 2048, "fp32"),
    ]),
    "nine tf32 matmuls and two caps on Orin": ("orin", [
        MatMul("matmul", m=512, n=512, k=512, batch=9, dtype="tf32"),
        elementwise("cap 1", "softcap", 9 * 512, 512, "tf32"),
        elementwise("cap 2", "softcap", 9 * 512, 512, "tf32"),
    ]),
}  # fmt: skip


def error_of(chip: str, group: Group) -> float:
    """Time of the event engine over that of the analytic engine, less one; checks the rest."""
    costed, execution = group_alone(chip, group)
    took_s = execution.end_ps / PS_PER_S
    bound_s = ENGINES["roofline"].cost(group, target(chip)).latency_s
    assert took_s >= bound_s * (1 - 1e-9)
    joules = dynamic_j(energy_per_action(chip_of(chip)), costed.cost.activity)
    assert execution.work.energy_j.sum() == pytest.approx(joules, rel=1e-12)
    assert execution.events <= 2000
    return took_s / costed.cost.latency_s - 1.0


@given(chips_and_groups())
@settings(max_examples=300)
def test_a_fused_group_alone_takes_what_the_analytic_engine_says(case: tuple[str, Group]) -> None:
    error = error_of(*case)
    steer(abs(error))  # where it is large, look for more
    assert abs(error) <= TOLERANCE


@pytest.mark.parametrize(("chip", "ops"), HARD.values(), ids=HARD)
def test_hard_groups_take_what_the_analytic_engine_says(chip: str, ops: list[Op]) -> None:
    assert abs(error_of(chip, fused(chip, ops))) <= TOLERANCE
