"""An open file of weights, whatever its format: names, shapes, storage, and fp32 on demand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from accelsim.documents import printable
from accelsim.errors import WorkloadError, suggest
from accelsim.functional.weights.mapped_file import MappedFile
from accelsim.functional.weights.storage import StorageType, decode

MetadataValue = int | float | bool | str | NDArray[np.generic] | tuple["MetadataValue", ...]
"""A value of the file's own key-value store: arrays of numbers are numpy, others are tuples."""


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Where a tensor lies and what it looks like.

    Attributes
    ----------
    name : str
        Unique in the file.
    shape : tuple of int
        Row-major, as numpy has it: a linear layer is [out, in] in both formats.
    storage : StorageType
        How its numbers are stored.
    offset_bytes : int
        From the start of its part.
    part : int
        Which of the files of a model in several.
    """

    name: str
    shape: tuple[int, ...]
    storage: StorageType
    offset_bytes: int
    part: int = 0

    @property
    def elements(self) -> int:
        """Number of weights."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """Size in the file [byte]."""
        return self.elements // self.storage.block_elements * self.storage.block_bytes

    @property
    def bits_per_weight(self) -> float:
        """Stored bits per weight, scales included."""
        return self.storage.bits_per_weight


@dataclass(frozen=True, eq=False)
class TensorFile:
    """Weights on disk, mapped and not copied; a context manager.

    Attributes
    ----------
    path : Path
        The file, or the index of a model in several.
    container : str
        "gguf" or "safetensors".
    metadata : mapping of str to MetadataValue
        Key-values of GGUF, texts of safetensors' ``__metadata__``.
    tensors : mapping of str to TensorInfo
        In the order of the file.
    parts : tuple of MappedFile
        The mapped files.
    """

    path: Path
    container: str
    metadata: Mapping[str, MetadataValue]
    tensors: Mapping[str, TensorInfo]
    parts: tuple[MappedFile, ...]

    def info(self, name: str) -> TensorInfo:
        """Return the tensor of this name.

        Raises
        ------
        WorkloadError
            If there is none; the message suggests the nearest.
        """
        found = self.tensors.get(name)
        if found is None:
            where = printable(str(self.path))
            near = suggest(printable(name), map(printable, self.tensors))
            raise WorkloadError(f"{where}: no tensor is named '{printable(name)}'; {near}")
        return found

    def raw(self, name: str) -> NDArray[np.uint8]:
        """Return the stored bytes of a tensor, uint8 [bytes]: a read-only view of the file."""
        info = self.info(name)
        return self.parts[info.part].view(info.offset_bytes, info.bytes)

    def read(self, name: str) -> NDArray[np.float32]:
        """Return a tensor as fp32 in its shape, C order, a copy of its own.

        Raises
        ------
        WorkloadError
            If there is no such tensor, its storage type is not decoded here, or the file was
            closed.
        """
        info = self.info(name)
        try:
            return decode(info.storage, self.raw(name)).reshape(info.shape)
        except WorkloadError as problem:
            raise WorkloadError(
                f"{printable(str(self.path))}, tensor '{printable(name)}': {problem}"
            ) from None

    def close(self) -> None:
        """Give the mapping back; later reads are errors, arrays already read stay."""
        for part in self.parts:
            part.close()

    def __enter__(self) -> TensorFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def require_none_left(opened: TensorFile, left: Sequence[str], model: str) -> None:
    """Refuse a file with tensors that would be left out silently.

    Parameters
    ----------
    opened : TensorFile
    left : sequence of str
        Names of those that have no place.
    model : str
        What they have no place in, for the message.

    Raises
    ------
    WorkloadError
        If there are any.
    """
    if left:
        raise WorkloadError(
            f"{printable(str(opened.path))}: {len(left)} tensors have no place in {model}, first "
            f"'{printable(left[0][:80])}': its results would not be the model's"
        )
