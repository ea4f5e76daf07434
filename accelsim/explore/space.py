"""The space file: what a sweep holds fixed, what it varies and what it compares.

::

    base: {chip: h100_sxm, model: llama3.1-8b, phase: decode, batch: 16, input_len: 2048}
    parameters:
      memory.bandwidth: {range: {start: 2 TB/s, stop: 8 TB/s, num: 7}}
      cores: {values: [66, 132, 264]}
    objectives: [latency_s, {maximize: tokens_per_s}]
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, WithJsonSchema

from accelsim.arch.validation import validate
from accelsim.documents import Document, parse_yaml, read_text
from accelsim.errors import SpecError, suggest
from accelsim.explore.check import check_space
from accelsim.explore.grid import (
    LARGER_IS_BETTER,
    METRICS,
    TARGET_KEYS,
    Objective,
    Parameter,
    Space,
)
from accelsim.explore.values import Scale, expand_range, text_of
from accelsim.scenarios import options as run_options
from accelsim.scenarios.options import RunOptions
from accelsim.timing.launch import LAUNCH

MAX_POINTS = 10**6
_DIRECTIONS = ("minimize", "maximize")


class Range(BaseModel):
    """Evenly spaced values, both ends included."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    start: int | float | str = Field(description="First value: a number, or text with a unit.")
    stop: int | float | str = Field(description="Last value, in the unit of `start`.")
    num: int = Field(ge=2, le=MAX_POINTS, strict=True, description="How many values.")
    scale: Scale = Field(default="linear", description="Equal steps, or equal ratios (log).")


class Axis(BaseModel):
    """The values of one parameter: a list or a range."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    values: list[Any] | None = Field(default=None, min_length=1, description="As in a spec file.")
    range: Range | None = None

    def expand(self) -> tuple[Any, ...]:
        """Return the values in order.

        Raises
        ------
        ValueError
            If the range is empty or of two kinds, or a value stands twice or is not finite.
        """
        if self.range is not None:
            ends = self.range
            return expand_range(ends.start, ends.stop, ends.num, ends.scale)
        values = tuple(self.values or ())
        seen: set[tuple[str, str | None]] = set()
        for value in values:
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{value!r} is not a finite number")
            # 1, 1.0 and true are equal in Python, yet different settings.
            key = (type(value).__name__, text_of(value))
            if key in seen:
                raise ValueError(f"the value {value!r} stands twice")
            seen.add(key)
        return values


def _read_axis(raw: Any) -> Any:
    """Check the shape of one axis with a clearer message than a schema gives."""
    if isinstance(raw, Axis):
        return raw
    if not isinstance(raw, dict):
        raise ValueError("expected {values: [...]} or {range: {start, stop, num, scale}}")
    for key in raw:
        if key not in Axis.model_fields:
            raise ValueError(f"unknown key '{key}', {suggest(key, Axis.model_fields)}")
    if len(raw) != 1:
        raise ValueError("expected either 'values' or 'range'")
    if "values" in raw and not (isinstance(raw["values"], list) and raw["values"]):
        raise ValueError("'values' must be a list with at least one value")
    return raw


def _read_objective(raw: Any) -> Objective:
    """Read ``latency_s`` or ``{maximize: tokens_per_s}``."""
    direction, name = "", raw
    if isinstance(raw, dict):
        if len(raw) != 1 or next(iter(raw)) not in _DIRECTIONS:
            raise ValueError(f"{raw!r} is not a name, {{maximize: name}} or {{minimize: name}}")
        direction, name = next(iter(raw.items()))
    if name not in METRICS:
        raise ValueError(f"unknown objective {name!r}, {suggest(str(name), METRICS)}")
    maximize = direction == "maximize" if direction else name in LARGER_IS_BETTER
    return Objective(name, maximize)


def _base_schema() -> dict[str, Any]:
    """Describe `base` to editors: targets, model and run options; any other key is a spec path."""
    text = {"type": "string"}
    properties: dict[str, Any] = dict.fromkeys((*TARGET_KEYS, "model"), text)
    properties |= TypeAdapter(RunOptions).json_schema()["properties"]
    for name, known in (
        ("phase", run_options.PHASES),
        ("engine", run_options.ENGINES),
        ("attention", run_options.ATTENTION),
        ("recompute", run_options.RECOMPUTE),
        ("launch", LAUNCH),
    ):
        properties[name] = {**properties[name], "enum": list(known)}
    return {"type": "object", "properties": properties}


_METRIC_SCHEMA = {"enum": list(METRICS)}
_OBJECTIVE_SCHEMA = {
    "anyOf": [
        _METRIC_SCHEMA,
        *(
            {
                "type": "object",
                "properties": {direction: _METRIC_SCHEMA},
                "required": [direction],
                "additionalProperties": False,
            }
            for direction in _DIRECTIONS
        ),
    ]
}
_ReadAxis = Annotated[Axis, BeforeValidator(_read_axis, json_schema_input_type=Axis)]
_ReadObjective = Annotated[Any, BeforeValidator(_read_objective), WithJsonSchema(_OBJECTIVE_SCHEMA)]


class SpaceSpec(BaseModel):
    """A design space for `accelsim sweep`; the schema of its file.

    Attributes
    ----------
    base : dict
        chip (or system, or on), model and any run option or dotted spec path.
    parameters : dict
        Path to `Axis`: a run option, chip, model, or a dotted spec path.
    objectives : list of Objective
        Names of result columns; costs are minimised, rates and utilisations maximised, and
        ``{maximize: name}`` or ``{minimize: name}`` says otherwise.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", title="accelsim sweep space")

    base: Annotated[dict[str, Any], WithJsonSchema(_base_schema())]
    parameters: dict[str, _ReadAxis] = Field(min_length=1)
    objectives: list[_ReadObjective] = Field(min_length=1)


def load_space(path: str | Path) -> Space:
    """Read and check a space file.

    Parameters
    ----------
    path : str or Path
        A YAML file; the names of chips and models in it are packaged names, or paths relative
        to its folder.

    Returns
    -------
    Space

    Raises
    ------
    SpecError
        With file, line, dotted path and the nearest known word: for an unknown key, option,
        spec path or name, a value that no chip of the space accepts, an empty list, a repeated
        value, an unknown objective, or more than `MAX_POINTS` points.
    """
    text = read_text(path, SpecError)
    return space_from_document(parse_yaml(text, str(path), SpecError), text)


def space_from_document(document: Document, text: str) -> Space:
    """Check the parsed text of a space file; errors as `load_space`."""
    if not isinstance(document.tree, dict):
        raise SpecError(
            f"{document.where()}: expected a mapping with base, parameters and objectives"
        )
    spec = validate(SpaceSpec, document)
    parameters = tuple(_parameter(document, path, axis) for path, axis in spec.parameters.items())
    names = [objective.name for objective in spec.objectives]
    if len(set(names)) != len(names):
        raise SpecError(f"{document.where(('objectives',))} objectives: a name stands twice")
    space = Space(document.path, text, spec.base, parameters, tuple(spec.objectives))
    if space.size > MAX_POINTS:
        sizes = " x ".join(str(len(parameter.values)) for parameter in parameters)
        raise SpecError(
            f"{document.where(('parameters',))} parameters: {sizes} = {space.size:,} points, "
            f"the limit is {MAX_POINTS:,}: give fewer values"
        )
    return dataclasses.replace(space, fingerprint=check_space(space, document))


def _parameter(document: Document, path: str, axis: Axis) -> Parameter:
    try:
        return Parameter(path, axis.expand())
    except ValueError as problem:
        keys = ("parameters", path)
        raise SpecError(f"{document.where(keys)} parameters.{path}: {problem}") from None
