"""The ops of a workload: typed shapes with exact FLOP, byte and parameter counts.

An op says what must be computed, never how: tiling, fusion and residency belong to mapping/.
FLOP conventions: a multiply-add is 2; matmul and attention FLOP are ``flop``; elementwise and
special-function work is ``vector_flop`` and ``special``. Bytes are compulsory traffic: every
operand once. They are split by role, because only activations can stay on chip between ops.
"""

from accelsim.workload.ops.attention import Attention
from accelsim.workload.ops.base import Op, Shard, Traffic
from accelsim.workload.ops.collective import COLLECTIVES, Collective
from accelsim.workload.ops.conv import Conv, Pool
from accelsim.workload.ops.matmul import GroupedMatMul, MatMul, expected_active_experts
from accelsim.workload.ops.vector import (
    VECTOR_FUNCTIONS,
    Gather,
    OptimizerStep,
    Vector,
    VectorFunction,
)

__all__ = [
    "COLLECTIVES",
    "VECTOR_FUNCTIONS",
    "Attention",
    "Collective",
    "Conv",
    "Gather",
    "GroupedMatMul",
    "MatMul",
    "Op",
    "OptimizerStep",
    "Pool",
    "Shard",
    "Traffic",
    "Vector",
    "VectorFunction",
    "expected_active_experts",
]
