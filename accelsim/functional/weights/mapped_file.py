"""A file in memory without a copy: mapped, read-only, of known size."""

from __future__ import annotations

import contextlib
import mmap
import stat
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from accelsim.documents import printable
from accelsim.errors import WorkloadError


class MappedFile:
    """A regular, non-empty file that is mapped read-only until `close`.

    Parameters
    ----------
    path : Path
        The file.

    Attributes
    ----------
    name : str
        Path as messages show it.
    size_bytes : int
        Of the whole file when it was opened.

    Raises
    ------
    WorkloadError
        If there is no such file, or it is empty, a folder, a pipe or a device.

    Notes
    -----
    A file that another program cuts short while it is mapped stops the process, as with every
    mapping: replace weight files, do not rewrite them in place.
    """

    def __init__(self, path: Path) -> None:
        self.name = printable(str(path))
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                raise WorkloadError(f"{self.name}: not a regular file, expected one of weights")
            with path.open("rb") as file:
                self.size_bytes = file.seek(0, 2)
                if not self.size_bytes:
                    raise WorkloadError(f"{self.name}: the file is empty; download it again")
                mapped = mmap.mmap(file.fileno(), self.size_bytes, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as problem:
            reason = getattr(problem, "strerror", None) or problem
            raise WorkloadError(f"cannot read {self.name}: {reason}") from None
        self._map: mmap.mmap | None = mapped

    @property
    def buffer(self) -> mmap.mmap:
        """The whole file; the caller keeps within `size_bytes`."""
        if self._map is None:
            raise WorkloadError(f"{self.name}: the file was closed; open it again to read")
        return self._map

    def view(self, offset_bytes: int, count_bytes: int) -> NDArray[np.uint8]:
        """Return bytes [count_bytes] of the mapping itself, read-only."""
        assert 0 <= offset_bytes <= offset_bytes + count_bytes <= self.size_bytes
        if not count_bytes:
            return np.empty(0, np.uint8)
        return np.frombuffer(self.buffer, np.uint8, count_bytes, offset_bytes)

    def close(self) -> None:
        """Give the mapping back; views that are still in use keep theirs alive."""
        mapped, self._map = self._map, None
        with contextlib.suppress(BufferError):
            if mapped is not None:
                mapped.close()
