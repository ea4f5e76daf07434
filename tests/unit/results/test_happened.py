"""Is what came ahead, what worked and what waited told as it was, on paper and in JSON?"""

from __future__ import annotations

import json

import pytest

import accelsim
from accelsim.results.ahead import fetched_ahead, passes_fetched_ahead
from accelsim.results.execution import StagePass
from accelsim.results.execution_tables import engine_totals, op_table
from accelsim.results.happened import what_happened
from accelsim.results.unrolled import unrolled_ops, unrolled_work
from accelsim.results.waits import waiting_ops
from tests.unit.results.executions import collective, early, folded, layered, prefetching

STEP = {"phase": "decode", "batch": 4, "weight_dtype": "int8"}


@pytest.fixture(scope="module")
def tpu():
    return accelsim.run("smollm2-135m", "tpu_v5e", **STEP)


def test_bytes_ahead_by_hand() -> None:
    found = fetched_ahead(early())
    assert found == (400e3, 750e3)
    assert found.share == pytest.approx(400 / 750)
    assert fetched_ahead(prefetching()).share == 0  # not there in time
    assert fetched_ahead(collective()) == (0, 0)
    assert fetched_ahead(collective()).share == 0
    table = op_table(early())
    assert table["ahead_bytes"].tolist() == [0, 400e3]
    assert table["ahead_share"].tolist() == [0, 1]


def test_copies_count_and_passes_too() -> None:
    whole, short = layered(12, 2), folded(12, 4, 2)
    assert tuple(fetched_ahead(short)) == pytest.approx(tuple(fetched_ahead(whole)))
    assert fetched_ahead(whole).ahead_bytes > 0
    one, two = StagePass("prefill", 1, early()), StagePass("decode", 3, whole)
    assert passes_fetched_ahead((one, two)).ahead_bytes == pytest.approx(
        400e3 + 3 * fetched_ahead(whole).ahead_bytes
    )


def test_the_share_ahead_is_that_of_the_transfers_themselves(tpu) -> None:
    execution = tpu.executions[0].execution
    work, ops = unrolled_work(execution), unrolled_ops(execution)
    total = ahead = 0.0
    for place, track, end_ps, amount in zip(
        work.op.tolist(), work.track.tolist(), work.end_ps.tolist(), work.amount.tolist(),
        strict=True,
    ):  # fmt: skip
        if execution.tracks[track].engine == "load":
            total += amount
            ahead += amount if end_ps <= ops[place].span.ready_ps else 0.0
    assert tpu.fetched_ahead.share == pytest.approx(ahead / total)
    assert tpu.fetched_ahead.loaded_bytes == pytest.approx(total)
    assert 0.1 < tpu.fetched_ahead.share < 1


def test_where_nothing_is_fetched_ahead_the_share_is_zero() -> None:
    for engine, chip in (("event", "h100_sxm"), ("analytic", "tpu_v5e")):
        result = accelsim.run("smollm2-135m", chip, engine=engine, **STEP)
        assert result.fetched_ahead.share == 0


def test_json_lists_engines_and_bytes_ahead(tpu) -> None:
    data = json.loads(tpu.to_json())
    totals = engine_totals(tpu.executions[0].execution)
    assert [row["engine"] for row in data["engines"]] == totals["engine"].tolist()
    by_engine = {row["engine"]: row for row in data["engines"]}
    assert by_engine["load"]["bytes"] == pytest.approx(data["loaded_bytes"], rel=1e-9)
    assert by_engine["matrix"]["flop"] > 0
    assert "bytes" not in by_engine["launch"]
    assert by_engine["launch"]["share_of_peak"] is None
    assert by_engine["matrix"]["chips"] == 1
    assert data["fetched_ahead_share"] == tpu.fetched_ahead.share
    analytic = accelsim.run("smollm2-135m", "tpu_v5e", engine="analytic", **STEP)
    assert "engines" not in analytic.as_dict()


def test_waits_by_hand() -> None:
    table = waiting_ops(collective())
    assert table["name"].tolist() == ["reduce"]
    one = StagePass("decode", 1, collective())
    (row,) = what_happened([one], [one])["waiting_ops"]
    assert row["waited_s"] == pytest.approx(200e-9)
    assert row["then_took_s"] == pytest.approx(200e-9)
    assert {key for key in row if key.endswith("_s")} == {
        "waited_s", "for_host_s", "begun_ahead_s", "then_took_s",
    }  # fmt: skip
