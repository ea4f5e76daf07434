"""Everything in a space that can be wrong is found before the first point runs.

A value is refused when no chip of the space accepts it. A value that only some combinations
accept is legal: those points become rows that say why.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from accelsim import __version__
from accelsim.arch.energy import load_energy_table
from accelsim.arch.schema import ChipSpec
from accelsim.arch.system import System, SystemSpec
from accelsim.documents import Document, Path_, dotted
from accelsim.errors import AccelsimError, SpecError, suggest
from accelsim.explore.grid import TARGET_KEYS, Role, Space, override_path, role_of
from accelsim.explore.targets import forget, model, target
from accelsim.scenarios.options import RunOptions
from accelsim.workload.config import ModelConfig
from accelsim.workload.networks import Network

_Loaded = TypeVar("_Loaded", System, ModelConfig | Network)
# Figures that only some phases have (see `RunResult`).
_PHASES_WITH = {"ttft_s": ("prefill", "generate"), "tpot_s": ("decode", "generate")}
_NOT_SETTABLE = ("name", "title", "sources", "source", "status", "note", "extends")


def check_space(space: Space, document: Document) -> str:
    """Check keys, names and values, and return the fingerprint of the space.

    Parameters
    ----------
    space : Space
        Structurally sound.
    document : Document
        Where its parts stand, for messages.

    Returns
    -------
    str
        See `Space.fingerprint`.

    Raises
    ------
    SpecError
        With file, line and dotted path.
    """
    forget()
    _check_keys(space, document)
    systems = _load(space, document, "on", lambda name: target(name, {}))
    models = _load(space, document, "model", model)
    _check_options(space, document)
    _check_objectives(space, document)
    _check_spec_values(space, document, tuple(systems))
    return _fingerprint(space, systems, models)


def _check_keys(space: Space, document: Document) -> None:
    known = _known_keys()
    sections = {"base": list(space.base), "parameters": [p.path for p in space.parameters]}
    for section, paths in sections.items():
        for path in paths:
            head = path.split(".", maxsplit=1)[0]
            if head not in known:
                raise SpecError(
                    f"{document.where((section, path))} {section}: '{path}' is neither a run "
                    f"option nor a field of a chip or system, {suggest(head, known)}"
                )
        targets = [path for path in paths if path in TARGET_KEYS]
        if len(targets) > 1:
            raise SpecError(
                f"{document.where((section, targets[1]))} {section}: give one of "
                f"{' and '.join(targets)}, not both"
            )
    roles = {role_of(path) for paths in sections.values() for path in paths}
    for role, key in (("on", "chip"), ("model", "model")):
        if role not in roles:
            raise SpecError(
                f"{document.where(('base',))} base: the required key '{key}' is missing"
            )


def _known_keys() -> list[str]:
    """Options, targets and the first step of every settable spec path."""
    fields = {**SystemSpec.model_fields, **ChipSpec.model_fields}
    heads = {field.alias or name for name, field in fields.items()}
    return sorted({*heads, *TARGET_KEYS, "model", *RunOptions.names()} - set(_NOT_SETTABLE))


def _named(space: Space, role: Role) -> list[tuple[Path_, Any]]:
    """Place and name of every target or model that a point can use."""
    for parameter in space.parameters:
        if parameter.role == role:
            path = ("parameters", parameter.path, "values")
            return [((*path, i), name) for i, name in enumerate(parameter.values)]
    return [(("base", key), name) for key, name in space.base.items() if role_of(key) == role]


def _load(
    space: Space, document: Document, role: Role, load: Callable[[str], _Loaded]
) -> dict[str, _Loaded]:
    """Load every target or model by its located name; errors say where the name stands."""
    loaded: dict[str, _Loaded] = {}
    for keys, name in _named(space, role):
        if not isinstance(name, str) or not name:
            raise SpecError(f"{document.where(keys)} {dotted(keys)}: {name!r} is not a name")
        try:
            loaded[space.locate(name)] = load(space.locate(name))
        except AccelsimError as problem:
            raise _located(document, keys, problem) from None
    return loaded


def _check_options(space: Space, document: Document) -> None:
    base = {key: value for key, value in space.base.items() if role_of(key) == "option"}
    places: list[tuple[Path_, str, Any]] = [(("base", k), k, value) for k, value in base.items()]
    for parameter in space.parameters:
        if parameter.role == "option":
            path = ("parameters", parameter.path, "values")
            places += [
                ((*path, i), parameter.path, value) for i, value in enumerate(parameter.values)
            ]
    for keys, name, value in places:
        _check_option(document, keys, name, value)


def _check_option(document: Document, keys: Path_, name: str, value: Any) -> None:
    default = getattr(RunOptions(), name)
    kind = RunOptions.kind(name)
    fits = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
    if not (fits or (value is None and default is None)):
        words = {str: "a name", int: "a whole number", bool: "true or false"}
        raise SpecError(
            f"{document.where(keys)} {dotted(keys)}: {value!r} is not {words[kind]} for {name}"
        )
    try:
        RunOptions(**{name: value})
    except AccelsimError as problem:
        raise _located(document, keys, problem) from None


def _check_objectives(space: Space, document: Document) -> None:
    """Refuse an objective that no phase of the space has: no point could be compared."""
    phases = {space.base.get("phase", RunOptions().phase)}
    for parameter in space.parameters:
        if parameter.path == "phase":
            phases = set(parameter.values)
    for i, objective in enumerate(space.objectives):
        having = _PHASES_WITH.get(objective.name)
        if having is not None and phases.isdisjoint(having):
            keys = ("objectives", i)
            raise SpecError(
                f"{document.where(keys)} {dotted(keys)}: the phase {' or '.join(sorted(phases))} "
                f"has no {objective.name}, only {' and '.join(having)} have"
            )


def _check_spec_values(space: Space, document: Document, targets: tuple[str, ...]) -> None:
    """Try each spec value alone, on top of the base, on every chip until one accepts it."""
    overrides: dict[str, Any] = {}
    for key, value in space.base.items():
        if role_of(key) == "spec":
            overrides[override_path(key)] = value
            _check_on_some(document, ("base", key), targets, overrides)
    for parameter in space.parameters:
        if parameter.role == "spec":
            path = override_path(parameter.path)
            values = parameter.values
            # What lies between two legal ends of a range is legal: no need to try a million.
            listed = "values" in document.tree["parameters"][parameter.path]
            for i in range(len(values)) if listed else (0, len(values) - 1):
                keys = ("parameters", parameter.path, "values", i)
                _check_on_some(document, keys, targets, {**overrides, path: values[i]})


def _check_on_some(
    document: Document, keys: Path_, targets: tuple[str, ...], overrides: Mapping[str, Any]
) -> None:
    """Refuse overrides that no target accepts; the first target's reason is told."""
    first: AccelsimError | None = None
    for on in targets:
        try:
            target(on, overrides)
        except AccelsimError as problem:
            first = first or problem
        else:
            return
    if first is not None:
        raise _located(document, keys, first)


def _located(document: Document, keys: Path_, problem: AccelsimError) -> SpecError:
    return SpecError(f"{document.where(keys)} {dotted(keys)}: {problem}")


def _fingerprint(
    space: Space, systems: Mapping[str, System], models: Mapping[str, ModelConfig | Network]
) -> str:
    """Hash what decides the rows: an edited chip file or another version is another space."""
    hardware = [
        (s.name, s.levels, s.chip.spec, s.chip.memory, s.chip.calibration) for s in systems.values()
    ]
    content = {
        "accelsim": __version__,
        "base": space.base,
        "parameters": [[p.path, list(p.values)] for p in space.parameters],
        "hardware": repr(hardware),
        "models": repr(list(models.values())),
        "energy": repr(load_energy_table()),
    }
    canonical = json.dumps(content, sort_keys=True)
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()
