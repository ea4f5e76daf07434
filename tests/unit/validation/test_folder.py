"""Is a folder of extracts read with the limits that its measurements set?"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from accelsim.errors import WorkloadError
from accelsim.validation import rules
from accelsim.validation.collectives import COLLECTIVE_SUITES
from accelsim.validation.compare import compare
from accelsim.validation.folder import read_folder

GEMM = {
    "source": "aiconfigurator", "device": "A100_SXM_80GB", "dtype": "bfloat16", "batch": 1,
    "m": 64, "n": 4096, "k": 4096, "latency_us": 40.0, "l2_resident": 0,
}  # fmt: skip
EAGER = {**GEMM, "source": "neusight", "dtype": "fp32", "batch": 8, "latency_us": 500.0}


def write(path: Path, rows: list[dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(path, index=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "silicon"
    write(root / "gemm.csv.gz", [
        GEMM, {**GEMM, "dtype": "sq"}, {**GEMM, "latency_us": 2.0}, {**GEMM, "l2_resident": 1},
        {**GEMM, "dtype": "fp8"}, {**GEMM, "dtype": "fp8", "l2_resident": 1},
        {**GEMM, "dtype": "fp8_block"}, {**GEMM, "dtype": "int8_wo"},
        {**GEMM, "device": "SECRET_9000"}, EAGER, {**EAGER, "latency_us": 60.0},
    ])  # fmt: skip
    write(root / "vector_ops.csv", [
        {"device": "V100_PCIE_32GB", "op": op, "rows": 4096, "cols": 512, "latency_us": us}
        for op, us in (("add", 50.0), ("add", 39.0), ("softmax", 41.0))
    ])  # fmt: skip
    write(root / "layer_vidur.csv", [{
        "device": "A40_48GB", "tp": 2, "num_tokens": 16, "n_head": 32, "n_kv_head": 8,
        "n_embd": 4096, "n_expanded_embd": 11008, "use_gated_mlp": True, "attn_pre_proj_us": 50.0,
        "attn_post_proj_us": 4.0, "mlp_up_proj_us": 90.0, "mlp_down_proj_us": None,
    }])  # fmt: skip
    write(tmp_path / "llmcompass" / "measured.csv", [
        {"device": "A100", "n_devices": 1, "op": "matmul", "m": 64, "n": 128, "k": 256,
         "rows": None, "cols": None, "elements": None, "bytes": None, "measured_latency_s": 3e-5},
        {"device": "A100", "n_devices": 1, "op": "softmax", "m": None, "n": None, "k": None,
         "rows": 64, "cols": 128, "elements": 8192, "bytes": None, "measured_latency_s": 2e-5},
        {"device": "A100", "n_devices": 1, "op": "gelu", "m": None, "n": None, "k": None,
         "rows": None, "cols": None, "elements": 8192, "bytes": None, "measured_latency_s": 5e-5},
        {"device": "A100", "n_devices": 4, "op": "allreduce", "m": None, "n": None, "k": None,
         "rows": None, "cols": None, "elements": 8192, "bytes": 16384, "measured_latency_s": 2e-5},
    ])  # fmt: skip
    write(root / "collectives.csv", [
        {"source": source, "device": device, "op": op, "topology": topology, "num_gpus": devices,
         "bytes": 2**20, "latency_us": 50.0}
        for source, device, op, topology, devices in (
            ("nccl-tests", "H100_SXM_80GB", "all_gather", "single node", 8),
            ("custom_allreduce", "A100_SXM_80GB", "all_reduce", "single node", 2),
            ("vidur", "A100_80GB_VIDUR", "all_reduce", "a100_dgx/devices_per_node=4", 4),
            ("vidur", "A100_80GB_VIDUR", "all_reduce", "a100_dgx/devices_per_node=8", 16),
            ("vidur", "A40_48GB", "send_recv", "a40_pairwise_nvlink/devices_per_node=2", 2),
        )
    ])  # fmt: skip
    return root


def test_classes_and_their_rows(folder: Path) -> None:
    found = read_folder(folder)
    counts = found.frame.groupby("suite", sort=False).size().to_dict()
    assert counts == {
        "gemm_fp8": 1, "gemm_fp8_block": 1, "gemm": 2, "gemm_fp32": 1, "elementwise_fp32": 1,
        "rowwise_fp32": 1, "layer_gemm_vidur": 2, "all_reduce": 1, "all_gather": 1,
        "custom_all_reduce": 1, "llmcompass_matmul": 1, "llmcompass_softmax": 1,
        "llmcompass_gelu": 1, "llmcompass_all_reduce": 1,
    }  # fmt: skip
    launches = found.frame.groupby("suite")["launch"].first()
    assert launches["gemm"] == launches["layer_gemm_vidur"] == launches["all_gather"] == "graph"
    assert launches["gemm_fp32"] == launches["llmcompass_softmax"] == "eager"
    assert launches["llmcompass_gelu"] == "compiled"


def test_conversions_within_the_measured_time_are_said(folder: Path) -> None:
    gemms = read_folder(folder, ["gemm", "gemm_fp8", "gemm_fp8_block"]).frame
    assert gemms["quantize"].fillna("").tolist() == ["tensor", "block", "", ""]
    assert gemms["dtype"].tolist() == ["fp8", "fp8", "bf16", "int8"]


def test_collectives_are_of_one_node_of_a_packaged_system(folder: Path) -> None:
    found = read_folder(folder, COLLECTIVE_SUITES)
    rows = found.frame[["suite", "op", "system", "devices", "bytes"]].to_numpy().tolist()
    assert rows == [
        ["all_reduce", "all_reduce", "dgx_a100", 4, 2**20],
        ["all_gather", "all_gather", "dgx_h100", 8, 2**20],
        ["custom_all_reduce", "all_reduce", "dgx_a100", 2, 2**20],
    ]
    answer, refused = compare(found)
    assert (answer["bound"] == "network").all()
    assert not refused


def test_gemms_of_a_layer_are_those_of_one_device(folder: Path) -> None:
    layer = read_folder(folder, ["layer_gemm_vidur"]).frame
    # QKV: half of 32 heads and half of twice 8, of 128; up and gate: half of twice 11008.
    assert layer[["m", "n", "k"]].to_numpy().tolist() == [[16, 3072, 4096], [16, 11008, 4096]]
    assert set(layer["dtype"]) == {"fp16"}


def test_every_row_left_out_is_counted(folder: Path) -> None:
    counts = {(p.suite, p.reason): p.rows for p in read_folder(folder).left_out}
    assert counts == {
        ("gemm_fp8", rules.L2_RESIDENT): 1, ("gemm", rules.WEIGHT_ONLY): 1,
        ("gemm", rules.L2_RESIDENT): 1, ("gemm", rules.SHORT.format(3.0)): 1,
        ("gemm", rules.NO_CHIP): 1, ("gemm_fp32", rules.SHORT.format(100.0)): 1,
        ("elementwise_fp32", rules.SHORT.format(40.0)): 1,
        ("layer_gemm_vidur", rules.SHORT.format(5.0)): 1, ("all_reduce", rules.NO_SYSTEM): 1,
        ("send_recv", rules.NO_SYSTEM): 1,
    }  # fmt: skip


def test_a_malformed_cell_drops_its_row_and_no_other(folder: Path) -> None:
    bad = [{"m": "many"}, {"m": None}, {"m": 0.5}, {"m": 1e300}, {"n": "inf"},
           {"latency_us": -5.0}, {"latency_us": "inf"}, {"latency_us": "nan"},
           {"latency_us": 1e15}]  # fmt: skip
    write(folder / "gemm.csv", [GEMM, *({**GEMM, **cells} for cells in bad)])
    found = read_folder(folder, ["gemm"])
    assert found.frame["m"].tolist() == [64]
    assert {(p.reason, p.rows) for p in found.left_out} == {
        (rules.NO_NUMBER.format("m"), 1), (rules.NO_NUMBER.format("n"), 1),
        (rules.NO_NUMBER.format("latency_us"), 1), (rules.NOT_POSITIVE.format("latency_us"), 1),
        (rules.NO_SIZE.format("m"), 3), (rules.NO_TIME, 2),
    }  # fmt: skip
    answer, refused = compare(found)
    assert len(answer) == 1
    assert not refused


def test_bad_folders_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match="is no folder of measurements"):
        read_folder(tmp_path / "nowhere")
    empty = tmp_path / "other" / "empty"
    empty.mkdir(parents=True)
    with pytest.raises(WorkloadError, match="holds none of gemm"):
        read_folder(empty)
    write(folder / "gemm.csv", [{"source": "aiconfigurator"}])
    with pytest.raises(WorkloadError, match="the column 'dtype' is missing"):
        read_folder(folder)
