"""The package as syntax trees: what the architecture tests look at. Nothing is imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One source file of accelsim.

    Attributes
    ----------
    path : Path
        Relative to the checkout.
    name : str
        Dotted, for example ``accelsim.arch.loader``.
    lines : int
        Of the file.
    tree : ast.Module
        Its syntax.
    """

    path: Path
    name: str
    lines: int
    tree: ast.Module

    @property
    def package(self) -> str:
        """First name under accelsim: ``arch`` for arch/loader.py, ``units`` for units.py."""
        return self.name.split(".")[1] if "." in self.name else ""

    def at(self, node: ast.AST) -> str:
        """``file:line`` of a node, the start of every complaint."""
        return f"{self.path}:{node.lineno}"

    def nodes(self, *kinds: type[ast.AST]) -> Iterator[ast.AST]:
        return (node for node in ast.walk(self.tree) if isinstance(node, kinds))

    def functions(self) -> Iterator[Function]:
        return self.nodes(ast.FunctionDef, ast.AsyncFunctionDef)

    def imports(self) -> Iterator[tuple[ast.stmt, str]]:
        """Every imported name in full: ``from accelsim import units`` gives ``accelsim.units``."""
        return ((node, name) for node in ast.walk(self.tree) for name in self._imported(node))

    def _imported(self, node: ast.AST) -> list[str]:
        if isinstance(node, ast.Import):
            return [alias.name for alias in node.names]
        if not isinstance(node, ast.ImportFrom):
            return []
        is_package = self.path.name == "__init__.py"
        here = self.name.split(".") if is_package else self.name.split(".")[:-1]
        base = here[: len(here) - node.level + 1] if node.level else []
        prefix = ".".join([*base, *([node.module] if node.module else [])])
        return [f"{prefix}.{alias.name}" for alias in node.names]


@cache
def modules() -> tuple[Module, ...]:
    paths = sorted((CHECKOUT / "accelsim").rglob("*.py"))
    return tuple(
        module_of(path.relative_to(CHECKOUT), path.read_text(encoding="utf-8")) for path in paths
    )


def module_of(path: Path, text: str) -> Module:
    parts = path.with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    return Module(path, name, text.count("\n"), ast.parse(text))


def body_without_docstring(node: Function | ast.ClassDef | ast.Module) -> list[ast.stmt]:
    return node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body


def parameters(function: Function) -> list[ast.arg]:
    """All parameters but the receiver."""
    spec = function.args
    named = [*spec.posonlyargs, *spec.args, *spec.kwonlyargs]
    starred = [arg for arg in (spec.vararg, spec.kwarg) if arg]
    return [arg for arg in [*named, *starred] if arg.arg not in ("self", "cls")]


def complain(rule: str, offences: list[str]) -> None:
    """Fail with the rule and one line per offence."""
    assert not offences, "\n".join([rule, *(f"  {line}" for line in offences)])
