"""Eager vector ops of four GPUs against measurement: signed errors printed, limits stated.

Four scalars of each device were fitted to these rows (memory and vector efficiency, dispatch of
the host); H100, whose rows come from traces of models, was not fitted.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from accelsim.scenarios.predict import predict

DEVICES = {
    "A100_PCIE_40GB": "a100_pcie_40gb",
    "A100_PCIE_80GB": "a100_pcie_80gb",
    "V100_PCIE_32GB": "v100_pcie",
    "MI210_64GB": "mi210",
}
BY_ROW = ("softmax", "layernorm")
SHORTEST_US = 40.0  # below, a measurement is of the host and its events


def errors(table: pd.DataFrame, chip: str) -> pd.Series:
    """Signed relative errors of eager predictions; `latency_us` was measured."""
    ops = table[["op", "dtype", "rows", "cols"]].reset_index(drop=True)
    predicted_us = predict(ops, chip, launch="eager").latency_s * 1e6
    return predicted_us / table.latency_us.reset_index(drop=True) - 1


@pytest.mark.shared
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("by_row", "mean", "median"), [(False, 0.05, 0.03), (True, 0.14, 0.10)])
def test_fp32_ops_of_neusight(
    shared_dir: Path, device: str, by_row: bool, mean: float, median: float
) -> None:
    table = pd.read_csv(shared_dir / "silicon" / "vector_ops.csv")
    table = table[(table.device == device) & (table.latency_us >= SHORTEST_US)]
    table = table[table.op.isin(BY_ROW) == by_row]
    found = errors(table.assign(dtype="fp32"), DEVICES[device])
    kind = "row-wise" if by_row else "elementwise"
    print(f"{device} {kind}: {len(found)} rows, MAPE {found.abs().mean():.1%}, "
          f"bias {found.mean():+.1%}")  # fmt: skip
    assert found.abs().mean() <= mean
    assert found.abs().median() <= median


@pytest.mark.shared
def test_fp16_softmax_of_llmcompass(shared_dir: Path) -> None:
    table = pd.read_csv(shared_dir / "llmcompass" / "measured.csv")
    table = table[table.op == "softmax"].astype({"rows": int, "cols": int})
    found = errors(table.assign(latency_us=table.measured_latency_s * 1e6), "a100_sxm_80gb")
    print(f"A100 softmax: MAPE {found.abs().mean():.1%}, bias {found.mean():+.1%}")
    assert found.abs().mean() <= 0.09
