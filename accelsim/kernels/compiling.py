"""Who wants to know when the first kernel is compiled; importing this costs no compiler."""

from __future__ import annotations

from collections.abc import Callable

_listeners: list[Callable[[], None]] = []


def on_first_compile(tell: Callable[[], None]) -> None:
    """Call `tell` once when a kernel is compiled that does not lie compiled on disk.

    Parameters
    ----------
    tell : callable
        Takes the place of whoever was to be told before.
    """
    _listeners[:] = [tell]


def compiling() -> None:
    """A kernel is about to be compiled."""
    while _listeners:
        _listeners.pop()()
