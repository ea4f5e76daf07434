"""Chips, systems and models of a sweep: read once, re-validated only where a point differs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

from accelsim.arch.loader import load_chip, load_system
from accelsim.arch.system import System
from accelsim.workload.config import ModelConfig
from accelsim.workload.models import load_model

_CHIP = "chip."


def target(on: str, overrides: Mapping[str, Any]) -> System:
    """Return a chip or system with some spec values changed.

    Parameters
    ----------
    on : str
        Packaged name or path.
    overrides : mapping of str to Any
        Dotted spec paths, as made by `accelsim.explore.grid.override_path`.

    Raises
    ------
    SpecError
        As `accelsim.arch.loader.load_system`.

    Notes
    -----
    Files are read once per process, so all points of a sweep see one version of them. Changed
    specs are validated in full; the last few are kept, because the fastest parameter of a grid
    is often a workload option that leaves the chip as it was.
    """
    if not overrides:
        return _plain(on)
    return _changed(on, json.dumps(overrides))


@cache
def model(name: str) -> ModelConfig:
    """Return a model by packaged name or path, read once per process.

    Raises
    ------
    WorkloadError
        As `accelsim.workload.models.load_model`.
    """
    return load_model(name)


def forget() -> None:
    """Drop everything that was read, so that the next sweep sees files edited since."""
    for cached in (model, _plain, _changed):
        cached.cache_clear()


@cache
def _plain(on: str) -> System:
    return load_system(on)


@lru_cache(maxsize=256)
def _changed(on: str, overrides_json: str) -> System:
    overrides = json.loads(overrides_json)
    base = _plain(on)
    of_chip = {path.removeprefix(_CHIP): value for path, value in overrides.items()}
    if not base.levels:
        return System.of_chip(load_chip(on, of_chip))
    if all(path.startswith(_CHIP) for path in overrides):
        return dataclasses.replace(base, chip=load_chip(base.chip.path, of_chip))
    return load_system(on, overrides)
