"""Random groups of fused ops, as the mapper makes them of the ops of a block."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from accelsim.mapping.fusion import Group, group_ops
from accelsim.timing.attention import unfused_ops
from accelsim.workload.conv import ConvShape
from accelsim.workload.ops import Attention, Conv, MatMul, Op, Pool, Vector
from tests.cross.random_ops import CHIPS, SIZES, STORAGE, attentions, chip_of, convs, matmuls

CPUS = tuple(name for name in CHIPS if chip_of(name).spec.kind == "cpu")
# Half of all draws: chips whose cores, caches and memories are far from those of the others.
OFTEN = (*CPUS, "orin")
# Model width, and that of its feed-forward layers.
LAYERS = st.sampled_from(
    ((576, 1536), (768, 3072), (1024, 4096), (2048, 8192), (4096, 14336), (4096, 11008))
)
TOKENS = st.sampled_from((1, 2, 8, 33, 64, 128, 256, 1000, 2048))
# Of one row each, and no reductions: what an epilogue can compute.
EPILOGUES = ("relu", "gelu", "silu", "add", "mul", "sigmoid", "tanh", "softcap")


def chips() -> st.SearchStrategy[str]:
    return st.sampled_from(OFTEN) | st.sampled_from(CHIPS)


def _epilogue(draw: st.DrawFn, name: str, rows: int, cols: int, dtype: str) -> Op:
    return Vector(name, fn=draw(st.sampled_from(EPILOGUES)), rows=rows, cols=cols, dtype=dtype)


@st.composite
def feed_forwards(draw: st.DrawFn, dtype: str) -> list[Op]:
    """Projection back to the model's width, and the sum with what went by."""
    (width, inner), tokens = draw(LAYERS), draw(TOKENS)
    weights = draw(st.none() | STORAGE)
    k = draw(st.sampled_from((inner, width)))
    down = MatMul("down", m=tokens, n=width, k=k, dtype=dtype, weight_dtype=weights or dtype)
    return [down, Vector("residual", fn="add", rows=tokens, cols=width, dtype=dtype)]


@st.composite
def with_epilogues(draw: st.DrawFn, dtype: str) -> list[Op]:
    """A matmul of any shape, and one to three functions of its result."""
    op = draw(matmuls(dtype))
    assert isinstance(op, MatMul)
    rows = op.batch * op.m
    count = draw(st.integers(1, 3))
    return [op, *(_epilogue(draw, f"f{i}", rows, op.n, dtype) for i in range(count))]


@st.composite
def windows(draw: st.DrawFn, dtype: str) -> list[Op]:
    """A convolution and its activation, or its pooling."""
    op = draw(convs(dtype))
    assert isinstance(op, Conv)
    shape = op.shape
    if draw(st.booleans()):
        rows = shape.batch * shape.out_height * shape.out_width
        return [op, _epilogue(draw, "activation", rows, shape.out_channels, dtype)]
    channels, height, width = shape.out_channels, shape.out_height, shape.out_width
    pooled = ConvShape(shape.batch, channels, channels, height, width, 1, 1, groups=channels)
    return [op, Pool("pool", shape=pooled, dtype=dtype)]


@st.composite
def chains(draw: st.DrawFn) -> list[Op]:
    """Functions one after another over the same rows, at last a norm."""
    rows, cols, dtype = draw(SIZES), draw(SIZES), draw(STORAGE)
    first = [_epilogue(draw, f"f{i}", rows, cols, dtype) for i in range(draw(st.integers(1, 2)))]
    fn = draw(st.sampled_from(("rmsnorm", "layernorm", "softmax")))
    return [*first, Vector("norm", fn=fn, rows=rows, cols=cols, dtype=dtype)]


@st.composite
def attention_parts(draw: st.DrawFn, dtype: str) -> list[Op]:
    """Attention in one kernel, or in the three of unfused attention."""
    op = draw(attentions(dtype))
    assert isinstance(op, Attention)
    return list(unfused_ops(op)) if draw(st.booleans()) else [op]


@st.composite
def chips_and_groups(draw: st.DrawFn) -> tuple[str, Group]:
    """A packaged chip, and one of the groups into which it fuses the ops of a block."""
    name = draw(chips())
    dtype = draw(st.sampled_from(chip_of(name).dtypes))
    ops = draw(
        st.one_of(
            feed_forwards(dtype), with_epilogues(dtype), windows(dtype), chains(),
            attention_parts(dtype),
        )
    )  # fmt: skip
    if draw(st.booleans()):  # an activation from far away, a result for a distant reader
        ops[0] = replace(ops[0], recalled=True)
        ops[-1] = replace(ops[-1], kept=True)
    groups = group_ops(ops, chip_of(name))
    return name, draw(st.sampled_from(groups))
