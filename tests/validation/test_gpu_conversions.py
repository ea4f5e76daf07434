"""Conversions of serving libraries on H100 against measurements; test_bars.py holds layers.

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


@pytest.mark.parametrize(("dtype", "how"), [("fp8", "tensor"), ("fp8_block", "block")])
def test_conversions_explain_a_part_of_linear_layers(
    dtype: str, how: str, h100: System, shared_dir: Path
) -> None:
    rows = pd.read_csv(shared_dir / "silicon" / "gemm.csv.gz", low_memory=False)
    rows = rows[(rows.device == _DEVICE) & (rows.dtype == dtype) & (rows.l2_resident == 0)]
    ops = pd.DataFrame({
        "op": "matmul", "dtype": "fp8", "m": rows.m, "n": rows.n, "k": rows.k, "quantize": how
    })  # fmt: skip
    error = np.abs(errors(ops, rows.latency_us, h100))
    without = np.abs(errors(ops.assign(quantize="none"), rows.latency_us, h100))
    assert error.mean() < without.mean()
