"""Random chips and ops for tests that must hold for all of them."""

from __future__ import annotations

from functools import cache

from hypothesis import strategies as st

from accelsim.arch.chip import Chip
from accelsim.arch.loader import load_chip
from accelsim.arch.system import System
from accelsim.engine.core import Target
from accelsim.files import find_data
from accelsim.workload.conv import ConvShape
from accelsim.workload.ops import (
    VECTOR_FUNCTIONS,
    Attention,
    Conv,
    Gather,
    GroupedMatMul,
    MatMul,
    Op,
    OptimizerStep,
    Pool,
    Vector,
    expected_active_experts,
)

CHIPS = tuple(sorted(find_data("arch_specs/chips", ".yaml")))
# Sizes on both sides of every tile, some prime, some far beyond.
SIZES = st.sampled_from((1, 2, 7, 16, 31, 64, 100, 128, 257, 512, 1000, 2048, 4099, 16384))
HEADS = st.sampled_from(
    ((1, 1), (8, 8), (32, 8), (16, 1), (12, 4), (48, 1), (64, 1), (128, 1), (256, 2))
)
STORAGE = st.sampled_from(("bf16", "fp8", "int4", "fp32"))


@cache
def target(chip: str) -> Target:
    return Target(System.of_chip(load_chip(chip)))


def chip_of(name: str) -> Chip:
    return target(name).system.chip


def matmuls(dtype: str) -> st.SearchStrategy[Op]:
    return st.builds(
        MatMul, st.just("matmul"), m=SIZES, n=SIZES, k=SIZES, batch=st.sampled_from((1, 2, 9)),
        dtype=st.just(dtype), weight_dtype=st.none() | STORAGE, out_dtype=st.none() | STORAGE,
        bias=st.booleans(),
    )  # fmt: skip


@st.composite
def grouped(draw: st.DrawFn, dtype: str) -> Op:
    tokens, experts = draw(SIZES), draw(st.sampled_from((1, 8, 100)))
    topk = draw(st.integers(1, min(8, experts)))
    return GroupedMatMul(
        "experts", rows=tokens * topk, groups=experts, n=draw(SIZES), k=draw(SIZES), dtype=dtype,
        active=expected_active_experts(tokens, experts, topk), weight_dtype=draw(STORAGE),
        bias=draw(st.booleans()),
    )  # fmt: skip


@st.composite
def attentions(draw: st.DrawFn, dtype: str) -> Op:
    heads, kv_heads = draw(HEADS)
    q_len = draw(SIZES)
    width = draw(st.sampled_from((64, 96, 128)))
    return Attention(
        "attention", batch=draw(st.sampled_from((1, 3, 16))), heads=heads, kv_heads=kv_heads,
        q_len=q_len, kv_len=q_len + draw(st.sampled_from((0, 1, 77, 5000))), head_dim=width,
        v_head_dim=width, causal=draw(st.booleans()), cached=draw(st.booleans()),
        window=draw(st.sampled_from((None, None, 1, 128, 3000))), dtype=dtype,
        kv_dtype=draw(STORAGE),
    )  # fmt: skip


@st.composite
def shapes(draw: st.DrawFn, depthwise: bool = False) -> ConvShape:
    """Dense, grouped and depthwise windows, some larger than their stride, some smaller."""
    groups = draw(st.sampled_from((1, 1, 2, 96)))
    channels = groups * draw(st.sampled_from((1, 3, 64, 300)))
    out = groups * draw(st.sampled_from((1, 64, 257)))
    taps = draw(st.sampled_from((1, 3, 7)))
    return ConvShape(
        draw(st.sampled_from((1, 8, 200))), channels, channels if depthwise else out,
        draw(st.sampled_from((7, 56, 224))), draw(st.sampled_from((7, 19))), taps, taps,
        stride=(draw(st.sampled_from((1, 2))), 1), padding=(taps // 2,) * 4,
        groups=channels if depthwise else groups,
    )  # fmt: skip


def convs(dtype: str) -> st.SearchStrategy[Op]:
    return st.builds(
        Conv, name=st.just("conv"), shape=shapes(), dtype=st.just(dtype), weight_dtype=STORAGE,
        bias=st.booleans(), norm=st.booleans(),
    )  # fmt: skip


def pools() -> st.SearchStrategy[Op]:
    return st.builds(Pool, name=st.just("pool"), shape=shapes(depthwise=True), dtype=STORAGE)


def vectors() -> st.SearchStrategy[Op]:
    return st.builds(
        Vector, st.just("vector"), fn=st.sampled_from(sorted(VECTOR_FUNCTIONS)), rows=SIZES,
        cols=SIZES, dtype=STORAGE, weight_elements=st.sampled_from((0, 64, 4096)),
    )  # fmt: skip


def gathers() -> st.SearchStrategy[Op]:
    return st.builds(Gather, st.just("gather"), rows=SIZES, cols=SIZES, table_rows=SIZES)


def optimizers() -> st.SearchStrategy[Op]:
    return st.builds(
        OptimizerStep, st.just("adam"), elements=SIZES.map(float), read_bytes=st.just(16.0),
        write_bytes=st.just(14.0),
    )  # fmt: skip


@st.composite
def chips_and_ops(draw: st.DrawFn) -> tuple[str, Op]:
    """A packaged chip and an op that it can run natively."""
    name = draw(st.sampled_from(CHIPS))
    dtype = draw(st.sampled_from(chip_of(name).dtypes))
    kinds = (
        matmuls(dtype), grouped(dtype), attentions(dtype), vectors(), gathers(), optimizers(),
        convs(dtype), pools(),
    )  # fmt: skip
    return name, draw(st.one_of(*kinds))
