"""JSON of weight files: one object, bounded in size and depth, without duplicate keys."""

from __future__ import annotations

import json
from typing import Any

from accelsim.documents import printable
from accelsim.errors import WorkloadError

_MOST_SIGNS = 2**20
"""Commas and opening brackets: a header of 95,000 tensors has so many."""
_QUOTED = 80


def parse_object(data: bytes, where: str) -> dict[str, Any]:
    """Return the JSON object that `data` is.

    Parameters
    ----------
    data : bytes
        UTF-8 text.
    where : str
        File and byte, for messages.

    Raises
    ------
    WorkloadError
        If it is no JSON object, has a key twice, is nested without end, or has more values than a
        header needs.
    """
    if sum(map(data.count, (b",", b"{", b"["))) > _MOST_SIGNS:
        raise WorkloadError(f"{where}: JSON of more than {_MOST_SIGNS} parts, no header needs so")

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        tree: dict[str, Any] = {}
        for key, value in items:
            if key in tree:
                shown = printable(key[:_QUOTED])
                raise WorkloadError(f"{where}: the key '{shown}' stands twice in one object")
            tree[key] = value
        return tree

    try:
        tree = json.loads(data.decode("utf-8"), object_pairs_hook=pairs)
    except UnicodeDecodeError:
        raise WorkloadError(f"{where}: not UTF-8 text") from None
    except json.JSONDecodeError as problem:
        raise WorkloadError(
            f"{where}: not valid JSON: {problem.msg} (character {problem.pos})"
        ) from None
    except (RecursionError, ValueError):
        raise WorkloadError(
            f"{where}: not usable JSON: nested too deeply or a number too long"
        ) from None
    if not isinstance(tree, dict):
        raise WorkloadError(f"{where}: expected a JSON object, got {type(tree).__name__}")
    return tree
