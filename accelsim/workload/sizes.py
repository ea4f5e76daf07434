"""Checks of the fields of a model description."""

from __future__ import annotations

from accelsim.documents import printable
from accelsim.errors import WorkloadError, suggest

SIZE_LIMIT = 10_000_000
LAYER_LIMIT = 10_000
COUNT_LIMIT = 10**8
"""Samples, tokens or devices of a run, whoever says how many."""
NAME_LIMIT = 80
_SHOWN = 60


def shown(value: object) -> str:
    """Return a value as messages show it: control characters escaped, and cut when long."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def check_sizes(group: object, *names: str, least: int = 1, most: int = SIZE_LIMIT) -> None:
    """Require whole numbers from `least` to `most` in these fields."""
    for name in names:
        value = getattr(group, name)
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or not least <= value <= most:
            raise WorkloadError(
                f"{type(group).__name__}.{name} is {shown(value)}, "
                f"expected a whole number from {least} to {most}"
            )


def check_word(group: object, name: str, known: tuple[str, ...]) -> None:
    """Require one of the `known` words in this field."""
    value = getattr(group, name)
    if value not in known:
        raise WorkloadError(
            f"{type(group).__name__}.{name} is {shown(value)}: {suggest(str(value), known)}"
        )


def check_flags(group: object, *names: str) -> None:
    """Require true or false in these fields."""
    for name in names:
        value = getattr(group, name)
        if not isinstance(value, bool):
            raise WorkloadError(
                f"{type(group).__name__}.{name} is {shown(value)}, expected true or false"
            )


def check_text(label: str, value: object, most: int = NAME_LIMIT) -> None:
    """Require text that a terminal shows as it stands: control characters would steer it."""
    if not isinstance(value, str) or not 1 <= len(value) <= most or printable(value) != value:
        raise WorkloadError(
            f"{label} is {shown(value)}, expected text of 1 to {most} characters, all printable"
        )
