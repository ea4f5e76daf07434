"""Delays as datasheets state them: clocks, a time, or the larger of the two."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from accelsim import units
from accelsim.arch.fields import annotation_schema, unwrap

_DELAY = units.Dimension("time or a count of clocks", "second", "14 ns' or '14 nCK")
_CLOCKS = re.compile(r"\s*(\d{1,9})(\.\d*)?\s*nCK\s*")
_LARGER = re.compile(r"\s*max\(([^(),]+),([^(),]+)\)\s*")
_MOST_CLOCKS, _LONGEST_S = 10**6, 1e-3
_ROUNDING_GUARD = 0.01
"""Clocks by which a time may pass the clock it is rounded to (2.01 clocks are 3, 2.009 are 2)."""


@dataclass(frozen=True)
class Delay:
    """One timing parameter: the larger of a count of clocks and a time.

    Attributes
    ----------
    clocks : int
        Periods of the command clock [nCK].
    time_s : float
        Time [s].

    Notes
    -----
    A time takes ``ceil(time / tCK - 0.01)`` clocks. The guard keeps 14 ns at 1 ns, a quotient such
    as 14.000000000000002, from becoming 15; JEDEC guards in the same way, with 0.026 clocks [1]_.

    References
    ----------
    .. [1] JEDEC JESD79-4 and JESD79-5, rounding algorithms.
    """

    clocks: int = 0
    time_s: float = 0.0

    def cycles(self, period_s: float) -> int:
        """Whole clocks of `period_s` [s] that last at least as long."""
        return max(self.clocks, math.ceil(self.time_s / period_s - _ROUNDING_GUARD))

    def nearest_cycles(self, period_s: float) -> int:
        """Clocks nearest to it: for average intervals, which have no shortest length."""
        return max(self.clocks, round(self.time_s / period_s))

    @property
    def text(self) -> str:
        """As a spec states it, for example ``"max(4 nCK, 7.5 ns)"``."""
        clocks, time = f"{self.clocks} nCK", f"{self.time_s * 1e9:.6g} ns"
        if self.clocks and self.time_s:
            return f"max({clocks}, {time})"
        return time if self.time_s else clocks

    def seconds(self, period_s: float) -> float:
        """Its length [s] before rounding to clocks."""
        return max(self.clocks * period_s, self.time_s)


@dataclass(frozen=True)
class DelayText:
    """Pydantic marker: text such as ``"14 nCK"``, ``"14 ns"`` or ``"max(4 nCK, 7.5 ns)"``."""

    positive: bool = True

    def read(self, raw: Any) -> Delay:
        """Validate one raw YAML value."""
        text = unwrap(raw)
        if not isinstance(text, str):
            raise ValueError(f"{text!r} has no unit, expected a time or clocks: '14 ns', '14 nCK'")
        both = _LARGER.fullmatch(text)
        parts = [_read_part(part) for part in (both.groups() if both else (text,))]
        delay = Delay(max(part.clocks for part in parts), max(part.time_s for part in parts))
        if self.positive and delay == Delay():
            raise ValueError(f"'{text}' must be positive")
        return delay

    def __get_pydantic_core_schema__(self, _: Any, __: GetCoreSchemaHandler) -> CoreSchema:
        """Validate with `read`."""
        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(
        self, _: CoreSchema, __: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Describe the plain and the annotated form to editors."""
        value = {"type": "string", "examples": ["14 nCK", "14 ns", "max(4 nCK, 7.5 ns)"]}
        return {"title": "clocks or time", "anyOf": [value, annotation_schema(value)]}


def _read_part(text: str) -> Delay:
    clocks = _CLOCKS.fullmatch(text)
    if clocks and clocks[2]:
        raise ValueError(f"'{text}' is no whole number of clocks, round up or state a time in ns")
    delay = Delay(int(clocks[1])) if clocks else Delay(0, units.parse_quantity(text, _DELAY))
    if delay.time_s < 0:
        raise ValueError(f"'{text}' must not be negative")
    if delay.clocks > _MOST_CLOCKS or delay.time_s > _LONGEST_S:
        raise ValueError(f"'{text}' is beyond {_MOST_CLOCKS} nCK or 1 ms: is the unit right?")
    return delay
