"""More bandwidth or a larger buffer never makes an array slower, and no word is lost."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.arch.array import ArrayBuffers, ArrayFeatures, Sparsity, SystolicArray
from accelsim.timing.systolic import array_cycles
from accelsim.timing.systolic_buffers import BufferedRun, buffered_cycles

sizes = st.tuples(*[st.integers(1, 60)] * 3)
rates = st.fractions(Fraction(1, 3), 40, max_denominator=9)


@st.composite
def arrays(draw: st.DrawFn) -> SystolicArray:
    rows, cols = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    dataflow = draw(st.sampled_from(("ws", "os", "is")))
    features = ArrayFeatures(
        arrays=draw(st.integers(1, 3)),
        double_buffer=draw(st.booleans()),
        mac_latency_cycles=draw(st.integers(1, 4)),
        packing=draw(st.integers(1, 3)),
        packed=draw(st.sampled_from(("stream", "rows", "cols"))),
        sparsity=draw(st.sampled_from((None, Sparsity(2, 4)))) if dataflow != "is" else None,
    )
    least = 2 * 3 * 9 * 2 * 3  # two lines on three arrays, three wide, of nine; bundles of two
    words = st.integers(least, 40 * least)
    buffers = ArrayBuffers(
        draw(words), draw(words), draw(words), draw(rates), draw(rates), draw(rates),
        inner=draw(st.sampled_from((None, "rows", "cols"))),
    )  # fmt: skip
    return SystolicArray(dataflow, rows, cols, features, buffers)


def changed(array: SystolicArray, **fields: object) -> SystolicArray:
    assert array.buffers is not None
    return dataclasses.replace(array, buffers=dataclasses.replace(array.buffers, **fields))


def finish(run: BufferedRun) -> tuple[int, int]:
    """When the array's last result is there, and when it is written."""
    return run.prefetch_cycles + run.cycles, run.total_cycles


operands = st.sampled_from(("a", "b", "c"))


@given(arrays(), sizes, operands, st.fractions(1, 4), st.booleans())
@settings(max_examples=200, deadline=None)
def test_more_bandwidth_is_never_slower(
    array: SystolicArray, mnk: tuple[int, int, int], operand: str, factor: Fraction, full: bool
) -> None:
    name = f"{operand}_words_per_cycle"
    faster = changed(array, **{name: getattr(array.buffers, name) * factor})
    slow, fast = (buffered_cycles(a, *mnk, prefilled=full) for a in (array, faster))
    assert finish(fast) <= finish(slow)
    unlimited = buffered_cycles(changed(array, **{name: None}), *mnk, prefilled=full)
    assert finish(unlimited) <= finish(fast)


@given(arrays(), sizes, operands, st.integers(0, 2000), st.booleans())
@settings(max_examples=200, deadline=None)
def test_a_larger_buffer_is_never_slower(
    array: SystolicArray, mnk: tuple[int, int, int], operand: str, extra: int, full: bool
) -> None:
    name = f"{operand}_words"
    larger = changed(array, **{name: getattr(array.buffers, name) + extra})
    small, large = (buffered_cycles(a, *mnk, prefilled=full) for a in (array, larger))
    assert finish(large)[0] <= finish(small)[0]
    assert finish(large)[1] <= finish(small)[1]
    moved = [
        r.dram_reads_a + r.dram_reads_b + r.dram_reads_c + r.dram_writes_c for r in (small, large)
    ]
    assert moved[1] <= moved[0]


@given(arrays(), sizes)
@settings(max_examples=200, deadline=None)
def test_words_and_waits_add_up(array: SystolicArray, mnk: tuple[int, int, int]) -> None:
    run = buffered_cycles(array, *mnk)
    assert run.turn_stall_cycles.sum() == run.stall_cycles + run.prefetch_cycles
    assert run.compute_cycles == array_cycles(array, *mnk).cycles
    assert run.sums_spilled == (run.dram_reads_c > 0)
    m, n, k = mnk
    sparsity = array.features.sparsity
    kept = sparsity.kept(k) if sparsity else k
    index_bits = sparsity.index_bits if sparsity else 0
    assert run.dram_reads_a >= m * k
    assert run.dram_reads_b * 8 >= kept * n * (8 + index_bits)
    assert run.dram_writes_c - run.dram_reads_c == m * n
    # What several arrays share is fetched once, so nothing moves more often than it enters.
    ideal = array_cycles(array, *mnk)
    assert run.dram_reads_a <= ideal.sram_reads_a
    rounding = 8 * ideal.folds
    assert run.dram_reads_b * 8 <= ideal.sram_reads_b * (8 + index_bits) + rounding
    assert run.dram_reads_c <= ideal.sram_reads_c
    assert run.dram_writes_c <= ideal.sram_writes_c


@given(arrays(), sizes, st.integers(2, 4))
@settings(max_examples=200)
def test_groups_share_arrays_and_hide_each_other(
    array: SystolicArray, mnk: tuple[int, int, int], groups: int
) -> None:
    one, all_of_them = (buffered_cycles(array, *mnk, repeat=r) for r in (1, groups))
    if array.features.arrays == 1:  # several may do better by cutting each group's stream
        assert all_of_them.compute_cycles <= groups * one.compute_cycles
    assert all_of_them.dram_writes_c - all_of_them.dram_reads_c == groups * mnk[0] * mnk[1]
    assert finish(one)[0] <= finish(all_of_them)[0]
    assert all_of_them.dram_reads_a >= groups * mnk[0] * mnk[2]


@given(arrays(), sizes)
@settings(max_examples=200, deadline=None)
def test_ports_without_limit_never_make_the_array_wait(
    array: SystolicArray, mnk: tuple[int, int, int]
) -> None:
    free = changed(array, a_words_per_cycle=None, b_words_per_cycle=None, c_words_per_cycle=None)
    run = buffered_cycles(free, *mnk)
    assert run.total_cycles == run.compute_cycles
