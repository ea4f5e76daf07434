"""Which rows of kernel measurements say something about a kernel, and which do not.

Both readers of whole collections (the installed package and a folder of extracts) use these
limits, so that their tables mean the same.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

SHORTEST_GEMM_US = 3.0
"""Shorter GEMMs show the gap between two kernels of a graph, not the kernel [us]."""
SHORTEST_ATTENTION_US = 5.0
SHORTEST_MOE_US = 10.0
SHORTEST_EAGER_GEMM_US = 100.0
"""One eager call was timed with its dispatch, 24 to 60 us of it [us]."""
SHORTEST_EAGER_VECTOR_US = 40.0
SHORTEST_LAYER_US = 5.0
"""The profiler of these layers counts whole microseconds [us]."""

SHORTEST_S = 1e-9
"""Shorter than a clock of any chip: a measured time in another unit than its column says [s]."""
LONGEST_S = 1e5
"""More than a day for one op [s]."""

SHORT = "shorter than {:g} us: the time is that of a launch"
L2_RESIDENT = "the working set stays in the L2 between repetitions"
WEIGHT_ONLY = "weights narrower than the arithmetic: no column of predict says so"
OTHER_FORMAT = "a number format that predict's columns do not have"
SUSPECT_FMHA = "labelled bf16 with an fp8 cache, but timed as the fp8 kernel"
WINDOWED = "sliding window: no column of predict says so"
UNBALANCED = "experts loaded unevenly: the data do not say how many rows this device has"
NO_GATE = "experts without a gate: another op"
NO_NUMBER = "{} is no finite number"
NOT_POSITIVE = "{} is not positive"
NO_SIZE = "{} is no whole number from 1 to 2^40"
NO_TIME = "the measured time is blank, or not within 1 ns and 100,000 s"
NO_CHIP = "there is no chip spec of this device"
NO_SYSTEM = "no packaged system connects devices as these were"

GEMM_DTYPES = {"bfloat16": "bf16", "nvfp4": "nvfp4", "sq": "int8"}
GEMM_QUANTISED = {"gemm_fp8": ("fp8", "tensor"), "gemm_fp8_block": ("fp8_block", "block")}
"""Class to the format as sources name it, and how predict's ``quantize`` says that activations
came to it within the measured time: by one scale of all, found first, or by one per block."""
GEMM_WEIGHT_ONLY = ("int8_wo", "int4_wo")
ATTENTION_DTYPES = {"bfloat16": "bf16", "fp8": "fp8"}
MOE_DTYPES = {"bfloat16": "bf16", "fp8": "fp8", "fp8_block": "fp8"}
# Bytes of a weight and of an activation as stored between repetitions; nvfp4 with its scales.
_STORED_BYTES = {
    "bfloat16": (2.0, 2.0), "sq": (1.0, 2.0), "nvfp4": (0.5625, 2.0), "fp8": (1.0, 2.0),
    "fp8_block": (1.0, 2.0),
}  # fmt: skip
_MOST_COPIES = 5


def l2_resident(
    gemms: pd.DataFrame, capacity_bytes: float, *, always_five: bool
) -> pd.Series[bool]:
    """Tell which GEMMs ran from the L2, with the copies of the weight that the collector cycles.

    Parameters
    ----------
    gemms : DataFrame
        Columns ``gemm_dtype``, ``m``, ``n``, ``k``.
    capacity_bytes : float
        Of the L2 [B].
    always_five : bool
        Older collectors cycle five copies whatever their size; newer ones as many as exceed the
        L2, five at most.
    """
    stored = gemms["gemm_dtype"].map(lambda name: _STORED_BYTES.get(name, (2.0, 2.0)))
    weight_bytes = gemms["n"] * gemms["k"] * stored.map(lambda pair: pair[0]).astype(float)
    value_bytes = stored.map(lambda pair: pair[1]).astype(float)
    moved_bytes = gemms["m"] * gemms["k"] * value_bytes + 2.0 * gemms["m"] * gemms["n"]
    copies = np.minimum(_MOST_COPIES, np.ceil(capacity_bytes / weight_bytes))
    if always_five:
        copies = pd.Series(float(_MOST_COPIES), index=gemms.index)
    held: pd.Series[bool] = copies * weight_bytes + moved_bytes <= capacity_bytes
    return held
