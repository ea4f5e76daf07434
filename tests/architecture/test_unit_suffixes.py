"""Do names of dimensioned values carry their unit?

The rule: a parameter, an annotated field or a property that returns a number must not be named,
or end in, one of the bare words below. ``latency`` becomes ``latency_s``, ``peak_flops`` becomes
``peak_flop_per_s``. YAML keys are pydantic aliases, that is text, and stay as datasheets have them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.architecture.source_tree import Module, complain, modules, parameters

SUFFIXES = {
    "flops": "_flop (a count) or _flop_per_s (a rate)",
    "bw": "_bytes_per_s",
    "bandwidth": "_bytes_per_s",
    "latency": "_s",
    "time": "_s",
    "energy": "_j",
    "power": "_w",
}

ALLOWED = {
    "accelsim.arch.memory.MemorySpec.command_energy": "a section of the spec, not a number",
    "accelsim.arch.schema.ChipSpec.power": "a section of the spec, not a number",
    "accelsim.arch.system.SystemSpec.power": "a section of the spec, not a number",
}


def names(module: Module) -> Iterator[tuple[ast.AST, str]]:
    """Names of parameters, fields and number-valued properties with the place they stand at."""
    for function in module.functions():
        for parameter in parameters(function):
            yield parameter, f"{module.name}.{function.name}.{parameter.arg}"
    for owner in module.nodes(ast.ClassDef):
        for node in owner.body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                yield node, f"{module.name}.{owner.name}.{node.target.id}"
            elif isinstance(node, ast.FunctionDef) and returns_number(node):
                yield node, f"{module.name}.{owner.name}.{node.name}"


def returns_number(function: ast.FunctionDef) -> bool:
    is_property = any(ast.unparse(d).endswith("property") for d in function.decorator_list)
    annotation = ast.unparse(function.returns) if function.returns else ""
    return is_property and annotation.split(" ")[0] in ("float", "int")


def bare_names(module: Module) -> Iterator[str]:
    for node, name in names(module):
        word = name.rpartition(".")[2].rpartition("_")[2]
        if word in SUFFIXES and name not in ALLOWED:
            yield f"{module.at(node)} {name}: end the name in {SUFFIXES[word]}"


def test_dimensioned_names_carry_their_unit() -> None:
    offences = [line for module in modules() for line in bare_names(module)]
    complain("a number without a unit in its name is a bug in waiting", offences)


def test_the_allow_list_is_not_stale() -> None:
    known = {name for module in modules() for _, name in names(module)}
    complain("remove from ALLOWED what no longer exists", sorted(set(ALLOWED) - known))
