"""Does every example run, and print what stands beside it?"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.examples.page_commands import lacks_weights

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PRINTED = sorted(EXAMPLES.glob("*.out"))


def test_every_script_has_its_output_or_a_page() -> None:
    scripts = {path.stem for path in EXAMPLES.glob("*.py")}
    # The sweep's output stands in docs/sweep.md and is compared there.
    assert scripts == {path.stem for path in PRINTED} | {"sweep_bandwidth"}


@pytest.mark.parametrize("expected", PRINTED, ids=lambda path: path.stem)
def test_example_prints_what_stands_beside_it(expected: Path, tmp_path: Path) -> None:
    if lacks_weights(expected.stem):
        pytest.skip("no weights installed: pip install 'accelsim[numerics]'")
    done = subprocess.run(
        [sys.executable, str(expected.with_suffix(".py"))],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == expected.read_text("utf-8")
