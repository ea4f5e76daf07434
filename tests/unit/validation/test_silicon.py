"""Are the files of the extra [silicon] mapped to predict's columns, and spoiled rows counted?"""

from __future__ import annotations

from pathlib import Path

import pytest

from accelsim.validation import rules
from accelsim.validation.measured import MeasuredOps
from accelsim.validation.silicon import SUITES, _version_key, read_silicon
from tests.unit.validation.parquet_files import GEMMS, silicon_like, write_table


@pytest.fixture
def found(tmp_path: Path) -> MeasuredOps:
    return read_silicon(silicon_like(tmp_path))


def reasons(found: MeasuredOps, suite: str) -> dict[str, int]:
    return {part.reason: part.rows for part in found.left_out if part.suite == suite}


def test_gemms_are_those_that_say_something_of_a_kernel(found: MeasuredOps) -> None:
    gemms = found.frame[found.frame["suite"] == "gemm"]
    assert gemms["dtype"].tolist() == ["bf16", "bf16", "int8"]
    assert gemms["m"].tolist() == [4096, 1, 4096]
    assert gemms["measured_s"].tolist() == pytest.approx([2e-3, 6e-5, 1e-3])
    assert reasons(found, "gemm") == {
        rules.WEIGHT_ONLY: 1, rules.OTHER_FORMAT: 1, rules.L2_RESIDENT: 1,
        rules.SHORT.format(3.0): 1,
    }  # fmt: skip


def test_gemms_that_convert_their_activations_say_how(found: MeasuredOps) -> None:
    for suite, way, seconds in (("gemm_fp8", "tensor", 1.0e-3), ("gemm_fp8_block", "block", 9e-4)):
        [row] = found.frame[found.frame["suite"] == suite].to_dict("records")
        assert (row["dtype"], row["quantize"], row["m"]) == ("fp8", way, 4096)
        assert row["measured_s"] == pytest.approx(seconds)


def test_collectives_of_the_newest_version_count_bytes(found: MeasuredOps) -> None:
    rows = found.frame[found.frame["system"].notna()]
    columns = ["suite", "op", "system", "devices", "bytes"]
    assert rows[columns].to_numpy().tolist() == [
        ["all_reduce", "all_reduce", "dgx_h100", 8, 2**21],
        ["all_to_all", "all_to_all", "dgx_h100", 8, 2**21],
        ["custom_all_reduce", "all_reduce", "dgx_h100", 2, 2**21],
    ]
    assert set(rows["source"]) == {
        "aiconfigurator-core nccl 2.29.2", "aiconfigurator-core trtllm 1.3.0rc20",
    }  # fmt: skip
    assert reasons(found, "custom_all_reduce") == {rules.NO_SYSTEM: 1}


def test_attention_maps_phases_and_drops_what_ran_as_fp8(found: MeasuredOps) -> None:
    context = found.frame[found.frame["suite"] == "attention_context"]
    assert context[["q_len", "kv_len", "causal"]].to_numpy().tolist() == [[1024, 1024, True]] * 2
    assert context["kv_dtype"].tolist() == ["bf16", "fp8"]
    generation = found.frame[found.frame["suite"] == "attention_generation"].iloc[0]
    assert (generation["q_len"], generation["kv_len"], generation["causal"]) == (1, 4096, False)
    assert reasons(found, "attention_context") == {
        rules.SUSPECT_FMHA: 1, rules.WINDOWED: 1, rules.SHORT.format(5.0): 1,
    }  # fmt: skip


def test_experts_are_those_of_one_device(found: MeasuredOps) -> None:
    [moe] = found.frame[found.frame["suite"] == "moe"].to_dict("records")
    assert (moe["inter"], moe["experts"], moe["experts_local"]) == (768, 128, 32)
    assert reasons(found, "moe") == {
        rules.UNBALANCED: 1, rules.OTHER_FORMAT: 1, rules.NO_GATE: 1, rules.SHORT.format(10.0): 1,
    }  # fmt: skip


def test_every_row_says_where_it_comes_from(found: MeasuredOps) -> None:
    assert set(found.frame["chip"]) == {"h100_sxm"}
    assert set(found.frame["launch"]) == {"graph"}
    kernels = found.frame[found.frame["system"].isna()]
    assert set(kernels["source"]) == {"aiconfigurator-core trtllm 1.3.0rc20"}
    assert "aiconfigurator-core" in found.versions


def test_chips_classes_and_rows_can_be_chosen(tmp_path: Path) -> None:
    folder = silicon_like(tmp_path)
    assert len(read_silicon(folder, ["a40"])) == 0
    assert set(read_silicon(folder, None, ["moe"]).frame["suite"]) == {"moe"}
    few = read_silicon(folder, None, ["gemm"], rows=1)
    assert few.frame["dtype"].tolist() == ["bf16", "int8"]
    assert any("beyond a sample of 1 " in part.reason for part in few.left_out)
    assert set(SUITES) == {
        "gemm", "gemm_fp8", "gemm_fp8_block", "attention_context", "attention_generation", "moe",
        "all_reduce", "all_gather", "reduce_scatter", "all_to_all", "custom_all_reduce",
    }  # fmt: skip


def test_the_fullest_version_of_the_first_backend_is_taken(tmp_path: Path) -> None:
    folder = silicon_like(tmp_path)
    newer = folder / "h100_sxm/gemm/trtllm/1.3.0rc23/gemm_perf.parquet"
    write_table(newer, GEMMS[:1])
    assert set(read_silicon(folder, None, ["gemm"]).frame["source"]) == {
        "aiconfigurator-core trtllm 1.3.0rc20"
    }
    write_table(newer, GEMMS * 500)
    assert set(read_silicon(folder, None, ["gemm"]).frame["source"]) == {
        "aiconfigurator-core trtllm 1.3.0rc23"
    }


def test_release_candidates_come_before_their_release() -> None:
    ordered = ["0.9", "1.0.0", "1.3.0rc9", "1.3.0rc20", "1.3.0", "1.10.0"]
    assert sorted(ordered, key=_version_key) == ordered
