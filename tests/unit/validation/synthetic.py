"""Measurements of a card whose scalars are known: predictions with those, and some scatter."""

from __future__ import annotations

import numpy as np
import pandas as pd

from accelsim.arch.loader import load_chip
from accelsim.arch.system import System
from accelsim.scenarios.predict import predict
from accelsim.validation.scalars import with_values

CHIP = "a100_sxm_80gb"


def gemms(rows: int = 90) -> pd.DataFrame:
    random = np.random.default_rng(7)
    sizes = {
        name: 2 ** random.integers(low, 14, rows) for name, low in (("m", 0), ("n", 8), ("k", 8))
    }
    return pd.DataFrame({"op": "matmul", "dtype": "bf16", **sizes})


def adds(rows: int = 60) -> pd.DataFrame:
    random = np.random.default_rng(8)
    sizes = {"rows": 2 ** random.integers(4, 16, rows), "cols": 2 ** random.integers(7, 13, rows)}
    return pd.DataFrame({"op": "add", "dtype": "fp32", **sizes})


def measured(
    ops: pd.DataFrame,
    scatter: float = 0.03,
    launch: str = "graph",
    *,
    chip: str = CHIP,
    **scalars: float,
) -> pd.DataFrame:
    """Return the ops with times as a card with these scalars would show them."""
    system = System.of_chip(with_values(load_chip(chip), scalars))
    times_s = predict(ops, system, launch)["latency_s"].to_numpy(float)
    noise = np.random.default_rng(9).normal(0, scatter, len(ops))
    return ops.assign(measured_us=1e6 * times_s * np.exp(noise))
