"""MoE layers and conversions on GPUs: more of anything is never slower, nor is less work."""

from __future__ import annotations

from functools import cache

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim import predict
from accelsim.arch.loader import load_chip
from accelsim.arch.system import System

# A split of k that just fills the cores is tried for their number alone: one more may fit worse.
_TOLERANCE = 1.05
CHIPS = ("a100_sxm_80gb", "h100_sxm", "l40s", "b200_sxm")
UPGRADES = {
    "memory.bandwidth": ("8 TB/s", "12 TB/s"),
    "cores": (160, 200),
    "clock": ("2 GHz", "2.5 GHz"),
    "shared.bandwidth": ("20 TB/s", "30 TB/s"),
    "shared.capacity": ("128 MiB", "256 MiB"),
}
LAYERS = st.fixed_dictionaries({
    "op": st.just("moe"), "dtype": st.sampled_from(("bf16", "fp8")),
    "tokens": st.integers(1, 20_000),
    "hidden": st.sampled_from((1024, 4096, 7168)), "inter": st.sampled_from((128, 1536, 8192)),
    "experts": st.just(128), "experts_local": st.sampled_from((1, 16, 128)),
    "topk": st.sampled_from((1, 2, 8)), "imbalance": st.sampled_from((1.0, 1.5, 4.0)),
})  # fmt: skip
PRODUCTS = st.fixed_dictionaries({
    "op": st.just("matmul"), "dtype": st.just("fp8"), "m": st.integers(1, 20_000),
    "n": st.just(4096), "k": st.sampled_from((512, 4096, 16384)),
    "quantize": st.sampled_from(("static", "tensor", "block")),
})  # fmt: skip


@cache
def upgraded(chip: str, field: str, step: int) -> System:
    """The chip with one field at the lower (0) or higher (1) of its values, and power to spare.

    Under a power limit the tile of least time may be one of more energy.
    """
    return System.of_chip(load_chip(chip, {field: UPGRADES[field][step], "power.tdp": "20 kW"}))


def seconds(row: dict[str, object], on: System | str) -> float:
    return float(predict(pd.DataFrame([row]), on, emulate_dtype=True).latency_s[0])


@settings(max_examples=60)
@given(LAYERS | PRODUCTS, st.sampled_from(CHIPS), st.sampled_from(sorted(UPGRADES)))
def test_an_upgrade_is_never_slower(row: dict[str, object], chip: str, field: str) -> None:
    less, more = (upgraded(chip, field, step) for step in (0, 1))
    assert seconds(row, more) <= seconds(row, less) * _TOLERANCE


@settings(max_examples=20)
@given(LAYERS, st.sampled_from(CHIPS))
def test_the_busiest_device_is_never_faster(row: dict[str, object], chip: str) -> None:
    even = seconds(row | {"imbalance": 1.0}, chip)
    assert even <= seconds(row, chip) * (1 + 1e-2)


@settings(max_examples=20)
@given(PRODUCTS, st.sampled_from(CHIPS))
def test_conversion_costs(row: dict[str, object], chip: str) -> None:
    alone = seconds(row | {"quantize": "none"}, chip)
    static, tensor = (seconds(row | {"quantize": how}, chip) for how in ("static", "tensor"))
    assert alone < static < tensor
