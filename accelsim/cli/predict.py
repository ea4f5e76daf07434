"""``accelsim predict``: latency and energy of a list of ops, in bulk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from accelsim.cli.console import (
    emit,
    frame_records,
    note,
    print_tables,
    progress_bar,
    refuse_targets,
)
from accelsim.cli.options import EmulateDType, JsonFile, Launch, On, Overrides, parse_overrides

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 20


def predict(  # noqa: PLR0917  (typer calls it by keyword)
    ops: Annotated[Path, typer.Argument(metavar="OPS.csv", help="One op per row.")],
    on: On,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="OUT.csv", help="Result, one row per op."),
    ] = None,
    launch: Launch = "graph",
    emulate_dtype: EmulateDType = False,
    overrides: Overrides = None,
    json_file: JsonFile = None,
) -> None:
    """Predict every op of a CSV file: input columns plus latency, energy, bound, FLOP and bytes.

    What each op needs: docs/predict.md, or 'accelsim schema ops'; one row of each kind:
    examples/ops.csv.
    """
    refuse_targets(files=(output, json_file), inputs=(ops, on))
    from accelsim.arch.loader import load_system
    from accelsim.scenarios.predict import predict as predict_frame
    from accelsim.scenarios.predict import read_ops, write_ops

    frame, system = read_ops(ops), load_system(on, parse_overrides(overrides))
    with progress_bar() as progress:
        result = predict_frame(
            frame, system, launch, emulate_dtype=emulate_dtype, progress=progress
        )
    if output is not None:
        write_ops(result, output)
        note(f"{len(result)} ops written to {output}")
    data = {
        "on": on, "launch": launch, "rows": len(result), "output": str(output) if output else None,
        "latency_s": float(result["latency_s"].sum()), "energy_j": float(result["energy_j"].sum()),
    }  # fmt: skip
    if json_file is not None:
        data["ops"] = frame_records(result)
    emit(data, json_file, lambda: _show(result, data))


def _show(result: pd.DataFrame, data: dict[str, Any]) -> None:
    from accelsim.report.tables import Column, Table
    from accelsim.units import format_si

    used = [c for c in result.columns if result[c].notna().any() and (result[c] != "").any()]
    units = {"latency_s": "s", "energy_j": "J", "flop": "FLOP", "dram_bytes": "B"}

    def cell(column: str, value: Any) -> str:
        if value is None:
            return ""
        if column in units:
            return format_si(float(value), units[column])
        return f"{value:g}" if isinstance(value, float) else str(value)

    rows = tuple(
        tuple(cell(column, row[column]) for column in used)
        for row in frame_records(result.head(_SHOWN))
    )
    columns = tuple(Column(c.removesuffix("_s").removesuffix("_j"), right=c != "op") for c in used)
    rest = f" (the first {_SHOWN})" if len(result) > _SHOWN else ""
    total = f"{format_si(data['latency_s'], 's')}, {format_si(data['energy_j'], 'J')}"
    print_tables(
        [Table(f"{data['rows']} ops on {data['on']}: {total} together{rest}", columns, rows)]
    )
