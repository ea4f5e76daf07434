"""The energy table: joules per action at two process nodes, with sources."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from accelsim import units
from accelsim.arch.fields import (
    EnergyByDType,
    JoulesPerByte,
    JoulesPerByteMetre,
    Metres,
    Quantity,
    Ratio,
    Section,
)
from accelsim.arch.provenance import collect
from accelsim.arch.raw import RawSpec, check_sources, shared_stamp
from accelsim.arch.validation import validate
from accelsim.documents import read_yaml
from accelsim.errors import SpecError
from accelsim.files import find_data


def _by_size(raw: Any) -> dict[float, float]:
    """Read ``{8 KiB: 10 pJ}`` to bytes and joules per byte (of a 64-bit access)."""
    if not isinstance(raw, dict):
        raise ValueError("expected a mapping from array size to energy")
    read = Quantity(units.ENERGY).read
    return {units.parse_quantity(k, units.INFORMATION): read(v) / 8 for k, v in raw.items()}


def _by_node(raw: Any) -> dict[float, float]:
    if not isinstance(raw, dict):
        raise ValueError("expected a mapping from node to scale")
    return {units.parse_quantity(k, units.LENGTH): float(v) for k, v in raw.items()}


class ArithmeticEnergy(Section):
    """Energies of one kind of operation at one node."""

    node_m: Metres = Field(alias="node")
    energy_j: EnergyByDType = Field(alias="energy")


class SramEnergy(Section):
    """Energy per byte by array size [B] at one node."""

    node_m: Metres = Field(alias="node")
    energy_j_per_byte: Annotated[dict[float, float], BeforeValidator(_by_size)] = Field(
        alias="energy"
    )


class LaterNodes(Section):
    """Energy of nodes below the table's smallest, relative to it."""

    scale: Annotated[dict[float, float], BeforeValidator(_by_node)]


class ControlOverhead(Section):
    """Energy spent on control per joule of arithmetic."""

    tensor_core: Ratio
    systolic: Ratio
    lanes: Ratio


class EnergyTable(Section):
    """Joules per action; see arch_specs/energy/logic.yaml."""

    name: str
    title: str
    sources: dict[str, str]
    multiply: tuple[ArithmeticEnergy, ArithmeticEnergy]
    add: tuple[ArithmeticEnergy, ArithmeticEnergy]
    sram_64_bit: tuple[SramEnergy, SramEnergy]
    beyond_7_nm: LaterNodes
    control_overhead: ControlOverhead
    special_in_adds: Ratio
    memory_interface_j_per_byte: JoulesPerByte = Field(alias="memory_interface")
    wire_j_per_byte_m: JoulesPerByteMetre = Field(alias="wire")
    link_j_per_byte: JoulesPerByte = Field(alias="link")
    idle_share_of_tdp: Ratio


def load_energy_table(name: str = "logic") -> EnergyTable:
    """Load a packaged energy table; an unchanged file is not read twice."""
    return _load(name, shared_stamp())


@lru_cache(maxsize=8)
def _load(name: str, _: tuple[tuple[Path, int], ...]) -> EnergyTable:
    path = find_data("arch_specs/energy", ".yaml").get(name)
    if path is None:
        raise SpecError(f"arch_specs/energy/{name}.yaml is missing from the installation")
    document = read_yaml(path, SpecError)
    check_sources(RawSpec(document, collect(document.tree), ()))
    return validate(EnergyTable, document)
