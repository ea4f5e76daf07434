"""Attention on GPUs: more of anything in the chip is never slower, more work never faster."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.engine.core import Target
from accelsim.engine.graph import ENGINES
from accelsim.mapping.fusion import single
from accelsim.workload.ops import Attention
from tests.cross.random_ops import target
from tests.properties.upgrades import unlimited, upgraded

CHIPS = ("a100_sxm_80gb", "h100_sxm", "b200_sxm", "l40s", "mi210", "v100_sxm")
RESOURCES = ("memory bandwidth", "clock", "cores", "scratchpad", "shared capacity",
             "shared bandwidth")  # fmt: skip
_SLACK = 1 + 1e-9


@st.composite
def attentions(draw: st.DrawFn) -> Attention:
    heads, kv_heads = draw(st.sampled_from(((1, 1), (8, 8), (32, 8), (64, 4), (48, 1), (96, 2))))
    kv_len = draw(st.sampled_from((1, 16, 100, 128, 257, 1024, 5000, 40000)))
    q_len = draw(st.sampled_from((1, 1, kv_len, min(kv_len, 64))))
    return Attention(
        "a", batch=draw(st.sampled_from((1, 3, 16, 130))), heads=heads, kv_heads=kv_heads,
        q_len=q_len, kv_len=kv_len, head_dim=(d := draw(st.sampled_from((64, 128, 192, 256)))),
        v_head_dim=d, window=draw(st.sampled_from((None, None, 200))), dtype="fp16",
        kv_dtype=draw(st.sampled_from(("fp16", "fp8"))), served=draw(st.booleans()),
    )  # fmt: skip


def seconds(op: Attention, on: Target) -> float:
    return ENGINES["analytic"].cost(single(op), on).latency_s


@pytest.mark.parametrize("resource", RESOURCES)
@given(op=attentions(), chip=st.sampled_from(CHIPS), factor=st.sampled_from((2, 4, 16)))
@settings(max_examples=150)
def test_more_of_a_resource_is_never_slower(
    resource: str, op: Attention, chip: str, factor: int
) -> None:
    better = upgraded(chip, resource, factor)
    assert better is not None
    assert seconds(op, better) <= seconds(op, unlimited(chip)) * _SLACK


@given(op=attentions(), chip=st.sampled_from(CHIPS))
@settings(max_examples=150)
def test_a_larger_batch_is_never_faster(op: Attention, chip: str) -> None:
    larger = replace(op, batch=2 * op.batch)
    # A fuller grid needs fewer parts of the keys, whose adding up it saves.
    slack = 1.4 if op.q_len == 1 else _SLACK
    assert seconds(op, target(chip)) <= seconds(larger, target(chip)) * slack


@given(op=attentions(), chip=st.sampled_from(CHIPS))
@settings(max_examples=150)
def test_never_faster_than_the_roofline(op: Attention, chip: str) -> None:
    bound = ENGINES["roofline"].cost(single(op), target(chip)).latency_s
    assert seconds(op, target(chip)) >= bound
