"""Which ops fuse, and which bytes a fused group still moves."""

from __future__ import annotations

import pytest

from accelsim.arch.loader import load_chip
from accelsim.mapping.fusion import group_ops
from accelsim.workload.ops import MatMul, Op, Vector

CHIP = load_chip("h100_sxm")  # half of L2 is 25 MB
ROWS, COLS = 8192, 4096
TENSOR = 2.0 * ROWS * COLS  # 67 MB: too much to stay


def matmul(name: str = "mm") -> Op:
    return MatMul(name, m=ROWS, n=COLS, k=512, weight_dtype="bf16")


def vector(name: str, fn: str, after: tuple[str, ...] | None = None) -> Op:
    return Vector(name, fn=fn, rows=ROWS, cols=COLS, after=after)


def names(*ops: Op) -> list[str]:
    return [group.name for group in group_ops(ops, CHIP)]


def test_an_elementwise_op_joins_the_matmul_before_it_and_a_norm_does_not() -> None:
    assert names(matmul(), vector("act", "gelu"), vector("norm", "rmsnorm")) == ["mm+act", "norm"]


def test_a_product_that_others_read_too_is_not_transformed_on_the_fly() -> None:
    assert names(matmul(), vector("act", "gelu"), vector("sum", "add", ("act", "mm"))) == [
        "mm", "act+sum"
    ]  # fmt: skip


def test_a_fused_link_saves_one_write_and_one_read() -> None:
    (group,) = group_ops([matmul(), vector("act", "gelu")], CHIP)
    product = matmul().traffic
    assert group.traffic.inputs == product.inputs
    assert group.traffic.outputs == TENSOR
    assert group.flop == matmul().flop


def test_a_residual_sum_is_written_although_the_norm_reads_it_on_the_fly() -> None:
    ops = [
        vector("sum", "add"), vector("norm", "rmsnorm"), matmul(),
        vector("next", "add", ("mm", "sum")),
    ]  # fmt: skip
    first = group_ops(ops, CHIP)[0]
    assert first.name == "sum+norm"
    assert first.traffic.outputs == 2 * TENSOR
    assert first.traffic.inputs == 2 * TENSOR


@pytest.mark.parametrize(("rows", "stays"), [(1024, True), (8192, False)])
def test_small_activations_stay_on_chip_and_weights_never_do(rows: int, stays: bool) -> None:
    op = MatMul("mm", m=rows, n=COLS, k=COLS, weight_dtype="bf16")
    (group,) = group_ops([op], CHIP)
    assert group.input_on_chip == group.output_on_chip == stays
    assert group.dram_read_bytes >= op.traffic.weights


def test_every_op_is_in_exactly_one_group_in_order() -> None:
    ops = [vector("a", "add"), vector("b", "softmax"), vector("c", "gelu"), matmul(), matmul("m2")]
    flat = [op.name for group in group_ops(ops, CHIP) for op in group.ops]
    assert flat == [op.name for op in ops]
