"""What a simulation of a memory found, as tables."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from accelsim.report.tables import Column, Table
from accelsim.results.dram import DramResult
from accelsim.scenarios.dram_study import SWEEPS, DramSetting, DramStudy, DramSweep
from accelsim.units import format_si

COMMAND_WORDS = {
    "ACT": "activate", "ACT2": "second half of an activate", "PRE": "precharge one bank",
    "PREA": "precharge all banks", "RD": "read", "WR": "write", "RDA": "read, then precharge",
    "WRA": "write, then precharge", "REFab": "refresh all banks", "REFpb": "refresh one bank",
    "CAS": "start the data clock",
}  # fmt: skip
"""Commands in words."""


def share(fraction: float) -> str:
    """Write a ratio as a percentage with one decimal."""
    return f"{100 * fraction:.1f} %"


def gigabytes(bytes_per_s: float) -> str:
    """Write a bandwidth in GB/s, so that a table's rows compare."""
    return f"{bytes_per_s / 1e9:,.1f}"


def nanoseconds(seconds: float) -> str:
    """Write a latency in ns; a dash where there is none."""
    return "-" if math.isnan(seconds) else f"{1e9 * seconds:,.0f}"


def setting_words(setting: DramSetting) -> str:
    """Say in one line which channels behind which controller were simulated."""
    memory, controller = setting.memory, setting.controller
    channels = f"{setting.channels} channel{'s' if setting.channels > 1 else ''}"
    if setting.buses > 1:
        channels += f" of {setting.buses} pseudo-channels"
    page = f"{controller.page_policy} page"
    refresh = "no refresh" if controller.refresh == "none" else f"{controller.refresh} refresh"
    return (
        f"{memory.name}, {channels}, {controller.scheduler}, {page}, {refresh}, "
        f"map {controller.address_map}"
    )


def dram_pairs(study: DramStudy) -> list[tuple[str, str]]:
    """Headline figures of one run, as (label, value)."""
    result, setting = study.result, study.setting
    peak = gigabytes(result.peak_bytes_per_s)
    fraction, bandwidth = result.bandwidth_fraction, gigabytes(result.bandwidth_bytes_per_s)
    pairs = [
        ("traffic", f"{result.transactions:,} bursts of {result.transaction_bytes} B, "
                    f"{format_si(result.bytes_moved, 'B')} in {format_si(result.time_s, 's')}"),
        ("bandwidth", f"{bandwidth} GB/s = {share(fraction)} of {peak} GB/s"),
    ]  # fmt: skip
    unrefreshed = study.unrefreshed_fraction
    if unrefreshed is not None:
        lost = unrefreshed - fraction
        words = f"{100 * lost:.1f} points; banks refresh {share(result.refresh_share)} of the time"
        pairs.append(("  lost to refresh", words))
        pairs.append(("  lost to the rest", f"{100 * (1 - unrefreshed):.1f} points"))
    pairs += [
        ("rows", _row_words(result)),
        ("data bus", f"busy {share(result.data_bus_utilisation)} of the time"),
        ("banks", f"a row open {share(result.bank_utilisation)} of the time, mean of "
                  f"{result.channels * result.banks:,}"),
    ]  # fmt: skip
    if result.writes:
        pairs.append(("turnarounds", f"{result.turnarounds:,} from reads to writes"))
    if result.forwarded_reads or result.merged_writes:
        queued = (
            f"{result.forwarded_reads:,} reads answered, {result.merged_writes:,} writes merged"
        )
        pairs.append(("write queue", queued))
    if result.read_latency_s.size:
        pairs.append(("read latency", _latency_words(result)))
    waits = result.write_latency_s
    if waits.size:
        words = f"p50 {1e9 * float(np.median(waits)):,.0f}, max {1e9 * float(waits.max()):,.0f} ns"
        pairs.append(("write waits", f"{words}, until its command"))
    if result.energy_j:
        pairs.append(("energy", f"{1e12 * result.energy_per_bit_j:.2f} pJ/bit, "
                                f"{format_si(sum(result.energy_j.values()), 'J')}"))  # fmt: skip
        pairs.append(("power", f"{format_si(result.average_power_w, 'W')}, mean"))
    words = f"{share(setting.refresh_bound)} of the peak"
    if setting.controller.refresh == "all-bank":
        pairs.insert(2, ("  refresh bound", f"{words} (1 - tRFC / tREFI)"))
    return pairs


def _row_words(result: DramResult) -> str:
    counts = (
        ("hits", result.row_hits), ("misses", result.row_misses),
        ("conflicts", result.row_conflicts),
    )  # fmt: skip
    return f"{share(result.row_hit_rate)} hits: " + ", ".join(f"{n:,} {word}" for word, n in counts)


def _latency_words(result: DramResult) -> str:
    percents = (("p50", 50), ("p90", 90), ("p99", 99), ("max", 100))
    found = [f"{name} {nanoseconds(result.read_latency_percentile_s(p))}" for name, p in percents]
    return ", ".join(found) + " ns in the controller and the memory"


def commands_table(result: DramResult) -> Table:
    """Commands that were issued, and how often."""
    used = [(name, count) for name, count in result.commands.items() if count]
    rows = tuple(
        (name, COMMAND_WORDS.get(name, ""), f"{count:,}",
         f"{1e3 * count / result.transactions:.4g}")
        for name, count in used
    )  # fmt: skip
    columns = (
        Column("command"), Column("meaning", rank=1), Column("count", right=True),
        Column("per 1000 bursts", right=True),
    )  # fmt: skip
    return Table("Commands", columns, rows)


def energy_table(result: DramResult) -> Table:
    """Energy by kind; without rows where the memory states none."""
    total = sum(result.energy_j.values())
    bits = 8 * result.bytes_moved
    rows = [
        (kind, format_si(joules, "J"), f"{1e12 * joules / bits:.3f}", share(joules / total))
        for kind, joules in result.energy_j.items()
    ]
    if rows:
        rows.append(("total", format_si(total, "J"), f"{1e12 * total / bits:.3f}", share(1.0)))
    columns = (
        Column("energy"), Column("in all", right=True), Column("pJ/bit", right=True),
        Column("share", right=True),
    )  # fmt: skip
    return Table("Energy of the devices", columns, tuple(rows), (len(rows) - 1,) if rows else ())


def value_words(name: str, value: float) -> str:
    """Write a point of a sweep as its axis does."""
    if name in ("stride", "block"):
        return f"{value / 1024:g} KiB" if value >= 1024 else f"{value:g} B"
    return f"{100 * value:g} %" if name == "read-share" else f"{value:g}"


def sweep_table(sweeps: Sequence[DramSweep]) -> Table:
    """One row per point; several address maps stand below each other."""
    rows: list[tuple[str, ...]] = []
    breaks = []
    for sweep in sweeps:
        breaks.append(len(rows))
        rows += [
            (sweep.setting.controller.address_map, value_words(sweep.name, value), *_cells(result))
            for value, result in zip(sweep.values, sweep.results, strict=True)
        ]
    title = SWEEPS[sweeps[0].name].title
    columns = (
        Column("map"), Column(title, right=True), Column("GB/s", right=True),
        Column("of peak", right=True), Column("row hits", right=True),
        Column("p50 ns", right=True, rank=1), Column("p99 ns", right=True, rank=1),
        Column("pJ/bit", right=True, rank=2),
    )  # fmt: skip
    heading = f"Bandwidth by {title}: {setting_words(sweeps[0].setting)}"
    if len(sweeps) == 1:
        return Table(heading, columns[1:], tuple(row[1:] for row in rows))
    return Table(heading.partition(", map ")[0], columns, tuple(rows), tuple(breaks[1:]))


def _cells(result: DramResult) -> tuple[str, ...]:
    energy = f"{1e12 * result.energy_per_bit_j:.2f}" if result.energy_j else "-"
    return (
        gigabytes(result.bandwidth_bytes_per_s), share(result.bandwidth_fraction),
        share(result.row_hit_rate), nanoseconds(result.read_latency_percentile_s(50)),
        nanoseconds(result.read_latency_percentile_s(99)), energy,
    )  # fmt: skip
