"""The accuracy that the project promises, on all measured rows of these devices at once."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import accelsim

pytestmark = pytest.mark.shared

A100, H100 = "A100_SXM_80GB", "H100_SXM_80GB"
VECTOR_DEVICES = ("A100_PCIE_40GB", "A100_PCIE_80GB", "V100_PCIE_32GB", "MI210_64GB")
VIDUR_DEVICES = ("A100_80GB_VIDUR", "A40_48GB", "H100_80GB_VIDUR")
# Class, devices, dtype: mean and median of the magnitude of the error.
BARS = (
    ("gemm", (A100, H100), "bf16", 0.08, 0.055),
    ("gemm", (A100,), "int8", 0.15, 0.10),
    ("gemm_fp32", VECTOR_DEVICES, "fp32", 0.15, 0.10),
    ("attention_context", (A100, H100), "bf16", 0.14, 0.10),
    ("attention_context", (H100,), "fp8", 0.14, 0.10),
    ("attention_generation", (A100, H100), "bf16", 0.12, 0.08),
    ("elementwise_fp32", VECTOR_DEVICES, "fp32", 0.05, 0.03),
    ("rowwise_fp32", VECTOR_DEVICES, "fp32", 0.14, 0.10),
    ("moe", (H100,), "bf16", 0.20, 0.14),
    ("layer_gemm_vidur", VIDUR_DEVICES, "fp16", 0.10, 0.07),
    ("llmcompass_matmul", ("A100",), "bf16", 0.05, None),
    ("llmcompass_softmax", ("A100",), "fp16", 0.09, None),
)
# Wider than promised (8 %): what the model gives, so that it grows no worse. Layer norms
# were compiled functions: kernels of a generator, not those of the framework that the model has.
MISSED = (("llmcompass_layernorm", ("A100",), "fp16", 0.115, 0.085),)
# No promise: what the model gives.
BESIDE = (
    ("moe", (H100,), "fp8", 0.22, 0.14),
    ("gemm_fp8", (H100,), "fp8", 0.08, 0.06),
    ("gemm_fp8_block", (H100,), "fp8", 0.22, 0.16),
)
CASES = [
    pytest.param(suite, device, dtype, mean, median, id=f"{suite}-{device}-{dtype}")
    for suite, devices, dtype, mean, median in (*BARS, *MISSED, *BESIDE)
    for device in devices
]
LARGEST_ATTENTION_BIAS = 0.05


@pytest.fixture(scope="module")
def errors(shared_dir: Path) -> pd.DataFrame:
    suites = dict.fromkeys(case.values[0] for case in CASES)
    found = accelsim.validate(*suites, data=shared_dir / "silicon", rows=0)
    return found.table.set_index(["suite", "device", "dtype"]).sort_index()


@pytest.mark.parametrize(("suite", "device", "dtype", "mean", "median"), CASES)
def test_errors_are_within_the_bar(
    errors: pd.DataFrame, suite: str, device: str, dtype: str, mean: float, median: float | None
) -> None:
    found = errors.loc[(suite, device, dtype)]
    print(f"MAPE {found['mape']:.1%}, median {found['median']:.1%}, bias {found['bias']:+.1%}")
    assert found["mape"] <= mean
    if median is not None:
        assert found["median"] <= median
    if suite.startswith("attention"):
        assert abs(found["bias"]) <= LARGEST_ATTENTION_BIAS
