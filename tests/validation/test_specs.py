"""Are the packaged specs complete, sourced, and equal to what was published?"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from accelsim.arch.chip import Chip
from accelsim.arch.loader import load_chip, load_memory, load_system, spec_files
from accelsim.arch.provenance import UNSOURCED, Provenance
from accelsim.arch.raw import read_raw
from accelsim.arch.schema import TensorCoreUnit

CHIPS = tuple(spec_files("chip"))
SYSTEMS = tuple(spec_files("system"))
MEMORIES = tuple(spec_files("memory"))

_CONTRACT_CHIPS = """
tpu_v1 tpu_v2 tpu_v3 tpu_v4 tpu_v4i tpu_v5e tpu_v5p tpu_v6e tpu_v7
p100_pcie p4 v100_sxm v100_pcie t4 a100_sxm_40gb a100_sxm_80gb a100_pcie_40gb a100_pcie_80gb a40
a6000 rtx3090 rtx4090 rtx_pro_6000 l4 l40s h100_sxm h100_pcie h200_sxm b200_sxm gb200 b300_sxm orin
mi100 mi210 mi250x mi300x mi325x mi355x gaudi2 gaudi3 trainium1 trainium2 inferentia2
groq_tsp wse2 wse3 ipu_mk2 sn40l wormhole blackhole mtia_v2 maia100
alveo_u280 vck190 edge_tpu xeon_8480 epyc_9654
"""
CONTRACT_CHIPS = _CONTRACT_CHIPS.split()

CONTRACT_SYSTEMS = {
    "dgx_a100": 8,
    "dgx_h100": 8,
    "dgx_h200": 8,
    "dgx_b200": 8,
    "gb200_nvl72": 72,
    "tpu_v4_4x4x4": 64,
    "tpu_v5e_4x4": 16,
}


# --- complete and sourced


@pytest.mark.parametrize("name", CONTRACT_CHIPS)
def test_the_contracts_chips_are_there(name: str) -> None:
    assert name in CHIPS, f"write arch_specs/chips/{name}.yaml"


@pytest.mark.parametrize("name", CONTRACT_SYSTEMS)
def test_the_contracts_systems_are_there(name: str) -> None:
    assert name in SYSTEMS, f"write arch_specs/systems/{name}.yaml"
    assert load_system(name).chips == CONTRACT_SYSTEMS[name]


def unsourced(rows: tuple[Provenance, ...]) -> list[str]:
    return [row.path for row in rows if row.source == UNSOURCED and row.status != "invented"]


def values_of(name: str, kind: str) -> tuple[Provenance, ...]:
    """The values of a memory or system with what it inherits; only chips keep theirs."""
    return read_raw(name, kind).provenance


def unexplained(rows: tuple[Provenance, ...]) -> list[str]:
    return [row.path for row in rows if row.status == "estimated" and not row.note]


@pytest.mark.parametrize("name", CHIPS)
def test_a_chip_loads_with_a_source_for_every_value(name: str) -> None:
    chip = load_chip(name)
    assert chip.name == name, f"the file {name}.yaml names its chip {chip.name}"
    assert unsourced(chip.provenance) == []
    assert unexplained(chip.provenance) == []


@pytest.mark.parametrize("name", MEMORIES)
def test_a_memory_loads_with_a_source_for_every_value(name: str) -> None:
    assert load_memory(name).name == name
    assert unsourced(values_of(name, "memory")) == []


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_system_loads_with_a_source_for_every_value(name: str) -> None:
    assert load_system(name).name == name
    assert unsourced(values_of(name, "system")) == []


# --- consistent with themselves

# Chips whose maker states no dense peak with at least two digits: nothing to check against.
NO_DENSE_PEAK = {
    "wse2": "AI peaks that count skipped zeros",
    "wse3": "AI peaks that count skipped zeros",
    "epyc_9654": "no matmul peak of any kind",
    "edge_tpu": "4 TOPS, one digit",
}


def is_invented(chip: Chip) -> bool:
    return all(row.status == "invented" for row in chip.provenance if row.path == "clock")


def test_designs_for_teaching_are_there() -> None:
    assert sum(is_invented(load_chip(name)) for name in CHIPS) >= 3


@pytest.mark.parametrize("name", CHIPS)
def test_derived_peaks_match_the_datasheets(name: str) -> None:
    chip = load_chip(name)
    assert chip.spec.published_peaks or is_invented(chip) or name in NO_DENSE_PEAK, (
        f"{name}: state published_peaks, or say in NO_DENSE_PEAK why there is none"
    )
    for dtype, published in chip.spec.published_peaks.items():
        error = chip.peak_flop_per_s(dtype) / published - 1
        assert abs(error) <= 0.015, (
            f"{name} {dtype}: units x clock give {chip.peak_flop_per_s(dtype):.5g} FLOP/s, "
            f"published_peaks says {published:.5g} ({error:+.1%}): is the clock the one at which "
            "the peak holds, and is the peak dense?"
        )


@pytest.mark.parametrize("name", CHIPS)
def test_published_peaks_are_dense(name: str) -> None:
    rows = [row for row in load_chip(name).provenance if row.path.startswith("published_peaks")]
    assert [row.path for row in rows if row.basis == "sparse"] == []


def has_own_note(name: str, field: str) -> bool:
    """Tell whether a value of the memory has a note to itself, not one of its whole file."""
    value = read_raw(name, "chip").document.tree["memory"].get(field)
    return isinstance(value, dict) and bool(value.get("note"))


@pytest.mark.parametrize("name", CHIPS)
def test_memory_bandwidth_follows_from_its_stacks(name: str) -> None:
    chip = load_chip(name)
    if chip.memory is None:
        return  # on-chip memory, or the host's
    noted = has_own_note(name, "bandwidth") or has_own_note(name, "stacks")
    assert chip.spec.memory.stacks, f"{name}: state memory.stacks"
    derived = chip.spec.memory.stacks * chip.memory.bandwidth_bytes_per_s
    error = chip.bandwidth_bytes_per_s / derived - 1
    assert abs(error) <= (0.20 if noted else 0.05), (
        f"{name}: memory.bandwidth is {error:+.1%} from {chip.spec.memory.stacks} x "
        f"{chip.memory.name} = {derived:.4g} B/s: use another speed grade, or explain in a note"
    )


@pytest.mark.parametrize("name", CHIPS)
def test_dram_capacity_is_whole_gib(name: str) -> None:
    """DRAM devices hold powers of two; a decimal GB in its place is 7 % too little."""
    chip = load_chip(name)
    if chip.memory is None or has_own_note(name, "capacity"):
        return
    gib = chip.capacity_bytes / 2**30
    assert gib == pytest.approx(round(gib), rel=1e-9), f"{name}: {gib:.2f} GiB; say why in a note"


@pytest.mark.parametrize("name", CHIPS)
def test_sizes_are_plausible(name: str) -> None:
    # Orders of magnitude: a slipped prefix or a bit taken for a byte fails here.
    chip = load_chip(name)
    best = max(chip.peak_flop_per_s(dtype) for dtype in chip.dtypes)
    assert 1e9 < best < 1e18
    assert 1e8 < chip.bandwidth_bytes_per_s < 1e17
    assert 1e3 < chip.on_chip_bytes < 1e11
    assert 1e-3 < best / chip.vector_flop_per_s() < 1e4
    if chip.spec.power.tdp_w:
        assert 0.1 < chip.spec.power.tdp_w < 5e4
        assert best / chip.spec.power.tdp_w < 2e13, "more than 20 TFLOP/J"


# --- equal to what was published


@dataclass(frozen=True)
class Published:
    """Dense matmul peak and memory bandwidth as published, with the place."""

    chip: str
    dtype: str
    peak_flop_per_s: float
    memory_bytes_per_s: float
    source: str


ISCA17 = "Jouppi et al., ISCA 2017, arXiv 1704.04760, section 2 and table 2"
ISCA21 = "Jouppi et al., Ten Lessons, ISCA 2021, table 1"
ISCA23 = "Jouppi et al., TPU v4, ISCA 2023, arXiv 2304.01433, table 4"
TPU_DOCS = "Cloud TPU documentation, system architecture, page of the generation"
NVIDIA = "NVIDIA data sheet of the product"
AMD = "AMD Instinct data sheet of the product"

PUBLISHED = [
    Published("tpu_v1", "int8", 92e12, 34e9, ISCA17),
    Published("tpu_v2", "bf16", 46e12, 700e9, ISCA21),
    Published("tpu_v3", "bf16", 123e12, 900e9, ISCA23),
    Published("tpu_v4", "bf16", 275e12, 1200e9, ISCA23),
    Published("tpu_v4i", "bf16", 138e12, 614e9, ISCA21),
    Published("tpu_v5e", "bf16", 197e12, 819e9, TPU_DOCS),
    Published("tpu_v5p", "bf16", 459e12, 2765e9, TPU_DOCS),
    Published("tpu_v6e", "bf16", 918e12, 1638e9, TPU_DOCS),
    Published("tpu_v7", "bf16", 2307e12, 7370e9, TPU_DOCS),
    Published("p100_pcie", "fp16", 18.7e12, 732e9, NVIDIA),
    Published("v100_sxm", "fp16", 125e12, 900e9, NVIDIA),
    Published("v100_pcie", "fp16", 112e12, 900e9, NVIDIA),
    Published("t4", "fp16", 65e12, 320e9, NVIDIA),
    Published("a100_sxm_40gb", "bf16", 312e12, 1555e9, NVIDIA),
    Published("a100_sxm_80gb", "bf16", 312e12, 2039e9, NVIDIA),
    Published("a100_pcie_80gb", "bf16", 312e12, 1935e9, NVIDIA),
    Published("a40", "bf16", 149.7e12, 696e9, NVIDIA),
    Published("l4", "bf16", 121e12, 300e9, NVIDIA),
    Published("l40s", "bf16", 362e12, 864e9, NVIDIA),
    Published("h100_sxm", "bf16", 989.4e12, 3.35e12, NVIDIA),
    Published("h100_sxm", "fp8", 1978.9e12, 3.35e12, NVIDIA),
    Published("h100_pcie", "bf16", 756e12, 2.0e12, NVIDIA),
    Published("h200_sxm", "bf16", 989.4e12, 4.8e12, NVIDIA),
    Published("mi210", "bf16", 181e12, 1638e9, AMD),
    Published("mi250x", "bf16", 383e12, 3277e9, AMD),
    Published("mi300x", "bf16", 1307.4e12, 5.3e12, AMD),
    Published("mi325x", "bf16", 1307.4e12, 6.0e12, AMD),
    Published("mi355x", "bf16", 2516.6e12, 8.0e12, AMD),
    Published("gaudi2", "bf16", 432e12, 2.46e12, "Intel Gaudi 3 white paper, comparison table"),
    Published("gaudi3", "bf16", 1835e12, 3.7e12, "Intel Gaudi 3 white paper, Hot Chips 2024"),
    # Per engine; the chip pages print 190 and 667 TFLOP/s, which no clock of the engines gives.
    Published("trainium1", "bf16", 2 * 92e12, 820e9, "AWS Neuron documentation, NKI guide"),
    Published("trainium2", "bf16", 8 * 79e12, 2.9e12, "AWS Neuron documentation, NKI guide"),
]


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: f"{row.chip}-{row.dtype}")
def test_peak_and_bandwidth(row: Published) -> None:
    chip = load_chip(row.chip)
    errors = {
        "peak": chip.peak_flop_per_s(row.dtype) / row.peak_flop_per_s - 1,
        "bandwidth": chip.bandwidth_bytes_per_s / row.memory_bytes_per_s - 1,
    }
    # 2.5 %: what is lost where a source rounds to two digits (TPU v4: 1.2 TB/s for 1228 GB/s).
    wrong = {name: f"{error:+.1%}" for name, error in errors.items() if abs(error) > 0.025}
    assert not wrong, f"{row.chip} {row.dtype} against {row.source}: {wrong}"


RIDGES = [
    # (chip, dtype, FLOP per byte of main memory, tolerance, source)
    ("h100_sxm", "bf16", 989.4e12 / 3.35e12, 0.005, "H100 data sheet: 989.4 TFLOP/s, 3.35 TB/s"),
    ("a100_sxm_80gb", "bf16", 312e12 / 2039e9, 0.01, "A100 data sheet: 312 TFLOP/s, 2039 GB/s"),
    ("v100_sxm", "fp16", 138.9, 0.01, "NVIDIA, GPU performance background user's guide: 138.9"),
    ("tpu_v1", "int8", 2 * 1350, 0.01, "Jouppi et al. 2017, section 4: 1350 MAC per byte"),
    ("tpu_v5e", "bf16", 240, 0.01, "Austin et al., How to Scale Your Model, 2025: 240"),
]


@pytest.mark.parametrize(
    ("name", "dtype", "published", "tolerance", "source"), RIDGES, ids=[row[0] for row in RIDGES]
)
def test_ridge_points(
    name: str, dtype: str, published: float, tolerance: float, source: str
) -> None:
    ridge = load_chip(name).ridge_flop_per_byte(dtype)
    error = ridge / published - 1
    assert abs(error) <= tolerance, f"{ridge:.1f} FLOP/B, {error:+.1%} from {source}"


def test_h100_ridge_point_is_295() -> None:
    assert round(load_chip("h100_sxm").ridge_flop_per_byte("bf16")) == 295


# --- equal to the collected facts

FACT_NAMES = {
    "TPU v1": "tpu_v1", "TPU v2": "tpu_v2", "TPU v3": "tpu_v3", "TPU v4": "tpu_v4",
    "TPU v4i": "tpu_v4i", "TPU v5e": "tpu_v5e", "TPU v5p": "tpu_v5p",
    "TPU v6e (Trillium)": "tpu_v6e", "TPU v7 (Ironwood, TPU7x)": "tpu_v7",
    "V100 SXM2": "v100_sxm", "T4": "t4", "A100 40GB SXM": "a100_sxm_40gb",
    "A100 80GB SXM": "a100_sxm_80gb", "A40": "a40", "L4": "l4", "L40S": "l40s",
    "H100 SXM5": "h100_sxm", "H100 PCIe": "h100_pcie", "H200 SXM": "h200_sxm",
    "B200 SXM (HGX)": "b200_sxm", "GB200 (per GPU)": "gb200", "RTX 4090": "rtx4090",
    "MI210": "mi210", "MI250X": "mi250x", "MI300X": "mi300x", "MI325X": "mi325x",
    "MI355X": "mi355x", "Gaudi 2": "gaudi2", "Gaudi 3": "gaudi3", "Trainium 1": "trainium1",
    "Inferentia 2": "inferentia2", "Trainium 2": "trainium2", "Meta MTIA v2": "mtia_v2",
    "Microsoft Maia 100": "maia100", "P100 SXM2": "p100_sxm", "B300 (HGX)": "b300_sxm",
    "Jetson AGX Orin 64GB": "orin", "Groq LPU v1 (TSP)": "groq_tsp", "Cerebras WSE-2": "wse2",
    "Cerebras WSE-3": "wse3", "Graphcore IPU Mk2 (GC200)": "ipu_mk2", "SambaNova SN40L": "sn40l",
    "Tenstorrent Wormhole n300": "wormhole", "Tenstorrent Blackhole p150": "blackhole",
    "Alveo U280": "alveo_u280", "Versal VCK190 (VC1902)": "vck190", "Edge TPU": "edge_tpu",
    "Xeon Platinum 8480+ (SPR, AMX)": "xeon_8480", "EPYC 9654 (Genoa)": "epyc_9654",
}  # fmt: skip


# Where the collected figure is not the one to follow.
_NEURON = "the chip page; cores x the engines' own peak at their own clock is lower"
_N300 = "the n300 card, two chips with 64 of their cores each; the spec is the n150, one with 72"
_FP16_ACCUMULATION = "with fp16 accumulation; half of it with fp32 (Ada whitepaper)"
OTHER_FACTS = {
    ("maia100", "bf16_TF"): "printed as 0.8 PFLOP/s; the 9-bit and 6-bit rates give 0.75",
    ("rtx4090", "fp16_TF"): _FP16_ACCUMULATION,
    ("rtx4090", "fp8_TF"): _FP16_ACCUMULATION,
    ("trainium1", "bf16_TF"): _NEURON,
    ("trainium1", "fp16_TF"): _NEURON,
    ("inferentia2", "bf16_TF"): _NEURON,
    ("inferentia2", "fp16_TF"): _NEURON,
    ("trainium2", "bf16_TF"): _NEURON,
    ("trainium2", "fp16_TF"): _NEURON,
    ("trainium2", "fp8_TF"): _NEURON,
    ("gb200", "mem_GB"): "sold as 186 GB; 189471 MiB are 185 GiB",
    ("b300_sxm", "mem_GB"): "sold as 270 GB; 275040 MiB are 268.6 GiB",
    ("b300_sxm", "int8_TOPS"): "vector lanes boosted to 2.08 GHz; 140.6 at the spec's 1856 MHz",
    ("blackhole", "fp16_TF"): "two passes, which drop mantissa bits; the spec counts all four",
    **{("wormhole", column): _N300 for column in ("mem_GB", "mem_GBps", "tdp_W")},
    **{("wormhole", column): _N300 for column in ("bf16_TF", "fp16_TF", "fp8_TF")},
}

# The column of capacities means GiB, as DRAM is built and as ROCm, aiconfigurator and the TPU pages
# say it; only these makers count on-chip memory in powers of ten.
DECIMAL_CAPACITY = {"groq_tsp", "wse2", "wse3"}


def plain_number(text: str) -> float:
    """A cell that is one number; a cell with a remark is NaN and not compared."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def prints_as(chip: Chip, text: str) -> bool:
    """Tell whether the capacity, rounded to the digits of a cell, is what the cell says."""
    printed = plain_number(text)
    capacity = chip.capacity_bytes / (1e9 if chip.name in DECIMAL_CAPACITY else 2**30)
    return math.isnan(printed) or round(capacity, len(text.partition(".")[2])) == printed


def differences(name: str, row: dict[str, Any]) -> dict[str, str]:
    chip = load_chip(name)
    ours = {
        "mem_GBps": chip.bandwidth_bytes_per_s / 1e9,
        "tdp_W": chip.spec.power.tdp_w or math.nan,
        "die_area_mm2": ((chip.spec.die and chip.spec.die.area_m2) or math.nan) * 1e6,
    }
    peaks = {"bf16_TF": "bf16", "fp16_TF": "fp16", "fp8_TF": "fp8", "int8_TOPS": "int8"}
    rates = {col: chip.peak_flop_per_s(d) / 1e12 for col, d in peaks.items() if d in chip.dtypes}
    errors = {col: value / plain_number(row[col]) - 1 for col, value in {**ours, **rates}.items()}
    found = {col: f"{error:+.1%}" for col, error in errors.items() if abs(error) > 0.025}
    if not prints_as(chip, row["mem_GB"]):
        found["mem_GB"] = f"{chip.capacity_bytes / 2**30:.4g} GiB, not {row['mem_GB']}"
    return {col: text for col, text in found.items() if (name, col) not in OTHER_FACTS}


@pytest.mark.shared
@pytest.mark.parametrize("fact", FACT_NAMES)
def test_specs_agree_with_the_collected_facts(fact: str, shared_dir: Path) -> None:
    with (shared_dir / "facts" / "chips.csv").open(encoding="utf-8") as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    name = FACT_NAMES[fact]
    assert differences(name, rows[fact]) == {}, f"{name} differs from chips.csv (within 2.5 %)"


@pytest.mark.parametrize("name", CHIPS)
def test_units_that_keep_sums_apart_run_on_their_own(name: str) -> None:
    """Matrix instructions of Hopper and of Blackwell with tensor memory are asynchronous."""
    core = load_chip(name).spec.core
    for unit in core.matrix:
        if isinstance(unit, TensorCoreUnit) and name.startswith(
            ("h100", "h200", "b200", "b300", "gb200")
        ):
            assert unit.asynchronous
        if isinstance(unit, TensorCoreUnit) and core.scratchpad.accumulator_bytes:
            assert unit.asynchronous
