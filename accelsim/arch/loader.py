"""Specs ready for simulation: found, validated, with memory and calibration resolved."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import Field

from accelsim.arch.arithmetic import CoreArithmetic, unit_arithmetic
from accelsim.arch.chip import CalibrationValues, Chip
from accelsim.arch.fields import Fraction, Seconds, Section
from accelsim.arch.memory import MemorySpec
from accelsim.arch.memory_rates import known_rates
from accelsim.arch.raw import (
    RawSpec,
    check_sources,
    is_path,
    override,
    read_raw,
    shared_stamp,
    spec_files,
)
from accelsim.arch.schema import Calibration, ChipSpec, Core, SystolicUnit
from accelsim.arch.system import System, SystemSpec
from accelsim.arch.validation import validate
from accelsim.documents import Document, Path_, dotted, read_yaml
from accelsim.errors import SpecError, suggest
from accelsim.files import find_data

__all__ = ["MEMORY_GRADES", "is_path", "load_chip", "load_memory", "load_system", "spec_files"]

MEMORY_GRADES = {
    "ddr3": "ddr3_2133", "ddr4": "ddr4_3200", "ddr5": "ddr5_4800", "lpddr4x": "lpddr4x_4266",
    "lpddr5": "lpddr5_6400", "lpddr5x": "lpddr5x_8533", "gddr5": "gddr5_6000",
    "gddr6": "gddr6_14000", "gddr6x": "gddr6x_21000", "gddr7": "gddr7_28000",
    "hbm2": "hbm2_2000", "hbm2e": "hbm2e_3600", "hbm3": "hbm3_6400", "hbm3e": "hbm3e_9200",
    "hbm4": "hbm4_8000",
}  # fmt: skip
"""The grade that stands for a family where only the family is named."""
_WITHOUT_STANDARD = ("sram", "host")
_CHIP = "chip."
# Facts about a chip that describe it, or that later models will read.
_IDLE_FIELDS = {
    "memory.stacks": "change memory.bandwidth and memory.capacity",
    "memory.channels": "change memory.bandwidth",
    "memory.latency": "change calibration.memory_latency",
    "links": "change levels.0.bandwidth of a system",
    "host": "the host link is not modelled yet",
    "sparsity": "structured sparsity is not modelled yet",
    "base_clock": "change clock",
    "boost_clock": "change clock",
    "published_peaks": "they only check the derived peaks; change core.matrix",
}
_Stamp = tuple[tuple[Path, int], ...]


class Family(Section):
    """Default calibration of a family of chips; without memory_efficiency the bank model's."""

    title: str
    matrix_efficiency: Fraction
    vector_efficiency: Fraction
    memory_efficiency: Fraction | None = None
    shared_efficiency: Fraction
    kernel_overhead_s: Seconds = Field(alias="kernel_overhead")
    host_dispatch_s: Seconds = Field(alias="host_dispatch")
    memory_latency_s: Seconds = Field(alias="memory_latency")


class _FamilyFile(Section):
    sources: dict[str, str]
    families: dict[str, Family]


@lru_cache(maxsize=8)
def _families(_: _Stamp) -> dict[str, Family]:
    path = find_data("arch_specs", ".yaml").get("families")
    if path is None:
        raise SpecError("arch_specs/families.yaml is missing from the installation")
    return validate(_FamilyFile, read_yaml(path, SpecError)).families


def _calibrate(own: Calibration, families: Mapping[str, Family], where: str) -> CalibrationValues:
    if own.inherits not in families:
        raise SpecError(
            f"{where} calibration.inherits: unknown family '{own.inherits}', "
            f"{suggest(own.inherits, families)}"
        )
    family = families[own.inherits]
    names = [name for name in CalibrationValues.__dataclass_fields__ if name != "family"]
    values = {name: getattr(own, name) for name in names}
    inherited = {n: getattr(family, n) if v is None else v for n, v in values.items()}
    return CalibrationValues(own.inherits, **inherited)


def _core_arithmetic(core: Core, document: Document) -> CoreArithmetic:
    def where(keys: Path_) -> str:
        place = (*keys, "arithmetic")
        return f"{document.where(place)} {dotted(place)}"

    units = []
    for index, unit in enumerate(core.matrix):
        place = where(("core", "matrix", index))
        if isinstance(unit, SystolicUnit):
            fold, dtypes = unit.fold, unit.macs_per_pe
        else:
            fold, dtypes = None, unit.flop_per_cycle
        units.append(unit_arithmetic(unit.arithmetic, dtypes, place, fold=fold))
    lanes = core.vector.flop_per_cycle if core.vector.runs_matmul else ()
    place = where(("core", "vector"))
    return CoreArithmetic(tuple(units), unit_arithmetic(core.vector.arithmetic, lanes, place))


def load_memory(name: str) -> MemorySpec:
    """Load a memory spec by packaged name, family or path.

    Parameters
    ----------
    name : str
        For example ``"hbm3_5200"``, ``"my_memory.yaml"``, or ``"hbm3"`` for the grade that
        MEMORY_GRADES names.

    Raises
    ------
    SpecError
        If it is unknown or malformed.
    """
    known = MEMORY_GRADES.get(name, name)
    return _memory(read_raw(name if name in spec_files("memory") else known, "memory"))


@lru_cache(maxsize=256)
def _memory(raw: RawSpec) -> MemorySpec:
    spec = validate(MemorySpec, raw.document)
    check_sources(raw)
    return spec


def load_chip(name: str, overrides: Mapping[str, Any] | None = None) -> Chip:
    """Load a chip by packaged name or path of a YAML file.

    Parameters
    ----------
    name : str
        For example ``"h100_sxm"`` or ``"my_chip.yaml"``.
    overrides : mapping of str to value, optional
        Dotted spec paths to new values, for example ``{"memory.bandwidth": "4 TB/s"}``.

    Returns
    -------
    Chip
        The same object as long as the files are the same and nothing is overridden.

    Raises
    ------
    SpecError
        If the name is unknown (the nearest are named) or the spec is wrong (file, line, path).
    """
    raw, stamp = read_raw(name, "chip"), shared_stamp()
    if not overrides:
        # A memory in a file of its own may change while the chip's file does not.
        return _resolve(raw, stamp) if _memory_is_path(raw) else _plain_chip(raw, stamp)
    for path in overrides:
        _refuse_idle(path)
    return _resolve(override(raw, overrides), stamp)


def _refuse_idle(path: str) -> None:
    """Refuse to change a field that no model reads: the answer would silently stay the same."""
    for idle, advice in _IDLE_FIELDS.items():
        if path == idle or path.startswith(f"{idle}."):
            raise SpecError(f"changing '{path}' would change no result: {advice}")


def _memory_is_path(raw: RawSpec) -> bool:
    memory = raw.document.tree.get("memory")
    kind = memory.get("type") if isinstance(memory, dict) else None
    return isinstance(kind, str) and is_path(kind)


@lru_cache(maxsize=512)
def _plain_chip(raw: RawSpec, stamp: _Stamp) -> Chip:
    return _resolve(raw, stamp)


def _resolve(raw: RawSpec, stamp: _Stamp) -> Chip:
    """Validate a raw chip and resolve its memory, calibration and provenance."""
    document = raw.document
    spec = validate(ChipSpec, document)
    check_sources(raw)
    memory, kind = None, spec.memory.type
    if is_path(kind):  # beside the chip's file, unless it is absolute
        memory = load_memory(str(Path(document.path).parent / kind))
    elif kind not in _WITHOUT_STANDARD:
        known = [*spec_files("memory"), *MEMORY_GRADES]
        if kind not in known:
            raise SpecError(
                f"{document.where(('memory', 'type'))} memory.type: unknown memory '{kind}', "
                f"{suggest(kind, [*known, *_WITHOUT_STANDARD])} (a file of your own by its path, "
                "as 'my_memory.yaml')"
            )
        memory = load_memory(kind)
    where = document.where(("calibration", "inherits"))
    calibration = _calibrate(spec.calibration, _families(stamp), where)
    units = _core_arithmetic(spec.core, document)
    rates = known_rates(memory)
    chip = Chip(spec, memory, calibration, units, raw.provenance, document.path, rates)
    if not chip.dtypes:
        raise SpecError(
            f"{document.where(('core',))} core: no matmul can run: give core.matrix a unit, or "
            "set core.vector.runs_matmul: true"
        )
    return chip


def load_system(name: str, overrides: Mapping[str, Any] | None = None) -> System:
    """Load a system by name or path; the name of a chip gives a system of one chip.

    Parameters
    ----------
    name : str
        Packaged name of a system or chip, or a YAML path.
    overrides : mapping of str to value, optional
        Dotted paths to new values; ``chip.`` in front reaches into the chip of a system.

    Raises
    ------
    SpecError
        If the name is unknown or the spec is wrong.
    """
    changes = dict(overrides or {})
    if not _is_system(name):
        plain = {key.removeprefix(_CHIP): value for key, value in changes.items()}
        return System.of_chip(load_chip(name, plain))
    raw = read_raw(name, "system")
    own = {path: value for path, value in changes.items() if not path.startswith(_CHIP)}
    if own:
        raw = override(raw, own)
    spec = validate(SystemSpec, raw.document)
    check_sources(raw)
    chip_name = spec.chip
    if is_path(chip_name):
        chip_name = str(Path(raw.document.path).parent / chip_name)
    inner = {p.removeprefix(_CHIP): v for p, v in changes.items() if p.startswith(_CHIP)}
    chip = load_chip(chip_name, inner)
    sources = tuple(f"{key}: {text}" for key, text in spec.sources.items())
    return System(spec.name, spec.title, chip, spec.levels, (*sources, *chip.source_texts))


def _is_system(name: str, below: tuple[str, ...] = ()) -> bool:
    """Tell a system from a chip by what the file states, else by what it extends."""
    if is_path(name):
        tree = read_yaml(name, SpecError).tree
        if not isinstance(tree, dict) or "levels" in tree or "extends" not in tree:
            return isinstance(tree, dict) and "levels" in tree
        parent = str(tree["extends"])
        parent = str(Path(name).parent / parent) if is_path(parent) else parent
        # A circle is neither; reading it as a chip says so.
        return parent not in below and _is_system(parent, (*below, name))
    if name in spec_files("system"):
        return True
    if name in spec_files("chip"):
        return False
    known = [*spec_files("chip"), *spec_files("system")]
    raise SpecError(
        f"unknown chip or system '{name}': {suggest(name, known)} "
        "(see 'accelsim list chips' and 'accelsim list systems', or give the path of a YAML file)"
    )
