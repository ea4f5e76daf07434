"""Bad tables of ops: each message names file, line and field; good ones read as meant."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from accelsim.arch.loader import load_chip
from accelsim.dtypes import dtype as find_dtype
from accelsim.errors import AccelsimError, WorkloadError
from accelsim.mapping.fusion import group_ops
from accelsim.scenarios.op_table import COLUMNS, OP_FIELDS, Row, read_ops, to_ops
from accelsim.scenarios.predict import predict
from accelsim.workload.ops import Attention, GroupedMatMul, MatMul, Vector

HEADER = "op,dtype,kv_dtype,batch,m,n,k,q_len,kv_len,heads,kv_heads,head_dim,causal,rows,cols,"\
         "tokens,hidden,inter,experts,experts_local,topk,bytes,devices,"\
         "quantize,imbalance"  # fmt: skip
GOOD = {"op": "matmul", "dtype": "bf16", "m": "8", "n": "8", "k": "8"}
ATTENTION = {"op": "attention", "dtype": "bf16", "q_len": "8", "kv_len": "16", "heads": "4",
             "kv_heads": "2", "head_dim": "64"}  # fmt: skip
MOE = {"op": "moe", "tokens": "8", "hidden": "64", "inter": "64", "experts": "8", "topk": "2"}


def write(folder: Path, *rows: dict[str, str]) -> Path:
    names = HEADER.split(",")
    lines = [",".join(row.get(name, "") for name in names) for row in rows]
    path = folder / "ops.csv"
    path.write_text("\n".join([HEADER, *lines]) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("row", "field"),
    [
        (GOOD | {"op": "matmull"}, "did you mean 'matmul'"),
        (GOOD | {"op": ""}, "op is missing"),
        (GOOD | {"m": "-8"}, "m is -8"),
        (GOOD | {"n": "0"}, "n is 0"),
        (GOOD | {"k": ""}, "missing: k"),
        (GOOD | {"m": "1.5"}, "m is 1.5"),
        (GOOD | {"m": "nan"}, "m is nan"),
        (GOOD | {"m": "inf"}, "m is inf"),
        (GOOD | {"m": "1e400"}, "m is 1e400"),
        (GOOD | {"m": "many"}, "m is 'many'"),
        (GOOD | {"m": "1_000"}, "m is '1_000'"),
        (GOOD | {"m": "\u0665"}, "m is"),
        (GOOD | {"batch": "2e12"}, "batch is 2e12"),
        (GOOD | {"dtype": "bf17"}, "unknown dtype 'bf17'"),
        (GOOD | {"dtype": "nvfp4"}, "no nvfp4 matmul"),
        (ATTENTION | {"kv_heads": "3"}, "4 heads are not a multiple of 3"),
        (ATTENTION | {"kv_len": "4"}, "kv_len 4 is shorter than q_len 8"),
        (ATTENTION | {"causal": "perhaps"}, "causal is 'perhaps'"),
        (ATTENTION | {"kv_dtype": "fp9"}, "unknown dtype 'fp9'"),
        (ATTENTION | {"heads": "1e12", "kv_heads": "1", "q_len": "8"}, "heads x q_len"),
        (MOE | {"topk": "9"}, "topk 9"),
        (MOE | {"experts_local": "9"}, "experts_local 9"),
        (MOE | {"tokens": "1e12"}, "tokens x topk"),
        (MOE | {"imbalance": "0.5"}, "imbalance is 0.5, expected a number from 1"),
        (MOE | {"imbalance": "nan"}, "imbalance is nan"),
        (GOOD | {"quantize": "blocks"}, "did you mean 'block'"),
        (GOOD | {"quantize": "tensor"}, "quantize is tensor, but activations arrive as bf16"),
        ({"op": "softmax", "rows": "4"}, "missing: cols"),
        ({"op": "all_reduce", "bytes": "1e6", "devices": "8"}, "8 devices asked for"),
        ({"op": "all_reduce", "bytes": "-1", "devices": "8"}, "bytes is -1"),
    ],
)
def test_a_bad_row_is_named_by_file_line_and_field(
    tmp_path: Path, row: dict[str, str], field: str
) -> None:
    path = write(tmp_path, GOOD, row)
    with pytest.raises(AccelsimError) as caught:
        predict(read_ops(path), "a100_sxm_80gb")
    assert f"{path}:3" in str(caught.value)
    assert field in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("op,m,n,q\nmatmul,1,1,1\n", "unknown column 'q'"),
        ("op,m,m\nmatmul,1,1\n", "stands twice"),
        ("m,n,k\n1,1,1\n", "column 'op' is missing"),
        ("op,latency_s\nmatmul,1\n", "is a result"),
        ("op,m\nmatmul,1,1\n", ":2: 3 fields"),
        ("op,m\n", "no rows"),
        ("", "op"),
        ('op,m\nmatmul,"1\n', ":"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "ops.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(WorkloadError) as caught:
        read_ops(path)
    assert str(path) in str(caught.value)
    assert told in str(caught.value)


def test_a_tile_that_does_not_fit_is_refused_with_its_row(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD, ATTENTION | {"head_dim": "100000"})
    with pytest.raises(AccelsimError, match=rf"{path.name}:3.*no tile of fused"):
        predict(read_ops(path), "a100_sxm_80gb")


def test_a_frame_without_a_file_names_the_row_label() -> None:
    with pytest.raises(WorkloadError, match="row 7"):
        predict(pd.DataFrame([GOOD | {"m": "x"}], index=[7]), "a100_sxm_80gb")


def test_rows_become_the_ops_that_they_mean() -> None:
    (matmul,) = to_ops(Row("here", GOOD | {"dtype": "int8"}))
    assert isinstance(matmul, MatMul)
    assert (matmul.weight_dtype, matmul.out_dtype) == ("int8", "bf16")
    (batched,) = to_ops(Row("here", GOOD | {"batch": 2.0}))
    assert isinstance(batched, MatMul)
    assert batched.weight_dtype is None  # one B per batch: activations
    (attention,) = to_ops(Row("here", ATTENTION | {"causal": "false"}))
    assert isinstance(attention, Attention)
    assert attention.pairs == 8 * 16
    parts = to_ops(Row("here", MOE))
    grouped = [part for part in parts if isinstance(part, GroupedMatMul)]
    assert [part.flop for part in grouped] == [2 * 16 * 128 * 64, 2 * 16 * 64 * 64]
    (softmax,) = to_ops(Row("here", {"op": "softmax", "rows": 3, "cols": 4}))
    assert isinstance(softmax, Vector)
    assert softmax.elements == 12


def kinds(row: dict[str, object]) -> list[str]:
    return [op.fn if isinstance(op, Vector) else op.kind for op in to_ops(Row("here", row))]


@pytest.mark.parametrize(
    ("dtype", "how", "kernels"),
    [
        ("fp8", "", []),
        ("fp8", "static", ["mul_scalar"]),
        ("fp8", "Tensor", ["amax", "mul_scalar"]),
        ("int8", "block", ["quantize"]),
        ("nvfp4", "", ["quantize"]),
        ("nvfp4", "none", []),
        ("bf16", "auto", []),
    ],
)
def test_activations_are_converted_by_kernels_before_the_product(
    dtype: str, how: str, kernels: list[str]
) -> None:
    row = GOOD | {"dtype": dtype, "quantize": how}
    assert kinds(row) == [*kernels, "matmul"]
    if kernels:
        converted = to_ops(Row("here", row))[-2].traffic
        assert converted.inputs == 8 * 8 * 2
        assert converted.outputs == 8 * 8 * find_dtype(dtype).bytes


def test_conversions_are_kernels_of_their_own_for_a_single_row_too() -> None:
    chip = load_chip("h100_sxm")
    for m in ("1", "8"):
        row = GOOD | {"dtype": "fp8", "quantize": "tensor", "m": m}
        assert len(group_ops(to_ops(Row("here", row)), chip)) == 3


def test_a_balanced_layer_meets_as_many_experts_as_it_has_choices() -> None:
    def grouped(**fields: int | float) -> GroupedMatMul:
        ops = to_ops(Row("here", {**MOE, **fields}))
        return next(op for op in ops if isinstance(op, GroupedMatMul))

    assert (grouped(tokens=2).rows, grouped(tokens=2).active) == (4, 4)
    assert (grouped(tokens=9).rows, grouped(tokens=9).active) == (18, 8)
    mine = grouped(tokens=9, experts_local=2)
    assert (mine.rows, mine.groups, mine.active) == (5, 2, 2)  # 4.5 on the mean device
    assert grouped(tokens=9, experts_local=2, imbalance=1.5).rows == 7
    assert grouped(tokens=9, experts_local=2, imbalance=99).rows == 18


def test_a_device_of_an_moe_layer_writes_all_tokens() -> None:
    combine = to_ops(Row("here", MOE | {"experts_local": "1"}))[-1]
    assert combine.traffic.inputs == 2 * 64 * 2
    assert combine.traffic.outputs == 8 * 64 * 2


def test_more_tokens_are_sorted_by_more_kernels() -> None:
    few, many = kinds(MOE | {"tokens": "256"}), kinds(MOE | {"tokens": "257"})
    assert (few.count("sort"), many.count("sort")) == (1, 3)
    assert kinds(MOE | {"dtype": "fp8"}).count("quantize") == 1


def test_what_is_unknown_is_answered_with_all_that_is_known(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError) as op:
        to_ops(Row("here", {"op": "zzz"}))
    assert all(name in str(op.value) for name in OP_FIELDS)
    assert str(op.value).count("known:") == 1
    (tmp_path / "ops.csv").write_text("op,zzz\nmatmul,1\n")
    with pytest.raises(WorkloadError) as column:
        read_ops(tmp_path / "ops.csv")
    assert all(name in str(column.value) for name in COLUMNS)


def test_blank_fields_take_their_defaults() -> None:
    given = {"op": "attention", "heads": "4", "head_dim": "64", "q_len": "8", "dtype": "fp8"}
    (op,) = to_ops(Row("here", given))
    assert isinstance(op, Attention)
    assert (op.kv_heads, op.kv_len, op.kv_dtype, op.batch, op.causal) == (4, 8, "fp8", 1, True)


def test_gemm_is_a_matmul_and_keeps_its_name() -> None:
    table = pd.DataFrame([GOOD, GOOD | {"op": "GEMM"}])
    answer = predict(table, "a100_sxm_80gb")
    assert answer["op"].tolist() == ["matmul", "GEMM"]
    assert answer["latency_s"].nunique() == 1
