"""Files: packaged data found, output written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from accelsim.errors import AccelsimError

SEARCH_PATH_VARIABLE = "ACCELSIM_PATH"


def data_roots() -> list[Path]:
    """Folders that may hold arch_specs/ and workloads/: ACCELSIM_PATH first, then the package.

    In a wheel the data lies in ``accelsim/_data``; in a checkout it lies beside the package.
    """
    package = Path(__file__).resolve().parent
    listed = [Path(p) for p in os.environ.get(SEARCH_PATH_VARIABLE, "").split(os.pathsep) if p]
    return [*listed, package / "_data", package.parent]


def find_data(folder: str, suffix: str) -> dict[str, Path]:
    """Map name to path for every ``*suffix`` file under `folder` of the data roots.

    Parameters
    ----------
    folder : str
        For example ``"arch_specs/chips"``.
    suffix : str
        For example ``".yaml"``.

    Returns
    -------
    dict of str to Path
        Sorted by name; an earlier root hides a later one.
    """
    found: dict[str, Path] = {}
    for root in data_roots():
        for path in sorted((root / folder).glob(f"*{suffix}")):
            found.setdefault(path.name.removesuffix(suffix), path)
    return dict(sorted(found.items()))


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path` that replaces it when the block ends without error.

    Raises
    ------
    AccelsimError
        If the target's folder cannot be written, or the target is a device, a pipe or a folder.
    """
    target = Path(path).resolve()  # a link is written through, not replaced
    if target.exists() and not target.is_file():
        raise AccelsimError(f"cannot write {path}: it is no ordinary file")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=f".{target.stem}.", suffix=target.suffix, dir=target.parent
        )
    except OSError as error:
        raise AccelsimError(f"cannot write {target}: {error.strerror or error}") from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        try:
            umask = os.umask(0)
            os.umask(umask)
            temporary.chmod(0o666 & ~umask)  # mkstemp makes private files; ours are ordinary ones
            temporary.replace(target)
        except OSError as error:
            raise AccelsimError(f"cannot write {target}: {error.strerror or error}") from None
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text to `path` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
