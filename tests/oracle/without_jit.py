"""Answers of a process of its own, in which kernels are plain Python."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any


def printed(script: str, *options: str, jit: bool = False) -> Any:
    """Run a script that prints JSON, and return what it says.

    Parameters
    ----------
    script : str
        Python source; it may import the tests.
    *options : str
        Of the interpreter.
    jit : bool
        Compile the kernels all the same.
    """
    done = subprocess.run(
        [sys.executable, *options, "-c", script], capture_output=True, text=True, check=False,
        env=os.environ | {"NUMBA_DISABLE_JIT": "0" if jit else "1",
                          "PYTHONPATH": os.pathsep.join(p or "." for p in sys.path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
