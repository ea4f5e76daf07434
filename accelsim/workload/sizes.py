"""Checks of the fields of a model description."""

from __future__ import annotations

from accelsim.errors import WorkloadError, suggest

SIZE_LIMIT = 10_000_000
LAYER_LIMIT = 10_000


def check_sizes(group: object, *names: str, least: int = 1, most: int = SIZE_LIMIT) -> None:
    """Require whole numbers from `least` to `most` in these fields."""
    for name in names:
        value = getattr(group, name)
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or not least <= value <= most:
            raise WorkloadError(
                f"{type(group).__name__}.{name} is {value!r}, "
                f"expected a whole number from {least} to {most}"
            )


def check_word(group: object, name: str, known: tuple[str, ...]) -> None:
    """Require one of the `known` words in this field."""
    value = getattr(group, name)
    if value not in known:
        raise WorkloadError(
            f"{type(group).__name__}.{name} is {value!r}: {suggest(str(value), known)}"
        )


def check_flags(group: object, *names: str) -> None:
    """Require true or false in these fields."""
    for name in names:
        value = getattr(group, name)
        if not isinstance(value, bool):
            raise WorkloadError(
                f"{type(group).__name__}.{name} is {value!r}, expected true or false"
            )
