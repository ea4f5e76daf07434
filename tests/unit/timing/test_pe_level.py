"""A 2 x 2 array followed by hand, sparse and packed operands, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from accelsim.arch.array import TEXTBOOK, ArrayFeatures, Sparsity, SystolicArray
from accelsim.errors import CapacityError, SimulationError, SpecError, WorkloadError
from accelsim.kernels.pe_features import BUS_CONFLICT
from accelsim.timing import pe_level
from accelsim.timing.pe_level import ArrayTrace, simulate_array

A = np.array([[1, 2], [3, 4], [5, 6]])
B = np.array([[7, 8], [9, 10]])


def traced(dataflow: Any, features: ArrayFeatures = TEXTBOOK, a: Any = A) -> ArrayTrace:
    trace = simulate_array(a, B, SystolicArray(dataflow, 2, 2, features), trace=True).trace
    assert trace is not None
    return trace


def test_weight_stationary_by_hand() -> None:
    trace = traced("ws")
    assert trace.phase.tolist() == [0, 0, 1, 1, 1, 1, 1]
    # Row 0 holds 7, 8 after one cycle, column 1 a cycle later; activations enter in cycle 2.
    assert trace.b[:, 0].tolist() == [[0, 0], [7, 0], *[[7, 8]] * 5]
    assert trace.a[2:, 0].tolist() == [[1, 0], [3, 1], [5, 3], [0, 5], [0, 0]]
    assert trace.a[2:, 1].tolist() == [[0, 0], [2, 0], [4, 2], [6, 4], [0, 6]]
    assert trace.sums[2:, 1, 0].tolist() == [0, 1 * 7 + 2 * 9, 3 * 7 + 4 * 9, 5 * 7 + 6 * 9, 0]
    assert trace.active[2:, 1, 1].tolist() == [False, False, True, True, True]


def test_output_stationary_by_hand() -> None:
    trace = traced("os", a=A[:2])
    assert trace.sums[:, 0, 0].tolist() == [1 * 7, 1 * 7 + 2 * 9, 25, 25]
    assert trace.active[:, 1, 1].tolist() == [False, False, True, True]
    assert trace.a[:, 0, 1].tolist() == [0, 1, 2, 0]
    assert trace.b[:, 1, 0].tolist() == [0, 7, 9, 0]


def test_input_stationary_keeps_activations() -> None:
    trace = traced("is", a=A[:2])
    assert trace.a[-1].tolist() == A[:2].T.tolist()
    assert trace.b[2:, 0, 0].tolist() == [7, 8, 0, 0]


def test_double_buffers_hide_the_load_of_the_next_fold() -> None:
    trace = traced("os", ArrayFeatures(double_buffer=True), a=np.ones((8, 2), int))
    assert trace.active[:, 0, 0].all(where=np.arange(len(trace.fold)) < 8)
    assert trace.fold.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 3, 3]
    folds = traced("ws", ArrayFeatures(double_buffer=True), a=A).fold.tolist()
    assert folds == [0] * 7


def test_folds_of_several_arrays_meet_in_order() -> None:
    a, b = np.float32([[1e8, 1.0, -1e8]]), np.ones((3, 1), np.float32)
    in_turn = SystolicArray("ws", 1, 1)
    side_by_side = SystolicArray("ws", 1, 1, ArrayFeatures(arrays=3))
    assert simulate_array(a, b, in_turn).result.item() == 0.0
    assert simulate_array(a, b, side_by_side).result.item() == 0.0
    assert simulate_array(a[:, [0, 2, 1]], b, side_by_side).result.item() == 1.0


def test_a_sparse_array_stores_and_multiplies_half() -> None:
    b = np.array([[0, 1], [2, 0], [3, 0], [0, 4], [0, 0], [5, 6]])
    a = np.arange(12).reshape(2, 6)
    array = SystolicArray("os", 2, 2, ArrayFeatures(sparsity=Sparsity(2, 4)))
    run = simulate_array(a, b, array, trace=True)
    assert run.result.tolist() == (a @ b).tolist()
    assert (run.macs, run.sram_reads_a, run.sram_reads_b) == (2 * 2 * 4, 12, 8)
    assert run.trace is not None
    # The second group is cut off by the matrix: it keeps a zero beside the 5.
    assert run.trace.b[:4, 0, 0].tolist() == [2, 3, 0, 5]
    assert run.trace.a[:4, 0, 0].tolist() == [1, 2, 4, 5]


def test_shares() -> None:
    run = simulate_array(np.eye(4, dtype=int), np.ones((4, 4), int), SystolicArray("os", 4, 4))
    assert run.gated_share == 0.75
    assert run.utilization == run.active_pe_cycles / run.pe_cycles == 64 / (10 * 16)
    packed = SystolicArray("os", 4, 4, ArrayFeatures(packing=2))
    run = simulate_array(np.eye(4, dtype=int), np.ones((4, 4), int), packed)
    assert (run.macs, run.active_pe_cycles) == (64, 32)
    assert run.utilization == 64 / (8 * 16 * 2)


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        (A, A, "a is 3 x 2 and b 3 x 2"),
        (A[0], B, r"a has shape \(2,\), expected a matrix"),
        (A, B[:, :0], r"b has shape \(2, 0\)"),
        ([[1, 2], [3]], B, "a is not a matrix"),
        (A.astype(complex), B, "a is of type complex128, expected int8"),
        (A.astype(np.float16), B, "a is of type float16"),
        (A > 1, B, "a is of type bool"),
        ([["x", "y"]], B, "a is of type <U1"),
        (A.astype(float), B, r"a is of type float64 and b of int64.*b.astype\('float64'\)"),
        (A, B.astype(np.float32), "floats of one type"),
    ],
)
def test_operands_that_are_refused(a: Any, b: Any, words: str) -> None:
    with pytest.raises(WorkloadError, match=words):
        simulate_array(a, b, SystolicArray("ws", 2, 2))


def test_sums_that_are_refused() -> None:
    array = SystolicArray("ws", 2, 2)
    with pytest.raises(SpecError, match=r"accumulate is 'int16'.*int64 or int32"):
        simulate_array(A, B, array, accumulate="int16")
    with pytest.raises(SpecError, match="float32 are summed in float32"):
        floats = A.astype(np.float32), B.astype(np.float32)
        simulate_array(*floats, array, accumulate="float64")
    with pytest.raises(WorkloadError, match=r"b\[1, 0\] is 4294967296 and does not fit int32"):
        simulate_array(A, [[0, 0], [2**32, 1]], array, accumulate="int32")


def test_weights_that_are_not_sparse_enough() -> None:
    array = SystolicArray("ws", 2, 2, ArrayFeatures(sparsity=Sparsity(1, 2)))
    with pytest.raises(WorkloadError, match=r"b\[0:2, 0\] has 2 weights.*1:2 sparsity keeps 1"):
        simulate_array(A, B, array)


def test_runs_that_are_too_long() -> None:
    big = np.zeros((30000, 30000), np.int8)
    with pytest.raises(CapacityError, match="PE-cycles are simulated"):
        simulate_array(big, big, SystolicArray("ws", 2, 2))
    with pytest.raises(CapacityError, match=r"hold .* values of each kind"):
        simulate_array(A, B, SystolicArray("ws", 2**15, 2**15))
    buffered = SystolicArray("ws", 256, 256, ArrayFeatures(double_buffer=True))
    tall = np.zeros((10**7, 1), np.int8)
    with pytest.raises(CapacityError, match=r"at most .* and 1e\+11 PE-cycles"):
        simulate_array(tall, [[1]], buffered)


def test_a_fault_of_the_simulator_is_said_to_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = np.zeros(4, np.int64)
    monkeypatch.setattr(pe_level, "run_outputs", lambda *_: (BUS_CONFLICT, nothing, nothing))
    with pytest.raises(SimulationError, match="two results met on one bus of 2x2"):
        traced("os")


def test_traces_that_are_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pe_level, "TRACE_BYTES", 6 * (4 * 25 + 9))
    with pytest.raises(CapacityError, match="holds 6 cycles of 2x2 weight stationary"):
        traced("ws")
    monkeypatch.setattr(pe_level, "TRACE_BYTES", 7 * (4 * 25 + 9))
    assert len(traced("ws").fold) == 7
    with pytest.raises(CapacityError, match="one cycle of 1024x1024"):
        simulate_array(A, B, SystolicArray("ws", 1024, 1024), trace=True)
