"""Does docs/des.md show what its code and its example really print?"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[3]
PAGE = (CHECKOUT / "docs" / "des.md").read_text("utf-8")
EXAMPLE = (CHECKOUT / "examples" / "des_double_buffer.out").read_text("utf-8")


def test_the_first_program_prints_what_stands_below_it() -> None:
    program, output = re.findall(r"```python\n(.*?)```\n\n```\n(.*?)```", PAGE, re.S)[0]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    assert done.stdout == output


def test_pictures_and_errors_are_those_of_the_example() -> None:
    blocks = PAGE.split("```")[1::2]
    quoted = [block for block in blocks if "load |" in block or "deadlock" in block]
    assert len(quoted) == 2
    assert all(block.strip() in EXAMPLE for block in quoted)


def test_every_piece_exists() -> None:
    rows = re.findall(r"^\| (`[^|]+) \| `(\w+)` \|", PAGE, re.M)
    assert len(rows) == 9
    for names, module in rows:
        source = (CHECKOUT / "accelsim" / "des" / f"{module}.py").read_text("utf-8")
        for name in re.findall(r"`(\w+)`", names):
            assert f"class {name}" in source
    for test in re.findall(r"`(test_\w+)`", PAGE):
        assert any(test in path.read_text("utf-8") for path in Path(__file__).parent.glob("*.py"))
