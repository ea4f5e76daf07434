"""The chips that docs/specs.md shows can be loaded, run and executed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from accelsim.arch.loader import load_chip
from accelsim.scenarios.run import run

_PAGE = Path(__file__).parents[3] / "docs" / "specs.md"
_CHIPS = [
    block
    for block in re.findall(r"```yaml\n(.*?)```", _PAGE.read_text(encoding="utf-8"), re.DOTALL)
    if re.search(r"^name:", block, re.MULTILINE)
]


@pytest.mark.parametrize("text", _CHIPS, ids=lambda text: re.search(r"name: (\w+)", text)[1])
def test_a_chip_of_the_page_runs_and_has_an_arithmetic(text: str, tmp_path: Path) -> None:
    path = tmp_path / "chip.yaml"
    path.write_text(text, encoding="utf-8")
    chip = load_chip(str(path))
    assert chip.arithmetic("bf16").linear.operand == "bf16"
    assert run("smollm2-135m", str(path), phase="decode").latency_s > 0


def test_the_page_shows_a_whole_file_and_one_that_extends() -> None:
    assert sorted("extends:" in text for text in _CHIPS) == [False, True]
