"""Every value of a GPU's spec moves predictions the way physics does, whatever the op."""

from __future__ import annotations

from functools import cache

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
from accelsim.workload.ops import MatMul, Op
from tests.cross.random_ops import CHIPS, attentions, chip_of, matmuls, vectors
from tests.properties.upgrades import unlimited, upgraded

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
