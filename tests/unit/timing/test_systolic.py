"""`accelsim.systolic_cycles`: scalars, lists, features, limits."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import accelsim
from accelsim.arch.array import ArrayBuffers, ArrayFeatures, Sparsity, SystolicArray
from accelsim.errors import AccelsimError, MappingError, SpecError, WorkloadError
from accelsim.timing.systolic import array_cycles, systolic_cycles
from accelsim.timing.systolic_conv import buffered_conv, conv_cycles
from accelsim.workload.conv import ConvShape


def test_a_scalar_gives_plain_integers() -> None:
    found = accelsim.systolic_cycles("ws", 32, 32, 512, 3072, 768)
    assert found.cycles == 24 * 96 * (512 + 2 * 32 + 32 - 2)
    assert all(type(v) in (int, float) for v in found)


def test_numpy_scalars_are_scalars_too() -> None:
    plain = systolic_cycles("os", 4, 4, 5, 6, 7)
    assert systolic_cycles("os", np.int64(4), 4, np.int32(5), 6, 7) == plain


def test_lists_and_scalars_mix() -> None:
    found = systolic_cycles("is", 8, [4, 8], 5, np.array([6, 7]), 9)
    for place, (cols, n) in enumerate(((4, 6), (8, 7))):
        one = systolic_cycles("is", 8, cols, 5, n, 9)
        assert [values[place] for values in found] == list(one)


def test_a_sweep_of_two_axes_broadcasts() -> None:
    rows, cols = np.array([4, 8, 16]), np.array([4, 32])
    found = systolic_cycles("ws", rows[:, None], cols[None, :], 50, 60, 70)
    assert found.cycles.shape == found.utilization.shape == (3, 2)
    assert found.cycles[2, 1] == systolic_cycles("ws", 16, 32, 50, 60, 70).cycles


def test_dataflows_go_by_both_names() -> None:
    assert systolic_cycles("weight_stationary", 4, 4, 5, 6, 7) == systolic_cycles(
        "WS", 4, 4, 5, 6, 7
    )


@pytest.mark.parametrize("features", [
    ArrayFeatures(arrays=3), ArrayFeatures(double_buffer=True), ArrayFeatures(packing=2),
    ArrayFeatures(packing=2, packed="cols"), ArrayFeatures(mac_latency_cycles=4),
    ArrayFeatures(sparsity=Sparsity(2, 4)),
])  # fmt: skip
def test_lists_count_features_as_scalars_do(features: ArrayFeatures) -> None:
    sizes = np.array([[5, 6, 7], [40, 3, 129]])
    found = systolic_cycles("ws", 8, 4, *sizes.T, features=features)
    for place, (m, n, k) in enumerate(sizes.tolist()):
        one = array_cycles(SystolicArray("ws", 8, 4, features), m, n, k)
        assert [values[place] for values in found] == pytest.approx(list(one), rel=1e-15)


def test_half_of_the_weights_are_half_of_the_folds() -> None:
    """2:4 along k: 64 rows of weights are 32, indices of 2 bits; activations enter whole."""
    dense = systolic_cycles("ws", 8, 8, 100, 8, 64)
    sparse = systolic_cycles("ws", 8, 8, 100, 8, 64, ArrayFeatures(sparsity=Sparsity(2, 4)))
    assert 2 * sparse.cycles == dense.cycles
    assert 2 * sparse.sram_reads_b == dense.sram_reads_b
    assert sparse.sram_reads_a == dense.sram_reads_a
    assert sparse.metadata_bits == 2 * sparse.sram_reads_b


def test_hidden_loads_leave_the_longer_of_stream_and_load() -> None:
    hidden = ArrayFeatures(double_buffer=True)
    assert systolic_cycles("ws", 8, 4, 30, 8, 8, hidden).cycles == 30 + (30 + 2 * 8 + 4 - 2)
    assert systolic_cycles("ws", 8, 4, 3, 8, 8, hidden).cycles == 8 + (3 + 2 * 8 + 4 - 2)


@pytest.mark.parametrize(("arguments", "error", "message"), [
    (("sw", 4, 4, 1, 1, 1), SpecError, "unknown dataflow"),
    ((7, 4, 4, 1, 1, 1), SpecError, "unknown dataflow"),
    (("ws", 0, 4, 1, 1, 1), SpecError, "rows is 0"),
    (("ws", 4, 4, 0, 1, 1), WorkloadError, "m is 0"),
    (("ws", 4, 4, -5, [1, 2], 1), WorkloadError, "m has -5"),
    (("ws", 4, 4, 1.5, 1, 1), WorkloadError, "float64"),
    (("ws", 4, 4, [1, 2], [1, 2, 3], 1), WorkloadError, "do not broadcast"),
    (("ws", 4, 4, "many", 1, 1), WorkloadError, "expected whole numbers"),
    (("os", 1, 1, 2**40, 2**40, 2**40), MappingError, "64 bits"),
    (("os", 1, 1, [1, 2**40], 2**40, 2**40), MappingError, "64 bits"),
    (("ws", 2**17, 4, 1, 1, 1), SpecError, "65536"),
])  # fmt: skip
def test_bad_input(arguments: tuple[object, ...], error: type[AccelsimError], message: str) -> None:
    with pytest.raises(error, match=message):
        systolic_cycles(*arguments)  # type: ignore[arg-type]


def test_indices_and_sparsity_beyond_64_bits_are_refused() -> None:
    sparse = ArrayFeatures(sparsity=Sparsity(128, 256))
    for rows in (1, np.array([1])):
        with pytest.raises(MappingError, match="64 bits"):
            systolic_cycles("os", rows, 1, 2**23, 1, 2**38, sparse)
    with pytest.raises(SpecError, match="from 1 to 65536"):
        Sparsity(2**70, 2**70)
    with pytest.raises(WorkloadError, match="whole numbers"):
        systolic_cycles("os", [[1, 2], [3]], 1, 1, 1, 1)
    with pytest.raises(SpecError, match="expected ArrayFeatures"):
        systolic_cycles("os", 1, 1, 1, 1, 1, 3)  # type: ignore[arg-type]


def test_ports_keep_their_rates_exactly() -> None:
    for rate in ("1/1999", "340/7", "999999/1000000"):
        assert ArrayBuffers(8, 8, 8, Fraction(rate)).a_words_per_cycle == Fraction(rate)
    for rate in (1e-7, 1e-30, 0, -1, "fast", float("nan"), 1e12):
        with pytest.raises(SpecError, match="words per cycle"):
            ArrayBuffers(8, 8, 8, rate)  # type: ignore[arg-type]


def test_no_problems_are_no_counts() -> None:
    assert systolic_cycles("ws", 4, 4, np.array([], dtype=int), 3, 3).cycles.shape == (0,)


def test_folds_of_groups_share_arrays_and_hide_their_loads() -> None:
    whole = ConvShape(2, 16, 24, 9, 9, 3, 3, stride=(2, 2), groups=4)
    part = ConvShape(2, 4, 6, 9, 9, 3, 3, stride=(2, 2))
    for features, turns in ((ArrayFeatures(), 20), (ArrayFeatures(arrays=4), 5)):
        array = SystolicArray("ws", 8, 8, features)
        found = conv_cycles(array, whole)
        assert found.folds == 4 * conv_cycles(SystolicArray("ws", 8, 8), part).folds == 20
        assert found.cycles == turns * found.fold_cycles
        assert found.macs == whole.macs
    hidden = conv_cycles(SystolicArray("ws", 8, 8, ArrayFeatures(double_buffer=True)), whole)
    assert hidden.cycles == 19 * 2 * 4 * 4 + hidden.fold_cycles


def test_counts_beyond_64_bits_are_refused_for_groups_and_bundles_too() -> None:
    sparse = ArrayFeatures(sparsity=Sparsity(999, 1000))
    with pytest.raises(MappingError, match="64 bits"):
        systolic_cycles("ws", 1, 1, 10**8, 1, 10**8, sparse)
    with pytest.raises(MappingError, match="64 bits"):
        array_cycles(SystolicArray("ws", 1, 1), 2**20, 2**20, 2**20, repeat=2**10)


def test_buffers_must_exist() -> None:
    with pytest.raises(MappingError, match="no buffers"):
        buffered_conv(SystolicArray("os", 8, 8), ConvShape(1, 4, 8, 16, 16, 3, 3))
