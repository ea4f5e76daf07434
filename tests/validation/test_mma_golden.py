"""Does every matrix instruction give the bits of the published reference model?

Golden vectors of MMA-Sim (Xie et al., 2025, arXiv 2511.10909), 73 instructions of both vendors:
normal, subnormal, cancelling, overflowing and special operands. NaN is compared by class.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from accelsim.functional.instructions import mma

pytestmark = pytest.mark.shared
FILES = 73
FLOATS = {2: np.float16, 4: np.float32, 8: np.float64}


def _wrong(found: NDArray[Any], wanted: NDArray[Any]) -> int:
    """Count results of other bits, any NaN for any other allowed."""
    kind = FLOATS[wanted.dtype.itemsize]
    both_nan = np.isnan(found.view(kind)) & np.isnan(wanted.view(kind))
    return int(((found != wanted) & ~both_nan).sum())


def test_no_output_of_any_instruction_is_wrong(shared_dir: Path) -> None:
    files = sorted((shared_dir / "mma").glob("*.npz"))
    assert len(files) >= FILES
    wrong = {}
    for file in files:
        architecture, instruction = file.stem.split("__", 1)
        with np.load(file) as held:
            scales = [held.get(s) for s in ("scale_A", "scale_B")]
            found = mma(architecture, instruction, held["A"], held["B"], held["C"], *scales)
            if count := _wrong(found, held["D"]):
                wrong[file.stem] = f"{count} of {found.size}"
    assert not wrong
