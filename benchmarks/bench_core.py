"""Speed and memory of the main job, measured against the stated targets.

    python benchmarks/bench_core.py [--markdown docs/benchmarks.md]

Every figure is the median of several runs in one process (warm) or of several processes (whole
commands). Machines differ and are noisy: compare ratios, not single numbers.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from measure import Figure, figures_table, median_s, replace_section

import accelsim
from accelsim.arch.system import System
from accelsim.kernels.matmul import search_many
from accelsim.mapping.machine import machine_for


def random_matmuls(rows: int) -> pd.DataFrame:
    """Log-uniform matmul shapes, m up to 16 Ki, n and k up to 32 Ki."""
    rng = np.random.default_rng(0)
    sizes = {
        "m": 2 ** rng.uniform(0, 14, rows),
        "n": 2 ** rng.uniform(5, 15, rows),
        "k": 2 ** rng.uniform(5, 15, rows),
    }
    columns = {name: values.astype(np.int64) for name, values in sizes.items()}
    return pd.DataFrame({"op": "matmul", "dtype": "bf16", **columns})


def unseen(system: str) -> System:
    """Load a system anew: mappings are remembered per chip object, and searches are measured."""
    prefix = "chip." if accelsim.load_system(system).levels else ""
    return accelsim.load_system(system, {f"{prefix}year": 2000})


def search_rate(threads: int) -> Figure:
    import numba

    numba.set_num_threads(threads)
    machine = machine_for(accelsim.load_chip("h100_sxm"), "bf16")
    frame = random_matmuls(4000)
    sizes = np.stack([np.ones(len(frame)), frame.m, frame.n, frame.k], 1).astype(np.int64)
    traits = np.tile(np.array([[2.0, 2.0, 2.0, 1.0, 1.0, 1.0]]), (len(frame), 1))
    tilings = np.empty((len(frame), 6), np.int64)
    costs = np.empty((len(frame), 9))
    search_many(machine, sizes, traits, tilings, costs)
    mid, low, high = median_s(lambda: search_many(machine, sizes, traits, tilings, costs))
    numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
    tried = float(tilings[:, 5].sum())
    return Figure(
        "mapping search, one core", ">= 200,000 candidates/s", f"{tried / mid:,.0f} candidates/s",
        tried / mid >= 200_000, f"{tried / high:,.0f} to {tried / low:,.0f}",
    )  # fmt: skip


def predict_rows() -> Figure:
    rows = 20_000
    frame = random_matmuls(rows)

    def once() -> None:
        accelsim.predict(frame, unseen("h100_sxm"))

    once()
    mid, low, high = median_s(once, 7)
    return Figure(
        "predict 20,000 different matmuls, warm", ">= 20,000 rows/s", f"{rows / mid:,.0f} rows/s",
        rows / mid >= 20_000, f"{rows / high:,.0f} to {rows / low:,.0f}",
    )  # fmt: skip


def gpt3_layer() -> Figure:
    """Shapes of one GPT-3 175B layer split over 4 devices: prefill 8 x 2048 and decode at 3072."""
    d, heads, d_ff = 12288, 24, 12288
    rows = []
    for tokens, q_len, kv_len in ((8 * 2048, 2048, 2048), (8, 1, 3073)):
        rows += [
            {"op": "layernorm", "rows": tokens, "cols": d},
            {"op": "matmul", "m": tokens, "n": 3 * d // 4, "k": d},
            {"op": "attention", "batch": 8, "heads": heads, "kv_heads": heads, "head_dim": 128,
             "q_len": q_len, "kv_len": kv_len},
            {"op": "matmul", "m": tokens, "n": d, "k": d // 4},
            {"op": "all_reduce", "bytes": tokens * d * 2, "devices": 4},
            {"op": "layernorm", "rows": tokens, "cols": d},
            {"op": "matmul", "m": tokens, "n": d_ff, "k": d},
            {"op": "gelu", "rows": tokens, "cols": d_ff},
            {"op": "matmul", "m": tokens, "n": d, "k": d_ff},
            {"op": "all_reduce", "bytes": tokens * d * 2, "devices": 4},
        ]  # fmt: skip
    frame = pd.DataFrame(rows).assign(dtype="fp16")

    def once() -> None:
        accelsim.predict(frame, unseen("dgx_a100"))

    once()
    mid, low, high = median_s(once, 15)
    what = "GPT-3 175B layer, prefill + decode, 4-way split"
    spread = f"{low * 1e3:.1f} to {high * 1e3:.1f} ms"
    return Figure(what, "<= 50 ms", f"{mid * 1e3:.1f} ms", mid <= 0.05, spread)


def run_70b() -> Figure:
    def once() -> None:
        accelsim.run("llama3.1-70b", unseen("dgx_h100"), phase="prefill", tp=8)

    once()
    mid, low, high = median_s(once)
    what = "run llama3.1-70b --phase prefill, in process, warm"
    spread = f"{low * 1e3:.1f} to {high * 1e3:.1f} ms"
    return Figure(what, "<= 1 s", f"{mid * 1e3:.1f} ms", mid <= 1, spread)


def command(what: str, target: str, limit_s: float, *arguments: str) -> Figure:
    """Time a whole command, interpreter start included."""
    call = [sys.executable, "-m", "accelsim.cli.main", *arguments]

    def once() -> None:
        subprocess.run(call, check=True, capture_output=True)

    once()
    mid, low, high = median_s(once, 5)
    return Figure(what, target, f"{mid:.2f} s", mid < limit_s, f"{low:.2f} to {high:.2f} s")


def peak_memory() -> Figure:
    """Peak resident memory of a fresh process that runs the 70B prefill."""
    code = (
        "import accelsim, resource; accelsim.run('llama3.1-70b', 'dgx_h100', phase='prefill', "
        "tp=8); print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    mib = int(out.stdout) / 1024
    return Figure("peak RSS of that run", "< 500 MB", f"{mib:.0f} MiB", mib < 476, "one run")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--markdown", type=Path, help="file whose bench_core section to replace")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    model = ("llama3.1-70b", "--on", "dgx_h100", "--tp", "8", "--phase", "prefill")
    figures = [
        search_rate(threads=1),
        predict_rows(),
        gpt3_layer(),
        run_70b(),
        command("the same as a command", "(no target)", 60, "run", *model, "--json", "-"),
        command("accelsim --help", "< 0.5 s", 0.5, "--help"),
        peak_memory(),
    ]
    table = figures_table("bench_core", figures)
    print(table)
    if options.json:
        options.json.write_text(json.dumps([vars(f) for f in figures], indent=1))
    if options.markdown:
        replace_section(options.markdown, "bench_core", table)
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\npeak RSS of this benchmark {own:.0f} MiB")


if __name__ == "__main__":
    main()
