"""Whatever the shape, the array and its features: the PEs agree with hand-derived counts."""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.arch.array import ArrayFeatures, Sparsity, SystolicArray
from accelsim.timing.pe_level import simulate_array

SIZES = st.integers(1, 14)
SIDES = st.integers(1, 6)
SPARSITIES = st.integers(1, 5).flatmap(
    lambda m: st.builds(Sparsity, n=st.integers(1, m), m=st.just(m))
)
FEATURES = st.builds(
    ArrayFeatures,
    arrays=st.integers(1, 6),
    double_buffer=st.booleans(),
    mac_latency_cycles=st.integers(1, 4),
    packing=st.integers(1, 3),
    packed=st.sampled_from(["stream", "rows", "cols"]),
)


@st.composite
def arrays(draw: Any) -> SystolicArray:
    dataflow = draw(st.sampled_from(["ws", "os", "is"]))
    features = draw(FEATURES)
    if dataflow != "is" and draw(st.booleans()):
        changed = {**vars(features), "sparsity": draw(SPARSITIES)}
        features = ArrayFeatures(**changed)
    return SystolicArray(dataflow, draw(SIDES), draw(SIDES), features)


@st.composite
def problems(draw: Any, dtype: str = "int16") -> tuple[SystolicArray, Any, Any]:
    array, (m, n, k) = draw(arrays()), (draw(SIZES) for _ in "mnk")
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    a = random.integers(-2, 3, (m, k)).astype(dtype)
    b = random.integers(-2, 3, (k, n)).astype(dtype)
    sparsity = array.features.sparsity
    for k0 in range(0, k if sparsity else 0, sparsity.m if sparsity else 1):
        group = b[k0 : k0 + sparsity.m]
        for col in range(n):
            group[random.permutation(len(group))[sparsity.n :], col] = 0
    return array, a, b


def hand_counts(array: SystolicArray, m: int, n: int, k: int) -> dict[str, int]:
    """Write the textbook's formulas out once more, for the random arrays above."""
    extra, (rows, cols) = array.features, (array.rows, array.cols)
    kept = extra.sparsity.kept(k) if extra.sparsity else k
    on_rows, on_cols, stream = {"ws": (kept, n, m), "os": (m, n, kept), "is": (k, m, n)}[
        array.dataflow
    ]
    high = rows * extra.packing if extra.packed == "rows" else rows
    wide = cols * extra.packing if extra.packed == "cols" else cols
    beats = ceil(stream / extra.packing) if extra.packed == "stream" else stream
    row_folds, col_folds = ceil(on_rows / high), ceil(on_cols / wide)
    folds, copies = row_folds * col_folds, 1
    if folds < extra.arrays and array.dataflow != "os":
        copies = min(extra.arrays // folds, beats)
    turns, beats, latency = (
        ceil(folds / extra.arrays),
        ceil(beats / copies),
        extra.mac_latency_cycles,
    )
    alone = beats + rows + cols - 2 + (latency - 1)
    if array.dataflow != "os":
        alone = rows + beats + rows * latency + cols - 2
    cycles = (turns - 1) * max(beats, rows) + alone if extra.double_buffer else turns * alone
    again = 0  # a group of sparse weights cut by the border of a fold needs its activations twice
    if array.dataflow == "ws" and extra.sparsity:
        for slot in range(high, kept, high):
            first = slot // extra.sparsity.n * extra.sparsity.m
            again += min(extra.sparsity.m, k - first) if slot % extra.sparsity.n else 0
    reads_a = {"ws": m * (k + again) * col_folds, "os": m * k * col_folds, "is": m * k * copies}
    reads_b = {"ws": kept * n * copies, "os": kept * n * row_folds, "is": k * n * col_folds}
    return {
        "folds": folds,
        "cycles": cycles,
        "sram_reads_a": reads_a[array.dataflow],
        "sram_reads_b": reads_b[array.dataflow],
        "sram_writes_c": m * n if array.dataflow == "os" else m * n * row_folds,
        "macs": m * n * kept,
    }


@settings(max_examples=300)
@given(problems())
def test_result_cycles_and_accesses(problem: tuple[SystolicArray, Any, Any]) -> None:
    array, a, b = problem
    run = simulate_array(a, b, array)
    np.testing.assert_array_equal(run.result, a.astype(np.int64) @ b.astype(np.int64))
    expected = hand_counts(array, *a.shape[:1], b.shape[1], a.shape[1])
    assert {name: getattr(run, name) for name in expected} == expected


@given(problems())
def test_a_trace_changes_nothing_and_agrees(problem: tuple[SystolicArray, Any, Any]) -> None:
    array, a, b = problem
    run, traced = simulate_array(a, b, array), simulate_array(a, b, array, trace=True)
    assert traced.trace is not None
    np.testing.assert_array_equal(run.active_per_cycle, traced.active_per_cycle)
    np.testing.assert_array_equal(run.result, traced.result)
    seen = traced.trace.active.sum(axis=(1, 2))
    assert (seen <= run.active_per_cycle).all()
    if array.features.arrays == 1:
        np.testing.assert_array_equal(seen, run.active_per_cycle)


@given(problems())
def test_work_is_bounded_by_the_array(problem: tuple[SystolicArray, Any, Any]) -> None:
    array, a, b = problem
    run = simulate_array(a, b, array)
    packing = array.features.packing
    assert run.macs <= packing * run.active_pe_cycles <= packing * run.macs
    assert 0 < run.utilization <= 1
    assert run.active_per_cycle.max() <= array.pes * array.features.arrays
    assert max(run.zero_a_macs, run.zero_b_macs) <= run.zero_macs <= run.macs
    assert run.zero_macs <= run.zero_a_macs + run.zero_b_macs


@given(SIDES, SIDES, SIZES, SIZES, SIZES, st.sampled_from(["ws", "os", "is"]))
def test_zeros_are_those_of_all_pairs(
    rows: int, cols: int, m: int, n: int, k: int, dataflow: Any
) -> None:
    random = np.random.default_rng(rows * cols + m * n * k)
    a, b = random.integers(-1, 2, (m, k)), random.integers(-1, 2, (k, n))
    run = simulate_array(a, b, SystolicArray(dataflow, rows, cols))
    left, right = (a == 0)[:, :, None], (b == 0)[None]
    every = np.ones((m, k, n), bool)
    assert run.zero_a_macs == (left & every).sum()
    assert run.zero_b_macs == (right & every).sum()
    assert run.zero_macs == (left | right).sum()


@given(problems(dtype="float32"))
def test_small_integers_are_exact_in_floats(problem: tuple[SystolicArray, Any, Any]) -> None:
    array, a, b = problem
    np.testing.assert_array_equal(simulate_array(a, b, array).result, a @ b)
