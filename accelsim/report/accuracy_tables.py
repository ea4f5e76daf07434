"""Tables of predicted against measured, and of a calibration."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from accelsim.report.tables import Column, Table
from accelsim.report.words import percent
from accelsim.results.accuracy import ValidationResult
from accelsim.results.calibration import CONFIDENCE, CalibrationResult
from accelsim.scenarios.op_table import COLUMNS
from accelsim.units import format_si

if TYPE_CHECKING:
    import pandas as pd

_FIGURES = (
    Column("rows", right=True, rank=1), Column("MAPE", right=True), Column("median", right=True),
    Column("p90", right=True, rank=2), Column("bias", right=True),
    Column("<= 10 %", right=True, rank=2), Column("<= 25 %", right=True, rank=2),
    Column("roofline MAPE", right=True, rank=1), Column("roofline median", right=True, rank=3),
)  # fmt: skip
_NOT_SHAPE = ("op", "dtype")
_BLANK = ("", "None", "nan", "<NA>")


def signed(fraction: float) -> str:
    """Write a signed error as a percentage."""
    return f"{100 * fraction:+.1f} %"


def class_table(result: ValidationResult) -> Table:
    """Errors by class, device and dtype, and whether scalars of the chip were fitted."""
    frame = result.table
    rows = tuple(
        (
            row["suite"],
            row["device"],
            row["dtype"],
            "yes" if row["fitted"] else "no",
            *_figures(row),
        )
        for row in _lines(frame)
    )
    heads = (Column("suite"), Column("device"), Column("dtype"), Column("fitted", rank=1))
    title = "Errors of predicted times (predicted / measured - 1)"
    return Table(title, (*heads, *_FIGURES), rows, _breaks(frame["suite"]))


def size_table(result: ValidationResult) -> Table:
    """Errors by class and range of measured time."""
    frame = result.size_table
    rows = tuple(
        (row["suite"], str(row["size"]).replace("us", "µs"), *_figures(row))
        for row in _lines(frame)
    )
    heads = (Column("suite"), Column("measured time"))
    return Table("By measured time", (*heads, *_FIGURES), rows, _breaks(frame["suite"]))


def worst_table(result: ValidationResult, count: int) -> Table:
    """The rows furthest off of each class."""
    frame = result.worst(count)
    rows = tuple(
        (
            row["suite"], row["device"], row["dtype"], shape_words(row),
            format_si(row["measured_s"], "s"), format_si(row["predicted_s"], "s"),
            signed(row["error"]), row["bound"],
        )
        for row in _lines(frame)
    )  # fmt: skip
    columns = (
        Column("suite"), Column("device", rank=1), Column("dtype", rank=1), Column("op"),
        Column("measured", right=True), Column("predicted", right=True),
        Column("error", right=True), Column("bound", rank=2),
    )  # fmt: skip
    return Table(f"Worst {count} of each class", columns, rows, _breaks(frame["suite"]))


def left_out_table(left_out: pd.DataFrame) -> Table:
    """Rows that were not compared, by reason."""
    keys = ["suite", "device", "reason"]
    counts = left_out.groupby(keys, sort=False)["rows"].sum().reset_index()
    rows = tuple((r["suite"], r["device"], f"{r['rows']:,}", r["reason"]) for r in _lines(counts))
    columns = (
        Column("suite"), Column("device", rank=1), Column("rows", right=True), Column("reason"),
    )  # fmt: skip
    return Table("Left out", columns, rows)


def scalar_table(result: CalibrationResult) -> Table:
    """Every calibrated scalar before and after, or why it stays as it was."""
    rows = []
    for fit in result.scalars:
        interval = ""
        if fit.low is not None and fit.high is not None:
            interval = f"{_scalar(fit.name, fit.low)} to {_scalar(fit.name, fit.high)}"
        after = _scalar(fit.name, fit.after) if fit.determined else "not determined"
        rows.append((
            fit.name.removesuffix("_s"), _scalar(fit.name, fit.before), after, interval,
            f"{fit.felt_ops:,}", fit.reason,
        ))  # fmt: skip
    columns = (
        Column("scalar"), Column("before", right=True), Column("after", right=True),
        Column(f"{100 * CONFIDENCE:.0f} % interval", right=True),
        Column("ops that feel it", right=True, rank=1), Column("remark"),
    )  # fmt: skip
    return Table(f"Calibrated scalars of {result.chip}", columns, tuple(rows))


def before_after_table(result: CalibrationResult) -> Table:
    """Errors before and after, of the rows of the fit and of those kept aside."""
    words = {"fit": "rows of the fit", "test": "rows kept aside"}
    rows = tuple(
        (
            words[row["split"]], row["suite"], f"{row['rows']:,}",
            *(_arrow(row, figure) for figure in ("mape", "median", "p90")),
            f"{signed(row['before_bias'])} → {signed(row['after_bias'])}",
        )
        for row in _lines(result.errors)
    )  # fmt: skip
    columns = (
        Column("of"), Column("suite"), Column("rows", right=True, rank=1),
        Column("MAPE", right=True), Column("median", right=True), Column("p90", right=True, rank=2),
        Column("bias", right=True, rank=1),
    )  # fmt: skip
    return Table("Errors before → after", columns, rows, _breaks(result.errors["split"]))


def shape_words(row: dict[str, Any]) -> str:
    """Write an op with its shape: ``matmul m=1 n=4096 k=4096``."""
    parts = [str(row["op"])]
    for name in COLUMNS:
        value = row.get(name)
        if name not in _NOT_SHAPE and _plain(value) not in _BLANK:
            parts.append(f"{name}={_plain(value)}")
    return " ".join(parts)


def _lines(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _plain(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _figures(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        f"{row['rows']:,}", percent(row["mape"]), percent(row["median"]), percent(row["p90"]),
        signed(row["bias"]), percent(row["within_10"]), percent(row["within_25"]),
        percent(row["roofline_mape"]), percent(row["roofline_median"]),
    )  # fmt: skip


def _scalar(name: str, value: float) -> str:
    return format_si(value, "s") if name.endswith("_s") else f"{value:.3g}"


def _arrow(row: dict[str, Any], figure: str) -> str:
    return f"{percent(row[f'before_{figure}'])} → {percent(row[f'after_{figure}'])}"


def _breaks(keys: Iterable[str]) -> tuple[int, ...]:
    values: Sequence[str] = list(keys)
    return tuple(i for i in range(1, len(values)) if values[i] != values[i - 1])
