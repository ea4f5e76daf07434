"""``accelsim calibrate``: the scalars of a chip fitted to measurements."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from accelsim.cli.console import emit, note, print_tables, print_text, progress_bar, refuse_targets
from accelsim.cli.options import JsonFile, Launch
from accelsim.cli.validate import rows_of

if TYPE_CHECKING:
    from accelsim.results.calibration import CalibrationResult


def calibrate(  # noqa: PLR0917  (typer calls it by keyword)
    chip: Annotated[str, typer.Argument(metavar="CHIP", help="A chip: a name or a YAML file.")],
    data: Annotated[
        str,
        typer.Option("--data", metavar="FILE.csv|DIR", help="Measured ops: docs/validate.md."),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="MY_CHIP.yaml", help="The calibrated chip."),
    ] = None,
    launch: Launch = "graph",
    test_share: Annotated[
        float, typer.Option("--test-share", metavar="X", help="Share of rows kept aside.")
    ] = 0.3,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", min=0, help="Of the split and the resampling.")
    ] = 0,
    rows: Annotated[
        str, typer.Option("--rows", metavar="N|all", help="Most rows to use.")
    ] = "2000",
    json_file: JsonFile = None,
) -> None:
    """Fit the calibrated scalars of a chip to your measurements; say which of them they fix.

    Scalars that the data cannot fix stay as they are, with the reason. The file written extends
    CHIP: use it wherever a chip is named, as in 'accelsim run ... --on my_chip.yaml'.
    """
    refuse_targets(files=(output, json_file), inputs=(data, chip))
    from accelsim.validation.calibrate import calibrate as fit
    from accelsim.validation.chip_file import check_chip_file_name, write_chip_file

    if output is not None:
        check_chip_file_name(output)
    with progress_bar() as progress:
        result = fit(
            chip, data, launch, seed=seed, test_share=test_share, rows=rows_of(rows),
            progress=progress,
        )  # fmt: skip
    written = write_chip_file(result, output) if output is not None and result.values else None
    data_out = {**result.to_dict(), "output": None if written is None else str(written)}
    emit(data_out, json_file, lambda: _show(result))
    if written is not None:
        note(f"written to {written}: accelsim validate --data {data} --on {written}")
    elif output is not None:
        note(f"{output} is not written: these data determine no scalar of {result.chip}")


def _show(result: CalibrationResult) -> None:
    from accelsim.report.accuracy_tables import before_after_table, left_out_table, scalar_table

    print_tables([scalar_table(result)])
    print_text("")
    print_tables([before_after_table(result)])
    if len(result.left_out):
        print_text("")
        print_tables([left_out_table(result.left_out)])
    held = len(result.undetermined)
    if held:
        print_text(f"\n{held} of {len(result.scalars)} scalars are not determined by these data.")
