"""The JSON Schema that editors complete spec files from agrees with what validation accepts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel

from accelsim.arch.fields import unwrap
from accelsim.arch.memory import MemorySpec
from accelsim.arch.schema import ChipSpec
from accelsim.arch.system import SystemSpec


def properties(schema: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = schema["properties"]
    return found


@pytest.mark.parametrize("model", [ChipSpec, SystemSpec, MemorySpec])
def test_the_schema_is_json_and_closed(model: type[BaseModel]) -> None:
    schema = model.model_json_schema()
    json.dumps(schema, allow_nan=False)
    assert schema["additionalProperties"] is False


def test_keys_are_those_of_the_yaml_file() -> None:
    keys = properties(ChipSpec.model_json_schema())
    assert "clock" in keys
    assert "clock_hz" not in keys


def test_a_quantity_may_be_plain_or_annotated() -> None:
    clock = properties(ChipSpec.model_json_schema())["clock"]
    plain, annotated = clock["anyOf"]
    assert plain["type"] == "string"
    assert annotated["required"] == ["value"]
    assert set(annotated["properties"]) == {"value", "source", "status", "basis", "note"}


def test_dtype_tables_list_the_dtypes() -> None:
    unit = ChipSpec.model_json_schema()["$defs"]["TensorCoreUnit"]
    assert {"bf16", "fp8", "int8"} <= set(properties(unit)["flop_per_cycle"]["properties"])


def test_unwrap_gives_the_value() -> None:
    assert unwrap("5 W") == "5 W"
    assert unwrap({"value": "5 W", "note": "x"}) == "5 W"
