"""Does docs/quantisation.md say what the code says?"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from accelsim.functional.quant.schemes import parse_scheme

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "quantisation.md").read_text("utf-8")


def test_the_example_prints_what_stands_below_it(capsys: pytest.CaptureFixture[str]) -> None:
    script, output = re.findall(r"```(?:python)?\n(.*?)```", PAGE, flags=re.DOTALL)[:2]
    exec(compile(script, "quantisation.md", "exec"), {})
    assert capsys.readouterr().out == output


def test_every_scheme_of_the_table_is_one() -> None:
    rows = [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `")]
    names = [name for row in rows for name in re.findall(r"`([^`]+)`", row)]
    assert len(names) > 15
    for name in names:
        parse_scheme(name)
