"""Is a convolution costed with the bytes that it has and the array cycles that it needs?"""

from __future__ import annotations

import pytest

from accelsim.arch.chip import Chip
from accelsim.arch.loader import load_chip, load_system
from accelsim.mapping.fusion import group_ops, single
from accelsim.timing.matmul import matmul_problem, matmul_times
from accelsim.workload.conv import ConvShape
from accelsim.workload.ops import Conv, MatMul, Op, Pool, Vector

GPU, TPU = load_chip("h100_sxm"), load_chip("tpu_v1")
DENSE = ConvShape(8, 256, 512, 14, 14, 3, 3, padding=(1, 1, 1, 1))


def conv(shape: ConvShape, dtype: str = "bf16", **fields: object) -> Conv:
    return Conv(name="conv", shape=shape, dtype=dtype, weight_dtype=dtype, **fields)  # type: ignore[arg-type]


def depthwise(channels: int) -> Conv:
    shape = ConvShape(8, channels, channels, 14, 14, 3, 3, padding=(1, 1, 1, 1), groups=channels)
    return conv(shape, "int8")


def changed(chip: str, **fields: object) -> Chip:
    paths = {f"core.matrix.0.{name}": value for name, value in fields.items()}
    return load_system(chip, paths).chip


def test_the_input_is_read_once_and_not_once_per_tap() -> None:
    _, _, activity, _ = matmul_times(single(conv(DENSE, bias=True)), GPU, "bf16")
    filters, biases = 2 * 9 * 256 * 512, 2 * 512
    assert activity.dram_read_bytes == pytest.approx(filters + biases + 2 * 8 * 256 * 14 * 14)
    assert activity.dram_write_bytes == pytest.approx(2 * 8 * 512 * 14 * 14)
    assert activity.macs == {"bf16": DENSE.macs}


def test_a_convolution_of_one_tap_is_the_matmul_that_it_is() -> None:
    shape = ConvShape(8, 256, 512, 14, 14, 1, 1)
    product = MatMul("mm", m=8 * 196, n=512, k=256, weight_dtype="bf16")
    lowered = matmul_times(single(conv(shape)), GPU, "bf16")
    assert lowered[:3] == matmul_times(single(product), GPU, "bf16")[:3]


def test_filters_of_several_groups_share_an_array() -> None:
    # A 3x3 filter of one channel fills 9 rows: 28 of them fit 256.
    problem = matmul_problem(single(depthwise(112)), TPU.matrix_unit("int8"))
    assert (problem.batch, problem.m) == (4, 8 * 196)
    for unit in (None, GPU.matrix_unit("int8")):
        problem = matmul_problem(single(depthwise(112)), unit)
        assert problem[:4] == (112, 8 * 196, 1, 9)


def test_padding_of_whole_tiles_is_fetched_too() -> None:
    op = MatMul("mm", m=96, n=600, k=600, dtype="int8", weight_dtype="int8")
    chips = [TPU, changed("tpu_v1", whole_tiles=False)]
    reads = [matmul_times(single(op, True), chip, "int8")[2].dram_read_bytes for chip in chips]
    assert reads == [9 * 65536, 600 * 600]


def test_activations_do_not_come_in_whole_tiles() -> None:
    op = MatMul("mm", m=96, n=600, k=600, dtype="int8")
    assert matmul_times(single(op), TPU, "int8")[2].dram_read_bytes == 96 * 600 + 600 * 600


def test_weights_fetched_ahead_do_not_delay_the_first_product() -> None:
    op = conv(ConvShape(8, 256, 256, 19, 19, 3, 3, padding=(1, 1, 1, 1)), "int8")
    ahead, late = (
        matmul_times(single(op, True), chip, "int8")[1]
        for chip in (TPU, changed("tpu_v1", weight_fifo="1 B"))
    )
    one_tile_s = 65536 / TPU.sustained_bytes_per_s
    assert late - ahead == pytest.approx(one_tile_s, rel=1e-3)


def test_sixteen_bit_activations_halve_the_speed_of_the_array() -> None:
    ops = [
        MatMul("mm", m=4096, n=4096, k=4096, dtype=dtype, weight_dtype="int8")
        for dtype in ("int8", "w8a16")
    ]
    times = [matmul_times(single(op, True), TPU, op.dtype)[0]["compute"] for op in ops]
    assert times[1] / times[0] == pytest.approx(2, rel=1e-3)


def with_pool(dtype: str) -> list[Op]:
    window = ConvShape(8, 512, 512, 14, 14, 3, 3, stride=(2, 2), groups=512)
    relu = Vector("relu", fn="relu", rows=8 * 196, cols=512, dtype=dtype)
    return [conv(DENSE, dtype), relu, Pool(name="pool", shape=window, dtype=dtype)]


def test_a_pooling_window_joins_where_sums_leave_through_accumulators() -> None:
    assert [group.name for group in group_ops(with_pool("int8"), TPU)] == ["conv+relu+pool"]
    assert [group.name for group in group_ops(with_pool("int8"), GPU)] == ["conv+relu", "pool"]
    (group,) = group_ops(with_pool("int8"), TPU)
    assert group.traffic.outputs == 8 * 512 * 6 * 6
    assert group.vector_flop == 8 * 512 * (196 + 9 * 36)


def test_the_activation_follows_the_rows_of_the_last_fold() -> None:
    """One fold along k takes as long as its epilogue; with nine, most of it is hidden."""
    relu = Vector("relu", fn="relu", rows=8 * 196, cols=512, dtype="int8")
    (group,) = group_ops([conv(DENSE, "int8"), relu], TPU)
    times, latency_s, _, _ = matmul_times(group, TPU, "int8")
    plain_s = matmul_times(single(conv(DENSE, "int8"), True), TPU, "int8")[1]
    assert latency_s - plain_s < 0.3 * times["vector"]
