"""Are repetitions of one op one, however they are written?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from accelsim.validation.calibrate import _chosen
from accelsim.validation.groups import group_numbers


def test_the_same_op_has_the_same_number() -> None:
    rows = pd.DataFrame({
        "op": ["add", "add", "add", "add", "gelu"], "launch": ["graph"] * 3 + ["eager"] * 2,
        "rows": [8, "8", 8.0, 8, 8], "cols": [64, 64, 65, 64, 64], "m": [None] * 5,
    })  # fmt: skip
    assert group_numbers(rows).tolist() == [0, 0, 1, 2, 3]


def test_large_sizes_stay_apart() -> None:
    rows = pd.DataFrame({"op": "add", "launch": "graph", "rows": [12345678, 12345679], "cols": 1})
    assert group_numbers(rows).tolist() == [0, 1]


def test_repetitions_stay_together_in_a_split() -> None:
    groups = np.repeat(np.arange(40), 5)
    rows = pd.DataFrame({"suite": "add", "dtype": "bf16", "launch": "graph", "size": groups % 2})
    aside = _chosen(rows, groups, 0.3, 0)
    shares = pd.Series(aside).groupby(groups).mean()
    assert set(shares) == {0.0, 1.0}
    assert shares.mean() == 0.3
