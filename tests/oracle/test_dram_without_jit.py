"""The DRAM kernels run as plain Python too, in a process of its own, and answer the same."""

from __future__ import annotations

from typing import Any

import numpy as np

from accelsim.scenarios.dram import simulate_dram
from tests.oracle.without_jit import printed

_SCRIPT = """
import json
from tests.oracle.test_dram_without_jit import answers
print(json.dumps(answers()))
"""
RUNS: list[tuple[str, dict[str, Any]]] = [
    ("hbm3_6400", {"channels": 2, "page_policy": "adaptive"}),
    ("hbm2_2000", {"channels": 2, "stage_depth": None, "refresh": "per-bank"}),
    ("lpddr5_6400", {"scheduler": "fcfs", "page_policy": "closed"}),
    ("ddr5_4800", {"channels": 3, "outstanding": 4, "address_map": "mop4clxor"}),
]


def answers() -> list[Any]:
    """Run every front end, and kernels of all kinds behind them."""
    rng = np.random.default_rng(4)
    addresses = 64 * rng.integers(0, 1 << 9, 60)
    found: list[Any] = []
    for memory, options in RUNS:
        run = simulate_dram(memory, addresses, rng.random(60) < 0.4, trace_commands=999, **options)
        assert run.trace is not None
        found += [run.ticks, run.latency_ticks.tolist(), run.trace.to_csv(), run.turnarounds]
    return found


def test_compiled_and_plain_python_agree_to_the_last_tick() -> None:
    assert printed(_SCRIPT, "-W", "error") == answers()
