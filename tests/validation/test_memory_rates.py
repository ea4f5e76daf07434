"""The rates that came with the package, and the memories of real chips against measurements."""

from __future__ import annotations

import pytest

from accelsim.arch.loader import load_chip, load_memory, spec_files
from accelsim.arch.memory_rates import packaged_rates, rates_key
from accelsim.timing.dram.controller import Controller
from accelsim.timing.dram.effective import (
    bandwidth_share,
    derive_rates,
    streams,
)
from accelsim.timing.dram.patterns import Traffic
from accelsim.timing.dram.simulate import run_banks

SAMPLE = ("hbm2_2400", "hbm3_5200", "ddr5_4800", "gddr6_14000")
REFRESH = "stale: python -m tests.validation.refresh_memory_rates"


@pytest.mark.parametrize("name", list(spec_files("memory")))
def test_every_packaged_memory_has_rates(name: str) -> None:
    assert rates_key(load_memory(name)) in packaged_rates(), REFRESH


@pytest.mark.parametrize("name", SAMPLE)
def test_the_packaged_rates_are_those_of_this_bank_model(name: str) -> None:
    memory = load_memory(name)
    assert packaged_rates()[rates_key(memory)] == derive_rates(memory), REFRESH


@pytest.mark.parametrize("name", [*SAMPLE, "hbm4_8000", "hbm3e_8000", "lpddr5_6400", "gddr7_28000"])
@pytest.mark.parametrize(
    ("reads", "writes", "points"), [(2, 1, 1), (4, 1, 1), (8, 1, 1), (1, 2, 2.5), (1, 4, 2.5)]
)
def test_the_law_holds_between_its_points(
    name: str, reads: int, writes: int, points: float
) -> None:
    """Reads outnumber writes in nearly all ops: there within a point of the peak."""
    memory = load_memory(name)
    simulated = bandwidth_share(memory, streams(reads, writes))
    law = packaged_rates()[rates_key(memory)].share(reads / (reads + writes))
    assert law == pytest.approx(simulated, abs=points / 100)


READ, COPY, TRIAD = streams(1, 0), streams(1, 1), streams(2, 1)
MEASURED = [
    # Shares of peak; measured by others, see docs/dram.md for what and where.
    ("alveo_u280", READ, 0.924, "Shuhai, best pattern, arXiv 2005.04324"),
    ("a100_sxm_40gb", COPY, 0.871, "device memcpy, JuliaCon 2023 workshop"),
    ("v100_sxm", COPY, 0.83, "device copy, about 750 GB/s, Ginkgo"),
    ("h100_sxm", COPY, 0.883, "p2pBandwidthLatencyTest on one device, CUDA samples"),
]


@pytest.mark.parametrize(("chip_name", "traffic", "measured", "source"), MEASURED)
def test_real_chips_stream_within_five_points(
    chip_name: str, traffic: Traffic, measured: float, source: str
) -> None:
    memory = load_chip(chip_name).memory
    assert memory is not None
    assert bandwidth_share(memory, traffic) == pytest.approx(measured, abs=0.05), source


def test_channels_that_read_beside_channels_that_write() -> None:
    """Vitis hbm_bandwidth on the U280: 16 pseudo-channels read, 16 write, 421.3 of 460 GB/s."""
    memory = load_memory("hbm2_1800")
    both = [bandwidth_share(memory, streams(*way)) for way in ((1, 0), (0, 1))]
    assert sum(both) / 2 == pytest.approx(0.916, abs=0.02)


def test_random_blocks_of_128_bytes_on_an_fpga() -> None:
    """Vitis hbm_bandwidth_pseudo_random on the U50: 138 GB/s of 12 x 14.375, 64 outstanding.

    Six pseudo-channels read and six write; 128 B stay in one row of one bank there.
    """
    memory = load_memory("hbm2_1800")
    blocks = Traffic(pattern="random", accesses=60_000, block_bytes=128)
    addresses, _ = blocks.addresses(int(memory.channel_capacity_bytes))
    shallow = Controller(address_map="robaracoch")
    both = [run_banks(memory, addresses, way, shallow).bandwidth_fraction for way in (False, True)]
    assert sum(both) / 2 == pytest.approx(0.80, abs=0.05)
