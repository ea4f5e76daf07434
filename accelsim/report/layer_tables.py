"""What layers cost on a systolic array, and where their cycles go, as tables."""

from __future__ import annotations

from accelsim.report.tables import Column, Table
from accelsim.report.words import percent
from accelsim.scenarios.layers import ArrayReport, LayerReport

_ONLY_IF_SPARSE = 5
_COLUMNS = (
    Column("layer"), Column("M", right=True, rank=2), Column("N", right=True, rank=2),
    Column("K", right=True, rank=2), Column("folds", right=True, rank=3),
    Column("cycles", right=True), Column("prefetch", right=True, rank=3),
    Column("stalled", right=True), Column("drain", right=True, rank=3), Column("bound"),
    Column("mapped", right=True, rank=1), Column("utilisation", right=True),
    Column("SRAM A", right=True, rank=4), Column("SRAM B", right=True, rank=4),
    Column("SRAM C", right=True, rank=4), Column("DRAM A", right=True, rank=3),
    Column("DRAM B", right=True, rank=3), Column("DRAM C", right=True, rank=3),
    Column("sparsity", rank=_ONLY_IF_SPARSE),
)  # fmt: skip
_MEANING = {
    "compute": "multiply-adds on every PE",
    "mapping": "PEs left idle by folds that do not cover the array",
    "fill": "loading, skew and draining of folds",
    "prefetch": "waiting for the first operands of a layer",
    "stall_a": "waiting for the port of A (ifmap)",
    "stall_b": "waiting for the port of B (filter)",
    "stall_c": "waiting for the port of C (ofmap)",
    "drain": "writing results after a layer's last cycle on the array",
}


def summary(report: ArrayReport) -> tuple[tuple[str, str], ...]:
    """Say in pairs of label and value what the whole topology takes."""
    spilled = sum(row.buffered is not None and row.buffered.sums_spilled for row in report.layers)
    spill = f"in {spilled} of {len(report.layers)} layers: the SRAM of C does not hold them"
    return (
        ("cycles", f"{report.total_cycles:,}"),
        ("  the array alone", f"{report.compute_cycles:,}"),
        ("  prefetch", f"{report.prefetch_cycles:,} before a layer's first operands are there"),
        ("  stalls", f"{report.stall_cycles:,} waiting for a port while a layer runs"),
        ("  drain", f"{report.drain_cycles:,} writing results after a layer's last cycle"),
        ("utilisation", percent(report.utilization)),
        ("bandwidth limit", _limits(report)),
        ("DRAM traffic", _traffic(report)),
        *((("partial sums spilled", spill),) if spilled else ()),
    )


def _limits(report: ArrayReport) -> str:
    """Words per cycle of the ports, once if all are equal."""
    buffers = report.array.buffers
    if buffers is None:
        return "none, the array has no buffers to wait for"
    rates = (buffers.a_words_per_cycle, buffers.b_words_per_cycle, buffers.c_words_per_cycle)
    words = ["none" if rate is None else f"{float(rate):g} words/cycle" for rate in rates]
    if len(set(words)) > 1:
        return ", ".join(f"{name} {limit}" for name, limit in zip("ABC", words, strict=True))
    return words[0] if rates[0] is None else f"{words[0]} for each operand"


def _traffic(report: ArrayReport) -> str:
    """Words by operand, and per cycle: without a limit, what feeds the array on average."""
    if report.array.buffers is None:
        return "not modelled without buffers"
    rows = [row.buffered for row in report.layers if row.buffered is not None]
    a, b = sum(row.dram_reads_a for row in rows), sum(row.dram_reads_b for row in rows)
    c = sum(row.dram_reads_c + row.dram_writes_c for row in rows)
    return ", ".join(
        f"{name} {words:,} words ({words / report.total_cycles:.2f}/cycle)"
        for name, words in (("A", a), ("B", b), ("C", c))
    )


def layers_table(report: ArrayReport) -> Table:
    """One row per layer; SRAM and DRAM columns count words."""
    title = "Layers (cycles; SRAM and DRAM in words; A ifmap, B filter, C ofmap)"
    table = Table(title, _COLUMNS, tuple(_cells(row) for row in report.layers))
    sparse = any(row.array.features.sparsity for row in report.layers)
    return table if sparse else table.without_ranks_above(_ONLY_IF_SPARSE - 1)


def _cells(row: LayerReport) -> tuple[str, ...]:
    data = row.as_dict()
    sram = (data["sram_reads_a_words"], data["sram_reads_b_words"], data["sram_writes_c_words"])
    dram = ("-", "-", "-")
    if (run := row.buffered) is not None:
        dram_c = run.dram_reads_c + run.dram_writes_c
        dram = (f"{run.dram_reads_a:,}", f"{run.dram_reads_b:,}", f"{dram_c:,}")
    return (
        row.layer.name,
        *(f"{size:,}" for size in row.layer.gemm[:3]),
        f"{data['folds']:,}",
        f"{row.total_cycles:,}",
        f"{row.prefetch_cycles:,}",
        f"{row.stall_cycles:,}",
        f"{row.drain_cycles:,}",
        _bound_word(row.bound),
        percent(data["mapping_efficiency"]),
        percent(row.utilization),
        *(f"{count:,}" for count in sram),
        *dram,
        data["sparsity"],
    )


def _bound_word(bound: str) -> str:
    """Write ``stall_a`` as ``stall A``."""
    return f"stall {bound[-1].upper()}" if bound.startswith("stall_") else bound


def spent_table(report: ArrayReport) -> Table:
    """Where the cycles of all layers go."""
    columns = (
        Column("spent on"), Column("cycles", right=True), Column("share", right=True),
        Column("that is"),
    )  # fmt: skip
    spent = {name: sum(row.spent_cycles[name] for row in report.layers) for name in _MEANING}
    rows = tuple(
        (_bound_word(name), f"{cycles:,.0f}", percent(cycles / report.total_cycles), _MEANING[name])
        for name, cycles in spent.items()
        if round(cycles)
    )
    return Table("Where the cycles go", columns, rows)
