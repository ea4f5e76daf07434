"""Field types of specifications: text with units in YAML, SI floats in Python.

A value in a spec file is either plain (``80 GB``, ``132``) or annotated with where it comes from::

    bandwidth: {value: 3.35 TB/s, source: nv_h100, status: published, note: "at 2619 MHz"}

Both forms validate to the same number; `accelsim.arch.provenance` collects the annotations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from accelsim import units
from accelsim.dtypes import DTYPES
from accelsim.errors import suggest
from accelsim.units import Dimension

Status = Literal["published", "measured", "derived", "estimated", "invented"]
Basis = Literal["per_direction", "bidirectional", "dense", "sparse"]
ANNOTATION_KEYS = ("value", "source", "status", "basis", "note")
_ANNOTATION_WORDS = {"status": get_args(Status), "basis": get_args(Basis)}


class Section(BaseModel):
    """A frozen mapping of a spec; unknown keys are errors.

    `source`, `status` and `note` apply to every value below that does not say otherwise.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    source: str | None = Field(default=None, description="Key of `sources` for the values below.")
    status: Status | None = Field(default=None, description="How the values below are known.")
    note: str | None = Field(default=None, description="Reasoning or remark on the values below.")


def annotation_schema(value: dict[str, Any]) -> dict[str, Any]:
    """JSON Schema of the annotated form of `value`."""
    return {
        "type": "object",
        "properties": {
            "value": value,
            "source": {"type": "string"},
            "status": {"enum": list(get_args(Status))},
            "basis": {"enum": list(get_args(Basis))},
            "note": {"type": "string"},
        },
        "required": ["value"],
        "additionalProperties": False,
    }


def unwrap(raw: Any) -> Any:
    """Return the plain value of an annotated one, or the value itself."""
    if not isinstance(raw, dict):
        return raw
    if "value" not in raw:
        raise ValueError("expected a value or a mapping with the key 'value'")
    for key, text in raw.items():
        if key not in ANNOTATION_KEYS:
            raise ValueError(
                f"unknown key '{key}' beside 'value': {suggest(str(key), ANNOTATION_KEYS)}"
            )
        words = _ANNOTATION_WORDS.get(key)
        if words is not None and text not in words:
            raise ValueError(f"unknown {key} '{text}': {suggest(str(text), words)}")
    return raw["value"]


@dataclass(frozen=True)
class Quantity:
    """Pydantic marker: text with a unit of `dimension`, stored as a non-negative SI float.

    `per_direction` marks a link bandwidth: the annotated form with `basis` is then required and
    a bidirectional figure is halved, so that the stored value is always per direction.
    """

    dimension: Dimension
    per_direction: bool = False
    positive: bool = True

    def read(self, raw: Any) -> float:
        """Validate one raw YAML value."""
        text = unwrap(raw)
        if not isinstance(text, str):
            raise ValueError(
                f"{text!r} has no unit, expected {self.dimension.article} {self.dimension.name} "
                f"such as '{self.dimension.example}'"
            )
        value = units.parse_quantity(text, self.dimension)
        if value < 0 or (self.positive and value == 0):
            raise ValueError(f"'{text}' must be positive")
        if not self.per_direction:
            return value
        basis = raw.get("basis") if isinstance(raw, dict) else None
        if basis not in ("per_direction", "bidirectional"):
            raise ValueError(
                f"'{text}' needs a basis, for example "
                f"{{value: {text}, basis: per_direction}} (or bidirectional)"
            )
        return value if basis == "per_direction" else value / 2

    def __get_pydantic_core_schema__(self, _: Any, __: GetCoreSchemaHandler) -> CoreSchema:
        """Validate with `read`."""
        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(
        self, _: CoreSchema, __: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Describe the plain and the annotated form to editors."""
        value = {"type": "string", "examples": [self.dimension.example]}
        title = f"{self.dimension.name} with unit"
        return {"title": title, "anyOf": [value, annotation_schema(value)]}


@dataclass(frozen=True)
class Number:
    """Pydantic marker: a count or ratio, plain or annotated."""

    integer: bool = True
    minimum: float = 1
    maximum: float = 1e18

    def read(self, raw: Any) -> float:
        """Validate one raw YAML value."""
        value = unwrap(raw)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{value!r} is not a number")
        if not math.isfinite(value):
            raise ValueError(f"{value!r} is not finite")
        if self.integer and value != int(value):
            raise ValueError(f"{value!r} is not a whole number")
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"{value!r} is not between {self.minimum:g} and {self.maximum:g}")
        return int(value) if self.integer else float(value)

    def __get_pydantic_core_schema__(self, _: Any, __: GetCoreSchemaHandler) -> CoreSchema:
        """Validate with `read`."""
        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(
        self, _: CoreSchema, __: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Describe the plain and the annotated form to editors."""
        kind = "integer" if self.integer else "number"
        value = {"type": kind, "minimum": self.minimum, "maximum": self.maximum}
        return {"anyOf": [value, annotation_schema(value)]}


@dataclass(frozen=True)
class Word:
    """Pydantic marker: a name, plain or annotated; one of `choices` where there are any."""

    choices: tuple[str, ...] = ()

    def read(self, raw: Any) -> str:
        """Validate one raw YAML value."""
        value = unwrap(raw)
        if not isinstance(value, str):
            raise ValueError(f"{value!r} is not a name")
        if self.choices and value not in self.choices:
            raise ValueError(f"unknown name '{value}': {suggest(value, self.choices)}")
        return value

    def __get_pydantic_core_schema__(self, _: Any, __: GetCoreSchemaHandler) -> CoreSchema:
        """Validate with `read`."""
        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(
        self, _: CoreSchema, __: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Describe the plain and the annotated form to editors."""
        name = {"enum": list(self.choices)} if self.choices else {"type": "string"}
        return {"anyOf": [name, annotation_schema(name)]}


@dataclass(frozen=True)
class DTypeKeys:
    """Pydantic marker: a mapping from dtype names to values read by `item`."""

    item: Quantity | Number

    def read(self, raw: Any) -> dict[str, float]:
        """Validate one raw YAML mapping."""
        if not isinstance(raw, dict) or not raw:
            raise ValueError("expected a mapping from dtype to value")
        table: dict[str, float] = {}
        for key, value in raw.items():
            if key in ("source", "status", "note"):
                continue
            if key not in DTYPES:
                raise ValueError(f"unknown dtype '{key}': {suggest(str(key), DTYPES)}")
            if isinstance(value, dict) and value.get("basis") == "sparse":
                raise ValueError(f"{key}: rates and peaks are dense; sparsity has its own section")
            try:
                table[key] = self.item.read(value)
            except ValueError as problem:
                raise ValueError(f"{key}: {problem}") from None
        if not table:
            raise ValueError("expected at least one dtype")
        return table

    def __get_pydantic_core_schema__(self, _: Any, __: GetCoreSchemaHandler) -> CoreSchema:
        """Validate with `read`."""
        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Describe the mapping to editors."""
        item = self.item.__get_pydantic_json_schema__(schema, handler)
        annotations = {key: {"type": "string"} for key in ("source", "status", "note")}
        return {
            "type": "object",
            "properties": {**dict.fromkeys(DTYPES, item), **annotations},
            "additionalProperties": False,
        }


Seconds = Annotated[float, Quantity(units.TIME, positive=False)]
Hertz = Annotated[float, Quantity(units.FREQUENCY)]
Bytes = Annotated[float, Quantity(units.INFORMATION)]
BytesPerSecond = Annotated[float, Quantity(units.BANDWIDTH)]
LinkBandwidth = Annotated[float, Quantity(units.BANDWIDTH, per_direction=True)]
BytesPerCycle = Annotated[float, Quantity(units.BYTES_PER_CYCLE)]
Watts = Annotated[float, Quantity(units.POWER)]
Joules = Annotated[float, Quantity(units.ENERGY)]
JoulesPerByte = Annotated[float, Quantity(units.ENERGY_PER_BYTE)]
JoulesPerByteMetre = Annotated[float, Quantity(units.WIRE_ENERGY)]
SquareMetres = Annotated[float, Quantity(units.AREA)]
Metres = Annotated[float, Quantity(units.LENGTH)]
Dollars = Annotated[float, Quantity(units.CURRENCY)]
Text = Annotated[str, Word()]
Count = Annotated[int, Number()]
Ratio = Annotated[float, Number(integer=False, minimum=0)]
Fraction = Annotated[float, Number(integer=False, minimum=1e-3, maximum=1)]
RateByDType = Annotated[dict[str, float], DTypeKeys(Number(integer=False, minimum=1e-6))]
PeakByDType = Annotated[dict[str, float], DTypeKeys(Quantity(units.COMPUTE_RATE))]
EnergyByDType = Annotated[dict[str, float], DTypeKeys(Quantity(units.ENERGY))]
