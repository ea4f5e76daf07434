"""Every value of a GPU's spec moves predictions the way physics does, whatever the op."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.arch.loader import load_chip
from accelsim.arch.system import System
from accelsim.engine.core import Target
from accelsim.engine.graph import ENGINES
from accelsim.mapping.fusion import group_ops
from accelsim.mapping.processor import runs_thread_blocks
from accelsim.scenarios.op_table import Row, to_ops
from accelsim.validation.scalars import values_of, with_values
from accelsim.workload.ops import Attention, GroupedMatMul, MatMul, Op, Vector
from tests.cross.random_ops import CHIPS, attentions, chip_of, matmuls, target, vectors
from tests.properties.upgrades import unlimited, upgraded

_TOLERANCE = 1 + 1e-9
_EPILOGUE_SLACK = 1.01
"""The search of tiles does not see a fused epilogue: a grid that multiplies faster may be of fewer
waves, so that more of the epilogue is left to the last."""
_CORES_SLACK = 1.15
"""Parts of a split sum are a power of two or just fill the cores: another number of cores offers
other splits, and one between them may have been the best."""
RESOURCES = (
    "memory bandwidth", "clock", "scratchpad", "scratchpad bandwidth", "registers",
    "shared capacity", "shared bandwidth", "latency", "launch gap",
)  # fmt: skip
EFFICIENCIES = (
    "matrix_efficiency", "vector_efficiency", "memory_efficiency", "shared_efficiency"
)  # fmt: skip
GPUS = tuple(name for name in CHIPS if runs_thread_blocks(chip_of(name)))
Ops = tuple[Op, ...]


@st.composite
def layers_of_experts(draw: st.DrawFn, dtype: str) -> Ops:
    """The kernels of one MoE layer."""
    experts = draw(st.sampled_from((8, 64, 128)))
    cells = {
        "op": "moe", "dtype": dtype, "tokens": draw(st.sampled_from((1, 8, 100, 2048, 16384))),
        "hidden": draw(st.sampled_from((1024, 4096))),
        "inter": draw(st.sampled_from((512, 1536, 14336))),
        "topk": draw(st.sampled_from((1, 2, 8))), "experts": experts,
    }  # fmt: skip
    return to_ops(Row("", cells))


@st.composite
def gpus_and_ops(draw: st.DrawFn) -> tuple[str, Ops]:
    """A packaged GPU and ops that it can run natively, one after the other."""
    name = draw(st.sampled_from(GPUS))
    dtype = draw(st.sampled_from(chip_of(name).dtypes))
    one = st.one_of(matmuls(dtype), attentions(dtype), vectors()).map(lambda op: (op,))
    return name, draw(st.one_of(one, one, one, layers_of_experts(dtype)))


def seconds(ops: Ops, on: Target) -> float:
    groups = (group for op in ops for group in group_ops([op], on.system.chip))
    return sum(ENGINES["analytic"].cost(group, on).latency_s for group in groups)


def slack(ops: Ops) -> float:
    return _EPILOGUE_SLACK if any(getattr(op, "bias", False) for op in ops) else _TOLERANCE


@pytest.mark.parametrize("resource", RESOURCES)
@given(case=gpus_and_ops(), factor=st.sampled_from((1.25, 2, 16)))
@settings(max_examples=100)
def test_more_is_never_slower(resource: str, case: tuple[str, Ops], factor: float) -> None:
    """Of latency and launch gap less."""
    gpu, ops = case
    better = upgraded(gpu, resource, factor)
    assert better is not None
    assert seconds(ops, better) <= seconds(ops, unlimited(gpu)) * slack(ops)


@given(case=gpus_and_ops(), factor=st.sampled_from((1.25, 2, 16)))
@settings(max_examples=150)
def test_more_cores_are_never_slower(case: tuple[str, Ops], factor: float) -> None:
    gpu, ops = case
    better = upgraded(gpu, "cores", factor)
    assert better is not None
    room = _CORES_SLACK if any(isinstance(op, MatMul | GroupedMatMul) for op in ops) else 1.0
    assert seconds(ops, better) <= seconds(ops, unlimited(gpu)) * max(room, _TOLERANCE)


@given(case=gpus_and_ops(), factor=st.sampled_from((1.25, 2, 16)))
@settings(max_examples=100)
def test_a_higher_limit_of_power_is_never_slower(case: tuple[str, Ops], factor: float) -> None:
    gpu, ops = case
    limit_w = chip_of(gpu).spec.power.tdp_w
    assert limit_w
    higher = load_chip(gpu, {"power.tdp": f"{limit_w * factor} W"})
    raised_s = seconds(ops, Target(System.of_chip(higher)))
    assert seconds(ops, unlimited(gpu)) <= raised_s * slack(ops)
    assert raised_s <= seconds(ops, target(gpu)) * slack(ops)


@pytest.mark.parametrize("scalar", EFFICIENCIES)
@given(case=gpus_and_ops(), factor=st.sampled_from((0.9, 0.5)))
@settings(max_examples=100)
def test_less_efficient_is_never_faster(scalar: str, case: tuple[str, Ops], factor: float) -> None:
    gpu, ops = case
    whole = target(gpu).system.chip
    values = values_of(whole)
    worse = with_values(whole, values | {scalar: values[scalar] * factor})
    same = with_values(whole, values)
    slower_s = seconds(ops, Target(System.of_chip(worse)))
    assert seconds(ops, Target(System.of_chip(same))) <= slower_s * slack(ops)


@given(case=gpus_and_ops())
@settings(max_examples=100)
def test_a_quicker_host_is_never_slower(case: tuple[str, Ops]) -> None:
    gpu, ops = case
    chip = target(gpu).system.chip
    quicker = with_values(chip, {"host_dispatch_s": chip.calibration.host_dispatch_s / 2})
    quick_s = seconds(ops, Target(System.of_chip(quicker), "eager"))
    assert quick_s < seconds(ops, Target(System.of_chip(chip), "eager"))


_MATMUL = MatMul("large", m=8192, n=8192, k=8192, dtype="bf16")
_SHALLOW = MatMul("shallow", m=4096, n=4096, k=64, dtype="bf16")
_DECODED = Attention("decode", batch=64, heads=32, kv_heads=8, q_len=1, kv_len=4096, head_dim=128,
                     v_head_dim=128, dtype="bf16")  # fmt: skip
_PROMPT = Attention("prompt", batch=4, heads=32, kv_heads=8, q_len=4096, kv_len=4096, head_dim=128,
                    v_head_dim=128, dtype="bf16")  # fmt: skip
_SUM = Vector("sum", fn="add", rows=8192, cols=8192)
_SOFTMAX = Vector("softmax", fn="softmax", rows=65536, cols=512, dtype="bf16")
_TINY = Vector("tiny", fn="add", rows=1, cols=64)
_BOUND_BY = (
    ("clock", _MATMUL), ("cores", _MATMUL), ("clock", _PROMPT), ("cores", _PROMPT),
    ("cores", _SOFTMAX), ("memory bandwidth", _SUM), ("memory bandwidth", _DECODED),
    ("memory bandwidth", _SHALLOW), ("latency", _TINY), ("launch gap", _TINY),
)  # fmt: skip


@pytest.mark.parametrize(("resource", "op"), _BOUND_BY)
@pytest.mark.parametrize("gpu", ["a100_sxm_80gb", "h100_sxm"])
def test_half_of_what_bounds_an_op_slows_it(resource: str, op: Op, gpu: str) -> None:
    """By a sixth at least; of waits the double. Nothing makes it more than twice as slow."""
    worse = upgraded(gpu, resource, 0.5)
    assert worse is not None
    ratio = seconds((op,), worse) / seconds((op,), unlimited(gpu))
    assert 7 / 6 <= ratio <= 2 * _TOLERANCE


@given(case=gpus_and_ops())
@settings(max_examples=50)
def test_a_chip_without_waits(case: tuple[str, Ops]) -> None:
    gpu, ops = case
    chip = target(gpu).system.chip
    ideal = with_values(chip, {"memory_latency_s": 0.0, "kernel_overhead_s": 0.0})
    ideal_s = seconds(ops, Target(System.of_chip(ideal)))
    assert 0.0 < ideal_s <= seconds(ops, target(gpu)) * slack(ops)
