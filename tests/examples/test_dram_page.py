"""Does docs/dram.md say what banks do to a run?"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import accelsim
from accelsim.engine.event.bank_memory import LINES_PER_CHANNEL, SAMPLED_CHANNELS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "dram.md").read_text("utf-8")
ROWS = re.findall(r"^\| (\S+) on (\S+) \| (\d+) \| (\S+ ms) \| (\S+ ms) \|$", PAGE, re.M)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]} {row[1]}")
def test_times_with_a_fluid_memory_and_with_banks(row: tuple[str, ...]) -> None:
    model, chip, batch, *shown = row
    runs = [
        accelsim.run(model, chip, phase="decode", batch=int(batch), dram=dram)
        for dram in ("fluid", "bank")
    ]
    told_ms = [float(cell.removesuffix(" ms")) for cell in shown]
    assert [run.latency_s * 1e3 for run in runs] == pytest.approx(told_ms, rel=0.01)


def test_the_sample_is_as_large_as_the_page_says() -> None:
    assert len(ROWS) == 3
    assert SAMPLED_CHANNELS == 1
    assert f"a sample of one channel ({LINES_PER_CHANNEL:,} lines of 64 B)" in PAGE
