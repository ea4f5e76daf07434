"""A chip, system or memory in tables and plain data: derived figures first, then every value."""

from __future__ import annotations

import contextlib
from dataclasses import asdict
from typing import Any

from accelsim.arch.arithmetic import family_name
from accelsim.arch.chip import Chip
from accelsim.arch.dram_timing import Timings, clock_period_s, resolved_cycles, timing_origins
from accelsim.arch.fields import Section
from accelsim.arch.memory import MemorySpec
from accelsim.arch.memory_rates import known_rates
from accelsim.arch.provenance import Provenance
from accelsim.arch.system import System
from accelsim.arithmetic import (
    FP32_FRACTION_BITS,
    Chain,
    FusedSum,
    IntegerSum,
    MatrixArithmetic,
    PairwiseSum,
    SumFamily,
    TwoStageSum,
)
from accelsim.errors import MappingError
from accelsim.report.tables import Column, Table, pairs_table
from accelsim.report.words import percent, rate
from accelsim.units import format_si


def chip_data(chip: Chip) -> dict[str, Any]:
    """Plain data of ``accelsim show CHIP --json``: derived values, calibration, every value."""
    spec = chip.spec
    return {
        "kind": "chip", "name": chip.name, "title": spec.title, "vendor": spec.vendor,
        "chip_kind": spec.kind, "year": spec.year, "path": chip.path, "derived": derived(chip),
        "calibration": {**asdict(chip.calibration), "memory_efficiency": chip.memory_efficiency},
        "memory_rates": asdict(chip.memory_rates) if chip.memory_rates else None,
        "arithmetic": _arithmetic_data(chip),
        "values": [asdict(row) for row in chip.provenance], "sources": dict(spec.sources),
    }  # fmt: skip


def derived(chip: Chip) -> dict[str, Any]:
    """What follows from the spec of a chip (SI units, per direction for links)."""
    return {
        "peak_flop_per_s": {name: chip.peak_flop_per_s(name) for name in chip.dtypes},
        "ridge_flop_per_byte": {name: chip.ridge_flop_per_byte(name) for name in chip.dtypes},
        "vector_flop_per_s": chip.vector_flop_per_s(),
        "special_per_s": chip.special_per_s,
        "capacity_bytes": chip.capacity_bytes,
        "bandwidth_bytes_per_s": chip.bandwidth_bytes_per_s,
        "sustained_read_bytes_per_s": chip.transfers.read_bytes_per_s,
        "on_chip_bytes": chip.on_chip_bytes,
        "link_bandwidth_bytes_per_s": chip.link_bandwidth_bytes_per_s(),
    }


def chip_tables(chip: Chip) -> tuple[Table, ...]:
    """Tables of ``accelsim show CHIP``."""
    return (
        _overview(chip),
        _peaks(chip),
        _arithmetic(chip),
        _calibration(chip),
        provenance_table(chip.provenance),
        sources_table(chip.source_texts),
    )


def _overview(chip: Chip) -> Table:
    spec = chip.spec
    memory = chip.memory.title if chip.memory else spec.memory.type
    tdp = format_si(spec.power.tdp_w, "W") if spec.power.tdp_w else "not published"
    links = chip.link_bandwidth_bytes_per_s()
    pairs = [
        ("chip", f"{spec.title} ({spec.kind}, {spec.vendor} {spec.year})"),
        ("cores", f"{spec.cores} x {spec.core.name} at {format_si(spec.clock_hz, 'Hz', 4)}"),
        ("main memory", f"{format_si(chip.capacity_bytes, 'B')} of {memory}"),
        ("memory bandwidth", format_si(chip.bandwidth_bytes_per_s, "B/s")),
        ("on-chip memory", format_si(chip.on_chip_bytes, "B")),
        ("vector fp32", format_si(chip.vector_flop_per_s(), "FLOP/s")),
        ("special functions", f"{format_si(chip.special_per_s, 'op/s')}"),
        ("links, per direction", format_si(links, "B/s") if links else "none"),
        ("design power", tdp),
    ]
    return pairs_table(chip.name, tuple(pairs))


def _peaks(chip: Chip) -> Table:
    rows = tuple(
        (
            name,
            rate(chip.peak_flop_per_s(name), name),
            f"{chip.ridge_flop_per_byte(name):.4g} FLOP/B",
            _published(chip, name),
            "matrix unit" if chip.matrix_unit(name) else "vector lanes",
        )
        for name in chip.dtypes
    )
    columns = (
        Column("dtype"), Column("dense peak", right=True), Column("ridge point", right=True),
        Column("datasheet", right=True), Column("runs on"),
    )  # fmt: skip
    return Table("Matmul peaks, derived from the spec", columns, rows)


def _published(chip: Chip, name: str) -> str:
    value = chip.spec.published_peaks.get(name)
    return rate(value, name) if value else "-"


def _calibration(chip: Chip) -> Table:
    inherited = asdict(chip.calibration)
    family = inherited.pop("family")
    rows = []
    for name, value in inherited.items():
        origin, shown = f"family {family}", value
        if getattr(chip.spec.calibration, name) is not None:
            origin = "this chip"
        elif value is None:
            known = chip.memory_rates is not None
            origin = "bank model of its memory" if known else "file of its memory"
            shown = chip.memory_efficiency
        text = percent(shown) if name.endswith("efficiency") else format_si(shown, "s")
        rows.append((name.removesuffix("_s").replace("_", " "), text, origin))
        if name == "memory_efficiency" and chip.memory_rates is not None:
            reads = chip.transfers.read_bytes_per_s / chip.bandwidth_bytes_per_s
            rows.append(("  of reads alone", percent(reads), "follows; above: 2 reads to a write"))
    columns = (Column("scalar"), Column("value", right=True), Column("set by"))
    return Table("Calibration in force", columns, tuple(rows))


def _matrix_arithmetic(chip: Chip) -> dict[str, MatrixArithmetic]:
    """Arithmetic by dtype; without the dtypes of which the spec does not say it."""
    stated: dict[str, MatrixArithmetic] = {}
    for name in chip.dtypes:
        with contextlib.suppress(MappingError):
            stated[name] = chip.matrix_arithmetic(name)
    return stated


def _arithmetic_data(chip: Chip) -> dict[str, Any]:
    return {
        name: {"operand": a.operand, "family": family_name(a.sums), **asdict(a.sums),
               "output": a.output}
        for name, a in _matrix_arithmetic(chip).items()
    }  # fmt: skip


def _arithmetic(chip: Chip) -> Table:
    rows = tuple(
        (name, a.operand, family_name(a.sums).replace("_", " "), sum_words(a.sums), a.output)
        for name, a in _matrix_arithmetic(chip).items()
    )
    columns = (
        Column("dtype"), Column("operands"), Column("family"), Column("sums", rank=1),
        Column("accumulator"),
    )  # fmt: skip
    return Table("Matrix-unit arithmetic", columns, rows)


def sum_words(sums: SumFamily) -> str:
    """Describe how products are added, in one clause."""
    match sums:
        case Chain(fused=fused, fold=fold):
            words = "k ascending" + ("" if fused else ", products rounded")
            words += f", {fold} from zero and then to the accumulator" if fold else ""
        case FusedSum(block=block, alignment_bits=bits, group=group):
            words = f"{block} aligned to {bits} bits"
            words += f", exact in groups of {group}" if group > 1 else ""
            kept = sums.output_fraction_bits
            words += "" if kept == FP32_FRACTION_BITS else f", {kept} bits kept"
        case PairwiseSum(group=group):
            words = f"trees of {group}"
        case TwoStageSum(group=group, product_bits=bits):
            words = f"{group} aligned to {bits} bits"
            words += ", even and odd k apart" if sums.interleaved else ""
            words += f", then sum to {sums.sum_bits} and accumulator to {sums.accumulator_bits}"
        case IntegerSum(saturate=saturate):
            words = "exact, saturating" if saturate else "exact, wrapping"
    if isinstance(sums, Chain | PairwiseSum) and sums.flush_subnormals:
        words += ", subnormals flushed"
    return words


def provenance_table(rows: tuple[Provenance, ...]) -> Table:
    """Where every value of a spec comes from."""
    columns = (
        Column("path"), Column("value"), Column("status"), Column("basis", rank=1),
        Column("source"), Column("note", rank=2),
    )  # fmt: skip
    cells = tuple((r.path, r.text, r.status, r.basis, r.source, r.note) for r in rows)
    return Table("Every value and where it comes from", columns, cells)


def sources_table(texts: tuple[str, ...]) -> Table:
    """Sources by key."""
    split = (text.partition(": ") for text in texts)
    rows = tuple((key, rest) for key, _, rest in split)
    return Table("Sources", (Column("key"), Column("source")), rows)


def system_data(system: System) -> dict[str, Any]:
    """Plain data of ``accelsim show SYSTEM --json``."""
    return {
        "kind": "system", "name": system.name, "title": system.title, "chips": system.chips,
        "chip": system.chip.name,
        "levels": [level.model_dump(exclude_none=True) for level in system.levels],
        "derived": _system_totals(system), "chip_derived": derived(system.chip),
        "sources": dict(text.partition(": ")[::2] for text in system.sources),
    }  # fmt: skip


def _system_totals(system: System) -> dict[str, Any]:
    chip, count = system.chip, system.chips
    return {
        "capacity_bytes": count * chip.capacity_bytes,
        "bandwidth_bytes_per_s": count * chip.bandwidth_bytes_per_s,
        "peak_flop_per_s": {name: count * chip.peak_flop_per_s(name) for name in chip.dtypes},
    }


def system_tables(system: System) -> tuple[Table, ...]:
    """Tables of ``accelsim show SYSTEM``."""
    totals = _system_totals(system)
    pairs = [
        ("system", system.title),
        ("chips", f"{system.chips} x {system.chip.name} ({system.chip.spec.title})"),
        ("main memory, all chips", format_si(totals["capacity_bytes"], "B")),
        ("memory bandwidth, all chips", format_si(totals["bandwidth_bytes_per_s"], "B/s")),
    ]
    peaks = totals["peak_flop_per_s"]
    pairs += [(f"{n} peak, all chips", rate(peak, n)) for n, peak in peaks.items()]
    rows = tuple(
        (
            level.name,
            level.topology,
            " x ".join(map(str, level.shape)),
            format_si(level.bandwidth_bytes_per_s, "B/s"),
            format_si(level.latency_s, "s"),
        )
        for level in system.levels
    )
    columns = (
        Column("level"), Column("topology"), Column("members"),
        Column("bandwidth of a chip, per direction", right=True), Column("hop latency", right=True),
    )  # fmt: skip
    return (
        pairs_table(system.name, tuple(pairs)),
        Table("Network, innermost level first", columns, rows),
        sources_table(system.sources),
    )


def memory_data(memory: MemorySpec) -> dict[str, Any]:
    """Plain data of ``accelsim show MEMORY --json``: derived values, timings, every value."""
    fields = memory.model_dump(exclude_none=True, exclude={"timing"})
    derived = {
        "bandwidth_bytes_per_s": memory.bandwidth_bytes_per_s,
        "bus_bits": memory.bus_bits,
        "banks": memory.banks,
        "rows_per_bank": memory.rows_per_bank if memory.capacity_bytes else None,
    }
    data = {"kind": "memory", **fields, "derived": derived}
    if memory.timing is not None:
        data["timing"] = _timing_data(memory, memory.timing)
    return data


def _timing_data(memory: MemorySpec, timing: Timings) -> dict[str, Any]:
    cycles, origins = resolved_cycles(memory), timing_origins(memory)
    period_s = clock_period_s(memory)
    return {
        "source": timing.source, "status": timing.status, "note": timing.note,
        "clock_period_s": period_s,
        "burst_cycles": cycles["nBL"],
        "parameters": {
            name: {"stated": origin, "cycles": cycles[f"n{name[1:]}"],
                   "time_s": cycles[f"n{name[1:]}"] * period_s}
            for name, origin in origins.items()
        },
    }  # fmt: skip


def memory_tables(memory: MemorySpec) -> tuple[Table, ...]:
    """Tables of ``accelsim show MEMORY``."""
    texts = tuple(f"{key}: {text}" for key, text in memory.sources.items())
    tables = [pairs_table(memory.name, (*_memory_organisation(memory), *_memory_energy(memory)))]
    if memory.timing is not None:
        tables.append(_timing_table(memory, memory.timing))
    return (*tables, sources_table(texts))


def _memory_organisation(memory: MemorySpec) -> tuple[tuple[str, str], ...]:
    capacity = memory.capacity_bytes
    channels = f"{memory.channels} x {memory.pseudo_channels} pseudo-channels"
    banks = f"{memory.bank_groups} groups x {memory.banks_per_group}"
    if memory.stack_ids > 1:
        banks = f"{memory.stack_ids} stack ids x {banks}"
    return (
        ("memory", f"{memory.title} ({memory.standard})"),
        ("data rate of a pin", format_si(8 * memory.pin_rate_bytes_per_s, "b/s")),
        ("width of a device", f"{memory.device_bits} bits"),
        ("peak bandwidth of a device", format_si(memory.bandwidth_bytes_per_s, "B/s")),
        *_sustained(memory),
        ("capacity of a device", _binary_size(capacity) if capacity else "varies"),
        ("channels", f"{channels} of {memory.bus_bits} bits"),
        ("ranks", str(memory.ranks)),
        ("banks of a pseudo-channel", f"{memory.banks}: {banks}"),
        ("rows of a bank", str(memory.rows_per_bank) if capacity else "varies"),
        ("row buffer", _binary_size(memory.page_bytes)),
        ("one access", _binary_size(memory.access_bytes)),
        ("timing is", _remark(memory.timing, memory)),
    )


def _sustained(memory: MemorySpec) -> tuple[tuple[str, str], ...]:
    """What the bank model, or the file, says of long transfers."""
    rates = known_rates(memory)
    if rates is None:
        stated = memory.streaming_efficiency
        return (("sustained by long transfers", percent(stated) if stated else "not known yet"),)
    return (
        ("sustained by reads", f"{percent(rates.read)} of it, bank model"),
        ("sustained by copies", f"{percent(rates.share(0.5))} of it, bank model"),
        ("sustained by random 64 B", f"{percent(rates.random_share(64))} of it, bank model"),
    )


def _remark(section: Section | None, whole: Section) -> str:
    """How the values of a section are known, as it or its file says."""
    if section is None:
        return "not stated"
    status = section.status or whole.status or "published"
    return "; ".join(filter(None, (status, section.note)))


def _memory_energy(memory: MemorySpec) -> tuple[tuple[str, str], ...]:
    streaming = (
        ("read energy, streaming", _per_bit(memory.read_energy_j_per_byte)),
        ("write energy, streaming", _per_bit(memory.write_energy_j_per_byte)),
    )
    parts = memory.command_energy
    if parts is None:
        return streaming
    return (
        *streaming,
        ("activate and precharge a row", format_si(parts.activate_j, "J")),
        ("read column access", _per_bit(parts.read_j_per_byte)),
        ("write column access", _per_bit(parts.write_j_per_byte)),
        ("I/O", _per_bit(parts.io_j_per_byte)),
        ("refresh all banks", format_si(parts.refresh_j, "J")),
        ("standby, rows closed", format_si(parts.standby_w, "W")),
        ("standby, rows open", format_si(parts.active_standby_w, "W")),
        ("energies of commands are", _remark(parts, memory)),
    )


def _binary_size(size_bytes: float) -> str:
    """Write a size as DRAM has it, in powers of 1024."""
    steps = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))
    scale, unit = next((step for step in steps if size_bytes >= step[0]), (1, "B"))
    return f"{size_bytes / scale:.6g} {unit}"


def _per_bit(energy_j_per_byte: float) -> str:
    return f"{format_si(energy_j_per_byte / 8, 'J')}/bit"


def _timing_table(memory: MemorySpec, timing: Timings) -> Table:
    data = _timing_data(memory, timing)
    rows = tuple(
        (name, str(Timings.model_fields[name].description), value["stated"],
         str(value["cycles"]), f"{value['time_s'] * 1e9:.4g}")
        for name, value in data["parameters"].items()
    )  # fmt: skip
    columns = (
        Column("parameter"), Column("meaning", rank=1), Column("stated"),
        Column("nCK", right=True), Column("ns", right=True),
    )  # fmt: skip
    title = f"Timing at tCK = {data['clock_period_s'] * 1e9:.4g} ns, burst of "
    return Table(f"{title}{data['burst_cycles']} nCK", columns, rows)
