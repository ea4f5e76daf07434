"""Does docs/specs.md say what the code says, and do the chips that it shows run?"""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from accelsim.arch.arithmetic import (
    ChainSums,
    FusedSums,
    IntegerSums,
    PairwiseSums,
    TwoStageSums,
)
from accelsim.arch.dram_timing import resolved_cycles, transfers_per_clock
from accelsim.arch.loader import load_chip, load_memory
from accelsim.arch.schema import Dataflow
from accelsim.scenarios.run import run

_PAGE = Path(__file__).parents[3] / "docs" / "specs.md"
_TEXT = _PAGE.read_text(encoding="utf-8")
_FILES = [
    block
    for block in re.findall(r"```yaml\n(.*?)```", _TEXT, re.DOTALL)
    if re.search(r"^name:", block, re.MULTILINE)
]
_MEMORIES = [block for block in _FILES if re.search(r"^pin_rate:", block, re.MULTILINE)]
_CHIPS = [block for block in _FILES if block not in _MEMORIES]


@pytest.mark.parametrize("text", _CHIPS, ids=lambda text: re.search(r"name: (\w+)", text)[1])
def test_a_chip_of_the_page_runs_and_has_an_arithmetic(text: str, tmp_path: Path) -> None:
    path = tmp_path / "chip.yaml"
    path.write_text(text, encoding="utf-8")
    chip = load_chip(str(path))
    assert chip.arithmetic("bf16").linear.operand == "bf16"
    assert run("smollm2-135m", str(path), phase="decode").latency_s > 0


@pytest.mark.parametrize("text", _MEMORIES, ids=lambda text: re.search(r"name: (\w+)", text)[1])
def test_a_memory_of_the_page_has_rows_and_timings(text: str, tmp_path: Path) -> None:
    path = tmp_path / "memory.yaml"
    path.write_text(text, encoding="utf-8")
    memory = load_memory(str(path))
    assert memory.rows_per_bank > 0
    assert memory.command_energy is not None
    assert resolved_cycles(memory)["nCCDS"] >= resolved_cycles(memory)["nBL"]


def test_the_page_states_the_clock_ratios() -> None:
    stated = {"DDR3": 2, "LPDDR4": 2, "HBM2": 2, "HBM4": 4, "GDDR5": 4, "GDDR6": 8, "GDDR7": 16}
    assert {standard: transfers_per_clock(standard, None) for standard in stated} == stated


def test_the_page_shows_a_whole_memory_and_one_that_extends() -> None:
    assert sorted("extends:" in text for text in _MEMORIES) == [False, True]


def test_the_page_shows_a_whole_file_and_one_that_extends() -> None:
    assert sorted("extends:" in text for text in _CHIPS) == [False, False, True]


def test_the_systolic_chip_has_the_peak_of_its_page(tmp_path: Path) -> None:
    (text,) = (block for block in _CHIPS if "style: systolic" in block)
    path = tmp_path / "chip.yaml"
    path.write_text(text, encoding="utf-8")
    chip = load_chip(str(path))
    told = re.search(r"= (\d+) TFLOP/s in bf16, and twice that in int8", _TEXT)[1]
    assert chip.peak_flop_per_s("bf16") / 1e12 == pytest.approx(int(told), abs=0.5)
    assert chip.peak_flop_per_s("int8") == 2 * chip.peak_flop_per_s("bf16")


def test_the_page_names_every_dataflow() -> None:
    rows = re.findall(r"^\| `(\w+_stationary)`", _TEXT, re.MULTILINE)
    assert sorted(rows) == sorted(get_args(Dataflow))


_STATED_FOR_ALL = {"family", "operand", "source", "status", "note"}


def _keys(sums: type[BaseModel]) -> dict[str, tuple[str, list[str]]]:
    """Default and values of every key of a family of which an author can choose the value."""
    schema = sums.model_json_schema()
    found = {}
    for name, key in schema["properties"].items():
        if name in _STATED_FOR_ALL or "const" in key:
            continue
        default = "required" if name in schema["required"] else str(key["default"]).lower()
        number = key.get("anyOf", [{}])[0]
        values = [number.get("minimum"), number.get("maximum")]
        if key.get("type") == "boolean":
            values = ["false", "true"]
        found[name] = (default, sorted(map(str, key.get("enum", values))))
    return found


@pytest.mark.parametrize("sums", [ChainSums, FusedSums, PairwiseSums, TwoStageSums, IntegerSums])
def test_the_table_of_keys_is_that_of_the_code(sums: type[BaseModel]) -> None:
    family = sums.model_fields["family"].annotation.__args__[0]
    rows = re.findall(rf"^\| {family} \| `(\w+)` \| (\w+) \| (.*?) \|$", _TEXT, re.MULTILINE)
    words = r"\b(?:fp\d+|true|false|\d+)\b"
    shown = {
        name: (default, sorted(re.findall(words, re.sub(r"\(.*?\)|;.*", "", values))))
        for name, default, values in rows
    }
    assert shown == _keys(sums)


def test_the_instruction_of_the_page_gives_the_bits_below_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    [(script, output)] = re.findall(
        r"```python\n(.*?)```\n.*?\n```\n(.*?)```", _TEXT, flags=re.DOTALL
    )
    exec(compile(script, "specs.md", "exec"), {})
    assert capsys.readouterr().out == output
