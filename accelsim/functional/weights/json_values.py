"""Checks of values from a config.json, where null means absent."""

from __future__ import annotations

from typing import Any

_LIMIT = 2**40


def first_of(*values: Any) -> Any:
    """Return the first that is not None."""
    return next((value for value in values if value is not None), None)


def is_positive(value: Any) -> bool:
    """Whether a value is a positive number of a usual size."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 0 < value < _LIMIT
