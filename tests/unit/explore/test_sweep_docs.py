"""docs/sweep.md shows the example space as it is and the output that it really has."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[3]
_BLOCK = re.compile(r"<!-- (file|output): (\S+) -->\n```\w*\n(.*?)```\n", re.DOTALL)


def shown(kind: str, path: str) -> str:
    """The fenced block of the page that follows a marker."""
    page = (CHECKOUT / "docs" / "sweep.md").read_text(encoding="utf-8")
    blocks = {(found[1], found[2]): found[3] for found in _BLOCK.finditer(page)}
    return blocks[kind, path]


def test_the_space_is_the_example() -> None:
    path = "examples/sweep_bandwidth.yaml"
    assert shown("file", path) == (CHECKOUT / path).read_text(encoding="utf-8")


def test_the_output_is_that_of_the_example(tmp_path: Path) -> None:
    path = "examples/sweep_bandwidth.py"
    done = subprocess.run(
        [sys.executable, "-W", "error", str(CHECKOUT / path), str(tmp_path / "out")],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == shown("output", path), "run the example and paste its output"
    assert (tmp_path / "out" / "pareto.png").stat().st_size > 0
