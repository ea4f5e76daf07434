"""``accelsim show``: one chip, system, memory or model, with what follows from it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from accelsim.cli.console import emit, print_tables
from accelsim.cli.options import JsonFile

if TYPE_CHECKING:
    from accelsim.report.tables import Table

Shown = tuple[dict[str, Any], "tuple[Table, ...]"]


def show(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Chip, system, memory or model: name or path.")
    ],
    json_file: JsonFile = None,
) -> None:
    """Show peaks, ridge points, calibration and the source of every value, or a model's sizes."""
    data, tables = _load(name)
    emit(data, json_file, lambda: print_tables(tables))


def _load(name: str) -> Shown:
    from accelsim.arch.loader import MEMORY_GRADES
    from accelsim.arch.raw import is_path, spec_files
    from accelsim.errors import SpecError, suggest
    from accelsim.workload.models import model_files
    from accelsim.workload.network_reader import network_files

    if is_path(name) or name.endswith(".onnx"):
        return _load_path(name)
    known: dict[str, Iterable[str]] = {
        "chip": spec_files("chip"), "system": spec_files("system"),
        "memory": spec_files("memory"), "model": {**model_files(), **network_files()},
    }  # fmt: skip
    if name in MEMORY_GRADES:
        return _describe("memory", name)
    for kind, names in known.items():
        if name in names:
            return _describe(kind, name)
    if Path(name).is_dir():  # after the known names, as in a run
        return _load_path(name)
    every = [word for names in known.values() for word in names]
    raise SpecError(
        f"no chip, system, memory or model is called '{name}': {suggest(name, every)} "
        "(see 'accelsim list chips|systems|models|memories')"
    )


def _load_path(path: str) -> Shown:
    from accelsim.documents import read_yaml
    from accelsim.errors import SpecError

    if Path(path).is_dir() or not path.endswith((".yaml", ".yml")):
        return _describe("model", path)
    tree = read_yaml(path, SpecError).tree
    return _describe(_kind(tree) if isinstance(tree, dict) else "chip", path)


def _kind(tree: dict[str, Any]) -> str:
    """Tell what a file describes from its keys, or from what it extends."""
    from accelsim.arch.raw import spec_files

    telling = {
        "model_type": "model", "config": "model", "layers": "model", "levels": "system",
        "pin_rate": "memory",
    }  # fmt: skip
    for key, kind in telling.items():
        if key in tree:
            return kind
    parent = tree.get("extends")
    return next((kind for kind in ("system", "memory") if parent in spec_files(kind)), "chip")


def _describe(kind: str, name: str) -> Shown:
    from accelsim.arch import loader
    from accelsim.arch.system import System
    from accelsim.report import model_tables, network_tables, spec_tables
    from accelsim.scenarios.memory_rates import with_memory_rates
    from accelsim.workload.models import load_workload
    from accelsim.workload.networks import Network

    match kind:
        case "chip":
            chip = with_memory_rates(System.of_chip(loader.load_chip(name))).chip
            return spec_tables.chip_data(chip), spec_tables.chip_tables(chip)
        case "system":
            system = loader.load_system(name)
            return spec_tables.system_data(system), spec_tables.system_tables(system)
        case "memory":
            memory = loader.load_memory(name)
            return spec_tables.memory_data(memory), spec_tables.memory_tables(memory)
    model = load_workload(name)
    if isinstance(model, Network):
        return network_tables.network_data(model), network_tables.network_tables(model)
    return model_tables.model_data(model), model_tables.model_tables(model)
