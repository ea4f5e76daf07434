"""``accelsim schema``: the JSON Schema of spec files, so that editors complete and check them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from accelsim.cli.console import write_json
from accelsim.cli.options import JsonFile


class SchemaKind(StrEnum):
    """Kinds of file that have a schema."""

    CHIP = "chip"
    SYSTEM = "system"
    MEMORY = "memory"
    SWEEP = "sweep"
    OPS = "ops"


def schema(
    kind: Annotated[
        SchemaKind, typer.Argument(metavar="KIND", help="chip, system, memory, sweep or ops.")
    ],
    json_file: JsonFile = None,
) -> None:
    """Print the JSON Schema of a kind of spec file, or the columns that predict reads (ops).

    In VS Code: accelsim schema chip --json chip.schema.json, then put
    '# yaml-language-server: $schema=chip.schema.json' on the first line of the spec.
    """
    write_json(_schema(kind), json_file or "-")


def _schema(kind: SchemaKind) -> dict[str, Any]:
    match kind:
        case SchemaKind.OPS:
            from accelsim.scenarios.op_table import ops_schema

            return ops_schema()
        case SchemaKind.CHIP:
            from accelsim.arch.schema import ChipSpec

            tree = _extensible(ChipSpec.model_json_schema())
        case SchemaKind.SYSTEM:
            from accelsim.arch.system import SystemSpec

            tree = _extensible(SystemSpec.model_json_schema())
        case SchemaKind.MEMORY:
            from accelsim.arch.memory import MemorySpec

            tree = _extensible(MemorySpec.model_json_schema())
        case SchemaKind.SWEEP:
            from accelsim.explore.space import SpaceSpec

            tree = SpaceSpec.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **tree}


def _extensible(tree: dict[str, Any]) -> dict[str, Any]:
    """Allow `extends`, which the loader resolves before validation, to stand for missing keys."""
    described = {"type": "string", "description": "Name or path of a spec that this one changes."}
    required = tree.pop("required", [])
    tree["properties"] = {"extends": described, **tree["properties"]}
    tree["anyOf"] = [{"required": ["extends"]}, {"required": required}]
    return tree
