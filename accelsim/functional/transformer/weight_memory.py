"""Prepared weights, within the memory that a machine has for them."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from accelsim.functional.linear import Linear

_SHARE = 0.6
"""Of the machine's memory; the rest is for files, activations and everybody else."""
_UNKNOWN_BYTES = 8 * 10**9
_GROUPS = Path("/sys/fs/cgroup")
_OWN_GROUPS = Path("/proc/self/cgroup")
_LIMITS = ("memory.max", "memory.limit_in_bytes")
Make = Callable[[], Linear]


def weight_limit_bytes() -> int:
    """Return how many bytes of prepared weights a process may hold: 60 % of the memory it has."""
    sizes = []
    with suppress(OSError, ValueError, AttributeError):  # not on every system
        sizes.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for folder in _control_groups():
        for name in _LIMITS:
            with suppress(OSError, ValueError):  # "max": no limit
                sizes.append(int((folder / name).read_text(encoding="ascii")))
    return int(_SHARE * min(sizes, default=_UNKNOWN_BYTES))


def _control_groups() -> Iterator[Path]:
    """Yield the folders of the control groups (versions 1 and 2) that this process is in."""
    yield _GROUPS
    yield _GROUPS / "memory"
    with suppress(OSError, ValueError):
        for line in _OWN_GROUPS.read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers in ("", "memory"):
                place = Path(path.lstrip("/"))
                for part in (place, *place.parents):
                    yield _GROUPS / controllers / part


class WeightMemory:
    """Weights that were prepared for a setting, and stay as long as there is room.

    Every step reads all weights of layers in one order, so the first ones stay and what no longer
    fits is prepared anew each time: of the ones that were used last, none is the next. Experts are
    visited at random, so there those that were not used for longest go.

    Parameters
    ----------
    limit_bytes : float

    Attributes
    ----------
    held_bytes : int
    is_full : bool
        Whether weights of layers did not fit.
    """

    def __init__(self, limit_bytes: float) -> None:
        self.limit_bytes, self.held_bytes, self.is_full = limit_bytes, 0, False
        self._first: dict[str, Linear] = {}
        self._recent: OrderedDict[str, Linear] = OrderedDict()

    def layer(self, key: str, make: Make) -> Linear:
        """Return weights of a layer; `make` prepares them where they are not held."""
        if key in self._first:
            return self._first[key]
        fresh = make()
        if self.held_bytes + fresh.stored_bytes > self.limit_bytes:
            self.is_full = True
            return fresh
        self._first[key] = fresh
        self.held_bytes += fresh.stored_bytes
        return fresh

    def expert(self, key: str, make: Make) -> Linear:
        """Return weights of an expert; the last ones stay, however large."""
        found = self._recent.get(key)
        if found is not None:
            self._recent.move_to_end(key)
            return found
        fresh = make()
        self._recent[key] = fresh
        self.held_bytes += fresh.stored_bytes
        while self.held_bytes > self.limit_bytes and len(self._recent) > 1:
            _, oldest = self._recent.popitem(last=False)
            self.held_bytes -= oldest.stored_bytes
        return fresh
