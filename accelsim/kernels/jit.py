"""The one place for compiler options: every kernel of the project is decorated here.

fastmath stays off: results must not depend on how the compiler reorders sums. Compiled code is
cached beside the source (or in the user's cache folder when that is read-only).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core import event

from accelsim.kernels.compiling import compiling

prange = numba.prange
COMPILED = not getattr(numba.config, "DISABLE_JIT", 0)
"""Whether kernels are compiled in this process: not under ``NUMBA_DISABLE_JIT=1``."""
_F = TypeVar("_F", bound=Callable[..., Any])
_BARE: dict[str, Any] = {"_nrt": False}


def forget_stale(folder: Path) -> bool:
    """Delete compiled code below `folder` if a source there has changed since.

    The compiler watches the file of a kernel, not those of the kernels that it inlines. Returns
    whether code was deleted; a folder that cannot be written to is left alone.
    """
    sources = sorted(
        (str(p.relative_to(folder)), p.stat().st_mtime_ns, p.stat().st_size)
        for p in folder.rglob("*.py")
    )
    digest = hashlib.sha256(repr(sources).encode()).hexdigest()
    cache = folder / "__pycache__"
    mark = cache / "kernels.sha256"
    with suppress(OSError):
        if mark.is_file() and mark.read_bytes() == digest.encode():
            return False
        for compiled in (*folder.rglob("*.nbi"), *folder.rglob("*.nbc")):
            compiled.unlink(missing_ok=True)
        cache.mkdir(exist_ok=True)
        mark.write_text(digest, encoding="ascii")
        return True
    return False


forget_stale(Path(__file__).parent)


class _Compiles(event.Listener):
    """Hears of kernels that are compiled, not of those that are read from disk."""

    def on_start(self, _: object) -> None:
        compiling()

    def on_end(self, _: object) -> None:
        pass


event.register("numba:compile", _Compiles())  # type: ignore[no-untyped-call]


def kernel(function: _F) -> _F:
    """Compile a scalar kernel: no Python objects, no GIL, cached on disk."""
    return cast(_F, numba.njit(cache=True, nogil=True, error_model="numpy")(function))


def bare_kernel(function: _F) -> _F:
    """Compile a scalar kernel that counts no owners of its arrays.

    Numba counts the owners of an array up and down, atomically, wherever a call passes it. A
    kernel of many small functions spends half its time so. A bare kernel may not make arrays.
    """
    return cast(_F, numba.njit(cache=True, nogil=True, error_model="numpy", **_BARE)(function))


def inlined(function: _F) -> _F:
    """Compile a small step of bare kernels, which the compiler writes out wherever it is called."""
    options = {"cache": True, "nogil": True, "error_model": "numpy", "forceinline": True, **_BARE}
    return cast(_F, numba.njit(**options)(function))


def parallel_kernel(function: _F) -> _F:
    """Compile a kernel whose `numba.prange` loop runs on all threads."""
    compiled = numba.njit(cache=True, nogil=True, error_model="numpy", parallel=True)(function)
    return cast(_F, compiled)


def threads() -> int:
    """Threads that parallel kernels run on."""
    return int(numba.get_num_threads())


def compiled_before(module: str) -> bool:
    """Whether code of a module of kernels lies compiled beside the sources."""
    return any(Path(__file__).parent.rglob(f"{module}.*.nbi"))
