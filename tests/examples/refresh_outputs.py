"""Run every example and write what it prints to where it is shown. Read the diff before commit.

python -m tests.examples.refresh_outputs
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.examples.page_commands import CHECKOUT, refresh, shown_outputs

SHOWN_ON_PAGES = {"examples/sweep_bandwidth.py": "docs/sweep.md"}


def printed(script: Path) -> str:
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, str(script), f"{folder}/out"],
            cwd=folder, capture_output=True, text=True, check=True,
        )  # fmt: skip
    return done.stdout


def main() -> None:
    for expected in sorted((CHECKOUT / "examples").glob("*.out")):
        expected.write_text(printed(expected.with_suffix(".py")), encoding="utf-8")
    for script, page_name in SHOWN_ON_PAGES.items():
        page = CHECKOUT / page_name
        marker = re.escape(f"<!-- output: {script} -->")
        block = re.compile(rf"({marker}\s*```\w*\n).*?(```)", flags=re.DOTALL)
        output = printed(CHECKOUT / script)
        text, found = block.subn(lambda m, o=output: m[1] + o + m[2], page.read_text("utf-8"))
        if found != 1:
            sys.exit(f"{page_name} has {found} blocks for {script}, expected 1")
        page.write_text(text, encoding="utf-8")
    for page in {shown.page for shown in shown_outputs()}:
        refresh(page)


if __name__ == "__main__":
    main()
