"""Effective bandwidth: what the bank model sustains by access pattern, kept for the engines.

A run of a model moves gigabytes; simulating them bank by bank would take minutes. Long transfers
of one memory follow a law of three numbers (reads, writes, turning between them), which a few short
simulations give; tests/validation/test_memory_rates.py compares the law with simulations.
"""

from __future__ import annotations

import contextlib
import json

from accelsim.arch.memory import MemorySpec
from accelsim.arch.memory_rates import (
    MemoryRates,
    cache_folder,
    known_rates,
    rates_entry,
    rates_key,
)
from accelsim.errors import AccelsimError
from accelsim.files import write_text
from accelsim.timing.dram.controller import Controller
from accelsim.timing.dram.patterns import Traffic
from accelsim.timing.dram.simulate import run_banks

DEEP_CONTROLLER = Controller(read_queue=512, write_queue=512, write_high=0.9, write_low=0.1)
"""A controller behind a cache that gathers writes: 512 bursts a channel are 16 to 32 KiB of a last
level of some hundred KiB a channel, written back a row at a time. All-bank refresh. With it, copies
and reads of A100, V100, U280 and H100 come out within 5 points of measurements (docs/dram.md)."""
BLOCKS_BYTES = (64, 128, 256, 512, 1024, 4096)
ACCESSES = 60_000
_CHUNK_BYTES = 4096
_STAGGER_BYTES = 790_080
_DIGITS = 5


def bandwidth_share(
    memory: MemorySpec, traffic: Traffic, controller: Controller = DEEP_CONTROLLER
) -> float:
    """Bandwidth over peak of traffic on one channel.

    Parameters
    ----------
    memory : MemorySpec
    traffic : Traffic
    controller : Controller

    Returns
    -------
    float
    """
    addresses, is_write = traffic.addresses(int(memory.channel_capacity_bytes))
    access = traffic.access_bytes
    run = run_banks(memory, addresses, is_write, controller, access_bytes=access)
    return run.bandwidth_fraction


def streams(reads: int, writes: int, accesses: int = ACCESSES, access_bytes: int = 64) -> Traffic:
    """Long streams, `reads` of them read and `writes` written, in turns of 4 KiB."""
    return Traffic(
        pattern="stream",
        accesses=accesses,
        access_bytes=access_bytes,
        streams=reads + writes,
        write_streams=writes,
        chunk_bytes=_CHUNK_BYTES,
        stagger_bytes=_STAGGER_BYTES,
    )


def derive_rates(memory: MemorySpec, accesses: int = ACCESSES) -> MemoryRates:
    """Derive the rates of a memory by simulating one channel.

    Parameters
    ----------
    memory : MemorySpec
        With timing and capacity.
    accesses : int
        Accesses of 64 B per simulation.

    Returns
    -------
    MemoryRates

    Notes
    -----
    With shares r of reads alone, w of writes alone and c of copies, turning the bus costs
    ``t = (1/c - 0.5/r - 0.5/w) / 0.5`` per byte written.
    """
    access = max(64, int(memory.access_bytes))
    ways = (streams(*way, accesses, access) for way in ((1, 0), (0, 1), (1, 1)))
    read, write, copy = (bandwidth_share(memory, way) for way in ways)
    random = []
    for block in BLOCKS_BYTES:
        if block >= access:
            traffic = Traffic("random", accesses, access, block_bytes=block)
            random.append((float(block), round(bandwidth_share(memory, traffic), _DIGITS)))
    turnaround = max(0.0, (1 / copy - 0.5 / read - 0.5 / write) / 0.5)
    return MemoryRates(
        round(read, _DIGITS), round(write, _DIGITS), round(turnaround, _DIGITS), tuple(random)
    )


def effective_rates(memory: MemorySpec) -> MemoryRates:
    """Rates of a memory: kept ones, else derived now and kept in the user's cache.

    Raises
    ------
    SpecError
        If the memory has no timing.
    """
    kept = known_rates(memory)
    if kept is not None:
        return kept
    rates = derive_rates(memory)
    path = cache_folder() / f"{rates_key(memory)}.json"
    with contextlib.suppress(AccelsimError, OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(rates_entry(rates)))
    return rates
