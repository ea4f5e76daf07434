"""The calibrated scalars as parameters of a fit: their range, and a chip that has other values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from accelsim.arch.chip import Chip
from accelsim.arch.system import System
from accelsim.scenarios.predict import predict
from accelsim.units import format_si
from accelsim.validation.compare import ops_of
from accelsim.validation.devices import SCALARS

Floats = NDArray[np.float64]
# No kernel sustains less than a tenth of a peak, and none more than the peak. Pointer chases find
# 0.1 to 1 us of memory latency, chains of tiny kernels 1 to 10 us of overhead: both with room.
_EFFICIENCY = (0.1, 1.0)
_RANGES = {
    "kernel_overhead_s": (1e-7, 1e-4),
    "host_dispatch_s": (5e-7, 5e-4),
    "memory_latency_s": (5e-8, 3e-6),
}
_DIGITS = 4


def bounds_of(name: str) -> tuple[float, float]:
    """Return the least and the largest value that a fit may give a scalar."""
    return _RANGES.get(name, _EFFICIENCY)


def values_of(chip: Chip) -> dict[str, float]:
    """Return the scalars in force; a derived memory efficiency counts as one."""
    values = {name: getattr(chip.calibration, name) for name in SCALARS}
    if values["memory_efficiency"] is None:
        values["memory_efficiency"] = chip.memory_efficiency
    return values


def with_values(chip: Chip, values: Mapping[str, float]) -> Chip:
    """Return the chip with other scalars."""
    changed: dict[str, Any] = dict(values)
    return replace(chip, calibration=replace(chip.calibration, **changed))


def rounded(value: float) -> float:
    """Round to the digits that a chip file states."""
    return float(f"{value:.{_DIGITS}g}")


def written(name: str, value: float) -> str:
    """Write a scalar as a chip file has it: a fraction, or a time with its unit."""
    return format_si(value, "s", _DIGITS) if name.endswith("_s") else f"{value:.{_DIGITS}g}"


@dataclass(frozen=True, eq=False)
class Model:
    """Predicted times of measured rows as a function of some scalars.

    Attributes
    ----------
    chip : Chip
        With the values that are not varied.
    rows : DataFrame
        As `MeasuredOps.frame`; all on this chip.
    """

    chip: Chip
    rows: pd.DataFrame

    @cached_property
    def _parts(self) -> tuple[tuple[str, NDArray[np.int64], pd.DataFrame], ...]:
        """Ops by launch, with their places among the rows."""
        launches = self.rows["launch"].to_numpy(str)
        places = {str(name): np.flatnonzero(launches == name) for name in np.unique(launches)}
        return tuple((n, chosen, ops_of(self.rows.iloc[chosen])) for n, chosen in places.items())

    def seconds(self, values: Mapping[str, float]) -> Floats:
        """Predict all rows with these scalars [s]."""
        system = System.of_chip(with_values(self.chip, values))
        times_s = np.empty(len(self.rows))
        for launch, chosen, ops in self._parts:
            times_s[chosen] = predict(ops, system, launch)["latency_s"].to_numpy(float)
        return times_s

    def log_errors(self, values: Mapping[str, float]) -> Floats:
        """Return log(predicted / measured) of all rows."""
        return np.asarray(np.log(self.seconds(values) / self.rows["measured_s"].to_numpy(float)))
