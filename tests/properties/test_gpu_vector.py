"""Vector work of GPUs: more of anything is never slower, nor is less work."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.arch.chip import Chip
from accelsim.arch.loader import load_chip
from accelsim.mapping.fusion import group_ops
from accelsim.timing.gpu_vector import gpu_vector_times
from accelsim.workload.ops import Vector

_TOLERANCE = 1 + 1e-9
CHIPS = ("v100_pcie", "a100_sxm_80gb", "h100_sxm", "mi210", "l40s", "t4", "p4", "b200_sxm")
FUNCTIONS = ("add", "relu", "gelu", "pow", "softmax", "layernorm", "rmsnorm", "cross_entropy")
SIZES = st.integers(1, 40_000)
UNITS = {
    "memory.bandwidth": " B/s",
    "cores": None,
    "clock": " Hz",
    "shared.capacity": " B",
    "shared.bandwidth": " B/s",
    "core.scratchpad.capacity": " B",
}


def value(chip: Chip, field: str) -> float:
    spec = chip.spec
    assert spec.shared is not None
    return {
        "memory.bandwidth": spec.memory.bandwidth_bytes_per_s,
        "cores": spec.cores,
        "clock": spec.clock_hz,
        "shared.capacity": spec.shared.capacity_bytes,
        "shared.bandwidth": spec.shared.bandwidth_bytes_per_s,
        "core.scratchpad.capacity": spec.core.scratchpad.capacity_bytes,
    }[field]


def raised(chip: Chip, field: str, factor: float) -> Chip:
    number, unit = round(value(chip, field) * factor), UNITS[field]
    return load_chip(chip.name, {field: number if unit is None else f"{number}{unit}"})


@pytest.fixture(scope="module")
def improved() -> dict[tuple[str, str], tuple[Chip, ...]]:
    """Each chip with each field at once, 1.25 and 8 times its value."""
    return {
        (name, field): tuple(raised(load_chip(name), field, factor) for factor in (1, 1.25, 8))
        for name in CHIPS
        for field in UNITS
    }


def seconds(op: Vector, chip: Chip) -> float:
    (group,) = group_ops([op], chip)
    return gpu_vector_times(group, chip)[1]


@pytest.mark.parametrize("field", UNITS)
@given(
    name=st.sampled_from(CHIPS), fn=st.sampled_from(FUNCTIONS), rows=SIZES, cols=SIZES,
    dtype=st.sampled_from(("fp32", "bf16", "fp8")),
)  # fmt: skip
@settings(max_examples=150)
def test_more_is_never_slower(
    improved: dict[tuple[str, str], tuple[Chip, ...]],
    field: str, name: str, fn: str, rows: int, cols: int, dtype: str,
) -> None:  # fmt: skip
    op = Vector("v", fn=fn, rows=rows, cols=cols, dtype=dtype)
    plain, better, best = (seconds(op, chip) for chip in improved[name, field])
    assert best <= better * _TOLERANCE
    assert better <= plain * _TOLERANCE


@given(
    name=st.sampled_from(CHIPS), fn=st.sampled_from(FUNCTIONS), rows=SIZES, more=SIZES, cols=SIZES
)
@settings(max_examples=150)
def test_more_rows_are_never_faster(name: str, fn: str, rows: int, more: int, cols: int) -> None:
    chip = load_chip(name)
    fewer, larger = (Vector("v", fn=fn, rows=n, cols=cols) for n in (rows, rows + more))
    assert seconds(fewer, chip) <= seconds(larger, chip) * _TOLERANCE
