"""A run built by hand: a Llama-like decode step whose figures follow from two formulas."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from accelsim.report import style
from accelsim.results.run_result import OpRow, RunResult

PEAK_FLOP_PER_S, BANDWIDTH_BYTES_PER_S = 1e15, 2e12
D_MODEL, D_FF, LAYERS = 4096, 14336, 32


def _matmul(name: str, stage: str, tokens: int, n: int, k: int) -> OpRow:
    flop, size = 2.0 * tokens * n * k, 2.0 * (n * k + tokens * (n + k))
    compute_s, memory_s = flop / PEAK_FLOP_PER_S, size / BANDWIDTH_BYTES_PER_S
    latency_s = max(compute_s, memory_s)
    bound = "compute" if compute_s > memory_s else "memory"
    utilization = flop / latency_s / PEAK_FLOP_PER_S
    return OpRow(
        name, "matmul", "layer", stage, LAYERS, flop, size, latency_s, 400 * latency_s, bound,
        utilization, "128 x 256 x 64", {"compute": compute_s, "memory": memory_s}, repeat=LAYERS,
    )  # fmt: skip


def _norm(stage: str, tokens: int) -> OpRow:
    size = 4.0 * tokens * D_MODEL
    return OpRow(
        "norm", "vector", "layer", stage, LAYERS, 0.0, size, 2e-6, 4e-4, "overhead", 0.0, "",
        {"overhead": 2e-6}, repeat=LAYERS,
    )  # fmt: skip


def _rows(stage: str, tokens: int) -> list[OpRow]:
    return [
        _norm(stage, tokens),
        _matmul("qkv", stage, tokens, 6144, D_MODEL),
        _matmul("o", stage, tokens, D_MODEL, D_MODEL),
        _matmul("up", stage, tokens, 2 * D_FF, D_MODEL),
        _matmul("down", stage, tokens, D_MODEL, D_FF),
    ]


def make_result(phase: str = "decode", batch: int = 16, capacity_bytes: float = 80e9) -> RunResult:
    stages = {"generate": ["prefill", "decode"]}.get(phase, [phase])
    tokens = {"prefill": 1024 * batch, "decode": batch}
    rows = tuple(row for stage in stages for row in _rows(stage, tokens[stage]))
    latency_s = sum(row.latency_s * row.count for row in rows)
    return RunResult(
        chip="made_up", system="made_up", model="toy", phase=phase, engine="analytic",
        dtype="bf16", devices=1, batch=batch, input_len=1024, output_len=2, latency_s=latency_s,
        energy_j=sum(row.energy_j * row.count for row in rows),
        tokens_per_s=tokens[stages[0]] / latency_s, ttft_s=None, tpot_s=latency_s,
        memory_bytes=16e9, memory_capacity_bytes=capacity_bytes,
        memory={"weights_bytes": 14e9, "kv_cache_bytes": 2e9, "gradients_bytes": 0.0},
        flop=sum(row.flop * row.count for row in rows), peak_flop_per_s=PEAK_FLOP_PER_S,
        peak_bytes_per_s=BANDWIDTH_BYTES_PER_S, rows=rows, sources=("doc: a datasheet",),
        assumptions=("none",),
    )  # fmt: skip


@pytest.fixture
def result() -> RunResult:
    return make_result()


@pytest.fixture
def make() -> Callable[..., RunResult]:
    return make_result


@pytest.fixture
def with_hostile_names(result: RunResult) -> RunResult:
    """The run with names that would break HTML or Markdown if they were not escaped."""
    rows = tuple(replace(row, name=f"<b>{row.name}|x") for row in result.rows)
    return replace(result, rows=rows, model="<script>alert(1)</script>")


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Figures that were drawn, laid out but not written: what `style.save` was given."""
    seen: list[Figure] = []

    def save(figure: Figure, path: str | Path) -> Path:
        style.settle(figure.axes[0])
        seen.append(figure)
        return Path(path)

    monkeypatch.setattr(style, "save", save)
    return seen
