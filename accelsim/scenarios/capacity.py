"""Does it fit? And if not: by how much, and what would."""

from __future__ import annotations

from collections.abc import Callable

from accelsim.arch.loader import load_system, spec_files
from accelsim.arch.system import System
from accelsim.errors import AccelsimError, CapacityError
from accelsim.units import format_si
from accelsim.workload.graph import Graph

_TRIAL_TP = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
_TRIAL_DTYPES = ("fp8", "int4")


def check_capacity(
    graph: Graph, system: System, tp: int, rebuild: Callable[[int, str | None], Graph]
) -> None:
    """Refuse a graph that does not fit one device's memory.

    Parameters
    ----------
    graph : Graph
        Of one device.
    system : System
    tp : int
        Devices that share the model now.
    rebuild : callable
        Builds the same phase for another tp and weight dtype (None keeps the present one).

    Raises
    ------
    CapacityError
        Says how much is needed, held and missing, and which tp or weight dtype would fit.
    """
    need, have = graph.footprint.total, system.chip.capacity_bytes
    if need <= have:
        return
    roles = ", ".join(
        f"{role.removesuffix('_bytes').replace('_', ' ')} {format_si(size, 'B')}"
        for role, size in graph.footprint.as_dict().items()
        if size
    )
    cures = _cures(system, tp, rebuild)
    advice = (
        f"it would fit with {' or with '.join(cures)}"
        if cures
        else f"no tp up to {_TRIAL_TP[-1]} fits"
    )
    where = "each device" if tp > 1 else "the device"
    raise CapacityError(
        f"{graph.model} {graph.phase} (batch {graph.batch}) does not fit {system.chip.name}: "
        f"{where} needs {format_si(need, 'B')} ({roles}) and has {format_si(have, 'B')}, so "
        f"{format_si(need - have, 'B')} are missing; {advice}; "
        "--allow-oversubscribe runs it all the same"
    )


def _cures(system: System, tp: int, rebuild: Callable[[int, str | None], Graph]) -> list[str]:
    cures, have = [], system.chip.capacity_bytes
    for trial in (t for t in _TRIAL_TP if t > tp):
        if _fits(have, rebuild, trial, None):
            larger = "" if trial <= system.chips else _on_larger(system, trial)
            cures.append(f"{larger}--tp {trial}")
            break
    for name in _TRIAL_DTYPES:
        if _fits(have, rebuild, tp, name):
            cures.append(f"--weight-dtype {name}")
            break
    return cures


def _on_larger(system: System, tp: int) -> str:
    """The option that names a system with `tp` such chips, or words where none is packaged."""
    name = system_with(system.chip.name, tp)
    return f"--on {name} " if name else f"{tp} such chips and "


def system_with(chip: str, chips: int) -> str | None:
    """Name the smallest packaged system with at least `chips` of this chip; None without one."""
    found = []
    for name in spec_files("system"):
        candidate = load_system(name)
        if candidate.chip.name == chip and candidate.chips >= chips:
            found.append((candidate.chips, name))
    return min(found)[1] if found else None


def _fits(
    have: float, rebuild: Callable[[int, str | None], Graph], tp: int, name: str | None
) -> bool:
    try:
        return rebuild(tp, name).footprint.total <= have
    except AccelsimError:
        return False  # this tp does not divide the model
