"""Rows that are looked up are those of the table struck whole, whichever they are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.functional import faults
from accelsim.functional.faults import FaultInjector, FaultPlan


@given(
    rows=st.integers(1, 40),
    width=st.integers(1, 33),
    asked=st.lists(st.integers(0, 10**6), max_size=12),
    fmt=st.sampled_from(["fp32", "bf16", "fp8_e4m3"]),
    rate=st.sampled_from([0.0, 1e-3, 0.05, 1.0]),
    ecc=st.sampled_from(["none", "secded"]),
    on_detected=st.sampled_from(["keep", "zero"]),
    seed=st.integers(0, 5),
)
@settings(max_examples=60, deadline=None)
def test_rows_of_a_table(rows, width, asked, fmt, rate, ecc, on_detected, seed) -> None:
    held = np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)
    plan = FaultPlan(rate, ecc=ecc, on_detected=on_detected, seed=seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(faults, "_PIECE", 64)  # so that rows lie across pieces
        one, other = FaultInjector(plan), FaultInjector(plan)
        wanted = one.weights("t", held, fmt)
        changes = other.table("t", held.shape, fmt, lambda numbers: held[numbers])
    numbers = np.array(asked, np.int64) % rows
    assert changes.rows(numbers, held[numbers]).tobytes() == wanted[numbers].tobytes()
    assert changes.whole(held).tobytes() == wanted.tobytes()
    assert one.tally == other.tally
    assert [str(e) for e in one.events] == [str(e) for e in other.events]  # NaN is no NaN
