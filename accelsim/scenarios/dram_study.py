"""A memory under traffic of a pattern: one run, what refresh costs it, and sweeps."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.arch.dram_timing import resolved_cycles
from accelsim.arch.memory import MemorySpec
from accelsim.errors import SimulationError, suggest
from accelsim.results.dram import DramResult
from accelsim.scenarios.dram import simulate_dram
from accelsim.timing.dram.controller import MAX_CHANNELS, MAX_QUEUE, Controller, check_whole
from accelsim.timing.dram.patterns import Traffic
from accelsim.timing.dram.simulate import simulated_bytes

Accesses = tuple[NDArray[np.int64], NDArray[np.bool_]]
"""Byte addresses in program order, and whether each is written."""
Progress = Callable[[str, int, int], None]
MAX_KEPT = 20_000_000
"""Commands that a whole trace may hold."""


@dataclass(frozen=True)
class DramSetting:
    """Channels of a memory behind their controllers.

    Attributes
    ----------
    memory : MemorySpec
    controller : Controller
    channels : int
    pseudo_channels : int or None
        Of each channel; all by default.
    access_bytes : int
        Bytes at every address [B].
    """

    memory: MemorySpec
    controller: Controller = field(default_factory=Controller)
    channels: int = 1
    pseudo_channels: int | None = None
    access_bytes: int = 64

    def __post_init__(self) -> None:
        """Refuse channels that the memory's capacity cannot be laid out on."""
        check_whole("channels", self.channels, 1, MAX_CHANNELS)
        check_whole("pseudo_channels", self.buses, 1, self.memory.pseudo_channels)

    @property
    def buses(self) -> int:
        """Simulated pseudo-channels of each channel."""
        whole = self.memory.pseudo_channels
        return whole if self.pseudo_channels is None else self.pseudo_channels

    @property
    def capacity_bytes(self) -> int:
        """Capacity of what is simulated [B]."""
        return simulated_bytes(self.memory, self.channels, self.buses)

    @property
    def refresh_bound(self) -> float:
        """Largest share of the peak that refresh leaves to a channel.

        Notes
        -----
        1 - tRFC / tREFI of refreshes of all banks; 1 where single banks are refreshed, since
        others may work meanwhile, and without refresh.
        """
        if self.controller.refresh != "all-bank":
            return 1.0
        n = resolved_cycles(self.memory)
        return 1 - n["nRFC"] / n["nREFI"]

    def with_controller(self, **changes: Any) -> DramSetting:
        """Return the same channels behind changed controllers."""
        changed = dataclasses.replace(self.controller, **changes)
        return dataclasses.replace(self, controller=changed)

    def run(self, accesses: Accesses, *, trace_commands: int = 0) -> DramResult:
        """Simulate accesses, see `accelsim.simulate_dram`."""
        return simulate_dram(
            self.memory,
            *accesses,
            channels=self.channels,
            pseudo_channels=self.pseudo_channels,
            access_bytes=self.access_bytes,
            trace_commands=trace_commands,
            **dataclasses.asdict(self.controller),
        )


@dataclass(frozen=True)
class DramStudy:
    """One list of accesses through one setting.

    Attributes
    ----------
    setting : DramSetting
    accesses : (int64[n], bool[n])
    """

    setting: DramSetting
    accesses: Accesses

    @cached_property
    def result(self) -> DramResult:
        """What the simulation found."""
        return self.setting.run(self.accesses)

    @cached_property
    def unrefreshed_fraction(self) -> float | None:
        """Bandwidth over peak were there no refresh; None where there is none."""
        if self.setting.controller.refresh == "none":
            return None
        return self.setting.with_controller(refresh="none").run(self.accesses).bandwidth_fraction

    def traced(self, commands: int | None = None) -> DramResult:
        """Simulate again and keep commands: so many of each channel, or all.

        Raises
        ------
        SimulationError
            If all are more than MAX_KEPT.
        """
        if commands is None:
            commands = sum(self.result.commands.values())
            if commands * self.setting.channels > MAX_KEPT:
                raise SimulationError(
                    f"{commands:,} commands to keep, at most {MAX_KEPT:,}: take fewer accesses"
                )
        return self.setting.run(self.accesses, trace_commands=commands)


@dataclass(frozen=True)
class DramSweep:
    """Bandwidth and latency over one parameter.

    Attributes
    ----------
    name : str
        Of SWEEPS.
    setting : DramSetting
    values : tuple of float
        Of the parameter [B where it is a size].
    results : tuple of DramResult
    traffic : Traffic
        Of the first point.
    """

    name: str
    setting: DramSetting
    values: tuple[float, ...]
    results: tuple[DramResult, ...]
    traffic: Traffic

    def to_dict(self) -> dict[str, Any]:
        """Return the points as plain values."""
        points = [
            {"value": value, **result.to_dict()}
            for value, result in zip(self.values, self.results, strict=True)
        ]
        return {"sweep": self.name, "points": points}


@dataclass(frozen=True)
class _Axis:
    """What a sweep turns: a field of the traffic or of the controller."""

    title: str
    values: tuple[float, ...]
    traffic: tuple[str, ...] = ()
    controller: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()


def _steps(least: int, most: int, *, between: bool) -> tuple[float, ...]:
    """Powers of two, with one and a half times each between them if asked."""
    found: list[float] = []
    step = least
    while step <= most:
        found.append(step)
        if between and step > 1 and 3 * step // 2 < most:
            found.append(3 * step // 2)
        step *= 2
    return tuple(found)


SWEEPS = {
    "stride": _Axis("stride", _steps(64, 65536, between=True), traffic=("stride_bytes",),
                    patterns=("strided",)),
    "streams": _Axis("streams", _steps(1, 64, between=True), traffic=("streams",),
                     patterns=("stream",)),
    "read-share": _Axis("read share", tuple(i / 10 for i in range(11)), traffic=("read_share",)),
    "block": _Axis("block", _steps(64, 16384, between=False), traffic=("block_bytes",),
                   patterns=("random", "mixed")),
    "queue": _Axis("queue entries", _steps(2, 512, between=False),
                   controller=("read_queue", "write_queue")),
    "outstanding": _Axis("accesses under way", _steps(1, 1024, between=True),
                         controller=("outstanding",)),
}  # fmt: skip
"""Parameters that can be swept, and over what."""


def pattern_of_sweep(name: str, pattern: str | None) -> str:
    """Choose the pattern that a sweep needs, or refuse the one that was asked for.

    Raises
    ------
    SimulationError
        If the sweep is unknown, or its parameter means nothing to the pattern.
    """
    if name not in SWEEPS:
        raise SimulationError(f"sweep '{name}' is unknown: {suggest(name, SWEEPS)}")
    needed = SWEEPS[name].patterns
    if pattern is None:
        return needed[0] if needed else "stream"
    if needed and pattern not in needed:
        raise SimulationError(
            f"pattern '{pattern}' has no {SWEEPS[name].title} to sweep: take {' or '.join(needed)}"
        )
    return pattern


def sweep_dram(
    setting: DramSetting, traffic: Traffic, name: str, *, tell: Progress | None = None
) -> DramSweep:
    """Simulate the same traffic with one parameter turned through its range.

    Parameters
    ----------
    setting : DramSetting
    traffic : Traffic
        Of a pattern that has the parameter.
    name : str
        Of SWEEPS.
    tell : callable, optional
        Called with a label, points done and points in all.

    Returns
    -------
    DramSweep

    Raises
    ------
    SimulationError
        If the sweep is unknown, or fits the pattern or the sizes of accesses not.
    """
    pattern_of_sweep(name, traffic.pattern)
    axis = SWEEPS[name]
    values = tuple(value for value in axis.values if _possible(axis, value, setting, traffic))
    first = _turned(traffic, axis, values[0])
    results = []
    for done, value in enumerate(values):
        if tell is not None:
            tell(f"{axis.title} {value:g}", done, len(values))
        changed = setting.with_controller(**_controls(axis, value, setting))
        accesses = _turned(traffic, axis, value).addresses(setting.capacity_bytes)
        results.append(changed.run(accesses))
    return DramSweep(name, setting, values, tuple(results), first)


def _possible(axis: _Axis, value: float, setting: DramSetting, traffic: Traffic) -> bool:
    """Leave out sizes that accesses do not divide, and queues beyond all bounds."""
    if axis.traffic in (("stride_bytes",), ("block_bytes",)):
        return value % traffic.access_bytes == 0
    if "outstanding" in axis.controller:
        entries = setting.controller.read_queue * setting.channels
        return value * _bursts(setting) <= 4 * entries
    return value <= MAX_QUEUE


def _bursts(setting: DramSetting) -> int:
    """Transactions of one access."""
    return max(setting.access_bytes // int(setting.memory.access_bytes), 1)


def _controls(axis: _Axis, value: float, setting: DramSetting) -> dict[str, int]:
    """Fields of the controller at a point; whole accesses are under way, not parts of them."""
    scale = _bursts(setting) if "outstanding" in axis.controller else 1
    return {name: scale * int(value) for name in axis.controller}


def _turned(traffic: Traffic, axis: _Axis, value: float) -> Traffic:
    """Return the traffic with one field turned; written streams keep their share."""
    changes: dict[str, Any] = {f: value if f == "read_share" else int(value) for f in axis.traffic}
    if "streams" in changes and traffic.write_streams:
        written = round(traffic.write_streams / traffic.streams * changes["streams"])
        changes["write_streams"] = min(written, changes["streams"])
    return dataclasses.replace(traffic, **changes)
