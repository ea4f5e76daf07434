"""Does every chip say in which arithmetic it multiplies, and is it the published one?"""

from __future__ import annotations

from pathlib import Path

import pytest

from accelsim.arch.arithmetic import architectures, find_architecture
from accelsim.arch.loader import load_chip
from accelsim.arch.raw import spec_files
from accelsim.arithmetic import (
    Chain,
    FusedSum,
    IntegerSum,
    MatrixArithmetic,
    PairwiseSum,
    SumFamily,
    TwoStageSum,
)
from accelsim.dtypes import DTYPES
from accelsim.errors import MappingError, SpecError, WorkloadError
from accelsim.formats import find_format
from tests.unit.arch.small_chip import spoiled, write_chip

# Xie et al., MMA-Sim, 2025, arXiv 2511.10909, and its models at release c785138:
# (architecture, dtype, instruction or "" for the usual one): family.
PUBLISHED: dict[tuple[str, str, str], SumFamily] = {
    ("volta", "fp16", ""): FusedSum(4, 23),
    ("turing", "fp16", ""): FusedSum(8, 24),
    ("ampere", "fp16", ""): FusedSum(8, 24),
    ("ampere", "bf16", ""): FusedSum(8, 24),
    ("ampere", "tf32", ""): FusedSum(4, 24),
    ("ampere", "fp64", ""): Chain("fp64"),
    ("ada", "fp16", ""): FusedSum(8, 24),
    ("ada", "bf16", ""): FusedSum(8, 24),
    ("ada", "tf32", ""): FusedSum(4, 24),
    ("ada", "fp8", ""): FusedSum(16, 13, 13),
    ("hopper", "fp16", ""): FusedSum(16, 25),
    ("hopper", "bf16", ""): FusedSum(16, 25),
    ("hopper", "tf32", ""): FusedSum(8, 25),
    ("hopper", "fp8", ""): FusedSum(32, 13, 13),
    ("hopper", "fp64", ""): Chain("fp64"),
    **{
        (architecture, dtype, ""): family
        for architecture in ("blackwell", "rtx_blackwell")
        for dtype, family in {
            "fp16": FusedSum(16, 25), "bf16": FusedSum(16, 25), "tf32": FusedSum(8, 25),
            "fp8": FusedSum(32, 25), "mxfp8": FusedSum(32, 25),
            "mxfp4": FusedSum(64, 35, group=16), "nvfp4": FusedSum(64, 35, group=16),
        }.items()
    },
    ("cdna1", "fp32", ""): Chain("fp32"),
    ("cdna1", "fp16", ""): PairwiseSum(4),
    ("cdna1", "bf16", "f32_16x16x8bf16"): PairwiseSum(2),
    ("cdna1", "bf16", "f32_16x16x16bf16_1k"): PairwiseSum(4),
    ("cdna2", "fp32", ""): Chain("fp32"),
    ("cdna2", "fp64", ""): Chain("fp64"),
    ("cdna2", "fp16", ""): PairwiseSum(4, flush_subnormals=True),
    ("cdna2", "bf16", ""): PairwiseSum(4, flush_subnormals=True),
    ("cdna2", "bf16", "f32_16x16x8bf16"): PairwiseSum(2, flush_subnormals=True),
    ("cdna2", "bf16", "f32_16x16x16bf16_1k"): PairwiseSum(4, flush_subnormals=True),
    ("cdna3", "fp32", ""): Chain("fp32"),
    ("cdna3", "fp64", ""): Chain("fp64"),
    ("cdna3", "fp16", ""): TwoStageSum(8, 24, 31, 24),
    ("cdna3", "bf16", ""): TwoStageSum(8, 24, 31, 24),
    ("cdna3", "tf32", ""): TwoStageSum(4, 24, 31, 24),
    ("cdna3", "fp8", ""): TwoStageSum(16, 24, 31, 24, interleaved=True),
}  # fmt: skip


@pytest.mark.parametrize(("architecture", "dtype", "instruction"), PUBLISHED, ids=str)
def test_a_published_family(architecture: str, dtype: str, instruction: str) -> None:
    found = architectures()[architecture].matrix_arithmetic(dtype, instruction)
    assert found.sums == PUBLISHED[architecture, dtype, instruction]
    assert found.output == ("fp64" if dtype == "fp64" else "fp32")


@pytest.mark.parametrize(
    ("chip", "dtype", "expected"),
    [
        ("h100_pcie", "bf16", MatrixArithmetic("bf16", FusedSum(16, 25))),
        ("h200_sxm", "fp8", MatrixArithmetic("fp8_e4m3", FusedSum(32, 13, 13))),
        ("h100_sxm", "fp32", MatrixArithmetic("fp32", Chain("fp32"))),
        ("h100_sxm", "int8", MatrixArithmetic("int8", IntegerSum(), "int32")),
        ("a100_pcie_40gb", "tf32", MatrixArithmetic("tf32", FusedSum(4, 24))),
        ("a100_sxm_80gb", "fp64", MatrixArithmetic("fp64", Chain("fp64"), "fp64")),
        ("gb200", "nvfp4", MatrixArithmetic("nvfp4", FusedSum(64, 35, group=16))),
        ("mi250x", "bf16", MatrixArithmetic("bf16", PairwiseSum(4, flush_subnormals=True))),
        ("mi325x", "fp8", MatrixArithmetic("fp8_e4m3fnuz", TwoStageSum(16, interleaved=True))),
        ("p100_pcie", "fp16", MatrixArithmetic("fp16", Chain("fp16"), "fp16")),
        ("tpu_v1", "w8a16", MatrixArithmetic("int16", IntegerSum(), "int32")),
        ("tpu_v4", "bf16", MatrixArithmetic("bf16", Chain("fp32", fold=128))),
        ("tpu_v6e", "bf16", MatrixArithmetic("bf16", Chain("fp32", fold=256))),
        ("gaudi3", "fp8", MatrixArithmetic("fp8_e4m3", Chain("fp32", fold=0))),
        ("wormhole", "int8", MatrixArithmetic("int8", IntegerSum(saturate=True), "int32")),
    ],
)  # fmt: skip
def test_a_chip_multiplies_as_its_architecture(
    chip: str, dtype: str, expected: MatrixArithmetic
) -> None:
    assert load_chip(chip).matrix_arithmetic(dtype) == expected


@pytest.mark.parametrize("name", sorted(spec_files("chip")))
def test_every_chip_has_an_arithmetic_for_each_dtype(name: str) -> None:
    chip = load_chip(name)
    for dtype in chip.dtypes:
        found = chip.arithmetic(dtype)
        assert found.name == f"{name} {dtype}"
        for matmul in (found.linear, found.attention):
            find_format(matmul.operand)
            assert (matmul.output == "int32") == isinstance(matmul.sums, IntegerSum)
        assert {found.vector, found.stored, found.kv} <= {"fp32", "bf16", "fp16"}
        if DTYPES[dtype].kind == "float" and DTYPES[dtype].bits >= 16:
            assert found.attention == found.linear


def test_every_packaged_unit_names_its_arithmetic() -> None:
    for name in spec_files("chip"):
        for unit in load_chip(name).spec.core.matrix:
            assert isinstance(unit.arithmetic, str), f"{name}: {unit.style}"


def test_narrow_weights_leave_attention_in_16_bits() -> None:
    chip = load_chip("h100_sxm")
    for dtype in ("fp8", "int8"):
        found = chip.arithmetic(dtype)
        assert found.attention == chip.matrix_arithmetic("bf16")
        assert (found.vector, found.stored, found.kv) == ("fp32", "bf16", "bf16")
    assert load_chip("t4").arithmetic("int8").attention.operand == "fp16"
    assert load_chip("vck190").arithmetic("int8").attention.operand == "fp32"
    assert load_chip("edge_tpu").arithmetic("int8").attention.operand == "int8"


@pytest.mark.parametrize(
    ("dtype", "stored"), [("fp16", "fp16"), ("bf16", "bf16"), ("tf32", "fp32"), ("fp64", "fp32")]
)
def test_activations_are_stored_in_the_width_of_the_dtype(dtype: str, stored: str) -> None:
    assert load_chip("a100_sxm_80gb").arithmetic(dtype).stored == stored


def test_the_cache_has_a_format_of_its_own() -> None:
    chip = load_chip("h100_sxm")
    assert chip.arithmetic("bf16", kv_dtype="fp8").kv == "fp8_e4m3"
    assert chip.arithmetic("bf16", kv_dtype="e5m2").kv == "fp8_e5m2"
    with pytest.raises(WorkloadError, match="unknown number format 'fp9'"):
        chip.arithmetic("bf16", kv_dtype="fp9")


def test_a_missing_dtype_is_refused() -> None:
    with pytest.raises(MappingError, match="v100_sxm has no bf16 matmul"):
        load_chip("v100_sxm").arithmetic("bf16")


def test_other_spellings_of_an_architecture() -> None:
    known = architectures()
    assert find_architecture("AdaLovelace") is known["ada"]
    assert find_architecture("RTXBlackwell") is known["rtx_blackwell"]
    assert find_architecture("CDNA3") is known["cdna3"]
    with pytest.raises(SpecError, match="unknown architecture 'hoper': did you mean 'hopper'"):
        find_architecture("hoper")
    with pytest.raises(SpecError, match=r"no sums for bf16: .*'fp16'"):
        known["volta"].matrix_arithmetic("bf16")


# --- a chip of one's own

UNIT = "{style: systolic, rows: 4, cols: 4, macs_per_pe: {int8: 2, bf16: 1}}"
VECTOR = "    special_per_cycle: 2\n"


def with_arithmetic(text: str) -> str:
    return spoiled(UNIT, UNIT[:-1] + f", arithmetic: {text}}}")


def test_without_a_word_sums_are_fp32_chains(tmp_path: Path) -> None:
    chip = load_chip(write_chip(tmp_path, spoiled(VECTOR, VECTOR + "    runs_matmul: true\n")))
    assert chip.matrix_arithmetic("bf16") == MatrixArithmetic("bf16", Chain("fp32", fold=4))
    assert chip.matrix_arithmetic("int8") == MatrixArithmetic("int8", IntegerSum(), "int32")
    assert chip.matrix_arithmetic("fp32") == MatrixArithmetic("fp32", Chain("fp32"))


def test_the_fold_follows_the_rows(tmp_path: Path) -> None:
    name = write_chip(tmp_path)
    wide = load_chip(name, {"core.matrix.0.rows": 16})
    assert wide.matrix_arithmetic("bf16").sums == Chain("fp32", fold=16)
    staying = load_chip(name, {"core.matrix.0.dataflow": "output_stationary"})
    assert staying.matrix_arithmetic("bf16").sums == Chain("fp32", fold=0)


def test_a_table_in_the_spec(tmp_path: Path) -> None:
    table = "{sums: {bf16: {family: fused_sum, block: 8, alignment_bits: 24, output: fp16}}}"
    chip = load_chip(write_chip(tmp_path, with_arithmetic(table)))
    assert chip.matrix_arithmetic("bf16") == MatrixArithmetic("bf16", FusedSum(8, 24), "fp16")
    [row] = [r for r in chip.provenance if r.path.endswith("alignment_bits")]
    assert (row.path, row.text, row.source) == (
        "core.matrix.0.arithmetic.sums.bf16.alignment_bits", "24", "sheet"
    )  # fmt: skip


def test_a_named_architecture_has_provenance(tmp_path: Path) -> None:
    chip = load_chip(write_chip(tmp_path, with_arithmetic("{value: hopper, status: invented}")))
    assert chip.matrix_arithmetic("bf16").sums == FusedSum(16, 25)
    [row] = [r for r in chip.provenance if r.path == "core.matrix.0.arithmetic"]
    assert (row.text, row.status) == ("hopper", "invented")


def test_a_dtype_that_the_table_leaves_out(tmp_path: Path) -> None:
    chip = load_chip(write_chip(tmp_path, with_arithmetic("volta")))
    assert chip.peak_flop_per_s("bf16") > 0
    says = r"does not say how it sums bf16: core\.matrix\.0\.arithmetic covers int8"
    with pytest.raises(MappingError, match=says):
        chip.arithmetic("bf16")
