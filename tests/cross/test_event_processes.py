"""Does a run of the event engine give the same bytes in every process, in bounded memory?"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

MEMORY = """
import sys
from accelsim import run
result = run("llama3.1-405b", "dgx_h200", phase=sys.argv[1], tp=8, input_len=2048, engine="event",
             allow_oversubscribe=True)
execution = result.executions[0].execution
lines = open('/proc/self/status').read().splitlines()
peak = 1024 * int(next(line for line in lines if line.startswith('VmHWM')).split()[1])
print(peak, execution.events / len(execution.ops))
"""


def output(*arguments: str, hash_seed: str = "0", folder: Path | None = None) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=True,
        env=environment, cwd=folder,
    ).stdout  # fmt: skip


def test_two_processes_write_the_same_bytes(tmp_path: Path) -> None:
    written = []
    for seed in ("1", "2"):
        folder = tmp_path / seed
        folder.mkdir()
        output(
            "-m", "accelsim.cli.main", "run", "mixtral-8x7b", "--on", "dgx_h100", "--tp", "2",
            "--phase", "decode", "--every-chip", "--what-if", "--json", "run.json", "--trace",
            "trace.json", hash_seed=seed, folder=folder,
        )  # fmt: skip
        written.append([(folder / name).read_bytes() for name in ("run.json", "trace.json")])
    assert written[0] == written[1]
    assert all(len(data) > 1000 for data in written[0])


# Of the process itself: what getrusage tells includes its parent, before it became another program.
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("phase", ["prefill", "decode"])
def test_a_large_model_takes_less_than_a_gigabyte(phase: str) -> None:
    # Measured: 231 MB, most of them the interpreter and its libraries; 118 and 428 events per op.
    peak_bytes, events = map(float, output("-c", MEMORY, phase).split())
    assert peak_bytes < 1e9
    assert events < 1000
