"""Where every number of a specification comes from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from accelsim.documents import Path_, dotted

UNSOURCED = "unsourced"
OVERRIDE = "override"
_STRUCTURAL = {"name", "title", "vendor", "kind", "sources", "source", "status", "note", "style"}


@dataclass(frozen=True)
class Provenance:
    """One value of a spec and how it is known.

    Attributes
    ----------
    path : str
        Dotted path in the spec.
    text : str
        The value as written, with its unit.
    source : str
        Key of the spec's `sources`, ``"unsourced"``, or ``"override"`` for one run's change.
    status : str
        published, measured, derived, estimated or invented.
    basis : str
        dense, sparse, per_direction, bidirectional, or empty.
    note : str
        Reasoning or remark.
    """

    path: str
    text: str
    source: str
    status: str
    basis: str
    note: str


@dataclass(frozen=True)
class _Scope:
    source: str = UNSOURCED
    status: str = "published"
    note: str = ""

    def narrowed(self, tree: dict[str, Any]) -> _Scope:
        # A note explains its own section only once the status changes with it.
        return _Scope(
            str(tree.get("source") or self.source),
            str(tree.get("status") or self.status),
            str(tree.get("note") or self.note),
        )


def collect(tree: dict[str, Any]) -> tuple[Provenance, ...]:
    """List every value of a raw spec tree with the annotations in force at its place."""
    return tuple(_walk(tree, (), _Scope()))


def _walk(node: Any, keys: Path_, scope: _Scope) -> Iterator[Provenance]:
    if isinstance(node, dict):
        inner = scope.narrowed(node)
        if "value" in node:
            yield Provenance(
                dotted(keys), str(node["value"]), inner.source, inner.status,
                str(node.get("basis") or ""), inner.note,
            )  # fmt: skip
            return
        for key, value in node.items():
            if key not in _STRUCTURAL:
                yield from _walk(value, (*keys, key), inner)
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _walk(value, (*keys, index), scope)
    elif node is not None:
        yield Provenance(dotted(keys), str(node), scope.source, scope.status, "", scope.note)
