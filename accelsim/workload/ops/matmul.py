"""Dense and grouped (expert) matrix multiplications."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from accelsim.workload.ops.base import Op, Traffic, nbytes, require_positive


@dataclass(frozen=True, kw_only=True)
class MatMul(Op):
    """``C[m, n] = A[m, k] B[k, n] (+ bias[n])``, repeated `batch` times with its own A and B.

    Attributes
    ----------
    m, n, k, batch : int
        Sizes.
    dtype : str
        Of A and of the multiplication.
    weight_dtype : str or None
        Storage of B when it is a parameter; None when B is an activation in `dtype`.
    out_dtype : str or None
        Of C; None means `dtype`.
    bias : bool
        Adds n parameters.
    owns_parameters : bool
        False when B is tied to another op's parameter (counted there).
    scale_block : int or None
        Products along k that share a scale of A and one of B: each partial sum of so many is
        scaled and added. None where a whole sum, or nothing, is scaled.
    """

    kind: ClassVar[str] = "matmul"

    m: int
    n: int
    k: int
    batch: int = 1
    dtype: str = "bf16"
    weight_dtype: str | None = None
    out_dtype: str | None = None
    bias: bool = False
    owns_parameters: bool = True
    scale_block: int | None = None

    def __post_init__(self) -> None:
        require_positive(self, "m", "n", "k", "batch")

    @property
    def flop(self) -> float:
        """2 batch m n k."""
        return 2.0 * self.batch * self.m * self.n * self.k

    @property
    def vector_flop(self) -> float:
        """One addition per output element when there is a bias, and what scales blocks."""
        return (float(self.batch * self.m * self.n) if self.bias else 0.0) + self.scaling_flop

    @property
    def scaling_flop(self) -> float:
        """A multiply-add per partial sum and output element."""
        return _scaling_flop(float(self.batch) * self.m * self.n, self.k, self.scale_block)

    @property
    def parameters(self) -> float:
        """Weight and bias elements; 0 when B is an activation or tied."""
        if self.weight_dtype is None or not self.owns_parameters:
            return 0.0
        return float(self.batch * (self.k * self.n + (self.n if self.bias else 0)))

    @cached_property
    def traffic(self) -> Traffic:
        """A and C as activations, B as weights or as an activation."""
        a = nbytes(float(self.batch) * self.m * self.k, self.dtype)
        c = nbytes(float(self.batch) * self.m * self.n, self.out_dtype or self.dtype)
        elements = float(self.batch) * self.k * self.n
        if self.weight_dtype is None:
            return Traffic(inputs=a + nbytes(elements, self.dtype), outputs=c)
        bias = nbytes(self.batch * self.n, self.weight_dtype) if self.bias else 0.0
        return Traffic(nbytes(elements, self.weight_dtype) + bias, a, c)


@dataclass(frozen=True, kw_only=True)
class GroupedMatMul(Op):
    """The expert matmul of an MoE layer: `rows` token copies spread over `groups` experts.

    Each expert has its own ``[k, n]`` weights. `active` is the expected number of experts that
    get at least one row; only their weights are read. `out_dtype` is that of the result; None
    means `dtype`. `scale_block` is as of `MatMul`.
    """

    kind: ClassVar[str] = "grouped_matmul"

    rows: int
    groups: int
    active: float
    n: int
    k: int
    dtype: str = "bf16"
    weight_dtype: str = "bf16"
    out_dtype: str | None = None
    bias: bool = False
    scale_block: int | None = None

    def __post_init__(self) -> None:
        require_positive(self, "rows", "groups", "active", "n", "k")

    @property
    def flop(self) -> float:
        """2 rows n k: every row meets one expert."""
        return 2.0 * self.rows * self.n * self.k

    @property
    def vector_flop(self) -> float:
        """One addition per output element when there is a bias, and what scales blocks."""
        return (float(self.rows * self.n) if self.bias else 0.0) + self.scaling_flop

    @property
    def scaling_flop(self) -> float:
        """A multiply-add per partial sum and output element."""
        return _scaling_flop(float(self.rows) * self.n, self.k, self.scale_block)

    @property
    def parameters(self) -> float:
        """All experts' weights, active or not."""
        return float(self.groups * (self.k * self.n + (self.n if self.bias else 0)))

    @cached_property
    def traffic(self) -> Traffic:
        """Weights of the active experts, all rows in and out."""
        per_expert = self.k * self.n + (self.n if self.bias else 0)
        return Traffic(
            weights=nbytes(self.active * per_expert, self.weight_dtype),
            inputs=nbytes(float(self.rows) * self.k, self.dtype),
            outputs=nbytes(float(self.rows) * self.n, self.out_dtype or self.dtype),
        )


def _scaling_flop(elements: float, k: int, scale_block: int | None) -> float:
    return 2.0 * elements * math.ceil(k / scale_block) if scale_block else 0.0


def expected_active_experts(tokens: int, experts: int, topk: int) -> float:
    """Expected number of experts hit when each token picks `topk` distinct ones uniformly.

    Notes
    -----
    ``experts * (1 - (1 - topk / experts) ** tokens)``.
    """
    return experts * (1.0 - (1.0 - topk / experts) ** tokens)
