"""Systolic arrays, from counting one matmul to what real machines add. Every count is exact."""

from fractions import Fraction

import numpy as np

import accelsim
from accelsim import ArrayBuffers, ArrayFeatures, Sparsity, SystolicArray

# 1. Count, then prove it: the simulation moves every value through every register.
rng = np.random.default_rng(0)
a, b = rng.integers(-8, 9, (12, 20)), rng.integers(-8, 9, (20, 9))
for dataflow in ("ws", "os", "is"):
    counted = accelsim.systolic_cycles(dataflow, 8, 4, 12, 9, 20)
    run = accelsim.simulate_array(a, b, SystolicArray(dataflow, 8, 4))
    assert (run.result == a @ b).all()
    assert run.cycles == counted.cycles
    print(f"{dataflow}: {counted.folds} folds, {counted.cycles} cycles, simulated {run.cycles}")

# 2. One shape does not fit all: 4096 PEs in different forms, a layer with 128 or with 1 rows of A.
print("\nUtilisation of 4096 PEs by k 1024, n 4096")
rows = np.array([16, 32, 64, 128, 256])
print(f"{'m':>4} {'dataflow':>8} " + "".join(f"{f'{r}x{4096 // r}':>9}" for r in rows))
for m in (128, 1):
    for dataflow in ("ws", "os", "is"):
        found = accelsim.systolic_cycles(dataflow, rows, 4096 // rows, m, 4096, 1024)
        print(f"{m:>4} {dataflow:>8} " + "".join(f"{u:>9.1%}" for u in found.utilization))

# 3. What real machines add, one after the other: 128 x 128, m 256, n 4096, k 4096.
print("\nFeature                         cycles")
for name, features in {
    "textbook": ArrayFeatures(),
    "weights load behind the stream": ArrayFeatures(double_buffer=True),
    "and four arrays": ArrayFeatures(double_buffer=True, arrays=4),
    "and int8, two per PE along k": ArrayFeatures(
        double_buffer=True, arrays=4, packing=2, packed="rows"
    ),
    "and 2:4 sparse weights": ArrayFeatures(
        double_buffer=True, arrays=4, packing=2, packed="rows", sparsity=Sparsity(2, 4)
    ),
}.items():
    counted = accelsim.systolic_cycles("ws", 128, 128, 256, 4096, 4096, features)
    print(f"{name:30} {counted.cycles:>7,}")

# 4. Memory: the same matmul behind buffers of 64 Ki words, fed at fewer and fewer words per cycle.
print("\nWords/cycle   stalls   waiting for")
for rate in (64, 32, 24, 16, 8, Fraction(1, 2)):
    buffers = ArrayBuffers(65536, 65536, 65536, rate, rate, rate)
    fed = accelsim.buffered_cycles(SystolicArray("ws", 32, 32, buffers=buffers), 512, 256, 256)
    stalls = {"A": fed.stall_a_cycles, "B": fed.stall_b_cycles, "C": fed.stall_c_cycles}
    worst = max(stalls, key=stalls.__getitem__) if fed.stall_cycles else "nothing"
    print(f"{rate!s:>11} {fed.stall_cycles:>8,}   {worst}")
