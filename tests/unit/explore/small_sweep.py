"""A small space and a stand-in for the engine: what the sweep tests share.

The stand-in answers in microseconds with figures that follow from the point by hand:
latency = input_len / (cores x bandwidth in TB/s), energy = latency x cores.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from accelsim.errors import CapacityError
from accelsim.explore.grid import Point, Space
from accelsim.explore.space import load_space
from accelsim.results.run_result import OpRow, RunResult

SMALL = """\
# Three bandwidths by two core counts.
base: {chip: h100_sxm, model: gpt2, phase: decode, input_len: 512}
parameters:
  memory.bandwidth: {values: [2 TB/s, 4 TB/s, 8 TB/s]}
  cores: {values: [66, 132]}
objectives: [latency_s, energy_j]
"""


def space_of(folder: Path, text: str = SMALL) -> Space:
    path = folder / "space.yaml"
    path.write_text(text, encoding="utf-8")
    return load_space(path)


def stand_in(point: Point) -> RunResult:
    bandwidth = float(point.overrides.get("chip.memory.bandwidth", "3 TB/s").split()[0])
    cores = point.overrides.get("chip.cores", 132)
    latency_s = point.options.get("input_len", 1024) / (cores * bandwidth)
    return result_of(latency_s, latency_s * cores)


def slow_stand_in(point: Point) -> RunResult:
    time.sleep(0.02)
    return stand_in(point)


def no_big_bandwidth(point: Point) -> RunResult:
    if point.overrides["chip.memory.bandwidth"] == "8 TB/s":
        raise CapacityError("8 TB/s is more than this test has")
    return stand_in(point)


def nothing_runs(point: Point) -> RunResult:
    raise CapacityError(f"{point.model} needs more memory than there is")


def worker_dies(point: Point) -> RunResult:
    os._exit(1)


def result_of(latency_s: float, energy_j: float) -> RunResult:
    row = OpRow("mm", "matmul", "layer", "decode", 1.0, 1e9, 1e6, latency_s, energy_j, "memory",
                0.5, "")  # fmt: skip
    return RunResult(
        chip="h100_sxm", system="h100_sxm", model="gpt2", phase="decode", engine="roofline",
        dtype="bf16", devices=1, batch=1, input_len=512, output_len=1, latency_s=latency_s,
        energy_j=energy_j, tokens_per_s=1 / latency_s, ttft_s=None, tpot_s=latency_s,
        memory_bytes=1e9, memory_capacity_bytes=80e9, memory={"weights": 1e9}, flop=1e9,
        peak_flop_per_s=1e15, peak_bytes_per_s=3e12, rows=(row,), sources=(), assumptions=(),
    )  # fmt: skip
