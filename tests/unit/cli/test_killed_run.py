"""Does a run that is killed while it writes leave anything that is not whole?"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

RUN = (
    sys.executable, "-m", "accelsim.cli.main", "run", "smollm2-135m", "--on", "h100_sxm",
    "--phase", "train", "--report", "report.html", "--trace", "trace.json", "--json", "run.json",
)  # fmt: skip
PATIENCE_S = 120.0


def killed(folder: Path, when: str, how: signal.Signals) -> int:
    """Start a run, and kill it when a file whose name starts with `when` appears."""
    with subprocess.Popen(
        RUN, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as run:
        end = time.monotonic() + PATIENCE_S
        while run.poll() is None and not any(p.name.startswith(when) for p in folder.iterdir()):
            assert time.monotonic() < end, "nothing was written"
            time.sleep(0.0005)
        run.send_signal(how)
        return run.wait(timeout=PATIENCE_S)


def check_whole(folder: Path) -> list[str]:
    """All files that a user sees are whole; return the names of those that he does not see."""
    hidden = []
    for path in folder.iterdir():
        if path.name.startswith("."):
            hidden.append(path.name)
        elif path.suffix == ".json":
            assert json.loads(path.read_text(encoding="utf-8"))
        else:
            assert path.read_text(encoding="utf-8").rstrip().endswith("</html>")
    return hidden


# Temporary files lie beside their targets, with a dot before the name. If the run should end before
# the signal comes, it has written all, and that must be whole as well: no luck is needed.
def test_an_interrupted_run_leaves_no_part_of_a_file(tmp_path: Path) -> None:
    status = killed(tmp_path, ".trace", signal.SIGINT)
    assert status in (0, 130, -signal.SIGINT)
    assert check_whole(tmp_path) == []


@pytest.mark.parametrize("when", [".report", ".trace"])
def test_a_killed_run_leaves_targets_whole_or_not_there(tmp_path: Path, when: str) -> None:
    (tmp_path / "trace.json").write_text('{"from": "before"}', encoding="utf-8")
    killed(tmp_path, when, signal.SIGKILL)
    # Nobody can clean up after SIGKILL: at most the one temporary file that was being written.
    assert len(check_whole(tmp_path)) <= 1
