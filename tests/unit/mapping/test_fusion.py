"""Which ops fuse, and which bytes a fused group still moves."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from accelsim.arch.loader import load_chip
from accelsim.mapping.fusion import group_ops
from accelsim.workload.ops import MatMul, Op, OptimizerStep, Traffic, Vector

CHIP = load_chip("h100_sxm")  # half of L2 is 25 MB
ROWS, COLS = 8192, 4096
TENSOR = 2.0 * ROWS * COLS  # 67 MB: too much to stay


def matmul(name: str = "mm") -> Op:
    return MatMul(name, m=ROWS, n=COLS, k=512, weight_dtype="bf16")


def vector(name: str, fn: str, after: tuple[str, ...] | None = None) -> Op:
    return Vector(name, fn=fn, rows=ROWS, cols=COLS, after=after)


@dataclass(frozen=True)
class Written(Vector):
    """Writes ten bytes of weights beside what it computes."""

    fn: str = "gelu"

    @property
    def traffic(self) -> Traffic:
        return super().traffic._replace(weights_written=10.0)


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


def small(name: str, after: tuple[str, ...] | None = None, **flags: bool) -> Op:
    return Vector(name, fn="gelu", rows=64, cols=64, after=after, **flags)


def test_a_kept_result_is_written_although_the_next_op_finds_it_on_chip() -> None:
    product = MatMul("mm", m=64, n=64, k=64, weight_dtype="bf16", kept=True)
    norm = Vector("norm", fn="rmsnorm", rows=64, cols=64)
    first, second = group_ops([product, norm], CHIP)
    assert first.dram_write_bytes == product.traffic.outputs
    assert second.input_on_chip and second.output_on_chip


def test_a_kept_result_inside_a_group_is_written_once() -> None:
    tensor = 2.0 * 64 * 64
    (plain,) = group_ops([small("a"), small("b")], CHIP)
    (group,) = group_ops([small("a", kept=True), small("b")], CHIP)
    assert plain.dram_write_bytes == 0
    assert (group.traffic.inputs, group.traffic.outputs) == (tensor, 2 * tensor)
    assert group.dram_write_bytes == 2 * tensor  # residency is one answer for the whole group
    (read_twice,) = group_ops([small("a", kept=True), small("b"), small("c", ("b", "a"))], CHIP)
    assert read_twice.traffic.outputs == 2 * tensor


def test_a_recalled_input_comes_from_memory_however_small() -> None:
    (group,) = group_ops([small("a", recalled=True)], CHIP)
    assert group.dram_read_bytes == group.traffic.inputs
    assert group.dram_write_bytes == 0


def test_model_flop_leaves_out_what_is_done_again() -> None:
    op = MatMul("mm", m=64, n=64, k=64, useful=0.25)
    (group,) = group_ops([op, small("act")], CHIP)
    assert group.model_flop == 0.25 * group.flop == 0.25 * op.flop


def test_written_weights_are_writes_alone_and_merged() -> None:
    update = OptimizerStep("adam", elements=1000, read_bytes=14, write_bytes=14)
    (group,) = group_ops([update], CHIP)
    assert (group.dram_read_bytes, group.dram_write_bytes) == (14000, 14000)
    assert update.traffic.total == group.traffic.total == 28000
    members = [Written("a", rows=64, cols=64), Written("b", rows=64, cols=64)]
    merged = group_ops(members, CHIP)
    assert len(merged) == 1
    assert merged[0].traffic.weights_written == merged[0].dram_write_bytes == 20


def test_every_op_is_in_exactly_one_group_in_order() -> None:
    ops = [vector("a", "add"), vector("b", "softmax"), vector("c", "gelu"), matmul(), matmul("m2")]
    flat = [op.name for group in group_ops(ops, CHIP) for op in group.ops]
    assert flat == [op.name for op in ops]
