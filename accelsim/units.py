"""Units at the edge: text with a unit in, SI floats inside, readable text out.

Pint does the parsing, with a small registry of our own: the units of computer architecture and
no others, so that a start costs milliseconds and `3.35 TB/s` can never be read as a temperature.
`GB` is 10^9 bytes and `GiB` is 2^30 bytes; `Gb` is bits.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pint

PS_PER_S = 10**12
"""Picoseconds of a second: events are timed in whole ones."""


def to_ps(seconds: float) -> int:
    """Return a duration in whole picoseconds, to the nearest."""
    return round(seconds * PS_PER_S)


_PREFIXES = """
femto- = 1e-15 = f-
pico- = 1e-12 = p-
nano- = 1e-9 = n-
micro- = 1e-6 = µ- = u-
milli- = 1e-3 = m-
centi- = 1e-2 = c-
kilo- = 1e3 = k-
mega- = 1e6 = M-
giga- = 1e9 = G-
tera- = 1e12 = T-
peta- = 1e15 = P-
exa- = 1e18 = E-
kibi- = 1024 = Ki-
mebi- = 1048576 = Mi-
gibi- = 1073741824 = Gi-
tebi- = 1099511627776 = Ti-
"""
_UNITS = """
meter = [length] = m
second = [time] = s
gram = [mass] = g
kelvin = [temperature] = K
celsius = [celsius] = degC
byte = [information] = B = bytes
flop = [computation] = FLOP = op = OP = ops
cycle = [cycle] = cycles
dollar = [currency] = USD = usd
bit = byte / 8 = b = bits
minute = 60 * second = min
hour = 3600 * second = h
hertz = 1 / second = Hz
joule = 1000 * gram * meter ** 2 / second ** 2 = J
watt = joule / second = W
volt = [potential] = V
transfer = [transfer] = T_ = transfers
"""


@dataclass(frozen=True)
class Dimension:
    """A kind of physical quantity: what it is called, its SI unit and how a user writes it."""

    name: str
    si_unit: str
    example: str

    @property
    def article(self) -> str:
        """``a`` or ``an``, for messages."""
        return "an" if self.name[0] in "aeiou" else "a"


TIME = Dimension("time", "second", "2 us")
FREQUENCY = Dimension("frequency", "hertz", "1.83 GHz")
INFORMATION = Dimension("size", "byte", "80 GB")
BANDWIDTH = Dimension("bandwidth", "byte/second", "3.35 TB/s")
BYTES_PER_CYCLE = Dimension("width", "byte/cycle", "128 B/cycle")
COMPUTE_RATE = Dimension("compute rate", "flop/second", "989 TFLOP/s")
POWER = Dimension("power", "watt", "700 W")
ENERGY = Dimension("energy", "joule", "0.34 pJ")
ENERGY_PER_BYTE = Dimension("energy per byte", "joule/byte", "3.9 pJ/bit")
WIRE_ENERGY = Dimension("wire energy", "joule/byte/meter", "60 fJ/bit/mm")
AREA = Dimension("area", "meter**2", "814 mm^2")
LENGTH = Dimension("length", "meter", "7 nm")
VOLTAGE = Dimension("voltage", "volt", "0.75 V")
TEMPERATURE = Dimension("temperature", "celsius", "85 degC")
CURRENCY = Dimension("price", "dollar", "25000 USD")

_KNOWN = (
    TIME, FREQUENCY, INFORMATION, BANDWIDTH, BYTES_PER_CYCLE, COMPUTE_RATE, POWER, ENERGY,
    ENERGY_PER_BYTE, WIRE_ENERGY, AREA, LENGTH, VOLTAGE, TEMPERATURE, CURRENCY,
)  # fmt: skip


@cache
def _registry() -> pint.UnitRegistry[float]:
    import pint

    registry: pint.UnitRegistry[float] = pint.UnitRegistry(None)
    registry.load_definitions((_PREFIXES + _UNITS).strip().splitlines())
    return registry


def _describe(dimensionality: object) -> str:
    registry = _registry()
    for dimension in _KNOWN:
        if registry.parse_units(dimension.si_unit).dimensionality == dimensionality:
            return f"{dimension.article} {dimension.name}"
    return "another kind of quantity"


# A plain number, then units joined by / and *: nothing that pint would have to evaluate.
_QUANTITY = re.compile(
    r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?|[+-]?(?:nan|inf))\s*"
    r"((?:[A-Za-zµ]+(?:\^\d)?(?:\s*[/*]\s*[A-Za-zµ]+(?:\^\d)?)*)?)\s*"
)


@cache
def parse_quantity(text: str, dimension: Dimension) -> float:
    """Parse text such as ``"3.35 TB/s"`` to an SI float of the expected dimension.

    Parameters
    ----------
    text : str
        A number followed by a unit.
    dimension : Dimension
        What the text must be.

    Returns
    -------
    float
        The value in the dimension's SI unit [dimension.si_unit].

    Raises
    ------
    ValueError
        If the text has no unit, an unknown unit, another dimension or a non-finite value. The
        message says what was expected; the caller adds where.
    """
    import pint

    expected = f"expected {dimension.article} {dimension.name} such as '{dimension.example}'"
    if len(text) > 60:
        raise ValueError(f"a text of {len(text)} characters, {expected}")
    parts = _QUANTITY.fullmatch(text)
    if parts is None:
        raise ValueError(f"'{text}' is not a number with a unit, {expected}")
    number, unit = parts.groups()
    if not unit:
        raise ValueError(f"'{text}' has no unit, {expected}")
    registry = _registry()
    try:
        quantity = registry.Quantity(float(number), registry.parse_units(unit))
    except pint.UndefinedUnitError as error:
        names = error.unit_names
        unknown = names if isinstance(names, str) else ", ".join(names)
        hint = " (write kB for 1000 bytes or KiB for 1024)" if unknown.startswith("KB") else ""
        raise ValueError(f"'{text}' has the unknown unit '{unknown}'{hint}, {expected}") from None
    try:
        value = float(quantity.m_as(dimension.si_unit))
    except pint.DimensionalityError:
        got = _describe(quantity.dimensionality)
        raise ValueError(f"'{text}' is {got}, {expected}") from None
    if not math.isfinite(value):
        raise ValueError(f"'{text}' is not finite, {expected}")
    return value


_SI_STEPS = (
    (1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""),
    (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"), (1e-12, "p"), (1e-15, "f"),
)  # fmt: skip


def format_si(value: float, unit: str, digits: int = 3) -> str:
    """Write a value with the SI prefix that leaves one to three digits before the point.

    Parameters
    ----------
    value : float
        The value in `unit`.
    unit : str
        The unit's symbol, for example ``"s"`` or ``"B/s"``.
    digits : int
        Significant digits.

    Returns
    -------
    str
        For example ``format_si(3.35e12, "B/s") == "3.35 TB/s"``.
    """
    if value == 0 or not math.isfinite(value):
        return f"{value:g} {unit}"
    for scale, prefix in _SI_STEPS:
        scaled = float(f"{value / scale:.{digits}g}")
        if abs(scaled) >= 1 or scale == _SI_STEPS[-1][0]:
            decimals = max(0, digits - 1 - math.floor(math.log10(abs(scaled) or 1.0)))
            return f"{scaled:.{decimals}f} {prefix}{unit}"
    raise AssertionError("unreachable: the last step always returns")
