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
        ("folds", _folds(answer)),
        ("multiply-adds", f"{ideal.macs:,}"),
        ("utilisation", f"{fine_percent(ideal.utilization)} of the PEs' multiply-adds"),
        ("mapping efficiency", f"{fine_percent(ideal.mapping_efficiency)} of the PEs are in folds"),
    ]
    if ideal.metadata_bits:
        pairs.append(
            ("sparsity indices", f"{ideal.metadata_bits / 8:,.0f} B read with the weights")
        )
    if buffered is not None:
        total = buffered.total_cycles
        parts = f"{ideal.cycles:,} + {buffered.stall_cycles:,} stalls"
        ends = f" + {buffered.prefetch_cycles:,} first fill + {buffered.drain_cycles:,} last writes"
        spill = "spill to memory" if buffered.sums_spilled else "stay on the chip"
        busy = fine_percent(ideal.utilization * ideal.cycles / total)
        pairs += [
            ("behind buffers", f"{total:,} cycles" + _seconds(total, clock_hz)),
            ("  that is", parts + ends),
            ("  utilisation", busy),
            ("  partial sums", spill),
        ]
    return pairs


def fine_percent(share: float) -> str:
    """Write a ratio as a percentage with three digits, however small."""
    return f"{100 * share:.3g} %"


def _folds(answer: ArrayAnswer) -> str:
    """Say how many folds there are, and how their cycles add up."""
    ideal, arrays = answer.ideal, answer.array.features.arrays
    grid = f"{ideal.row_folds:,} along rows x {ideal.col_folds:,} along columns"
    if answer.problem.repeat > 1:
        grid += f" x {answer.problem.repeat:,} groups"
    turns = -(-ideal.folds // arrays)
    one = f"{ideal.fold_cycles:,} cycles each"
    if turns > 1:
        period = (ideal.cycles - ideal.fold_cycles) // (turns - 1)
        if period != ideal.fold_cycles or arrays > 1:
            one = f"{turns - 1:,} turns of {period:,} cycles and a last of {ideal.fold_cycles:,}"
    return f"{ideal.folds:,} ({grid}): {one}"


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
        [_OPERANDS[2], f"{ideal.sram_reads_c:,}", f"{ideal.sram_writes_c:,}"],
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


def check_table(check: ArrayCheck, groups: int = 1) -> Table:
    """The simulation beside the closed form; of the first of a convolution's groups."""
    run, ideal = check.run, check.ideal
    columns = (Column("check"), Column("closed form", right=True), Column("PE by PE", right=True))
    rows = [
        ("cycles", f"{ideal.cycles:,}", f"{run.cycles:,}"),
        ("SRAM reads of A (words)", f"{ideal.sram_reads_a:,}", f"{run.sram_reads_a:,}"),
        ("SRAM reads of B (words)", f"{ideal.sram_reads_b:,}", f"{run.sram_reads_b:,}"),
        ("SRAM writes of C (words)", f"{ideal.sram_writes_c:,}", f"{run.sram_writes_c:,}"),
        ("multiply-adds", f"{ideal.macs:,}", f"{run.macs:,}"),
        ("  with a zero among these operands", "", f"{run.zero_macs:,} ({run.gated_share:.1%})"),
    ]
    verdict = "all results equal A @ B" if check.holds else "; ".join(check.differences)
    drawn = "integers from -8 to 8, 29 % of them zero"
    part = f", 1 of {groups} groups on its own" if groups > 1 else ""
    return Table(f"PE by PE{part}, {drawn}: {verdict}", columns, tuple(rows))


def comparison_table(answers: list[ArrayAnswer]) -> Table:
    """Several dataflows side by side; cycles behind buffers where there are any."""
    columns = [
        Column("dataflow"),
        Column("folds", right=True),
        Column("cycles", right=True),
        Column("utilisation", right=True),
        Column("SRAM reads A (words)", right=True, rank=1),
        Column("SRAM reads B (words)", right=True, rank=1),
        Column("SRAM writes C (words)", right=True, rank=1),
    ]
    rows = [
        [
            answer.array.dataflow, f"{answer.ideal.folds:,}", f"{answer.ideal.cycles:,}",
            fine_percent(answer.ideal.utilization), f"{answer.ideal.sram_reads_a:,}",
            f"{answer.ideal.sram_reads_b:,}", f"{answer.ideal.sram_writes_c:,}",
        ]
        for answer in answers
    ]  # fmt: skip
    if answers[0].buffered is not None:
        columns += [
            Column("memory (words)", right=True),
            Column("stalls (cycles)", right=True),
            Column("behind buffers (cycles)", right=True),
        ]
        for row, answer in zip(rows, answers, strict=True):
            run = answer.buffered
            assert run is not None
            moved = run.dram_reads_a + run.dram_reads_b + run.dram_reads_c + run.dram_writes_c
            row += [f"{moved:,}", f"{run.stall_cycles:,}", f"{run.total_cycles:,}"]
    if answers[0].check is not None:
        columns.append(Column("PE by PE"))
        for row, answer in zip(rows, answers, strict=True):
            row.append("agrees" if answer.check is not None and answer.check.holds else "DIFFERS")
    problem = answers[0].problem
    title = f"m {problem.m:,}  n {problem.n:,}  k {problem.k:,} on {answers[0].array.rows}x"
    return Table(title + f"{answers[0].array.cols} PEs", tuple(columns), tuple(map(tuple, rows)))
