"""GGUF in several files: each has a header of its own, and the first the model's key-values.

References
----------
[1] llama.cpp, `gguf-split`: ``NAME-00001-of-00003.gguf`` with the keys `split.no` (from 0),
    `split.count` and `split.tensors.count`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from accelsim.documents import printable
from accelsim.errors import WorkloadError
from accelsim.functional.weights.gguf import open_gguf
from accelsim.functional.weights.tensor_file import TensorFile, TensorInfo

SPLIT_NAME = re.compile(
    r"(?P<stem>.+)-(?P<number>[0-9]{5})-of-(?P<count>[0-9]{5})\.gguf", re.DOTALL
)
_MOST_FILES = 4096
_ARCHITECTURE = "general.architecture"


def open_all_splits(opened: TensorFile) -> TensorFile:
    """Return the whole model of which an open GGUF file is a part; the file where it is whole.

    The others lie in the same folder.

    Raises
    ------
    WorkloadError
        If one is missing or malformed, counts or names contradict each other, or a tensor stands
        in two files. All files are closed then.
    """
    count = opened.metadata.get("split.count", 1)
    if isinstance(count, int) and count in (0, 1):
        return opened
    files = [opened]
    try:
        number, names = _names(opened)
        files = []
        for place, path in enumerate(names):
            files.append(opened if place == number else open_gguf(path))
            _check(files[-1], place, opened)
        return _joined(files)
    except BaseException:
        for file in (*files, opened):
            file.close()
        raise


def _names(opened: TensorFile) -> tuple[int, list[Path]]:
    """Return the number of this file, from 0, and the paths of all."""
    where, count = printable(str(opened.path)), opened.metadata["split.count"]
    found = SPLIT_NAME.fullmatch(opened.path.name)
    if type(count) is not int or not 2 <= count <= _MOST_FILES:
        raise WorkloadError(
            f"{where}: split.count is {printable(str(count)[:40])}, expected 2 to {_MOST_FILES}"
        )
    number = int(found["number"]) if found else 0
    if found is None or int(found["count"]) != count or not 1 <= number <= count:
        raise WorkloadError(
            f"{where}: one of {count} files, expected a name such as "
            f"NAME-00001-of-{count:05}.gguf, by which the others are found: name them as they were"
        )
    names = [
        opened.path.with_name(f"{found['stem']}-{place:05}-of-{count:05}.gguf")
        for place in range(1, count + 1)
    ]
    missing = [path for path in names if not path.is_file()]
    if missing:
        raise WorkloadError(
            f"{where}: one of {count} files, of which {len(missing)} are missing, first "
            f"{printable(str(missing[0]))}: put all into one folder"
        )
    return number - 1, names


def _check(file: TensorFile, place: int, opened: TensorFile) -> None:
    """Require that a file says itself that it is this part of this model."""
    where, said = printable(str(file.path)), file.metadata
    count = opened.metadata["split.count"]
    for key, expected in (("split.no", place), ("split.count", count)):
        value = said.get(key)
        if type(value) is not int or value != expected:
            raise WorkloadError(
                f"{where}: {key} is {printable(str(value)[:40])}, expected {expected}: the file is "
                "not the part that its name says"
            )
    ours, theirs = opened.metadata.get(_ARCHITECTURE), said.get(_ARCHITECTURE)
    if isinstance(ours, str) and isinstance(theirs, str) and ours != theirs:
        raise WorkloadError(
            f"{where}: architecture '{printable(theirs[:40])}', but that of "
            f"{printable(opened.path.name)} is '{printable(ours[:40])}': parts of two models"
        )


def _joined(files: list[TensorFile]) -> TensorFile:
    first = files[0]
    tensors: dict[str, TensorInfo] = {}
    for part, file in enumerate(files):
        for name, info in file.tensors.items():
            if name in tensors:
                raise WorkloadError(
                    f"{printable(str(file.path))}: the tensor '{printable(name[:80])}' also stands "
                    f"in {printable(files[tensors[name].part].path.name)}"
                )
            tensors[name] = replace(info, part=part)
    total = first.metadata.get("split.tensors.count", len(tensors))
    if type(total) is not int or total != len(tensors):
        raise WorkloadError(
            f"{printable(str(first.path))}: split.tensors.count is {printable(str(total)[:40])}, "
            f"but the {len(files)} files have {len(tensors)} tensors"
        )
    parts = tuple(part for file in files for part in file.parts)
    return TensorFile(first.path, "gguf", first.metadata, MappingProxyType(tensors), parts)
