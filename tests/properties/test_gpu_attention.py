"""Attention on GPUs: more of anything in the chip is never slower, more work never faster."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.arch.loader import load_chip
from accelsim.engine.core import Target
from accelsim.engine.graph import ENGINES
from accelsim.kernels.gpu.attention import FLASH, SERVING, search_gpu_attention
from accelsim.mapping.fusion import single
from accelsim.mapping.processor import processor_for
from accelsim.timing.attention import attention_problem
from accelsim.workload.ops import Attention
from tests.cross.random_ops import target
from tests.properties.upgrades import unlimited, upgraded

CHIPS = ("a100_sxm_80gb", "h100_sxm", "b200_sxm", "l40s", "mi210", "v100_sxm")
RESOURCES = ("memory bandwidth", "clock", "cores", "scratchpad", "shared capacity",
             "shared bandwidth")  # fmt: skip
FACTORS = (1.04, 1.1, 1.25, 2, 4, 16)
_SLACK = 1 + 1e-9


@st.composite
def attentions(draw: st.DrawFn) -> Attention:
    share = draw(st.sampled_from((1, 4, 7, 16, 32, 48, 64, 128)))
    kv_heads = draw(st.sampled_from((1, 2, 8, 13)))
    kv_len = draw(st.sampled_from((1, 16, 100, 128, 257, 340, 1024, 5000, 40000)))
    q_len = draw(st.sampled_from((1, 1, kv_len, min(kv_len, 64))))
    return Attention(
        "a", batch=draw(st.sampled_from((1, 3, 11, 16, 130))), heads=share * kv_heads,
        kv_heads=kv_heads, causal=q_len > 1 or draw(st.booleans()),
        q_len=q_len, kv_len=kv_len, head_dim=(d := draw(st.sampled_from((64, 128, 192, 256)))),
        v_head_dim=d, window=draw(st.sampled_from((None, None, 200))), dtype="fp16",
        kv_dtype=draw(st.sampled_from(("fp16", "fp8"))), served=draw(st.booleans()),
    )  # fmt: skip


def seconds(op: Attention, on: Target) -> float:
    return ENGINES["analytic"].cost(single(op), on).latency_s


@pytest.mark.parametrize("resource", RESOURCES)
@given(op=attentions(), chip=st.sampled_from(CHIPS), factor=st.sampled_from(FACTORS))
@settings(max_examples=150)
def test_more_of_a_resource_is_never_slower(
    resource: str, op: Attention, chip: str, factor: float
) -> None:
    better = upgraded(chip, resource, factor)
    assert better is not None
    assert seconds(op, better) <= seconds(op, unlimited(chip)) * _SLACK


@given(op=attentions(), chip=st.sampled_from(CHIPS), more=st.sampled_from((1, 3, 50)))
@settings(max_examples=150)
def test_a_larger_batch_is_never_faster(op: Attention, chip: str, more: int) -> None:
    larger = replace(op, batch=op.batch + more)
    assert seconds(op, target(chip)) <= seconds(larger, target(chip)) * _SLACK


@pytest.mark.parametrize("chip", ["mi210", "v100_sxm", "h100_sxm"])
@pytest.mark.parametrize("share", [1, 64])
def test_each_core_helps_or_idles(chip: str, share: int) -> None:
    """Splits of the keys change from one number of cores to the next; the time only falls."""
    op = Attention("a", batch=11, heads=13 * share, kv_heads=13, q_len=1, kv_len=340, head_dim=64,
                   v_head_dim=64, dtype="fp16")  # fmt: skip
    processor = processor_for(load_chip(chip), "fp16")
    problem = attention_problem(op, True)
    for library in (FLASH, SERVING):
        times = [
            search_gpu_attention(library, processor._replace(cores=cores), problem)[1].latency_s
            for cores in range(60, 150)
        ]
        assert times == sorted(times, reverse=True)


@given(op=attentions(), chip=st.sampled_from(CHIPS))
@settings(max_examples=150)
def test_never_faster_than_the_roofline(op: Attention, chip: str) -> None:
    bound = ENGINES["roofline"].cost(single(op), target(chip)).latency_s
    assert seconds(op, target(chip)) >= bound
