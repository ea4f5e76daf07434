"""Does docs/des.md show what its programs and its example really print?"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import accelsim.des

CHECKOUT = Path(__file__).resolve().parents[3]
PAGE = (CHECKOUT / "docs" / "des.md").read_text("utf-8")
EXAMPLE = (CHECKOUT / "examples" / "des_double_buffer.out").read_text("utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```\n(?:\n```\n(.*?)```)?", PAGE, re.S)
FIRST, MACHINE, USE, DEADLOCK = range(4)


def after(*blocks: int) -> dict[str, Any]:
    """Names there are when blocks have run."""
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(BLOCKS[block][0], "des.md", "exec"), names)
    return names


def test_programs_print_what_stands_below_them(capsys) -> None:
    assert [bool(output) for _, output in BLOCKS] == [True, False, True, True]
    after(FIRST)
    assert capsys.readouterr().out == BLOCKS[FIRST][1]
    after(MACHINE, USE)
    assert capsys.readouterr().out == BLOCKS[USE][1]
    after(MACHINE, DEADLOCK)
    assert capsys.readouterr().out == BLOCKS[DEADLOCK][1]


def test_the_machine_fits_on_a_page_and_uses_every_piece_that_is_named() -> None:
    program = BLOCKS[MACHINE][0]
    assert len(program.splitlines()) < 60
    bullets = re.findall(r"^- \*\*(\w+)\*\*", PAGE, re.M)
    assert len(bullets) == 6
    assert all(re.search(rf"\b{name}\(", program) for name in bullets)


def test_the_machine_does_what_the_page_says_of_it() -> None:
    simulate = after(MACHINE)["simulate"]
    # No tile takes less than the memory needs for it; eight need 400 ns, whoever asks.
    ends = {tiles: simulate(tiles=tiles)[0] for tiles in (104, 204)}
    assert ends[204] - ends[104] == 100 * 50_000
    assert simulate(cores=2)[0] >= 8 * 50_000
    # Room for both results of a burst is what was missing.
    assert simulate(room=2, burst=2)[0] < simulate(buffers=1)[0]
    # Busy times are counts times service times, whatever overlaps.
    _, recorder = simulate(cores=2)
    arrays = [span for span in recorder.spans if span.track.endswith("/array")]
    assert len(arrays) == 8
    assert {span.end_ps - span.start_ps for span in arrays} <= set(range(40_000, 40_667))
    tracks = {span.track for span in recorder.spans}
    assert tracks == {
        f"chip0/core{i}/{part}" for i in (0, 1) for part in ("load", "array", "store")
    }


def test_pictures_and_errors_are_those_of_the_example() -> None:
    blocks = PAGE.split("```")[1::2]
    shown = [block for block in blocks if not block.startswith("python")]
    quoted = [b for b in shown if "load |" in b or "a loaded tile" in b]
    assert len(quoted) == 2
    assert all(block.strip() in EXAMPLE for block in quoted)


def test_every_piece_exists() -> None:
    rows = re.findall(r"^\| (`[^|]+) \| `(\w+)` \|", PAGE, re.M)
    assert len(rows) == 9
    for names, module in rows:
        for name in re.findall(r"`(\w+)`", names):
            assert getattr(accelsim.des, name).__module__ == f"accelsim.des.{module}"
    for test in re.findall(r"`(test_\w+)`", PAGE):
        assert any(test in path.read_text("utf-8") for path in Path(__file__).parent.glob("*.py"))


def test_other_names_that_the_page_promises() -> None:
    (line,) = re.findall(r"^All of them, (.*?) are names of", PAGE, re.M)
    for name in re.findall(r"`(\w+)`", line):
        assert hasattr(accelsim.des, name)
