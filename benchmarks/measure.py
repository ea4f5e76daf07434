"""What every benchmark shares: medians, figures with targets, and their table in the docs."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import accelsim


@dataclass(frozen=True)
class Figure:
    """One measured figure and its target."""

    what: str
    target: str
    measured: str
    met: bool
    spread: str


def median_s(work: Callable[[], object], runs: int = 7) -> tuple[float, float, float]:
    """Return median, least and greatest time of `runs` calls [s]."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times), min(times), max(times)


def figures_table(name: str, figures: list[Figure]) -> str:
    """Write figures as a Markdown table, with the machine above it."""
    return "\n".join([
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"accelsim {accelsim.__version__}; `python benchmarks/{name}.py`",
        "",
        "| what | target | measured (median) | least to greatest | met |",
        "|---|---|---|---|---|",
        *(
            f"| {f.what} | {f.target} | {f.measured} | {f.spread} | {'yes' if f.met else 'NO'} |"
            for f in figures
        ),
    ])  # fmt: skip


def replace_section(page: Path, name: str, text: str) -> None:
    """Put `text` between the page's ``NAME begin`` and ``NAME end`` comments."""
    begin, end = f"<!-- {name} begin -->", f"<!-- {name} end -->"
    head, rest = page.read_text(encoding="utf-8").split(begin)
    tail = rest.split(end)[1]
    page.write_text(f"{head}{begin}\n{text}\n{end}{tail}", encoding="utf-8")
