"""``accelsim demo``: two models on three chips, with pictures and a summary."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from accelsim.cli.console import (
    emit,
    print_tables,
    print_text,
    progress_bar,
    refuse_targets,
)
from accelsim.cli.options import JsonFile

if TYPE_CHECKING:
    from accelsim.scenarios.demo import DemoRun


def demo(
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for pictures and summary.")
    ] = Path("accelsim-demo"),
    json_file: JsonFile = None,
) -> None:
    """Compare a GPU, a TPU and an invented ASIC on two models; write pictures and a summary."""
    refuse_targets(files=(json_file,), folders=(out,))
    from accelsim.report.demo import summary_data, write_demo
    from accelsim.scenarios.demo import run_demo

    with progress_bar() as progress:
        runs = run_demo(progress)
        files = write_demo(runs, out, progress)
    data = {**summary_data(runs), "files": [str(path) for path in files]}
    emit(data, json_file, lambda: _show(runs, files))


def _show(runs: tuple[DemoRun, ...], files: tuple[Path, ...]) -> None:
    from accelsim.report.demo import NEXT_STEPS, demo_table, what_you_see

    print_tables([demo_table(runs)])
    print_text("\nWhat you see\n" + "\n".join(f"- {line}" for line in what_you_see(runs)))
    folder = files[0].parent
    print_text(f"\n{len(files) - 2} pictures and {files[0].name} are in {folder}. Next:")
    print_text("\n".join(f"  {step}" for step in NEXT_STEPS))
