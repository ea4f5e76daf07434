"""Do the ops, the timeline, power over time and the totals of a run name the same energy?"""

from __future__ import annotations

import pytest

import accelsim

MODEL = "smollm2-135m"
RUNS = {
    "one chip": ("h100_sxm", {"phase": "decode", "batch": 4}),
    "ahead of time": ("tpu_v5e", {"phase": "decode"}),
    "every chip": ("dgx_h100", {"phase": "prefill", "tp": 3, "every_chip": True}),
    "one for all": ("dgx_h100", {"phase": "prefill", "tp": 3}),
    "several passes": ("h100_sxm", {"phase": "generate", "output_len": 40}),
    "analytic": ("dgx_h100", {"phase": "decode", "tp": 3, "engine": "analytic"}),
    "analytic passes": ("l4", {"phase": "generate", "output_len": 40, "engine": "analytic"}),
}


@pytest.fixture(scope="module", params=RUNS.values(), ids=RUNS)
def result(request):
    on, options = request.param
    return accelsim.run(MODEL, on, input_len=256, **options)


def test_ops_add_up_to_the_run(result) -> None:
    ops = result.ops
    assert (ops["energy_j"] * ops["count"]).sum() == pytest.approx(result.energy_j, rel=1e-12)
    assert (ops["dynamic_j"] * ops["count"]).sum() == pytest.approx(result.dynamic_j, rel=1e-12)
    assert (ops["dynamic_j"] + ops["idle_j"]).tolist() == pytest.approx(ops["energy_j"].tolist())


def test_the_timeline_and_idle_power_add_up_to_the_run(result) -> None:
    rows = result.timeline
    dynamic_j = (rows["dynamic_j"] * rows["chips"]).sum()
    assert dynamic_j + result.idle_j == pytest.approx(result.energy_j, rel=1e-9)
    spans_s = rows["end_s"] - rows["start_s"]
    worked = rows[spans_s > 0]
    assert (rows["dynamic_w"] * spans_s)[worked.index].tolist() == pytest.approx(
        worked["dynamic_j"].tolist(), rel=1e-6, abs=1e-15
    )


def test_power_over_time_adds_up_to_the_run(result) -> None:
    power = result.power
    joules = (power["power_w"] * (power["end_s"] - power["start_s"])).sum()
    assert joules == pytest.approx(result.energy_j, rel=1e-9)


def test_each_op_has_the_same_energy_in_both_tables() -> None:
    result = accelsim.run(MODEL, "dgx_h100", phase="prefill", tp=3, input_len=256)
    rows, ops = result.timeline, result.ops
    of_time = (rows["dynamic_j"] * rows["chips"]).groupby([rows["block"], rows["name"]]).sum()
    blocks = ops["stage"] + "/" + ops["block"]
    of_ops = (ops["dynamic_j"] * ops["count"]).groupby([blocks, ops["name"]]).sum()
    assert of_time.to_dict() == pytest.approx(of_ops.to_dict(), rel=1e-9)


def test_the_json_says_which_energy_is_idle() -> None:
    data = accelsim.run(MODEL, "h100_sxm", phase="decode").as_dict()
    assert 0 < data["idle_j"] < data["energy_j"]
    assert {"energy_j", "dynamic_j", "idle_j"} <= set(data["ops"][0])


def test_a_board_at_its_limit_draws_its_limit() -> None:
    options = {"phase": "prefill", "input_len": 512, "weight_dtype": "int4", "dtype": "fp16"}
    result = accelsim.run("llama3.1-8b", "t4", **options)
    execution = result.executions[0].execution
    assert execution.limit_w == 70.0
    assert execution.board_over_counted > 1
    board = result.power["board_w"]
    assert 0.99 * 70 < board.max() < 1.01 * 70
    assert result.power["power_w"].max() < 0.8 * 70


def test_only_gpus_have_a_board_that_draws_more_than_what_is_counted() -> None:
    execution = accelsim.run(MODEL, "tpu_v5e", phase="decode").executions[0].execution
    assert execution.board_over_counted == 1.0


def test_an_engine_without_events_knows_no_use_over_time() -> None:
    events = accelsim.run(MODEL, "h100_sxm", phase="decode")
    assert "chip0/cores/matrix" in events.utilisation
    analytic = accelsim.run(MODEL, "h100_sxm", phase="decode", engine="analytic")
    with pytest.raises(accelsim.SimulationError, match="use engine='event'"):
        _ = analytic.utilisation
