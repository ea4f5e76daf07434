"""Do models that run together have the tables, the pictures and the trace of a run?"""

from __future__ import annotations

import json

import numpy as np
import pytest

from accelsim import RunOptions, Tenant, run_together
from accelsim.report.event_tables import execution_tables
from accelsim.report.figures import execution_figures
from accelsim.report.gantt_rows import gantt_rows
from accelsim.report.gantt_window import default_window
from accelsim.report.trace import write_trace
from accelsim.report.words import detail


@pytest.fixture(scope="module")
def shared():
    prompts = Tenant("smollm2-135m", 100, RunOptions(phase="prefill", batch=2))
    answers = Tenant("smollm2-135m", 32, RunOptions(phase="decode", batch=8), passes=2)
    return run_together([prompts, answers], "h100_sxm")


def test_the_timeline_says_whose_op_it_is(shared) -> None:
    rows = shared.timeline
    assert set(rows["unit"]) == {tenant.name for tenant in shared.tenants}
    for tenant in shared.tenants:
        own = rows[rows["unit"] == tenant.name]
        assert own["end_s"].max() == pytest.approx(tenant.end_s, rel=1e-9)
    assert (rows["dynamic_j"] >= 0).all()


def test_power_and_use_over_time(shared) -> None:
    power = shared.power
    joules = (power["power_w"] * (power["end_s"] - power["start_s"])).sum()
    execution = shared.execution
    idle_j = execution.idle_w * execution.end_ps / 1e12
    assert joules == pytest.approx(idle_j + shared.timeline["dynamic_j"].sum(), rel=1e-9)
    assert (power["board_w"] > power["power_w"]).any()
    used = shared.utilisation
    assert {"chip0/cores0/matrix", "chip0/cores1/matrix"} < set(used)
    loads = used[["chip0/cores0/load", "chip0/cores1/load"]].sum(axis=1)
    assert loads.max() <= 1 + 1e-9


def test_pictures_and_trace(shared, tmp_path) -> None:
    pictures = execution_figures(shared, tmp_path)
    assert [path.name for path in pictures] == [
        "gantt.png", "utilisation.png", "critical_path.png",
    ]  # fmt: skip
    assert all(path.stat().st_size > 10_000 for path in pictures)
    data = json.loads(write_trace(shared, tmp_path / "t.json").read_text("utf-8"))
    assert data["otherData"]["run"] == detail(shared)
    threads = {e["args"]["name"] for e in data["traceEvents"] if e["name"] == "thread_name"}
    assert {"matrix (cores0)", "matrix (cores1)"} <= threads
    assert {table.title.split()[0] for table in execution_tables(shared.execution)} >= {"Engines"}


def test_each_tenant_has_its_rows_in_the_gantt_picture(shared) -> None:
    window = default_window(shared.execution)
    assert " on cores" in window.words
    rows = gantt_rows(shared.execution, window)
    names = [row.name for row in rows]
    assert names[:4] == ["blocks cores0", "ops cores0", "blocks cores1", "ops cores1"]
    for row in rows[:4:2]:
        first = np.array([[bar.first_ps, bar.last_ps] for bar in row.bars]).reshape(-1, 2)
        assert (first[1:, 0] >= first[:-1, 1]).all()  # repeats of one tenant follow one another


def test_the_small_print_names_the_tenants(shared) -> None:
    assert detail(shared) == (
        "smollm2-135m prefill on 100 cores (cores0), smollm2-135m decode on 32 cores "
        "(cores1, 2 passes); together on h100_sxm, event engine"
    )
