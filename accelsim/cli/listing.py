"""``accelsim list``: what can be named."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from accelsim.cli.console import emit, note, print_tables
from accelsim.cli.options import JsonFile


class ListKind(StrEnum):
    """Kinds of thing that have names."""

    CHIPS = "chips"
    SYSTEMS = "systems"
    MODELS = "models"
    MEMORIES = "memories"


Items = list[dict[str, Any]]


def list_names(
    kind: Annotated[
        ListKind,
        typer.Argument(metavar="KIND", help="What to list: chips, systems, models, memories."),
    ],
    json_file: JsonFile = None,
) -> None:
    """List the chips, systems, models or memories that other commands know by name."""
    from accelsim.errors import AccelsimError

    files, describe = _sources(kind)
    items: Items = []
    for name in files:
        try:
            items.append({"name": name, **describe(name)})
        except AccelsimError as problem:  # one bad user file must not hide all the others
            items.append({"name": name, "error": str(problem)})
            note(f"warning: {problem}")
    emit({"kind": str(kind), "items": items}, json_file, lambda: _show(kind, items))


def _sources(kind: ListKind) -> tuple[dict[str, Path], Callable[[str], dict[str, Any]]]:
    if kind is ListKind.MODELS:
        from accelsim.workload.models import model_files
        from accelsim.workload.network_reader import network_files

        return {**model_files(), **network_files()}, _model
    from accelsim.arch.raw import spec_files

    singular, describe = {
        ListKind.CHIPS: ("chip", _chip),
        ListKind.SYSTEMS: ("system", _system),
        ListKind.MEMORIES: ("memory", _memory),
    }[kind]
    return spec_files(singular), describe


def _chip(name: str) -> dict[str, Any]:
    from accelsim.arch.loader import load_chip

    chip = load_chip(name)
    dtype = next((d for d in ("bf16", "fp16", "int8") if d in chip.dtypes), chip.dtypes[0])
    return {
        "title": chip.spec.title, "kind": chip.spec.kind, "year": chip.spec.year, "dtype": dtype,
        "peak_flop_per_s": chip.peak_flop_per_s(dtype),
        "bandwidth_bytes_per_s": chip.bandwidth_bytes_per_s,
        "capacity_bytes": chip.capacity_bytes, "tdp_w": chip.spec.power.tdp_w,
    }  # fmt: skip


def _system(name: str) -> dict[str, Any]:
    from accelsim.arch.loader import load_system

    system = load_system(name)
    shape = " of ".join("x".join(map(str, v.shape)) + f" {v.topology}" for v in system.levels)
    return {
        "title": system.title, "chip": system.chip.name, "chips": system.chips, "network": shape,
        "capacity_bytes": system.chips * system.chip.capacity_bytes,
    }  # fmt: skip


def _memory(name: str) -> dict[str, Any]:
    from accelsim.arch.loader import load_memory

    memory = load_memory(name)
    return {
        "title": memory.title, "standard": memory.standard, "device_bits": memory.device_bits,
        "bandwidth_bytes_per_s": memory.bandwidth_bytes_per_s,
    }  # fmt: skip


def _model(name: str) -> dict[str, Any]:
    from accelsim.workload.models import load_workload
    from accelsim.workload.networks import Network

    model = load_workload(name)
    if isinstance(model, Network):
        return {
            "family": "network", "parameters": model.parameters,
            "active_parameters": model.parameters, "n_layers": len(model.layers),
            "dtype": model.dtype,
        }  # fmt: skip
    return {
        "family": model.family, "parameters": model.parameters,
        "active_parameters": model.active_parameters, "n_layers": model.n_layers,
        "d_model": model.d_model, "dtype": model.precision.dtype,
        "kv_bytes_per_token": model.cache_bytes_per_token(),
    }  # fmt: skip


_UNITS = {
    "bandwidth_bytes_per_s": "B/s", "capacity_bytes": "B",
    "tdp_w": "W", "kv_bytes_per_token": "B",
}  # fmt: skip
_HEADINGS = {
    "peak_flop_per_s": "dense peak", "bandwidth_bytes_per_s": "bandwidth", "tdp_w": "power",
    "capacity_bytes": "memory", "kv_bytes_per_token": "KV per token", "n_layers": "layers",
    "active_parameters": "per token", "device_bits": "bits",
}  # fmt: skip
_RANKS = {"title": 3, "year": 2, "tdp_w": 1, "network": 1, "active_parameters": 1, "d_model": 2}


def _show(kind: ListKind, items: Items) -> None:
    from accelsim.report.tables import Column, Table

    names = list(dict.fromkeys(key for item in items for key in item if key != "error"))
    numeric = {name for name in names if any(isinstance(i.get(name), int | float) for i in items)}
    columns = tuple(
        Column(_HEADINGS.get(name, name), right=name in numeric, rank=_RANKS.get(name, 0))
        for name in names
    )
    rows = tuple(tuple(_cell(name, item) for name in names) for item in items)
    print_tables([Table(f"{len(items)} {kind}", columns, rows)])


def _cell(name: str, item: dict[str, Any]) -> str:
    from accelsim.report.words import rate
    from accelsim.units import format_si

    value = item.get(name)
    if value is None:
        return "-"
    if name == "peak_flop_per_s":
        return rate(value, item["dtype"])
    if name in _UNITS:
        return format_si(value, _UNITS[name]) if value else "-"
    if name.endswith("parameters"):
        return format_si(value, "").strip().replace("G", "B")
    return str(value)
