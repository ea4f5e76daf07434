"""Chips, systems and models of a sweep: read once, re-validated only where a point differs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

from accelsim.arch.loader import load_system
from accelsim.arch.system import System
from accelsim.workload.config import ModelConfig
from accelsim.workload.models import load_workload
from accelsim.workload.networks import Network


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
    The last few are kept, because the fastest parameter of a grid is often a workload option
    that leaves the chip as it was.
    """
    return _target(on, json.dumps(overrides))


@lru_cache(maxsize=256)
def _target(on: str, overrides_json: str) -> System:
    return load_system(on, json.loads(overrides_json))


@cache
def model(name: str) -> ModelConfig | Network:
    """Return a model or network by packaged name or path, read once per process.

    Raises
    ------
    WorkloadError
        As `accelsim.workload.models.load_workload`.
    """
    return load_workload(name)


def forget() -> None:
    """Drop everything that was read, so that the next sweep sees files edited since."""
    model.cache_clear()
    _target.cache_clear()
