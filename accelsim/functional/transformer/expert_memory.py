"""Prepared weights of the experts that tokens visited last, within a number of bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from accelsim.functional.linear import Linear


class ExpertMemory:
    """Keeps what was used last: a mixture of experts is larger than what its tokens visit.

    Parameters
    ----------
    limit_bytes : float
        Beyond it those that were not used for longest go; the last one stays, however large.

    Attributes
    ----------
    held_bytes : int
    """

    def __init__(self, limit_bytes: float) -> None:
        self.limit_bytes, self.held_bytes = limit_bytes, 0
        self._held: OrderedDict[str, Linear] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def get(self, key: str, make: Callable[[], Linear]) -> Linear:
        """Return the weights of this key; `make` prepares them where they are not held."""
        found = self._held.get(key)
        if found is not None:
            self._held.move_to_end(key)
            return found
        fresh = make()
        self._held[key] = fresh
        self.held_bytes += fresh.stored_bytes
        while self.held_bytes > self.limit_bytes and len(self._held) > 1:
            _, oldest = self._held.popitem(last=False)
            self.held_bytes -= oldest.stored_bytes
        return fresh
