"""A memory specification small enough to check by hand, and ways to spoil it."""

from __future__ import annotations

from pathlib import Path

# One channel of 32 pins at 4 Gb/s, a clock of 2 ns / 2 transfers: tCK 0.5 ns, bursts of 4 clocks.
SMALL_MEMORY = """\
name: small
title: "A memory to check by hand"
standard: DDR4
sources:
  sheet: "Datasheet of a memory that does not exist"
source: sheet
pin_rate: 4 Gb/s
device_bits: 32
channels: 1
bank_groups: 2
banks_per_group: 4
page: 2 KiB
access: 32 B
capacity: 1 GiB
timing:
  tCL: 10 ns
  tCWL: 16 nCK
  tRCDRD: 10 ns
  tRP: 10 ns
  tRAS: 30 ns
  tCCDS: 4 nCK
  tRRDS: max(4 nCK, 2.2 ns)
  tFAW: 15 ns
  tRTP: 5 ns
  tWR: 15 ns
  tWTRS: 2.5 ns
  tRFC: 350 ns
  tREFI: 3900 ns
read_energy: 5 pJ/bit
write_energy: 5 pJ/bit
"""


def write_memory(folder: Path, text: str = SMALL_MEMORY) -> str:
    path = folder / "small.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def spoiled_memory(old: str, new: str) -> str:
    """The small memory with one fragment replaced."""
    assert SMALL_MEMORY.count(old) == 1, f"{old!r} must stand once in the small memory"
    return SMALL_MEMORY.replace(old, new)
