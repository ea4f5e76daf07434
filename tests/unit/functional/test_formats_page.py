"""Does docs/formats.md say what the code says?"""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from accelsim.formats import BLOCK_FORMATS, FORMATS, BlockFormat, Format

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "formats.md").read_text("utf-8")


def number(value: float | None) -> str:
    """A value as the page writes it: small powers of two as such."""
    if value is None:
        return "-"
    fraction, exponent = math.frexp(value)
    if fraction == 0.5 and (exponent < -2 or exponent > 40):
        return f"2^{exponent - 1}"
    return f"{value:.10g}"


def row(known: Format) -> str:
    is_float = known.kind == "float"
    not_numbers = " and ".join(
        word for word, has in (("Inf", known.has_inf), ("NaN", known.has_nan)) if has
    )
    cells = [
        f"`{known.name}`", known.bits, known.exponent_bits if is_float else "-",
        known.fraction_bits if is_float else "-", known.bias if is_float else "-",
        number(known.max), number(known.smallest_normal), number(known.smallest_subnormal),
        not_numbers or "none",
    ]  # fmt: skip
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def block_row(known: BlockFormat) -> str:
    cells = [f"`{known.name}`", known.element.name, known.block, known.scale.name,
             "fp32" if known.tensor_scale else "-", known.bits]  # fmt: skip
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def test_the_tables_are_those_of_the_code() -> None:
    wanted = [*map(row, FORMATS.values()), *map(block_row, BLOCK_FORMATS.values())]
    shown = [line for line in PAGE.splitlines() if re.match(r"\| `(fp|tf|bf|ue|int|mx|nv)", line)]
    assert shown == wanted


def test_the_example_prints_what_stands_below_it(capsys: pytest.CaptureFixture[str]) -> None:
    script, output = re.findall(r"```(?:python)?\n(.*?)```", PAGE, flags=re.DOTALL)[:2]
    exec(compile(script, "formats.md", "exec"), {})
    assert capsys.readouterr().out == output
