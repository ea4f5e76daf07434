"""A real Ctrl-C, with worker processes: what is finished is kept, and nothing else is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from accelsim.explore.sweep import sweep
from tests.unit.explore.small_sweep import space_of, stand_in

CHECKOUT = Path(__file__).resolve().parents[3]
POINTS = 200
TEXT = f"""\
base: {{chip: h100_sxm, model: gpt2}}
parameters: {{input_len: {{range: {{start: 1, stop: {POINTS}, num: {POINTS}}}}}}}
objectives: [latency_s]
"""
SCRIPT = """\
import sys
from pathlib import Path
from accelsim.explore.space import load_space
from accelsim.explore.sweep import sweep
from tests.unit.explore.small_sweep import slow_stand_in

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    sweep(
        load_space(folder / "space.yaml"), folder / "out", workers=2, evaluate=slow_stand_in,
        progress=lambda *event: print(*event, flush=True),
    )
"""


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT to a process group")
def test_ctrl_c_keeps_finished_points(tmp_path: Path) -> None:
    space = space_of(tmp_path, TEXT)
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    path = os.pathsep.join([str(CHECKOUT), os.environ.get("PYTHONPATH", "")])
    with subprocess.Popen(
        [sys.executable, str(script), str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("sweep")
        os.killpg(process.pid, signal.SIGINT)
        start_s = time.monotonic()
        _, errors = process.communicate(timeout=30)
    assert process.returncode != 0
    assert time.monotonic() - start_s < 10
    # The traceback is the parent's: the workers say nothing.
    assert "KeyboardInterrupt" in errors
    assert "spawn" not in errors
    kept = pd.read_parquet(tmp_path / "out" / "results")
    assert 0 < len(kept) < POINTS
    left = sorted(path.name for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert left == ["part-0000.parquet", "space.yaml"]
    result = sweep(space, tmp_path / "out", resume=True, evaluate=stand_in)
    assert result.reused == len(kept)
    assert result.frame["input_len"].tolist() == list(range(1, POINTS + 1))
