"""A design space in memory: what is fixed, what varies, and the point behind every row.

A grid is the Cartesian product of its parameters in the order of the file; the last parameter
varies fastest. A point is found from its number by arithmetic, so a million points cost nothing
until they are run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from accelsim.arch.raw import is_path
from accelsim.arch.system import SystemSpec
from accelsim.scenarios.options import RunOptions

Role = Literal["on", "model", "option", "spec"]
TARGET_KEYS = ("chip", "system", "on")
METRICS = (
    "latency_s", "energy_j", "average_power_w", "tokens_per_s", "ttft_s", "tpot_s", "mfu", "mbu",
    "memory_bytes",
)  # fmt: skip
LARGER_IS_BETTER = ("tokens_per_s", "mfu", "mbu")
_SYSTEM_KEYS = {field.alias or name for name, field in SystemSpec.model_fields.items()}


def role_of(path: str) -> Role:
    """Tell what a key of `base` or `parameters` sets: target, model, run option or spec field."""
    if path in TARGET_KEYS:
        return "on"
    if path == "model":
        return "model"
    return "option" if path in RunOptions.names() else "spec"


@dataclass(frozen=True)
class Objective:
    """One figure that a good design has small (or large).

    Attributes
    ----------
    name : str
        One of `METRICS`.
    maximize : bool
        True when more is better.
    """

    name: str
    maximize: bool = False


@dataclass(frozen=True)
class Parameter:
    """One axis of the grid.

    Attributes
    ----------
    path : str
        As written in the space file; also the name of its column.
    values : tuple
        What it takes, in order, as written (quantities are text with a unit).
    """

    path: str
    values: tuple[Any, ...]

    @property
    def role(self) -> Role:
        """What the path sets."""
        return role_of(self.path)


@dataclass(frozen=True)
class Point:
    """One design and workload, ready for `accelsim.scenarios.run.run`.

    Attributes
    ----------
    on, model : str
        Chip or system, and model: packaged names or paths.
    options : dict of str to Any
        Fields of `RunOptions`; the others keep their defaults.
    overrides : dict of str to Any
        Dotted spec paths to values.
    """

    on: str
    model: str
    options: dict[str, Any]
    overrides: dict[str, Any]


@dataclass(frozen=True)
class Space:
    """A checked design space.

    Attributes
    ----------
    path, text : str
        The file it came from and its text, verbatim.
    base : mapping of str to Any
        Values of every point that no parameter sets.
    parameters : tuple of Parameter
        The axes, slowest first.
    objectives : tuple of Objective
        What the Pareto front is drawn over.
    fingerprint : str
        SHA-256 over everything that decides a row: the grid, the chips and models it names as
        they are now, and the version of accelsim.
    """

    path: str
    text: str
    base: Mapping[str, Any]
    parameters: tuple[Parameter, ...]
    objectives: tuple[Objective, ...]
    fingerprint: str = ""

    @property
    def size(self) -> int:
        """Number of points."""
        return math.prod(len(parameter.values) for parameter in self.parameters)

    def choice(self, index: int) -> tuple[Any, ...]:
        """Return the value of every parameter at point `index`, in the order of the parameters.

        Raises
        ------
        IndexError
            If the grid has no such point.
        """
        if not 0 <= index < self.size:
            raise IndexError(f"point {index} of a grid of {self.size} points")
        chosen = []
        for parameter in reversed(self.parameters):
            index, position = divmod(index, len(parameter.values))
            chosen.append(parameter.values[position])
        return tuple(reversed(chosen))

    def point(self, index: int) -> Point:
        """Return point `index` of the grid."""
        paths = [parameter.path for parameter in self.parameters]
        return self.at(dict(zip(paths, self.choice(index), strict=True)))

    def at(self, changes: Mapping[str, Any]) -> Point:
        """Return the base point with some keys changed, whether or not the grid holds it.

        Parameters
        ----------
        changes : mapping of str to Any
            Keys as in `base`; a key of the target (chip, system, on) replaces any other.
        """
        if any(role_of(key) == "on" for key in changes):
            kept = {k: v for k, v in self.base.items() if role_of(k) != "on"}
        else:
            kept = dict(self.base)
        settings = {**kept, **changes}
        by_role: dict[Role, dict[str, Any]] = {"on": {}, "model": {}, "option": {}, "spec": {}}
        for key, value in settings.items():
            by_role[role_of(key)][key] = value
        return Point(
            self.locate(next(iter(by_role["on"].values()))),
            self.locate(by_role["model"]["model"]),
            by_role["option"],
            {override_path(key): value for key, value in by_role["spec"].items()},
        )

    def locate(self, name: str) -> str:
        """Return a packaged name as it is and a path relative to the folder of the space file."""
        return str(Path(self.path).parent / name) if is_path(name) else name


def override_path(path: str) -> str:
    """Return a spec path in the form that serves chips and systems alike (``chip.`` in front).

    A key that systems have (levels, host, power, ...) stays: it is the system's on a system and
    the chip's on a chip.
    """
    return path if path.split(".", maxsplit=1)[0] in _SYSTEM_KEYS else f"chip.{path}"
