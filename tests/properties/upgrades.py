"""Packaged chips with one resource enlarged."""

from __future__ import annotations

from functools import cache

from accelsim.arch.loader import load_chip
from accelsim.arch.system import System
from accelsim.engine.core import Target
from tests.cross.random_ops import chip_of


def _enlarged(chip: str, resource: str, factor: int) -> dict[str, object] | None:
    """Overrides that multiply one resource; None where the chip has none of it."""
    spec = chip_of(chip).spec
    if resource == "memory bandwidth":
        return {"memory.bandwidth": f"{spec.memory.bandwidth_bytes_per_s * factor!r} B/s"}
    if resource == "clock":
        return {"clock": f"{spec.clock_hz * factor!r} Hz"}
    if resource == "cores":
        return {"cores": spec.cores * factor}
    if resource == "scratchpad":
        pad = spec.core.scratchpad
        changes = {"core.scratchpad.capacity": f"{pad.capacity_bytes * factor!r} B"}
        if pad.accumulator_bytes:
            changes["core.scratchpad.accumulator"] = f"{pad.accumulator_bytes * factor!r} B"
        return dict(changes)
    if spec.shared is None:
        return None
    if resource == "shared capacity":
        return {"shared.capacity": f"{spec.shared.capacity_bytes * factor!r} B"}
    assert resource == "shared bandwidth"
    return {"shared.bandwidth": f"{spec.shared.bandwidth_bytes_per_s * factor!r} B/s"}


@cache
def upgraded(chip: str, resource: str, factor: int) -> Target | None:
    changes = _enlarged(chip, resource, factor)
    if changes is None:
        return None
    return Target(System.of_chip(load_chip(chip, changes)))
