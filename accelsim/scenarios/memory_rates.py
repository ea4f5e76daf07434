"""A system whose memory the bank model has not met yet: its rates are derived before a run."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from accelsim.arch.chip import Chip
from accelsim.arch.system import System
from accelsim.errors import AccelsimError, SpecError
from accelsim.timing.dram.effective import effective_rates


def with_memory_rates(system: System) -> System:
    """Return the system, its chip knowing what its memory sustains.

    Packaged memories are known; those of a user are simulated once (some seconds) and kept.

    Raises
    ------
    SpecError
        If the bank model cannot run the memory and the chip states no memory_efficiency.
    """
    memory = system.chip.memory
    if system.chip.memory_rates is not None or memory is None:
        return system
    if memory.timing is None or memory.capacity_bytes is None:
        return system
    try:
        return replace(system, chip=_with_rates(system.chip))
    except AccelsimError as problem:
        if system.chip.calibration.memory_efficiency is not None:
            return system
        raise SpecError(
            f"{problem}; so the bandwidth that '{memory.name}' sustains is unknown: state "
            "calibration.memory_efficiency of the chip"
        ) from problem


@lru_cache(maxsize=64)
def _with_rates(chip: Chip) -> Chip:
    assert chip.memory is not None
    return replace(chip, memory_rates=effective_rates(chip.memory))
