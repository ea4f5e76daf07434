"""Do the kernels of number formats answer the same as plain Python?"""

from __future__ import annotations

import numpy as np

from accelsim.formats import BLOCK_FORMATS, FORMATS
from accelsim.functional.block_formats import quantize_blocks
from accelsim.functional.formats import count_nonfinite, decode, encode
from accelsim.functional.packing import pack, unpack
from tests.oracle.without_jit import printed

_SCRIPT = """
import json
from tests.oracle.test_formats_without_jit import answers
print(json.dumps(answers()))
"""


def answers() -> list[list[int]]:
    """Codes of every format, all roundings, special values among them."""
    rng = np.random.default_rng(1)
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, -1e-40, 1e300, -1e300, 465.0, 2.0**-127]
    x = np.concatenate([special, rng.standard_normal(24) * np.exp2(rng.integers(-9, 9, 24))])
    found = []
    for name, known in FORMATS.items():
        for rounding, seed in (("nearest_even", None), ("toward_zero", None), ("stochastic", 4)):
            codes = encode(x, name, rounding=rounding, seed=seed, saturate=rounding != "stochastic")
            found.append(codes.tolist())
            word = np.uint64 if known.name in ("fp64", "int32") else np.uint32
            values = decode(codes, name)
            found.append(np.where(np.isnan(values), 7, values).view(word).tolist())
    for name in BLOCK_FORMATS:
        for rounding, seed in (("nearest_even", None), ("toward_zero", None), ("stochastic", 4)):
            scaled = quantize_blocks(x[9:], name, rounding=rounding, seed=seed)
            found += [scaled.codes.tolist(), scaled.values().view(np.uint32).tolist()]
            found.append(quantize_blocks(x, name, rounding=rounding, seed=seed).codes.tolist())
    for name in ("fp4", "int4", "fp6"):
        codes = encode(x, name, rounding="toward_zero")
        found += [pack(codes, name).tolist(), unpack(pack(codes, name), name, x.size).tolist()]
    return [*found, list(count_nonfinite(x))]


def test_compiled_and_plain_python_agree_to_the_last_bit() -> None:
    assert printed(_SCRIPT, "-W", "error") == answers()
