"""What one problem costs on a systolic array, as tables."""

from __future__ import annotations

from accelsim.report.tables import Column, Table
from accelsim.scenarios.array_problem import ArrayAnswer, ArrayCheck
from accelsim.timing.systolic import SystolicCycles
from accelsim.timing.systolic_buffers import BufferedRun
from accelsim.units import format_si

_OPERANDS = ("A (activations)", "B (weights)", "C (results, partial sums)")


def answer_pairs(answer: ArrayAnswer, clock_hz: float | None = None) -> list[tuple[str, str]]:
    """Headline figures of a problem on an array, as (label, value).

    Parameters
    ----------
    answer : ArrayAnswer
    clock_hz : float, optional
        Of the array; adds times.
    """
    ideal, buffered = answer.ideal, answer.buffered
    problem = answer.problem
    times = f", {problem.repeat} times (groups)" if problem.repeat > 1 else ""
    pairs = [
        ("problem", f"m {problem.m:,}  n {problem.n:,}  k {problem.k:,}{times}"),
        ("cycles", f"{ideal.cycles:,}" + _seconds(ideal.cycles, clock_hz)),
        ("folds", _folds(ideal)),
        ("multiply-adds", f"{ideal.macs:,}"),
        ("utilisation", f"{ideal.utilization:.1%} of the PEs' multiply-adds"),
        ("mapping efficiency", f"{ideal.mapping_efficiency:.1%} of the PEs covered by folds"),
    ]
    if ideal.metadata_bits:
        pairs.append(
            ("sparsity indices", f"{ideal.metadata_bits / 8:,.0f} B read with the weights")
        )
    if buffered is not None:
        busy = ideal.macs and ideal.utilization * ideal.cycles / buffered.total_cycles
        pairs += [
            ("with buffers", f"{buffered.total_cycles:,} cycles"
             + _seconds(buffered.total_cycles, clock_hz)),
            ("  of which stalls", f"{buffered.stall_cycles:,} cycles"),
            ("  utilisation", f"{busy:.1%}"),
            ("  partial sums", "spill to memory" if buffered.sums_spilled else "stay on the chip"),
        ]  # fmt: skip
    return pairs


def _folds(ideal: SystolicCycles) -> str:
    grid = f"{ideal.row_folds:,} along rows x {ideal.col_folds:,} along columns"
    return f"{ideal.folds:,} ({grid}), {ideal.fold_cycles:,} cycles each alone"


def _seconds(cycles: int, clock_hz: float | None) -> str:
    return "" if clock_hz is None else f" ({format_si(cycles / clock_hz, 's')})"


def traffic_table(ideal: SystolicCycles, buffered: BufferedRun | None) -> Table:
    """Words across the array's edge and the buffers' ports, and waits, by operand."""
    columns = [
        Column("operand"),
        Column("SRAM reads (words)", right=True),
        Column("SRAM writes (words)", right=True),
    ]
    rows = [
        [_OPERANDS[0], f"{ideal.sram_reads_a:,}", ""],
        [_OPERANDS[1], f"{ideal.sram_reads_b:,}", ""],
        [_OPERANDS[2], "", f"{ideal.sram_writes_c:,}"],
    ]
    if buffered is not None:
        columns += [
            Column("memory reads (words)", right=True),
            Column("memory writes (words)", right=True),
            Column("stalls (cycles)", right=True),
        ]
        rows[0] += [f"{buffered.dram_reads_a:,}", "", f"{buffered.stall_a_cycles:,}"]
        rows[1] += [f"{buffered.dram_reads_b:,}", "", f"{buffered.stall_b_cycles:,}"]
        rows[2] += [
            f"{buffered.dram_reads_c:,}",
            f"{buffered.dram_writes_c:,}",
            f"{buffered.stall_c_cycles:,}",
        ]
    return Table("Traffic", tuple(columns), tuple(map(tuple, rows)))


def check_table(check: ArrayCheck, ideal: SystolicCycles) -> Table:
    """The simulation beside the closed form; of one group of a convolution."""
    run = check.run
    columns = (Column("check"), Column("closed form", right=True), Column("PE by PE", right=True))
    rows = [
        ("cycles", f"{ideal.cycles:,}", f"{run.cycles:,}"),
        ("SRAM reads of A (words)", f"{ideal.sram_reads_a:,}", f"{run.sram_reads_a:,}"),
        ("SRAM reads of B (words)", f"{ideal.sram_reads_b:,}", f"{run.sram_reads_b:,}"),
        ("SRAM writes of C (words)", f"{ideal.sram_writes_c:,}", f"{run.sram_writes_c:,}"),
        ("multiply-adds", f"{ideal.macs:,}", f"{run.macs:,}"),
        ("  with a zero operand", "", f"{run.zero_macs:,} ({run.gated_share:.1%})"),
    ]
    verdict = "all results equal A @ B" if check.holds else "; ".join(check.differences)
    return Table(f"PE by PE, random integers: {verdict}", columns, tuple(rows))
