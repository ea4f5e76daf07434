"""Attention of serving libraries on A100 and H100 against measurements."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from accelsim import predict

CHIPS = {"A100_SXM_80GB": "a100_sxm_80gb", "H100_SXM_80GB": "h100_sxm"}
# Mean and median absolute error that the project promises.
BARS = {"context": (0.14, 0.10), "generation": (0.12, 0.08)}
_DTYPES = {"bfloat16": "bf16", "fp8": "fp8"}


@pytest.mark.shared
@pytest.mark.parametrize("phase", list(BARS))
@pytest.mark.parametrize("device", list(CHIPS))
def test_error_is_within_the_bar(device: str, phase: str, shared_dir: Path) -> None:
    rows = pd.read_csv(shared_dir / "silicon" / "attention.csv", low_memory=False)
    rows = rows[(rows.device == device) & (rows.phase == phase) & rows.flag.isna()]
    rows = rows[(rows.latency_us >= 5) & rows.attn_dtype.isin(list(_DTYPES))]
    ops = pd.DataFrame({
        "op": "attention", "dtype": rows.attn_dtype.map(_DTYPES),
        "kv_dtype": rows.kv_cache_dtype.map(_DTYPES), "batch": rows.batch, "heads": rows.heads,
        "kv_heads": rows.kv_heads, "head_dim": rows.head_dim, "q_len": rows.q_len,
        "kv_len": rows.kv_len, "causal": phase == "context",
    })  # fmt: skip
    predicted = predict(ops, CHIPS[device]).latency_s.to_numpy()
    error = predicted / (rows.latency_us.to_numpy() * 1e-6) - 1
    assert np.abs(error).mean() <= BARS[phase][0]
    assert np.median(np.abs(error)) <= BARS[phase][1]
    assert abs(error.mean()) <= 0.05
