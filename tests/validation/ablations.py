"""Mechanisms of the model switched off one at a time, each by a value of the chip.

What a mechanism is worth shows in the errors without it: `make accuracy` writes the table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from accelsim.arch.chip import Chip
from accelsim.arch.schema import TensorCoreUnit
from accelsim.validation.scalars import values_of, with_values

_PLENTY = 1e3
"""Times a value, after which it bounds nothing."""
_NO_LIMIT_W = 1e9


@dataclass(frozen=True)
class Ablation:
    """One mechanism switched off.

    Attributes
    ----------
    words : str
        What is switched off.
    change : callable
        From a chip to the chip without it; the same chip where it has none of it.
    """

    words: str
    change: Callable[[Chip], Chip]


def _scalar(name: str, value: float) -> Callable[[Chip], Chip]:
    return lambda chip: with_values(chip, {**values_of(chip), name: value})


def _with_core(chip: Chip, **changes: object) -> Chip:
    core = chip.spec.core.model_copy(update=changes)
    return replace(chip, spec=chip.spec.model_copy(update={"core": core}))


def _with_shared(chip: Chip, **changes: object) -> Chip:
    if chip.spec.shared is None:
        return chip
    shared = chip.spec.shared.model_copy(update=changes)
    return replace(chip, spec=chip.spec.model_copy(update={"shared": shared}))


def _without_clusters(chip: Chip) -> Chip:
    return _with_core(chip, cluster=1)


def _with_synchronous_products(chip: Chip) -> Chip:
    units = (
        one.model_copy(update={"asynchronous": False}) if isinstance(one, TensorCoreUnit) else one
        for one in chip.spec.core.matrix
    )
    return _with_core(chip, matrix=tuple(units))


def _with_room_for_blocks(chip: Chip) -> Chip:
    core = chip.spec.core
    pad = core.scratchpad.model_copy(
        update={"capacity_bytes": core.scratchpad.capacity_bytes * _PLENTY}
    )
    registers = (core.registers_bytes or 256 * 1024) * _PLENTY
    return _with_core(chip, scratchpad=pad, registers_bytes=registers)


def _with_free_functions(chip: Chip) -> Chip:
    lanes = chip.spec.core.vector
    rate = lanes.special_per_cycle * _PLENTY
    return _with_core(chip, vector=lanes.model_copy(update={"special_per_cycle": rate}))


def _with_wide_l2(chip: Chip) -> Chip:
    shared = chip.spec.shared
    rate = shared.bandwidth_bytes_per_s * _PLENTY if shared else 0.0
    return _with_shared(chip, bandwidth_bytes_per_s=rate)


def _with_large_l2(chip: Chip) -> Chip:
    shared = chip.spec.shared
    return _with_shared(chip, capacity_bytes=shared.capacity_bytes * _PLENTY if shared else 0.0)


def _with_small_l2(chip: Chip) -> Chip:
    """A byte: everything comes from the main memory as often as it is used."""
    return _with_shared(chip, capacity_bytes=1.0)


def _without_camping(chip: Chip) -> Chip:
    return _with_shared(chip, spread_stride_bytes=None)


def _without_power_limit(chip: Chip) -> Chip:
    power = chip.spec.power.model_copy(update={"tdp_w": _NO_LIMIT_W})
    return replace(chip, spec=chip.spec.model_copy(update={"power": power}))


ABLATIONS: dict[str, Ablation] = {
    "matrix": Ablation("matrix units issue at their peak", _scalar("matrix_efficiency", 1.0)),
    "vector": Ablation("lanes issue at their peak", _scalar("vector_efficiency", 1.0)),
    "memory": Ablation("main memory at its peak", _scalar("memory_efficiency", 1.0)),
    "l2": Ablation("L2 at its peak", _scalar("shared_efficiency", 1.0)),
    "overhead": Ablation("no gap and ramp of a kernel", _scalar("kernel_overhead_s", 0.0)),
    "latency": Ablation("memory answers at once", _scalar("memory_latency_s", 0.0)),
    "dispatch": Ablation("no dispatch by the host", _scalar("host_dispatch_s", 0.0)),
    "clusters": Ablation("no multicast among cores", _without_clusters),
    "products": Ablation("warps wait for their products", _with_synchronous_products),
    "occupancy": Ablation("room for any number of blocks on a core", _with_room_for_blocks),
    "functions": Ablation("exp and its like are free", _with_free_functions),
    "l2 bandwidth": Ablation("L2 of any bandwidth", _with_wide_l2),
    "l2 reuse": Ablation("nothing stays in the L2", _with_small_l2),
    "l2 misses": Ablation("all stays in the L2 that was there once", _with_large_l2),
    "camping": Ablation("every stride is spread over the L2", _without_camping),
    "power": Ablation("no limit of power", _without_power_limit),
}
