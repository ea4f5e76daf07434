"""Threads, sweeps and caches of a reduction over rows on a GPU."""

from __future__ import annotations

import pytest

from accelsim.arch.loader import load_chip
from accelsim.kernels.gpu.processor import Processor
from accelsim.mapping.processor import processor_for
from accelsim.timing.gpu_rows import RowWork, issued_per_s, ramp, row_work
from accelsim.workload.ops import Vector

A100 = processor_for(load_chip("a100_sxm_80gb"), "")
V100 = processor_for(load_chip("v100_pcie"), "")


def work(fn: str, cols: int, dtype: str = "fp32", *, on: Processor = A100) -> RowWork:
    op = Vector(fn, fn=fn, rows=100_000, cols=cols, dtype=dtype)
    return row_work(op, op.function.flop, op.function.special, on)


@pytest.mark.parametrize(
    ("fn", "cols", "dtype", "threads", "sweeps"),
    [
        ("softmax", 1024, "fp32", 32, 1),  # one warp holds the row
        ("softmax", 1025, "fp32", 128, 3),
        ("softmax", 2048, "fp32", 256, 3),
        ("softmax", 2048, "fp16", 128, 3),  # a load of 16 bytes brings twice the values
        ("softmax", 1 << 17, "fp32", 512, 3),
        ("layernorm", 100, "fp32", 128, 2),  # mean and variance in one sweep
        ("rmsnorm", 8192, "bf16", 128, 2),
    ],
)
def test_threads_and_sweeps(fn: str, cols: int, dtype: str, threads: int, sweeps: int) -> None:
    found = work(fn, cols, dtype)
    assert (found.threads, found.sweeps) == (threads, sweeps)


def test_a_row_that_vector_loads_cannot_cover_costs_more() -> None:
    whole, odd = work("softmax", 4096), work("softmax", 4095)
    assert odd.instructions > 1.2 * whole.instructions
    assert work("layernorm", 4095).instructions > 1.2 * work("layernorm", 4096).instructions


def test_a_warp_pads_its_row_to_a_power_of_two() -> None:
    assert work("softmax", 513).instructions == work("softmax", 1024).instructions


def test_a_block_is_idle_where_its_row_ends_early() -> None:
    assert work("layernorm", 516).instructions == work("layernorm", 1024).instructions


def test_short_rows_are_found_again_and_long_ones_are_not() -> None:
    assert work("softmax", 2048).missed_l2 < 0.1
    lost = work("softmax", 16384)
    assert (lost.missed_l1, lost.missed_l2) == (1.0, 1.0)


def test_a_larger_l2_keeps_what_a_small_one_loses() -> None:
    cases = [work("layernorm", 2048, on=chip).missed_l2 for chip in (A100, V100)]
    assert cases[0] < 0.2
    assert cases[1] == 1.0


def test_few_rows_leave_most_of_the_core_empty() -> None:
    op = Vector("s", fn="softmax", rows=108, cols=4096, dtype="fp32")
    assert row_work(op, 4, 1, A100).resident == 1


def test_lanes_beyond_the_issue_slots_do_not_help() -> None:
    many = A100._replace(vector_flop_per_cycle=4 * A100.vector_flop_per_cycle)
    assert issued_per_s(A100) < issued_per_s(many)
    assert issued_per_s(many) == issued_per_s(many._replace(vector_flop_per_cycle=1e6))


def test_a_wave_of_rows_takes_as_long_as_its_longest_chain() -> None:
    found = work("softmax", 4096)
    slots = 108 * (2048 // found.threads)
    one = found.wait_s(A100, 1)
    assert found.wait_s(A100, slots) == one
    assert found.wait_s(A100, slots + 1) == 2 * one
    assert one > 3 * A100.latency_s


@pytest.mark.parametrize(("value", "expected"), [(0.1, 0.0), (0.5, 0.0), (0.75, 0.5), (9.0, 1.0)])
def test_ramp(value: float, expected: float) -> None:
    assert ramp(value, 0.5, 1.0) == expected
