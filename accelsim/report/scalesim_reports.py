"""SCALE-Sim's three report files, for scripts that read those."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from accelsim.arch.array import TEXTBOOK
from accelsim.errors import SpecError
from accelsim.files import write_text
from accelsim.scenarios.layers import ArrayReport, LayerReport

REPORT_NAMES = ("COMPUTE_REPORT.csv", "BANDWIDTH_REPORT.csv", "DETAILED_ACCESS_REPORT.csv")
_OPERANDS = ("IFMAP", "Filter", "OFMAP")
_COMPUTE = (
    "LayerID", "Total Cycles (incl. prefetch)", "Total Cycles", "Stall Cycles", "Overall Util %",
    "Mapping Efficiency %", "Compute Util %",
)  # fmt: skip
_BANDWIDTH = (
    "LayerID",
    *(f"Avg {name.upper()} {level} BW" for level in ("SRAM", "DRAM") for name in _OPERANDS),
)
_ACCESS = (
    "LayerID",
    *(
        f"{level} {name} {what}"
        for level in ("SRAM", "DRAM")
        for name in _OPERANDS
        for what in ("Start Cycle", "Stop Cycle", "Writes" if name == "OFMAP" else "Reads")
    ),
)


class _Counts(NamedTuple):
    """A layer as SCALE-Sim counts it: its last cycle index, and per operand words and cycles."""

    last_cycle: int
    sram_words: tuple[int, int, int]
    sram_cycles: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
    dram_words: tuple[int, int, int]


def write_scalesim_reports(report: ArrayReport, folder: str | Path) -> list[Path]:
    """Write the files of `REPORT_NAMES`: cycles, words per cycle, accesses.

    Parameters
    ----------
    report : ArrayReport
        Of a textbook array with buffers, sparsity allowed.
    folder : str or Path
        Made if it does not exist.

    Returns
    -------
    list of Path
        The three files.

    Raises
    ------
    SpecError
        If the array has features that those reports have no place for.

    Notes
    -----
    Columns and conventions are SCALE-Sim's: "Total Cycles" is the index of the last cycle, one
    less than their number. Values: docs/scalesim.md.
    """
    plain = replace(report.array.features, sparsity=None) == TEXTBOOK
    if (
        not plain
        or report.array.buffers is None
        or any(r.layer.gemm.repeat > 1 for r in report.layers)
    ):
        raise SpecError(
            f"{report.array.name}: SCALE-Sim's reports describe one array with buffers, one "
            "multiply-add per PE and cycle and one matrix multiplication per layer; use the JSON "
            "or CSV report"
        )
    texts = (
        _text(_COMPUTE, map(_compute_cells, report.layers)),
        _text(_BANDWIDTH, map(_bandwidth_cells, report.layers)),
        _text(_ACCESS, map(_access_cells, report.layers)),
    )
    paths = [Path(folder) / name for name in REPORT_NAMES]
    for path, text in zip(paths, texts, strict=True):
        write_text(path, text)
    return paths


def _text(columns: tuple[str, ...], rows: Iterator[tuple[float, ...]]) -> str:
    """Join cells as SCALE-Sim does: a blank after each comma, and a comma at the end."""
    lines = [columns, *((layer_id, *row) for layer_id, row in enumerate(rows))]
    return "".join(", ".join(map(str, line)) + ",\n" for line in lines)


def _compute_cells(row: LayerReport) -> tuple[float, ...]:
    counts, pes = _counts(row), row.array.pes
    skewed_twice = 0 if row.array.dataflow == "os" else row.array.cols - 1
    fold_cycles = int(row.ideal.fold_cycles) + skewed_twice
    return (
        row.total_cycles - 1,
        counts.last_cycle,
        row.stall_cycles,
        100 * row.macs / (max(counts.last_cycle, 1) * pes),
        100 * float(row.ideal.mapping_efficiency),
        100 * row.macs / (int(row.ideal.folds) * pes * fold_cycles),
    )


def _bandwidth_cells(row: LayerReport) -> tuple[float, ...]:
    counts = _counts(row)
    return (
        *(words / max(counts.last_cycle, 1) for words in counts.sram_words),
        *(words / row.running_cycles for words in counts.dram_words),
    )


def _access_cells(row: LayerReport) -> tuple[float, ...]:
    counts = _counts(row)
    not_modelled = float("nan")
    sram = zip(counts.sram_cycles, counts.sram_words, strict=True)
    return (
        *(cell for cycles, words in sram for cell in (*cycles, words)),
        *(cell for words in counts.dram_words for cell in (not_modelled, not_modelled, words)),
    )


def _counts(row: LayerReport) -> _Counts:
    ideal, buffered = row.ideal, row.buffered
    assert buffered is not None
    return _Counts(
        last_cycle=row.running_cycles - 1,
        sram_words=(int(ideal.sram_reads_a), int(ideal.sram_reads_b), int(ideal.sram_writes_c)),
        sram_cycles=_sram_cycles(row),
        dram_words=(buffered.dram_reads_a, buffered.dram_reads_b, buffered.dram_writes_c),
    )


def _sram_cycles(row: LayerReport) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """First and last cycle with an access to the SRAMs of A, B and C, if nothing ever waits.

    SCALE-Sim counts cycles of reads from 1 and those of writes from 0. Only the rows and columns
    that the first and the last fold use have accesses.
    """
    array, ideal = row.array, row.ideal
    rows, cols = array.rows, array.cols
    m, n, k, _ = row.layer.gemm
    on_rows, on_cols, beats = array.axes(m, n, k)
    first_high = min(rows, on_rows)
    last_high = on_rows - (int(ideal.row_folds) - 1) * rows
    last_wide = on_cols - (int(ideal.col_folds) - 1) * cols
    last_fold = (int(ideal.folds) - 1) * int(ideal.fold_cycles)
    if array.dataflow == "os":
        a = (1, last_fold + beats + last_high - 1)
        b = (1, last_fold + beats + last_wide - 1)
        c = (beats - 1 + rows - first_high, last_fold + beats + rows + last_wide - 3)
        return a, b, c
    stays = (rows - first_high + 1, last_fold + rows)
    streams = (rows + 1, last_fold + rows + beats + last_high - 1)
    c = (2 * rows - 1, last_fold + 2 * rows + beats + last_wide - 3)
    return (streams, stays, c) if array.dataflow == "ws" else (stays, streams, c)
