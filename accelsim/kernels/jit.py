"""The one place for compiler options: every kernel of the project is decorated here.

fastmath stays off: results must not depend on how the compiler reorders sums. Compiled code is
cached beside the source (or in the user's cache folder when that is read-only).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

prange = numba.prange
COMPILED = not numba.config.DISABLE_JIT
"""Whether kernels are compiled in this process: not under ``NUMBA_DISABLE_JIT=1``."""
_F = TypeVar("_F", bound=Callable[..., Any])


def kernel(function: _F) -> _F:
    """Compile a scalar kernel: no Python objects, no GIL, cached on disk."""
    return cast(_F, numba.njit(cache=True, nogil=True, error_model="numpy")(function))


def parallel_kernel(function: _F) -> _F:
    """Compile a kernel whose `numba.prange` loop runs on all threads."""
    compiled = numba.njit(cache=True, nogil=True, error_model="numpy", parallel=True)(function)
    return cast(_F, compiled)


def threads() -> int:
    """Threads that parallel kernels run on."""
    return int(numba.get_num_threads())
