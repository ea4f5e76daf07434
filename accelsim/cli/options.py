"""Options that several commands share, so that they are spelt and explained alike."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from accelsim.errors import SpecError

JsonFile = Annotated[
    str | None,
    typer.Option("--json", metavar="FILE", help="Write the result as JSON; '-' is stdout."),
]
On = Annotated[
    str,
    typer.Option("--on", metavar="NAME", help="Chip or system: a name or a path to a YAML file."),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Change one value of the spec, e.g. memory.bandwidth='4 TB/s'. Repeatable.",
    ),
]
EmulateDType = Annotated[
    bool,
    typer.Option("--emulate-dtype", help="Let a chip without the dtype use a wider one."),
]
Launch = Annotated[
    str,
    typer.Option(
        "--launch",
        metavar="MODE",
        help="graph (host dispatch hidden), eager (paid per op) or compiled (as eager, and slower: "
        "each norm, activation, ... is a compiled function of its own, with its guards).",
    ),
]
OutputFolder = Annotated[
    Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the results.")
]


def parse_overrides(texts: Sequence[str] | None) -> dict[str, Any]:
    """Turn ``PATH=VALUE`` texts into a mapping; numbers, true, false and lists are read as such.

    Raises
    ------
    SpecError
        If a text has no ``=`` or names a path twice.
    """
    changes: dict[str, Any] = {}
    for text in texts or ():
        path, equals, value = (part.strip() for part in text.partition("="))
        if not (path and equals and value):
            raise SpecError(
                f"--set '{text}' is not PATH=VALUE, for example --set memory.bandwidth='4 TB/s'"
            )
        if path in changes:
            raise SpecError(f"--set gives '{path}' twice")
        changes[path] = _value(value)
    return changes


def _value(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=str)
    except ValueError:
        return text  # a quantity with a unit, or a name
