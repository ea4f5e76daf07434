"""Points through the real engine: the short cuts of a sweep change no figure."""

from __future__ import annotations

from pathlib import Path

import pytest

from accelsim.errors import CapacityError
from accelsim.explore.evaluate import outcome, run_point
from accelsim.explore.grid import METRICS, Point
from accelsim.explore.sweep import sweep
from accelsim.scenarios.options import RunOptions
from accelsim.scenarios.run import run
from tests.unit.explore.small_sweep import space_of

OPTIONS = {"phase": "decode", "engine": "roofline", "batch": 4}


@pytest.mark.parametrize(
    ("on", "overrides"),
    [
        ("h100_sxm", {}),
        ("h100_sxm", {"chip.memory.bandwidth": "5 TB/s", "power.idle": "100 W"}),
        ("dgx_h100", {"chip.memory.bandwidth": "5 TB/s", "chip.cores": 64}),
        ("dgx_h100", {"levels.0.latency": "20 us", "chip.cores": 64}),
    ],
)
def test_a_point_is_a_run(on: str, overrides: dict[str, object]) -> None:
    options = {**OPTIONS, "tp": 1 if on == "h100_sxm" else 3}
    expected = run("smollm2-135m", on, RunOptions(**options), overrides=overrides or None)
    assert run_point(Point(on, "smollm2-135m", options, overrides)) == expected


def test_what_does_not_fit_becomes_a_reason() -> None:
    point = Point("t4", "llama3.1-405b", {"phase": "prefill"}, {})
    with pytest.raises(CapacityError):
        run_point(point)
    failed = outcome(7, point, run_point)
    assert (failed.index, failed.figures) == (7, ())
    assert failed.reason.startswith("CapacityError: llama3.1-405b")


def test_a_sweep_moves_the_answer_for_the_right_reason(tmp_path: Path) -> None:
    text = """\
base: {chip: h100_sxm, model: llama3.1-8b, phase: decode, engine: roofline, input_len: 1024}
parameters:
  memory.bandwidth: {range: {start: 1 TB/s, stop: 4 TB/s, num: 3, scale: log}}
  cores: {values: [64, 128]}
objectives: [latency_s, {maximize: mbu}]
"""
    frame = sweep(space_of(tmp_path, text), tmp_path / "out").frame
    assert set(frame["bottleneck"]) == {"memory"}
    assert frame[list(METRICS)].notna().all().tolist() == [name != "ttft_s" for name in METRICS]
    # Memory-bound: twice the bandwidth halves the time, twice the cores change nothing much.
    by_cores = frame.pivot(
        index="memory.bandwidth_bytes_per_s", columns="cores", values="latency_s"
    )
    assert by_cores[128].to_numpy()[:-1] / by_cores[128].to_numpy()[1:] == pytest.approx(
        2, rel=0.02
    )
    assert (by_cores[128] <= by_cores[64]).all()
