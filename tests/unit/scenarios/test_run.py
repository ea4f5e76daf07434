"""A model on a chip: bounds, capacity, decode integration."""

from __future__ import annotations

import pytest

from accelsim.arch.loader import load_chip
from accelsim.errors import CapacityError, MappingError, WorkloadError
from accelsim.scenarios.options import RunOptions
from accelsim.scenarios.planning import decode_samples
from accelsim.scenarios.run import run


@pytest.mark.parametrize("steps", [0, 1, 5, 9, 10, 11, 127, 1000])
def test_decode_samples_integrate_straight_lines_exactly(steps: int) -> None:
    samples = decode_samples(steps)
    assert sum(weight for _, weight in samples) == pytest.approx(steps)
    line = sum(weight * (3 + 2 * step) for step, weight in samples)
    assert line == pytest.approx(sum(3 + 2 * step for step in range(steps)))


@pytest.mark.parametrize("phase", ["prefill", "decode", "generate", "train"])
@pytest.mark.parametrize("chip", ["h100_sxm", "tpu_v5e", "teach_systolic_128x128"])
def test_a_small_model_stays_within_physics(phase: str, chip: str) -> None:
    options = RunOptions(phase=phase, batch=2, input_len=256, output_len=20)
    mapped = run("smollm2-135m", chip, options)
    bound = run("smollm2-135m", chip, options, engine="roofline")
    # Ops overlap: the roofline bounds each alone; of the whole it bounds the use of each resource.
    for one, least in zip(mapped.rows, bound.rows, strict=True):
        assert one.alone_s >= least.latency_s * (1 - 1e-9)
    assert mapped.flop == pytest.approx(bound.flop)
    for result in (mapped, bound):
        assert 0 < result.mfu <= 1
        assert 0 < result.mbu <= 1 + 1e-9
        assert result.energy_j > 0
        assert all(0 <= row.utilization <= 1 + 1e-9 for row in result.rows)
    assert run("smollm2-135m", chip, options).to_json() == mapped.to_json()


def test_unfused_decode_still_reads_the_whole_cache() -> None:
    options = RunOptions(phase="decode", batch=8, input_len=4096)
    fused = run("smollm2-135m", "h100_sxm", options)
    unfused = run("smollm2-135m", "h100_sxm", options, attention="unfused")
    moved = [sum(row.bytes * row.count for row in r.rows) for r in (fused, unfused)]
    assert moved[1] >= 0.99 * moved[0]
    # Scores and values each stream a half of it: no faster than the memory can.
    parts = [row for row in unfused.rows if row.name.endswith((".scores", ".values"))]
    assert len(parts) == 2
    bandwidth = load_chip("h100_sxm").bandwidth_bytes_per_s
    assert all(row.latency_s >= row.bytes / bandwidth for row in parts)


def test_three_kernels_of_unfused_decode_take_longer_over_a_short_cache() -> None:
    """Over a long one all stream the same bytes, and either may be ahead."""
    options = RunOptions(phase="decode", batch=8, input_len=1024)
    fused = run("smollm2-135m", "h100_sxm", options)
    unfused = run("smollm2-135m", "h100_sxm", options, attention="unfused")
    assert unfused.latency_s > fused.latency_s


def test_a_model_that_does_not_fit_says_what_would() -> None:
    with pytest.raises(CapacityError, match=r"missing; it would fit with (--on \S+ )?--tp \d+"):
        run("llama2-70b", "h100_sxm", RunOptions(input_len=128))


def test_more_devices_than_chips_are_refused() -> None:
    with pytest.raises(MappingError, match="has 1"):
        run("smollm2-135m", "h100_sxm", RunOptions(tp=2))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"phase": "prefil"}, "did you mean 'prefill'"), ({"batch": 0}, "batch is 0"),
        ({"tp": True}, "tp is True"), ({"dtype": "bf17"}, "unknown dtype"),
        ({"engine": "magic"}, "unknown engine"), ({"input_len": 1.5}, "input_len is 1.5"),
    ],
)  # fmt: skip
def test_bad_options_are_named(change: dict[str, object], told: str) -> None:
    with pytest.raises(WorkloadError, match=told):
        RunOptions(**change)  # type: ignore[arg-type]
