"""Checks of the fields of a model description."""

from __future__ import annotations

from accelsim.errors import WorkloadError, suggest

SIZE_LIMIT = 10_000_000


def check_sizes(group: object, *names: str, least: int = 1) -> None:
    """Require whole numbers from `least` to `SIZE_LIMIT` in these fields."""
    for name in names:
        value = getattr(group, name)
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or not least <= value <= SIZE_LIMIT:
            raise WorkloadError(
                f"{type(group).__name__}.{name} is {value!r}, "
                f"expected a whole number from {least} to {SIZE_LIMIT}"
            )


def check_word(group: object, name: str, known: tuple[str, ...]) -> None:
    """Require one of the `known` words in this field."""
    value = getattr(group, name)
    if value not in known:
        raise WorkloadError(
            f"{type(group).__name__}.{name} is {value!r}: {suggest(str(value), known)}"
        )
