"""A chip specification small enough to check by hand, and ways to spoil it."""

from __future__ import annotations

from pathlib import Path

# One 4x4 array of 1 MAC/cycle cells x 2 cores x 1 GHz: 64 GFLOP/s; 16 GB/s: ridge 4 FLOP/B.
SMALL_CHIP = """\
name: small
title: "A chip to check by hand"
vendor: nobody
kind: asic
year: 2024
sources:
  sheet: "Datasheet of a chip that does not exist"
source: sheet
process: {node: 7 nm}
clock: 1 GHz
cores: 2
core:
  matrix:
    - {style: systolic, rows: 4, cols: 4, macs_per_pe: {int8: 2, bf16: 1}}
  vector:
    flop_per_cycle: {fp32: 8}
    special_per_cycle: 2
  scratchpad: {capacity: 64 KiB, bandwidth: 32 B/cycle}
shared: {capacity: 1 MiB, bandwidth: 100 GB/s}
memory: {type: sram, capacity: 2 GB, bandwidth: 16 GB/s}
links:
  - {kind: wire, count: 2, bandwidth: {value: 10 GB/s, basis: bidirectional}}
  - {kind: bus, bandwidth: {value: 3 GB/s, basis: per_direction}}
power: {tdp: 5 W, idle: {value: 1 W, status: estimated, note: "a fifth"}}
calibration: {inherits: nvidia_gpu, memory_efficiency: 0.5}
"""


def line_of(text: str, fragment: str) -> int:
    """1-based number of the first line that contains the fragment."""
    return next(i for i, line in enumerate(text.splitlines(), 1) if fragment in line)


def spoiled(old: str, new: str) -> str:
    """The small chip with one fragment replaced."""
    assert SMALL_CHIP.count(old) == 1, f"{old!r} must stand once in the small chip"
    return SMALL_CHIP.replace(old, new)


def write_chip(folder: Path, text: str = SMALL_CHIP, name: str = "small.yaml") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)
