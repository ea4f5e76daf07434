"""safetensors: a JSON header of names, shapes and offsets, then the weights; alone or in shards.

References
----------
[1] Hugging Face, safetensors, "Format": no holes, no overlaps, header of at most 100 MB.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from accelsim.documents import printable
from accelsim.errors import WorkloadError, suggest
from accelsim.functional.weights.header_json import parse_object
from accelsim.functional.weights.mapped_file import MappedFile
from accelsim.functional.weights.storage import SAFETENSORS_TYPES
from accelsim.functional.weights.tensor_file import TensorFile, TensorInfo

_LENGTH_BYTES = 8
_MOST_HEADER_BYTES = 100_000_000
_MOST_INDEX_BYTES = 32 * 2**20
_MOST_DIMENSIONS = 16
_MOST_ELEMENTS = 2**62
_MOST_SHARDS = 4096
_FIELDS = frozenset(("dtype", "shape", "data_offsets"))
_QUOTED = 80


def open_safetensors(path: Path) -> TensorFile:
    """Open one safetensors file.

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
        If the header is malformed or contradicts the file's size: offsets out of range or order,
        holes, overlaps, a shape that is not as large as its bytes, an unknown dtype.
    """
    part = MappedFile(path)
    try:
        metadata, tensors = _read_header(part, 0)
    except BaseException:
        part.close()
        raise
    return _file(path, metadata, tensors, (part,))


def open_shards(path: Path) -> TensorFile:
    """Open a model in several safetensors files by its ``model.safetensors.index.json``.

    The shards lie in the folder of the index.

    Raises
    ------
    WorkloadError
        If the index is malformed, names a file elsewhere, or a shard lacks a tensor it promises.
    """
    weight_map = _weight_map(path)
    files = sorted(set(weight_map.values()))
    parts: list[MappedFile] = []
    metadata: dict[str, str] = {}
    tensors: dict[str, TensorInfo] = {}
    try:
        for number, name in enumerate(files):
            parts.append(MappedFile(path.parent / name))
            more, found = _read_header(parts[-1], number)
            metadata |= more
            for info in found.values():
                _require_promised(info.name, name, weight_map, parts[-1].name)
            tensors |= found
        missing = [name for name in weight_map if name not in tensors]
        if missing:
            shown = printable(missing[0][:_QUOTED])
            raise WorkloadError(
                f"{printable(str(path))}: the tensor '{shown}' is in none of the shards, which is "
                f"so for {len(missing)} of {len(weight_map)}"
            )
    except BaseException:
        for part in parts:
            part.close()
        raise
    return _file(path, metadata, tensors, tuple(parts))


def _file(
    path: Path,
    metadata: dict[str, str],
    tensors: dict[str, TensorInfo],
    parts: tuple[MappedFile, ...],
) -> TensorFile:
    texts, infos = MappingProxyType(metadata), MappingProxyType(tensors)
    return TensorFile(path, "safetensors", texts, infos, parts)


def _weight_map(path: Path) -> dict[str, str]:
    """Return the shard of every tensor, names checked."""
    index = MappedFile(path)
    where, size = index.name, index.size_bytes
    text = bytes(index.buffer[: _MOST_INDEX_BYTES + 1])
    index.close()
    if size > _MOST_INDEX_BYTES:
        raise WorkloadError(f"{where}: larger than {_MOST_INDEX_BYTES} bytes, not read as an index")
    weight_map = parse_object(text, where).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise WorkloadError(
            f"{where}: JSON without a 'weight_map' of tensors to files, so no index of safetensors"
        )
    for shard in weight_map.values():
        if not isinstance(shard, str) or not _is_plain_name(shard):
            raise WorkloadError(
                f"{where}: '{printable(str(shard)[:_QUOTED])}' is not the name of a .safetensors "
                "file in the same folder"
            )
    if len(set(weight_map.values())) > _MOST_SHARDS:
        raise WorkloadError(f"{where}: more than {_MOST_SHARDS} files")
    return weight_map


def _is_plain_name(name: str) -> bool:
    """Whether a name stays in its folder, on every system."""
    return (
        name.endswith(".safetensors")
        and len(name) <= 255
        and not set('/\\:*?"<>|\0') & set(name)
        and not name.startswith(".")
    )


def _require_promised(tensor: str, shard: str, weight_map: Mapping[str, str], where: str) -> None:
    if weight_map.get(tensor) != shard:
        raise WorkloadError(
            f"{where}: holds the tensor '{printable(tensor[:_QUOTED])}', which the index does not "
            "place here"
        )


def _read_header(part: MappedFile, number: int) -> tuple[dict[str, str], dict[str, TensorInfo]]:
    """Return the texts and tensors of a file that is part `number` of its model."""
    size, where = part.size_bytes, f"{part.name}: byte {_LENGTH_BYTES}"
    if size < _LENGTH_BYTES:
        raise WorkloadError(f"{part.name}: {size} bytes, too short for a safetensors header")
    length = int.from_bytes(part.buffer[:_LENGTH_BYTES], "little")
    limit = min(_MOST_HEADER_BYTES, size - _LENGTH_BYTES)
    if not 2 <= length <= limit:
        raise WorkloadError(
            f"{part.name}: byte 0: a header of {length} bytes is announced, at most {limit} are "
            "possible: the file is cut short or its header lies"
        )
    header = parse_object(part.buffer[_LENGTH_BYTES : _LENGTH_BYTES + length], where)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise WorkloadError(f"{where}: '__metadata__' is not an object of texts")
    data = _LENGTH_BYTES + length
    tensors = {name: _tensor(name, entry, where, (data, number)) for name, entry in header.items()}
    _require_no_holes(tensors, data, size, part.name)
    return metadata, tensors


def _tensor(name: str, entry: Any, where: str, place: tuple[int, int]) -> TensorInfo:
    """Check one entry; `place` is the start of the data and the part."""
    where = f"{where}, tensor '{printable(name[:_QUOTED])}'"
    if not isinstance(entry, dict) or set(entry) != _FIELDS:
        raise WorkloadError(f"{where}: expected exactly dtype, shape and data_offsets")
    storage = SAFETENSORS_TYPES.get(str(entry["dtype"]))
    if storage is None:
        shown = printable(str(entry["dtype"])[:_QUOTED])
        raise WorkloadError(
            f"{where}: unknown dtype '{shown}', {suggest(shown, SAFETENSORS_TYPES)}"
        )
    shape = _counts(entry["shape"], f"{where}, shape")
    if len(shape) > _MOST_DIMENSIONS or math.prod(max(1, side) for side in shape) > _MOST_ELEMENTS:
        raise WorkloadError(f"{where}: the shape has too many dimensions or elements")
    offsets = _counts(entry["data_offsets"], f"{where}, data_offsets")
    if len(offsets) != 2 or offsets[0] > offsets[1]:
        raise WorkloadError(f"{where}: data_offsets are not [begin, end]")
    info = TensorInfo(name, shape, storage, place[0] + offsets[0], place[1])
    if info.bytes != offsets[1] - offsets[0]:
        raise WorkloadError(
            f"{where}: {storage.name} of shape {list(shape)} takes {info.bytes} bytes, its "
            f"data_offsets span {offsets[1] - offsets[0]}"
        )
    return info


def _counts(value: Any, where: str) -> tuple[int, ...]:
    """Return a list of numbers from 0 to 2**62, whole and no truth values."""
    numbers = value if isinstance(value, list) else [None]
    if not all(type(n) is int and 0 <= n <= _MOST_ELEMENTS for n in numbers):
        shown = printable(str(numbers[:8])[:_QUOTED])
        raise WorkloadError(f"{where}: expected a list of counts, got {shown}")
    return tuple(numbers)


def _require_no_holes(tensors: Mapping[str, TensorInfo], data: int, size: int, where: str) -> None:
    """Require that tensors follow one another from the start of the data to the file's end."""
    at = data
    for info in sorted(tensors.values(), key=lambda t: (t.offset_bytes, t.bytes)):
        if info.offset_bytes != at:
            problem = "overlaps the one before" if info.offset_bytes < at else "follows a hole"
            raise WorkloadError(
                f"{where}: byte {info.offset_bytes}: tensor '{printable(info.name[:_QUOTED])}' "
                f"{problem}; expected it at byte {at}"
            )
        at += info.bytes
        if at > size:
            raise WorkloadError(
                f"{where}: tensor '{printable(info.name[:_QUOTED])}' ends at byte {at}, beyond the "
                f"file's {size}: the file was cut short; download it again"
            )
    if at != size:
        raise WorkloadError(
            f"{where}: {size - at} bytes follow the last tensor, which ends at byte {at}"
        )
