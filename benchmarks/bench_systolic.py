"""Systolic arrays: speed and memory against the targets, and beside SCALE-Sim 3.0.0.

    python benchmarks/bench_systolic.py [--markdown docs/benchmarks.md]
    python -m venv peer && peer/bin/pip install "scalesim==3.0.0" "numpy<2.4"
    python benchmarks/bench_systolic.py --peer peer/bin/python [--long]

Our figures are medians of several warm runs in one process. The peer is run as its users run it,
one command per problem; ours beside it is a whole command too, interpreter start included.
``--long`` adds the two problems that take it minutes and gigabytes.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from measure import Figure, figures_table, median_s, replace_section

import accelsim
from accelsim.arch.array import ArrayBuffers, SystolicArray
from accelsim.timing.pe_level import simulate_array
from accelsim.timing.systolic_buffers import buffered_cycles

HERE = Path(__file__).resolve().parent
RESNET18 = HERE.parent / "examples" / "scalesim" / "resnet18.csv"
GEMM = (512, 3072, 768)
_CONFIG = """[general]
run_name = bench
[architecture_presets]
ArrayHeight = 32
ArrayWidth = 32
IfmapSramSzkB = 64
FilterSramSzkB = 64
OfmapSramSzkB = 64
IfmapOffset = 0
FilterOffset = 10000000
OfmapOffset = 20000000
Dataflow = ws
Bandwidth = 10
ReadRequestBuffer = 32
WriteRequestBuffer = 32
[layout]
IfmapCustomLayout = False
IfmapSRAMBankBandwidth = 10
IfmapSRAMBankNum = 10
IfmapSRAMBankPort = 2
FilterCustomLayout = False
FilterSRAMBankBandwidth = 10
FilterSRAMBankNum = 10
FilterSRAMBankPort = 2
[sparsity]
SparsitySupport = false
SparseRep = ellpack_block
OptimizedMapping = false
BlockSize = 8
RandomNumberGeneratorSeed = 40
[run_presets]
InterfaceBandwidth = CALC
UseRamulatorTrace = False
"""


def figure(what: str, target: str, limit_s: float, unit: str, times: tuple[float, ...]) -> Figure:
    scale = {"us": 1e6, "ms": 1e3, "s": 1.0}[unit]
    mid, low, high = (t * scale for t in times)
    spread = f"{low:.3g} to {high:.3g} {unit}"
    return Figure(what, target, f"{mid:.3g} {unit}", times[0] <= limit_s, spread)


def resnet18() -> Figure:
    array = SystolicArray("ws", 32, 32)

    def once() -> int:
        return accelsim.run_layers(RESNET18, array).total_cycles

    assert once() == 2_519_815 + 21, "not the published sum of its 21 layers"
    what = "ResNet-18, 21 layers at 32x32, closed form, file read included"
    return figure(what, "<= 5 ms", 5e-3, "ms", median_s(once, 31))


def one_gemm() -> Figure:
    calls = 2000

    def many() -> None:
        for _ in range(calls):
            accelsim.systolic_cycles("ws", 32, 32, *GEMM)

    many()
    mid, low, high = (t / calls for t in median_s(many))
    return figure("512x3072x768 at 32x32, exact", "<= 10 us", 1e-5, "us", (mid, low, high))


def buffered_gemm() -> Figure:
    array = SystolicArray("ws", 32, 32, buffers=ArrayBuffers(65536, 65536, 65536, 10, 10, 10))
    buffered_cycles(array, *GEMM)
    times = median_s(lambda: buffered_cycles(array, *GEMM), 15)
    return figure(
        "the same with 64 Ki-word buffers at 10 words/cycle", "<= 50 ms", 0.05, "ms", times
    )


def million() -> Figure:
    sizes = np.random.default_rng(0).integers(1, 4096, (5, 1_000_000))
    sizes[:2] = sizes[:2] % 256 + 1
    accelsim.systolic_cycles("os", *sizes[:, :10])
    times = median_s(lambda: accelsim.systolic_cycles("os", *sizes))
    return figure("one million random problems", "<= 1 s", 1.0, "s", times)


def pe_level(dataflow: str, dtype: str) -> Figure:
    side, m, n, k = 128, 1024, 512, 512
    draw = np.random.default_rng(0)
    a, b = (draw.integers(-8, 9, shape).astype(dtype) for shape in ((m, k), (k, n)))
    array = SystolicArray(dataflow, side, side)
    accumulate = "int32" if dtype == "int8" else None
    run = simulate_array(a, b, array, accumulate=accumulate)
    mid, low, high = median_s(lambda: simulate_array(a, b, array, accumulate=accumulate), 5)
    pe_cycles = run.pe_cycles / 1e6
    return Figure(
        f"PE by PE, {dataflow} {side}x{side}, {dtype}", ">= 300 M PE-cycles/s",
        f"{pe_cycles / mid:,.0f} M PE-cycles/s", pe_cycles / mid >= 300,
        f"{pe_cycles / high:,.0f} to {pe_cycles / low:,.0f}",
    )  # fmt: skip


def peak_memory() -> Figure:
    """Peak of a process that did all of the above."""
    code = (
        "import bench_systolic as b, resource; b.resnet18(); b.one_gemm(); b.buffered_gemm(); "
        "b.million(); b.pe_level('ws', 'int8'); "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=HERE
    )
    mib = int(out.stdout) / 1024
    return Figure("peak RSS of all these", "< 400 MB", f"{mib:.0f} MiB", mib < 381, "one run")


_SPENT = """
import os, subprocess, sys
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
_, status, usage = os.wait4(child.pid, 0)
print(status, usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
"""


def spent(call: list[str], folder: Path) -> tuple[float, float]:
    """CPU seconds and peak MiB of a command, started by a small process: peaks are inherited."""
    small = [sys.executable, "-S", "-c", _SPENT, *call]
    done = subprocess.run(small, cwd=folder, capture_output=True, text=True, check=True)
    status, cpu_s, peak_kib = done.stdout.split()
    if status != "0":
        raise SystemExit(f"{' '.join(call)} ended with status {status}")
    return float(cpu_s), int(peak_kib) / 1024


def beside_peer(peer: Path, long: bool) -> str:
    """Run the same problems with both and put the figures side by side."""
    lines = [
        "| problem, 32x32 ws | SCALE-Sim 3.0.0 CPU s | MiB | accelsim CPU s | MiB | time ratio |",
        "|---|---|---|---|---|---|",
    ]
    conv = RESNET18.read_text().splitlines()
    problems = {
        "GEMM 64x64x64": ("gemm", "Layer, M, N, K,\nL0, 64, 64, 64,\n"),
        "GEMM 128x512x256": ("gemm", "Layer, M, N, K,\nL0, 128, 512, 256,\n"),
        "ResNet-18, its last conv": ("conv", "\n".join([conv[0], conv[-2]]) + "\n"),
    }
    if long:
        problems |= {
            "GEMM 512x3072x768": ("gemm", "Layer, M, N, K,\nL0, 512, 3072, 768,\n"),
            "ResNet-18, 21 layers": ("conv", "\n".join(conv) + "\n"),
        }
    for name, (form, topology) in problems.items():
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            (folder / "a.cfg").write_text(_CONFIG)
            (folder / "t.csv").write_text(topology)
            (folder / "l.csv").write_text("Layer name,\n")
            call = [str(peer), "-m", "scalesim.scale", "-c", "a.cfg", "-t", "t.csv", "-l", "l.csv",
                    "-p", "out", "-i", form, "-s", "N"]  # fmt: skip
            start = time.perf_counter()
            theirs = spent(call, folder)
            call = [sys.executable, "-m", "accelsim.cli.main", "run", "t.csv", "--on", "a.cfg"]
            ours = spent([*call, "--csv", "ours.csv"], folder)
            _require_equal_cycles(folder)
            print(f"{name}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
        lines.append(
            f"| {name} | {theirs[0]:.1f} | {theirs[1]:.0f} | {ours[0]:.2f} | {ours[1]:.0f} | "
            f"{theirs[0] / ours[0]:.3g} |"
        )
    return "\n".join(lines)


def _require_equal_cycles(folder: Path) -> None:
    """Both must have counted the same; its total is the last cycle's index, one less."""
    report = next((folder / "out").rglob("COMPUTE_REPORT.csv"))
    with report.open() as file:
        rows = list(csv.reader(file))
    column = [name.strip() for name in rows[0]].index("Total Cycles")
    theirs = [int(float(row[column])) + 1 for row in rows[1:]]
    with (folder / "ours.csv").open() as file:
        ours = [int(row["compute_cycles"]) for row in csv.DictReader(file)]
    if theirs != ours:
        raise SystemExit(f"cycles differ: {theirs} and {ours}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--markdown", type=Path, help="file whose sections to replace")
    parser.add_argument("--peer", type=Path, help="python of an environment with SCALE-Sim")
    parser.add_argument("--long", action="store_true", help="run the peer for ten minutes")
    options = parser.parse_args()
    figures = [resnet18(), one_gemm(), buffered_gemm(), million()]
    figures += [pe_level(d, t) for d in ("ws", "os", "is") for t in ("int8", "float32")]
    figures.append(peak_memory())
    table = figures_table("bench_systolic", figures)
    print(table)
    if options.markdown:
        replace_section(options.markdown, "bench_systolic", table)
    if options.peer:
        table = beside_peer(options.peer.absolute(), options.long)
        print("\n" + table)
        if options.markdown:
            replace_section(options.markdown, "scalesim", table)


if __name__ == "__main__":
    main()
