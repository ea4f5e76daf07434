"""Small traced runs for the pictures of arrays."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np

from accelsim.arch.array import ArrayFeatures, Sparsity, SystolicArray
from accelsim.scenarios.array_problem import ArrayProblem
from accelsim.timing.pe_level import ArrayRun, ArrayTrace, simulate_array

SIZES = ArrayProblem(m=5, n=7, k=6)
"""Leaves a partial fold along every axis of a 4 x 4 array."""

FEATURES = (
    ArrayFeatures(),
    ArrayFeatures(double_buffer=True),
    ArrayFeatures(mac_latency_cycles=3),
    ArrayFeatures(mac_latency_cycles=2, double_buffer=True),
    ArrayFeatures(sparsity=Sparsity(1, 2)),
)
"""One array, one multiply-add per PE: what a trace holds in full."""

PARTIAL = (
    ArrayFeatures(arrays=3),
    ArrayFeatures(packing=2, packed="rows"),
    ArrayFeatures(packing=2, packed="cols"),
    ArrayFeatures(packing=2, packed="stream", double_buffer=True),
)
"""A trace shows a part of these."""


def cut(run: ArrayRun, cycles: int) -> ArrayRun:
    """Forget what a run traced after its first cycles."""
    assert run.trace is not None
    whole = run.trace
    first = {field.name: getattr(whole, field.name)[:cycles] for field in fields(whole)}
    return replace(run, trace=ArrayTrace(**first))


def traced(
    array: SystolicArray, sizes: ArrayProblem = SIZES, scale: float = 1
) -> tuple[ArrayRun, np.ndarray, np.ndarray]:
    """Run random operands; a `scale` other than 1 makes them floats."""
    rng = np.random.default_rng(7)
    a = rng.integers(-9, 10, (sizes.m, sizes.k))
    b = rng.integers(-9, 10, (sizes.k, sizes.n))
    sparsity = array.features.sparsity
    if sparsity is not None:
        b[np.arange(sizes.k) % sparsity.m >= sparsity.n] = 0
    if scale != 1:
        a, b = a * scale, b * scale
    return simulate_array(a, b, array, trace=True), a, b
