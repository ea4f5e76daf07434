"""Elementwise and row-wise functions, embedding lookups and optimizer updates."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from accelsim.errors import WorkloadError, suggest
from accelsim.workload.ops.base import Op, Traffic, nbytes, require_positive


@dataclass(frozen=True)
class VectorFunction:
    """Work of an elementwise or row-wise function per element.

    Attributes
    ----------
    flop, special : float
        Additions, multiplications and comparisons; exp, rsqrt and tanh results.
    inputs, outputs : float
        Tensors of the op's shape read and written (a broadcast vector counts as none).
    reductions : int
        Dependent sweeps over a row (0 for elementwise functions).
    lookups : int
        Accesses that follow one another before, or after, those of the data: an index that says
        which row, the rounds of a choice, a sum that blocks share (counts of public kernels,
        adjusted to the times of the smallest MoE layers and conversions on H100).
    """

    flop: float
    special: float
    inputs: float = 1
    outputs: float = 1
    reductions: int = 0
    lookups: int = 0


VECTOR_FUNCTIONS: dict[str, VectorFunction] = {
    "softmax": VectorFunction(4, 1, reductions=2),
    "layernorm": VectorFunction(7, 0, reductions=2),
    "rmsnorm": VectorFunction(4, 0, reductions=1),
    "gelu": VectorFunction(8, 1),
    "silu": VectorFunction(3, 1),
    "relu": VectorFunction(1, 0),
    "relu2": VectorFunction(2, 0),
    "tanh": VectorFunction(0, 1),
    "sigmoid": VectorFunction(2, 1),
    "exp": VectorFunction(0, 1),
    "add": VectorFunction(1, 0, inputs=2),
    "sub": VectorFunction(1, 0, inputs=2),
    "mul": VectorFunction(1, 0, inputs=2),
    "div": VectorFunction(4, 1, inputs=2),
    "pow": VectorFunction(2, 2, inputs=2),
    "add_scalar": VectorFunction(1, 0),
    "sub_scalar": VectorFunction(1, 0),
    "mul_scalar": VectorFunction(1, 0),
    "div_scalar": VectorFunction(1, 0),
    "pow_scalar": VectorFunction(2, 2),
    "silu_mul": VectorFunction(4, 1, inputs=2),
    "gelu_mul": VectorFunction(9, 1, inputs=2),
    "relu_mul": VectorFunction(2, 0, inputs=2),
    "swiglu_oai": VectorFunction(8, 1, inputs=2),
    "rope": VectorFunction(3, 0),
    "copy": VectorFunction(0, 0),
    "permute": VectorFunction(0, 0, lookups=1),
    "topk": VectorFunction(4, 0, outputs=0.1, reductions=1),
    # Where each choice of an expert goes among those of the same expert: counts and their sums.
    "sort": VectorFunction(4, 0, reductions=1),
    # Per unit: three sigmoids and two tanh of sums of two products, c = f c + i g, h = o tanh(c).
    "lstm_cell": VectorFunction(14, 5, inputs=9, outputs=2),
    "weighted_sum": VectorFunction(2, 0, lookups=1),
    "softcap": VectorFunction(2, 1),
    "cross_entropy": VectorFunction(4, 1, outputs=1, reductions=2),
    # To a narrower format in one kernel: the scale is that of a block of a few lanes.
    "quantize": VectorFunction(3, 0),
    # Largest magnitude of a whole tensor, which all blocks agree on through one address.
    "amax": VectorFunction(2, 0, outputs=0, lookups=8),
}


@dataclass(frozen=True, kw_only=True)
class Vector(Op):
    """An elementwise or row-wise function over ``[rows, cols]``.

    Attributes
    ----------
    fn : str
        A key of `VECTOR_FUNCTIONS`.
    rows, cols : int
        Shape; reductions run along cols.
    dtype : str
        Of inputs, and of outputs unless `out_dtype` says otherwise.
    out_dtype : str or None
        Of outputs; None means `dtype`.
    weight_elements : int
        Parameters that are broadcast along rows (norm gains and biases).
    weight_dtype : str
        Storage of those parameters.
    fan_in : float
        Input rows that are summed into one output row (the experts of a token), on average: less
        than one where most rows find none and are cleared.
    """

    kind: ClassVar[str] = "vector"

    fn: str
    rows: int
    cols: int
    dtype: str = "bf16"
    weight_elements: int = 0
    weight_dtype: str = "bf16"
    fan_in: float = 1
    out_dtype: str | None = None

    def __post_init__(self) -> None:
        require_positive(self, "rows", "cols", "fan_in")
        if self.fn not in VECTOR_FUNCTIONS:
            raise WorkloadError(
                f"{self.name}: unknown vector function '{self.fn}', "
                f"{suggest(self.fn, VECTOR_FUNCTIONS)}"
            )

    @property
    def function(self) -> VectorFunction:
        """The function's work per input element."""
        plain = VECTOR_FUNCTIONS[self.fn]
        return plain if self.fan_in == 1 else replace(plain, outputs=plain.outputs / self.fan_in)

    @property
    def elements(self) -> float:
        """Rows x cols."""
        return float(self.rows) * self.cols

    @property
    def vector_flop(self) -> float:
        """Elementwise FLOP."""
        return self.function.flop * self.elements

    @property
    def special(self) -> float:
        """Special-function results."""
        return self.function.special * self.elements

    @property
    def parameters(self) -> float:
        """Broadcast parameters."""
        return float(self.weight_elements)

    @property
    def traffic(self) -> Traffic:
        """Inputs, outputs and the broadcast parameters."""
        return Traffic(
            weights=nbytes(self.weight_elements, self.weight_dtype),
            inputs=nbytes(self.function.inputs * self.elements, self.dtype),
            outputs=nbytes(self.function.outputs * self.elements, self.out_dtype or self.dtype),
        )


@dataclass(frozen=True, kw_only=True)
class Gather(Op):
    """An embedding lookup: `rows` vectors of `cols` out of a table of `table_rows`."""

    kind: ClassVar[str] = "gather"

    rows: int
    cols: int
    table_rows: int
    dtype: str = "bf16"
    weight_dtype: str = "bf16"
    owns_parameters: bool = True

    def __post_init__(self) -> None:
        require_positive(self, "rows", "cols", "table_rows")

    @property
    def parameters(self) -> float:
        """The whole table."""
        return float(self.table_rows) * self.cols if self.owns_parameters else 0.0

    @property
    def traffic(self) -> Traffic:
        """Only the rows that are looked up."""
        elements = float(self.rows) * self.cols
        return Traffic(weights=nbytes(elements, self.weight_dtype),
                       outputs=nbytes(elements, self.dtype))  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class OptimizerStep(Op):
    """The optimizer's update of `elements` parameters.

    `read_bytes` and `write_bytes` are per parameter: gradient, master weight and moments.
    """

    kind: ClassVar[str] = "optimizer"

    elements: float
    read_bytes: float
    write_bytes: float
    flop_per_element: float = 12.0

    def __post_init__(self) -> None:
        require_positive(self, "elements")

    @property
    def vector_flop(self) -> float:
        """Update arithmetic."""
        return self.flop_per_element * self.elements

    @property
    def special(self) -> float:
        """One square root per parameter."""
        return self.elements

    @property
    def traffic(self) -> Traffic:
        """Optimizer state in and out; it never stays on chip, so it counts as weights."""
        return Traffic(
            weights=self.read_bytes * self.elements,
            weights_written=self.write_bytes * self.elements,
        )
