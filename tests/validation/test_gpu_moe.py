"""MoE layers and conversions of serving libraries on H100 against measurements.

The scalars are those that fit matmuls and attention of these libraries.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from accelsim import predict
from accelsim.arch.loader import load_chip
from accelsim.arch.system import System

pytestmark = pytest.mark.shared
_DEVICE = "H100_SXM_80GB"
# Layers in 8 bits, and layers whose rows are uneven, have no bar: what the model gives.
BARS = {"bfloat16": (0.20, 0.14), "fp8": (0.25, 0.14), "fp8_block": (0.22, 0.17)}


@pytest.fixture(scope="module")
def h100() -> System:
    return System.of_chip(
        load_chip(
            "h100_sxm",
            {
                "calibration.matrix_efficiency": 1.0,
                "calibration.memory_efficiency": 0.87,
                "calibration.shared_efficiency": 0.7,
                "calibration.memory_latency": "0.6 us",
                "calibration.kernel_overhead": "1.5 us",
            },
        )
    )


def errors(ops: pd.DataFrame, latency_us: pd.Series, system: System) -> NDArray[np.float64]:
    predicted = predict(ops.reset_index(drop=True), system).latency_s.to_numpy()
    found: NDArray[np.float64] = predicted / (latency_us.to_numpy() * 1e-6) - 1
    return found


@pytest.mark.parametrize("dtype", list(BARS))
def test_balanced_layers_are_within_the_bar(dtype: str, h100: System, shared_dir: Path) -> None:
    rows = pd.read_csv(shared_dir / "silicon" / "moe.csv")
    rows = rows[(rows.device == _DEVICE) & (rows.dtype == dtype) & (rows.latency_us >= 10)]
    rows = rows[rows.distribution == "balanced"]
    ops = pd.DataFrame({
        "op": "moe", "dtype": "bf16" if dtype == "bfloat16" else "fp8", "tokens": rows.num_tokens,
        "hidden": rows.hidden_size, "inter": rows.inter_size // rows.moe_tp_size,
        "experts": rows.num_experts, "experts_local": rows.num_experts // rows.moe_ep_size,
        "topk": rows.topk,
    })  # fmt: skip
    error = np.abs(errors(ops, rows.latency_us, h100))
    assert error.mean() <= BARS[dtype][0]
    assert np.median(error) <= BARS[dtype][1]


def test_the_largest_magnitude_takes_as_long_as_measured(h100: System, shared_dir: Path) -> None:
    rows = pd.read_csv(shared_dir / "silicon" / "fp8_quant_overhead.csv")
    bars = {"compute_scale": ("amax", 0.07), "scale_matrix": ("quantize", 0.40)}
    for name, (fn, bar) in bars.items():
        kept = rows[rows.op_name == name]
        ops = pd.DataFrame({"op": fn, "dtype": "bf16", "rows": kept.m, "cols": kept.k})
        assert np.abs(errors(ops, kept.latency_us, h100)).mean() <= bar
        # Kernels above the floor, which a dependent launch makes shorter than two are apart.
        long = (kept.latency_us > 4).to_numpy()
        assert np.abs(errors(ops, kept.latency_us, h100)[long]).mean() <= 0.12


@pytest.mark.parametrize(("dtype", "how", "bar"), [("fp8", "tensor", 0.15),
                                                   ("fp8_block", "block", 0.22)])  # fmt: skip
def test_linear_layers_with_their_conversions(
    dtype: str, how: str, bar: float, h100: System, shared_dir: Path
) -> None:
    rows = pd.read_csv(shared_dir / "silicon" / "gemm.csv.gz", low_memory=False)
    rows = rows[(rows.device == _DEVICE) & (rows.dtype == dtype) & (rows.l2_resident == 0)]
    ops = pd.DataFrame({
        "op": "matmul", "dtype": "fp8", "m": rows.m, "n": rows.n, "k": rows.k, "quantize": how
    })  # fmt: skip
    error = np.abs(errors(ops, rows.latency_us, h100))
    without = np.abs(errors(ops.assign(quantize="none"), rows.latency_us, h100))
    assert error.mean() <= bar
    assert error.mean() < without.mean()
