"""DRAM bank by bank: transactions per CPU second against the targets, and beside Ramulator 2.1.

    python benchmarks/bench_dram.py [--markdown docs/benchmarks.md]

A transaction is one burst (32 B on HBM). Time is that of `accelsim.simulate_dram` as a whole:
decoding addresses, building tables, simulating, collecting. CPU time counts all threads.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from measure import Figure, figures_table, median_s, replace_section

import accelsim
from accelsim.timing.dram.patterns import Traffic

RUNS = 7
ACCESSES = 100_000
# Ramulator 2.1 (commit c5b1c3a), same controller and traffic, on a shared machine of another day.
RAMULATOR_TX_PER_CPU_S = {
    ("hbm2_2000", "stream"): 257_290, ("hbm2_2000", "random"): 164_594,
    ("hbm3_6400", "stream"): 76_474, ("hbm3_6400", "random"): 52_671,
    ("ddr5_4800", "stream"): 53_954, ("ddr5_4800", "random"): 43_999,
}  # fmt: skip
TARGETS = {"stream": 3e6, "random": 1.5e6}


def cpu_s(work: Callable[[], object]) -> tuple[float, float, float]:
    """Return median, least and greatest CPU time of several calls [s]."""
    times = []
    for _ in range(RUNS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return statistics.median(times), min(times), max(times)


def one_channel(memory: str, pattern: str) -> Figure:
    """Measure one channel under saturating traffic."""
    addresses, writes = Traffic(pattern=pattern, accesses=ACCESSES).addresses(256 << 20)
    queue = 128 if memory.startswith("hbm3") else 64

    def once() -> int:
        return accelsim.simulate_dram(memory, addresses, writes, read_queue=queue).transactions

    transactions = once()
    mid, low, high = (transactions / s / 1e6 for s in cpu_s(once))
    peer = RAMULATOR_TX_PER_CPU_S[memory, pattern] / 1e6
    target = TARGETS[pattern] / 1e6
    hbm = memory.startswith("hbm")
    return Figure(
        f"{memory}, one channel, {pattern}",
        f">= {target:g} M/CPU s" if hbm else "-",
        f"{mid:.2f} M transactions/CPU s, {mid / peer:.0f} x Ramulator 2.1 ({peer:.2f} M)",
        not hbm or mid >= target,
        f"{high:.2f} to {low:.2f}",
    )


def stack(pattern: str, apart: bool) -> Figure:
    """Measure a whole HBM3 stack, a million transactions."""
    addresses, writes = Traffic(pattern=pattern, accesses=500_000).addresses(1 << 32)
    depth = None if apart else 64

    def once() -> int:
        run = accelsim.simulate_dram(
            "hbm3_6400", addresses, writes, channels=16, read_queue=128, stage_depth=depth
        )
        return run.transactions

    assert once() == 1_000_000
    mid, low, high = median_s(once, RUNS)
    how = "channels apart, all cores" if apart else "one front end in program order, one core"
    return Figure(
        f"hbm3_6400, 16 channels, 1 M transactions, {pattern}; {how}", "<= 1 s", f"{mid:.2f} s",
        mid <= 1.0, f"{low:.2f} to {high:.2f} s",
    )  # fmt: skip


def main() -> None:
    """Measure and print; with --markdown also into the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--markdown", type=Path, help="page whose section is replaced")
    options = parser.parse_args()
    figures = [one_channel(*key) for key in RAMULATOR_TX_PER_CPU_S]
    figures += [stack(pattern, apart) for pattern in TARGETS for apart in (False, True)]
    text = figures_table("bench_dram", figures)
    print(text)
    if options.markdown:
        replace_section(options.markdown, "bench_dram", text)


if __name__ == "__main__":
    main()
