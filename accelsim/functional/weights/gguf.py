"""GGUF: a header of counts, typed key-values and tensor places, then the weights.

The header is hostile input. Every count, length and offset is held against what is left of the
file before anything is looped over or allocated.

References
----------
[1] ggml, `docs/gguf.md`: versions 2 and 3.
"""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from types import MappingProxyType

from accelsim.documents import printable
from accelsim.functional.weights.gguf_values import Cursor
from accelsim.functional.weights.mapped_file import MappedFile
from accelsim.functional.weights.storage import GGUF_TYPES
from accelsim.functional.weights.tensor_file import MetadataValue, TensorFile, TensorInfo

MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_ALIGNMENT_KEY = "general.alignment"
_DEFAULT_ALIGNMENT = 32
_LONGEST_NAME_BYTES = 1024
_MOST_DIMENSIONS = 4
_MOST_KEYS = 2**16
_MOST_TENSORS = 2**16
_LEAST_KEY_BYTES = 8 + 1 + 4 + 1
_LEAST_TENSOR_BYTES = 8 + 1 + 4 + 8 + 4 + 8


def open_gguf(path: Path) -> TensorFile:
    """Open a GGUF file of version 2 or 3, little-endian.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    TensorFile

    Raises
    ------
    WorkloadError
        If anything in the header contradicts the format or the file's own size; the message has
        the file, the byte and what was found there.
    """
    part = MappedFile(path)
    try:
        return _parse(path, part)
    except BaseException:
        part.close()
        raise


def _parse(path: Path, part: MappedFile) -> TensorFile:
    cursor = Cursor(part)
    if cursor.take(4, "the magic") != MAGIC:
        raise cursor.wrong("the file does not start with 'GGUF'", at=0)
    version = cursor.unsigned(4, "the version")
    if version not in _VERSIONS:
        raise cursor.wrong(_about_version(version), at=4)
    tensors = cursor.count(8, _LEAST_TENSOR_BYTES, _MOST_TENSORS, "tensors")
    keys = cursor.count(8, _LEAST_KEY_BYTES, _MOST_KEYS, "key-values")
    metadata = _metadata(cursor, keys)
    alignment = _alignment(cursor, metadata)
    start_at, infos = cursor.at, [_tensor(cursor) for _ in range(tensors)]
    data = -(-cursor.at // alignment) * alignment
    _check_places(cursor, infos, data, alignment)
    placed: dict[str, TensorInfo] = {}
    for info in infos:
        if info.name in placed:
            raise cursor.wrong(f"the tensor '{printable(info.name)}' stands twice", at=start_at)
        placed[info.name] = TensorInfo(
            info.name, info.shape, info.storage, data + info.offset_bytes
        )
    return TensorFile(path, "gguf", MappingProxyType(metadata), MappingProxyType(placed), (part,))


def _about_version(version: int) -> str:
    """Say why this version is not read."""
    if version and not version & 0xFFFF:
        return (
            "the version has its bytes swapped: a big-endian GGUF; convert it to little-endian "
            "with gguf-convert-endian"
        )
    return (
        f"GGUF version {version}, but only {_VERSIONS[0]} and {_VERSIONS[1]} are read; convert it"
    )


def _metadata(cursor: Cursor, count: int) -> dict[str, MetadataValue]:
    """Read the key-values."""
    metadata: dict[str, MetadataValue] = {}
    for _ in range(count):
        at = cursor.at
        key = cursor.text("a key", most_bytes=2**16 - 1)
        if not key:
            raise cursor.wrong("a key is empty", at=at)
        if key in metadata:
            raise cursor.wrong(f"the key '{printable(key[:80])}' stands twice", at=at)
        metadata[key] = cursor.typed_value(f"the value of '{printable(key[:80])}'")
    return metadata


def _alignment(cursor: Cursor, metadata: dict[str, MetadataValue]) -> int:
    """Return what the offsets of tensors are multiples of [byte]."""
    alignment = metadata.get(_ALIGNMENT_KEY, _DEFAULT_ALIGNMENT)
    if type(alignment) is not int or not 8 <= alignment <= 2**31 or alignment & (alignment - 1):
        raise cursor.wrong(
            f"{_ALIGNMENT_KEY} is {printable(str(alignment)[:40])}, expected a power of two from 8"
        )
    return alignment


def _tensor(cursor: Cursor) -> TensorInfo:
    """Read one tensor's name, shape, type and offset from the start of the data."""
    name = cursor.text("a tensor's name", most_bytes=_LONGEST_NAME_BYTES)
    if not name:
        raise cursor.wrong("a tensor has no name", at=cursor.at - 8)
    what, at = f"tensor '{printable(name[:80])}'", cursor.at
    dimensions = cursor.unsigned(4, f"the number of dimensions of {what}")
    if not 1 <= dimensions <= _MOST_DIMENSIONS:
        raise cursor.wrong(f"{what} has {dimensions} dimensions, expected 1 to 4", at=at)
    sides = [cursor.unsigned(8, f"a dimension of {what}") for _ in range(dimensions)]
    number = cursor.unsigned(4, f"the type of {what}")
    storage = GGUF_TYPES.get(number)
    if storage is None:
        raise cursor.wrong(f"{what} has the unknown type {number}", at=cursor.at - 4)
    if not all(sides) or sides[0] % storage.block_elements:
        raise cursor.wrong(
            f"{what} has the dimensions {sides}: each is at least 1, and the first is a multiple "
            f"of {storage.block_elements} for {storage.name}", at=at
        )  # fmt: skip
    if math.prod(sides) > cursor.end // storage.block_bytes * storage.block_elements:
        raise cursor.wrong(f"{what} with the dimensions {sides} is larger than the file", at=at)
    offset = cursor.unsigned(8, f"the offset of {what}")
    return TensorInfo(name, tuple(reversed(sides)), storage, offset)


def _check_places(cursor: Cursor, infos: list[TensorInfo], data: int, alignment: int) -> None:
    """Require that tensors are aligned, within the file, and do not overlap."""
    placed = sorted(infos, key=lambda info: info.offset_bytes)
    for info in placed:
        what, at = f"tensor '{printable(info.name[:80])}'", data + info.offset_bytes
        if info.offset_bytes % alignment:
            raise cursor.wrong(
                f"{what} starts {info.offset_bytes} bytes into the data, not a multiple of the "
                f"alignment of {alignment}", at=at
            )  # fmt: skip
        if at + info.bytes > cursor.end:
            raise cursor.wrong(
                f"{what} ends at byte {at + info.bytes}, beyond the file's {cursor.end}: the file "
                "was cut short; download it again", at=at
            )  # fmt: skip
    for before, after in itertools.pairwise(placed):
        if before.offset_bytes + before.bytes > after.offset_bytes:
            raise cursor.wrong(
                f"the tensors '{printable(before.name[:80])}' and '{printable(after.name[:80])}' "
                "overlap", at=data + after.offset_bytes
            )  # fmt: skip
