"""Typed access to the key-values that describe a model in a GGUF file."""

from __future__ import annotations

from typing import Any

from accelsim.documents import printable
from accelsim.errors import WorkloadError
from accelsim.functional.weights.tensor_file import TensorFile

_LIMIT = 2**40
_SHOWN = 40


class GgufKeys:
    """The keys of a file that begin with its architecture, and its tensors' names.

    Parameters
    ----------
    opened : TensorFile
        Its ``general.architecture`` is text.

    Raises
    ------
    WorkloadError
        From every method: names the file, the key, the value and what is expected.
    """

    def __init__(self, opened: TensorFile) -> None:
        self.opened = opened
        self.family = str(opened.metadata["general.architecture"])

    def error(self, problem: str) -> WorkloadError:
        """Return an error about this file."""
        return WorkloadError(f"{printable(str(self.opened.path))}: {problem}")

    def raw(self, key: str) -> Any:
        """Return a value as the file has it, or None."""
        return self.opened.metadata.get(f"{self.family}.{key}")

    def wrong(self, key: str, expected: str) -> WorkloadError:
        """Return an error about the value of a key."""
        value = self.raw(key)
        shown = value if isinstance(value, float) else printable(repr(value))[:_SHOWN]
        return self.error(f"{self.family}.{key} is {shown}, expected {expected}")

    def number(self, key: str, default: float | None = None, least: float = 0.0) -> float:
        """Return a number above `least`."""
        stated = self.raw(key)
        value: Any = default if stated is None else stated
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not least < value < _LIMIT:
            raise self.wrong(key, "a positive number" if least == 0 else "a number from 0")
        return float(value)

    def size(self, key: str, default: int | None = None) -> int:
        """Return a whole number from 1."""
        value = self.number(key, default)
        if value != int(value):
            raise self.wrong(key, "a whole number")
        return int(value)

    def count(self, key: str) -> int:
        """Return a whole number from 0, which is also what an absent key means."""
        value = self.number(key, 0, least=-1.0)
        if value != int(value):
            raise self.wrong(key, "a whole number")
        return int(value)

    def flag(self, key: str, default: bool) -> bool:
        """Return true or false."""
        value = self.raw(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.wrong(key, "true or false")
        return value

    def has(self, tensor: str) -> bool:
        """Whether there is a tensor of this name."""
        return tensor in self.opened.tensors
