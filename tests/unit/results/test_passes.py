"""Do the passes of a run follow one another, with all their energy?"""

from __future__ import annotations

import numpy as np
import pytest

from accelsim.results.execution import StagePass
from accelsim.results.passes import passes_power, passes_timeline
from tests.unit.results.executions import collective, prefetching

PASSES = (StagePass("prefill", 1, prefetching()), StagePass("decode", 3, collective()))


def test_timeline_of_two_stages() -> None:
    table = passes_timeline(PASSES)
    assert table["name"].tolist() == [
        "up", "down", "o", "reduce", "o", "reduce", "2 more passes", "2 more passes",
    ]  # fmt: skip
    assert table["block"].tolist()[1:3] == ["prefill/layers", "decode/layers"]
    assert (table["start_s"] * 1e9).tolist() == pytest.approx(
        [0, 500, 1400, 1700, 1400, 1700, 1900, 1900]
    )
    assert table["end_s"].iloc[-1] * 1e9 == pytest.approx(2900)
    assert table["dynamic_w"].iloc[2] == pytest.approx(10.0)  # 1 uJ in 100 ns
    assert table["chip"].tolist() == [0, 0, 0, 0, 1, 1, 0, 1]
    assert table["chips"].tolist() == [1, 1, 1, 1, 3, 3, 1, 3]
    # 3 uJ of chip 0 and 5 uJ of chip 1 in 500 ns, twice.
    assert table["dynamic_w"].tolist()[-2:] == pytest.approx([6.0, 10.0])
    assert table["dynamic_j"].tolist()[-2:] == pytest.approx([6e-6, 10e-6])
    joules = (table["dynamic_j"] * table["chips"]).sum()
    assert joules == pytest.approx(23e-6 + 3 * (3e-6 + 3 * 5e-6), rel=1e-12)


def test_power_integrates_over_all_passes() -> None:
    table = passes_power(PASSES, bins=13)
    assert np.all(table["start_s"].to_numpy()[1:] == pytest.approx(table["end_s"].to_numpy()[:-1]))
    joules = ((table["end_s"] - table["start_s"]) * table["power_w"]).sum()
    dynamic = 23e-6 + 3 * (3e-6 + 3 * 5e-6)
    idle = 10 * 1400e-9 + 3 * 40 * 500e-9
    assert joules == pytest.approx(dynamic + idle, rel=1e-12)
