"""PE-level arrays = arrays of PE objects, register by register; float sums = the stated order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from accelsim.arch.array import ArrayFeatures, SystolicArray
from accelsim.timing.pe_level import ArrayRun, simulate_array
from tests.oracle.naive_pes import NaiveRun, naive_outputs, naive_stationary

SHAPES = [  # rows, cols, m, n, k
    (1, 1, 1, 1, 1),
    (1, 1, 3, 2, 4),
    (2, 3, 5, 7, 3),
    (3, 2, 2, 5, 8),
    (4, 4, 3, 3, 3),
    (4, 1, 6, 3, 9),
    (1, 4, 5, 9, 2),
    (3, 3, 1, 4, 7),
]


def matrices(m: int, n: int, k: int, dtype: str, seed: int = 0) -> tuple[Any, Any]:
    random = np.random.default_rng(seed)
    if dtype.startswith("float"):
        return (
            random.standard_normal((m, k)).astype(dtype),
            random.standard_normal((k, n)).astype(dtype),
        )
    return random.integers(-3, 4, (m, k)).astype(dtype), random.integers(-3, 4, (k, n)).astype(
        dtype
    )


def naive(a: Any, b: Any, array: SystolicArray) -> NaiveRun:
    extra = array.features
    rest = (array.rows, array.cols, extra.mac_latency_cycles, extra.double_buffer)
    if array.dataflow == "os":
        return naive_outputs(a, b, *rest)
    if array.dataflow == "ws":
        return naive_stationary(a, b, *rest)
    run = naive_stationary(b.T, a.T, *rest)
    run.result = run.result.T
    run.reads_a, run.reads_b = run.reads_b, run.reads_a
    run.zeros[0], run.zeros[1] = run.zeros[1], run.zeros[0]
    run.states = [(active, b, a, *rest) for active, a, b, *rest in run.states]
    return run


def counts(run: ArrayRun) -> tuple[int, ...]:
    return (
        run.cycles, run.sram_reads_a, run.sram_reads_b, run.sram_writes_c,
        run.zero_a_macs, run.zero_b_macs, run.zero_macs,
    )  # fmt: skip


@pytest.mark.parametrize("dtype", ["int64", "float64"])
@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("latency", [1, 3])
@pytest.mark.parametrize("dataflow", ["ws", "os", "is"])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_register_in_every_cycle(
    shape: tuple[int, ...], dataflow: Any, latency: int, double: bool, dtype: str
) -> None:
    rows, cols, m, n, k = shape
    features = ArrayFeatures(double_buffer=double, mac_latency_cycles=latency)
    array = SystolicArray(dataflow, rows, cols, features)
    a, b = matrices(m, n, k, dtype)
    expected = naive(a, b, array)
    run = simulate_array(a, b, array, trace=True)
    assert counts(run) == (
        expected.cycles, expected.reads_a, expected.reads_b, expected.writes_c, *expected.zeros,
    )  # fmt: skip
    assert run.trace is not None
    for name, states in expected.trace().items():
        np.testing.assert_array_equal(getattr(run.trace, name), states, err_msg=name)
    np.testing.assert_array_equal(run.active_per_cycle, run.trace.active.sum(axis=(1, 2)))
    assert run.result.tobytes() == np.ascontiguousarray(expected.result).tobytes()


@pytest.mark.parametrize("dataflow", ["ws", "os", "is"])
@pytest.mark.parametrize("dtype", ["int64", "float64"])
def test_the_fast_kernels_do_what_the_traced_ones_do(dataflow: Any, dtype: str) -> None:
    for seed, (rows, cols, m, n, k) in enumerate([*SHAPES, (5, 7, 40, 33, 29), (8, 8, 3, 20, 50)]):
        array = SystolicArray(dataflow, rows, cols)
        a, b = matrices(m, n, k, dtype, seed)
        fast, traced = simulate_array(a, b, array), simulate_array(a, b, array, trace=True)
        assert counts(fast) == counts(traced)
        assert (fast.folds, fast.macs) == (traced.folds, traced.macs)
        assert fast.result.tobytes() == traced.result.tobytes()
        np.testing.assert_array_equal(fast.active_per_cycle, traced.active_per_cycle)


def in_array_order(a: Any, b: Any, depth: int) -> Any:
    """Sum k ascending from zero in every fold of `depth`, then fold after fold."""
    total = np.zeros((a.shape[0], b.shape[1]), a.dtype)
    for k0 in range(0, a.shape[1], depth):
        fold = np.zeros_like(total)
        for k in range(k0, min(k0 + depth, a.shape[1])):
            fold = fold + a[:, k, None] * b[None, k]
        total = total + fold
    return total


@pytest.mark.parametrize("arrays", [1, 3])
@pytest.mark.parametrize("packed", ["stream", "rows", "cols"])
@pytest.mark.parametrize("packing", [1, 2])
@pytest.mark.parametrize("dataflow", ["ws", "os", "is"])
def test_float32_sums_are_rounded_in_the_order_of_the_array(
    dataflow: Any, packing: int, packed: Any, arrays: int
) -> None:
    a, b = matrices(23, 17, 50, "float32")
    a[3, 4], b[7, 7], b[9, 2] = np.inf, np.nan, -0.0
    features = ArrayFeatures(packing=packing, packed=packed, arrays=arrays)
    array = SystolicArray(dataflow, 8, 5, features)
    fold_depth = 8 * (packing if packed == "rows" else 1)
    with np.errstate(invalid="ignore"):
        expected = in_array_order(a, b, 50 if dataflow == "os" else fold_depth)
    result = simulate_array(a, b, array).result
    np.testing.assert_array_equal(result, expected)  # NaN in the same places
    finite = np.isfinite(expected)
    assert result[finite].tobytes() == expected[finite].tobytes()
    assert not np.array_equal(result, (a.astype(float) @ b).astype(np.float32), equal_nan=True)


def test_int32_sums_wrap_around() -> None:
    a, b = np.full((1, 4), 2**15, np.int32), np.full((4, 1), 2**15, np.int32)
    for dataflow in ("ws", "os", "is"):
        array = SystolicArray(dataflow, 4, 2)  # type: ignore[arg-type]
        wide = simulate_array(a, b, array)
        narrow = simulate_array(a, b, array, accumulate="int32")
        assert (wide.result.dtype, wide.result.item()) == (np.int64, 2**32)
        assert (narrow.result.dtype, narrow.result.item()) == (np.int32, 0)
