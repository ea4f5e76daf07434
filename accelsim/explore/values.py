"""Values of a parameter: lists as written, ranges with units, and the SI numbers behind text."""

from __future__ import annotations

import json
import re
from typing import Any, Literal

import numpy as np

from accelsim import units
from accelsim.units import Dimension, parse_quantity

Scale = Literal["linear", "log"]
_NUMBER_UNIT = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(.*?)\s*")
# The suffix that a name of this dimension carries (docs/nomenclature.md).
_SUFFIXES: dict[Dimension, str] = {
    units.TIME: "s",
    units.FREQUENCY: "hz",
    units.INFORMATION: "bytes",
    units.BANDWIDTH: "bytes_per_s",
    units.BYTES_PER_CYCLE: "bytes_per_cycle",
    units.COMPUTE_RATE: "flop_per_s",
    units.POWER: "w",
    units.ENERGY: "j",
    units.ENERGY_PER_BYTE: "j_per_byte",
    units.AREA: "m2",
    units.LENGTH: "m",
    units.VOLTAGE: "v",
    units.TEMPERATURE: "degc",
    units.CURRENCY: "usd",
}


def expand_range(start: Any, stop: Any, num: int, scale: Scale) -> tuple[Any, ...]:
    """Return `num` values from `start` to `stop`, both included.

    Parameters
    ----------
    start, stop : int, float or str
        Two whole numbers, two numbers, or two quantities in the same unit (``"1 TB/s"``).
    num : int
        How many values, at least 2.
    scale : str
        ``linear`` (equal steps) or ``log`` (equal ratios).

    Returns
    -------
    tuple
        Of the type of the ends. Whole numbers are rounded and then listed once each;
        quantities keep six significant digits.

    Raises
    ------
    ValueError
        If the ends are of different kinds or equal, or not positive on a log scale.
    """
    first, first_unit = _split(start)
    last, last_unit = _split(stop)
    if first_unit != last_unit:
        raise ValueError(f"start {start!r} and stop {stop!r} must be in the same unit")
    if first == last:
        raise ValueError(f"start and stop are both {start!r}, a range needs two ends")
    if scale == "log" and min(first, last) <= 0:
        raise ValueError(f"a log range needs positive ends, got {start!r} to {stop!r}")
    space = np.geomspace if scale == "log" else np.linspace
    numbers = space(first, last, num).tolist()
    if first_unit:
        return tuple(dict.fromkeys(f"{number:.6g} {first_unit}" for number in numbers))
    if isinstance(start, int) and isinstance(stop, int):
        return tuple(dict.fromkeys(round(number) for number in numbers))
    return tuple(dict.fromkeys(float(f"{number:.12g}") for number in numbers))


def _split(end: Any) -> tuple[float, str]:
    if isinstance(end, int | float) and not isinstance(end, bool):
        return float(end), ""
    parts = _NUMBER_UNIT.fullmatch(end) if isinstance(end, str) else None
    if parts is None:
        raise ValueError(f"{end!r} is neither a number nor a number with a unit")
    return float(parts[1]), parts[2]


def text_of(value: Any) -> str | None:
    """Return a value as the text of its column: lists and mappings as JSON, None as None."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True)


def si_values(path: str, values: tuple[Any, ...]) -> tuple[str, list[float]] | None:
    """Return the name and the SI numbers of a column of quantities, None for anything else.

    Parameters
    ----------
    path : str
        The spec path, for example ``"memory.bandwidth"``.
    values : tuple
        What the parameter takes.

    Returns
    -------
    tuple of str and list of float, or None
        For example ``("memory.bandwidth_bytes_per_s", [2e12, 4e12])``.
    """
    if not values or not all(isinstance(value, str) for value in values):
        return None
    for dimension, suffix in _SUFFIXES.items():
        try:
            numbers = [parse_quantity(value, dimension) for value in values]
        except ValueError:
            continue
        return f"{path}_{suffix}", numbers
    return None
