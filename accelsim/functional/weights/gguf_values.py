"""The typed values of a GGUF header, read in order and never past the end of the file."""

from __future__ import annotations

import struct

import numpy as np

from accelsim.errors import WorkloadError
from accelsim.functional.weights.mapped_file import MappedFile
from accelsim.functional.weights.tensor_file import MetadataValue

_NUMBERS = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 10: "<Q", 11: "<q", 12: "<d",
}  # fmt: skip
"""Layouts of numbers by their type in the file."""
_BOOL, _TEXT, _ARRAY = 7, 8, 9
_TYPES = frozenset((*_NUMBERS, _BOOL, _TEXT, _ARRAY))
_UNSIGNED = {4: struct.Struct("<I"), 8: struct.Struct("<Q")}
_MOST_TEXTS = 2**22
_MOST_ARRAYS = 2**16
_DEEPEST = 4


class Cursor:
    """A place in a mapped file that moves forward as values are read.

    Parameters
    ----------
    part : MappedFile
        The file.

    Attributes
    ----------
    at : int
        Next byte to read.
    end : int
        Size of the file [byte].
    """

    def __init__(self, part: MappedFile) -> None:
        self.at = 0
        self.end = part.size_bytes
        self._name = part.name
        self._bytes = part.buffer
        self._objects = 0  # texts and arrays within arrays, of the whole file

    def wrong(self, problem: str, *, at: int | None = None) -> WorkloadError:
        """Make the error that names file and byte."""
        return WorkloadError(f"{self._name}: byte {self.at if at is None else at}: {problem}")

    def _need(self, count: int, what: str) -> int:
        """Move on by `count` bytes and return where they start."""
        start = self.at
        if count > self.end - start:
            raise self.wrong(
                f"{what} needs {count} bytes, the file has {self.end - start} left: it is cut "
                "short or its header lies"
            )
        self.at = start + count
        return start

    def take(self, count: int, what: str) -> bytes:
        """Return the next `count` bytes."""
        start = self._need(count, what)
        return self._bytes[start : start + count]

    def unsigned(self, width: int, what: str) -> int:
        """Return an unsigned integer of 4 or 8 bytes."""
        start = self._need(width, what)
        number: int = _UNSIGNED[width].unpack_from(self._bytes, start)[0]
        return number

    def count(self, width: int, least_bytes: int, most: int, what: str) -> int:
        """Return a number of things of at least `least_bytes` each that are to follow."""
        at = self.at
        number = self.unsigned(width, f"the number of {what}")
        if number > (self.end - self.at) // least_bytes:
            raise self.wrong(
                f"{number} {what} are announced, more than the file's size of {self.end} bytes "
                "can hold", at=at
            )  # fmt: skip
        if number > most:
            raise self.wrong(f"{number} {what} are announced, at most {most} are read", at=at)
        return number

    def text(self, what: str, most_bytes: int | None = None) -> str:
        """Return a text: its length in 8 bytes, then UTF-8."""
        at = self.at
        length = self.unsigned(8, f"the length of {what}")
        if most_bytes is not None and length > most_bytes:
            raise self.wrong(f"{what} has {length} bytes, at most {most_bytes} are allowed", at=at)
        try:
            return self.take(length, what).decode("utf-8")
        except UnicodeDecodeError as problem:
            raise self.wrong(f"{what} is not UTF-8 text: {problem.reason}", at=at) from None

    def typed_value(self, what: str) -> MetadataValue:
        """Return a value that starts with its type."""
        at = self.at
        kind = self.unsigned(4, f"the type of {what}")
        if kind not in _TYPES:
            raise self.wrong(f"{what} has the unknown type {kind}", at=at)
        if kind == _TEXT:
            return self.text(what)
        if kind == _ARRAY:
            return self._array(what, 1)
        if kind == _BOOL:
            return self._truth(what)
        layout = _NUMBERS[kind]
        start = self._need(struct.calcsize(layout), what)
        value: int | float = struct.unpack_from(layout, self._bytes, start)[0]
        return value

    def _truth(self, what: str) -> bool:
        code = self.take(1, what)[0]
        if code > 1:
            raise self.wrong(f"{what} is {code}, expected 0 or 1 for a truth value", at=self.at - 1)
        return code == 1

    def _array(self, what: str, depth: int) -> MetadataValue:
        """Return an array: numbers as numpy, texts and arrays as a tuple."""
        at = self.at
        kind = self.unsigned(4, f"the type of the elements of {what}")
        if kind not in _TYPES or depth > _DEEPEST:
            raise self.wrong(
                f"{what} has elements of the unknown type {kind} or is nested deeper than "
                f"{_DEEPEST}", at=at
            )  # fmt: skip
        layout = "|u1" if kind == _BOOL else _NUMBERS.get(kind, "")
        if layout:
            size = np.dtype(layout).itemsize
            count = self.count(8, size, self.end, f"elements of {what}")
            numbers = np.frombuffer(self.take(count * size, what), layout)
            if kind == _BOOL and (numbers > 1).any():
                raise self.wrong(f"{what} has truth values other than 0 and 1", at=at)
            return numbers.view(np.bool_) if kind == _BOOL else numbers
        least, most = (8, _MOST_TEXTS) if kind == _TEXT else (4 + 8, _MOST_ARRAYS)
        count = self.count(8, least, max(0, most - self._objects), f"elements of {what}")
        self._objects += count
        if kind == _TEXT:
            return self._texts(count, what)
        return tuple(self._array(what, depth + 1) for _ in range(count))

    def _texts(self, count: int, what: str) -> tuple[str, ...]:
        """Return `count` texts: a vocabulary has 100,000s, so this is `text` without calls."""
        data, end, length = self._bytes, self.end, _UNSIGNED[8].unpack_from
        found = []
        for _ in range(count):
            start = self.at + 8
            if start > end or (stop := start + length(data, start - 8)[0]) > end:
                raise self.wrong(f"{what} has a text that ends beyond the file's {end} bytes")
            try:
                found.append(data[start:stop].decode("utf-8"))
            except UnicodeDecodeError as problem:
                raise self.wrong(f"{what} is not UTF-8 text: {problem.reason}") from None
            self.at = stop
        return tuple(found)
