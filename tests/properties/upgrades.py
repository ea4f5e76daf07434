"""Packaged chips with one resource enlarged."""

from __future__ import annotations

from functools import cache

from accelsim.arch.chip import Chip
from accelsim.arch.loader import load_chip
from accelsim.arch.system import System
from accelsim.engine.core import Target
from tests.cross.random_ops import chip_of

_Overrides = dict[str, object]


def unlimited(chip: str) -> Target:
    """The chip without a limit of power in its way.

    A larger memory takes more energy per byte (the price list of `arch.action_energy`), so an op
    at the limit may well be slower with more of it.
    """
    return _changed(chip, {})


def upgraded(chip: str, resource: str, factor: float) -> Target | None:
    """The same with `factor` times as much of a resource; None where the chip has none of it.

    Of waits (latency, launch gap, host) a part.
    """
    changes = _enlarged(chip_of(chip), resource, factor)
    return None if changes is None else _changed(chip, changes)


@cache
def _loaded(chip: str, changes: tuple[tuple[str, object], ...]) -> Target:
    return Target(System.of_chip(load_chip(chip, dict(changes))))


def _changed(chip: str, changes: _Overrides) -> Target:
    return _loaded(chip, tuple(({"power.tdp": "1 GW"} | changes).items()))


def _enlarged(chip: Chip, resource: str, factor: float) -> _Overrides | None:
    """Overrides that multiply one resource."""
    spec, pad, shared = chip.spec, chip.spec.core.scratchpad, chip.spec.shared
    if resource == "cores":
        return {"cores": round(spec.cores * factor)}
    if resource == "scratchpad":
        changes: _Overrides = {"core.scratchpad.capacity": f"{pad.capacity_bytes * factor!r} B"}
        if pad.accumulator_bytes:
            changes["core.scratchpad.accumulator"] = f"{pad.accumulator_bytes * factor!r} B"
        return changes
    path, value, unit = {
        "memory bandwidth": ("memory.bandwidth", spec.memory.bandwidth_bytes_per_s, "B/s"),
        "clock": ("clock", spec.clock_hz, "Hz"),
        "scratchpad bandwidth": (
            "core.scratchpad.bandwidth", pad.bandwidth_bytes_per_cycle, "B/cycle"
        ),
        "registers": ("core.registers", spec.core.registers_bytes, "B"),
        "shared capacity": ("shared.capacity", shared and shared.capacity_bytes, "B"),
        "shared bandwidth": ("shared.bandwidth", shared and shared.bandwidth_bytes_per_s, "B/s"),
        "latency": ("calibration.memory_latency", chip.calibration.memory_latency_s, "s"),
        "launch gap": ("calibration.kernel_overhead", chip.calibration.kernel_overhead_s, "s"),
    }[resource]  # fmt: skip
    if value is None:
        return None
    waits = unit == "s"
    return {path: f"{value / factor if waits else value * factor!r} {unit}"}
