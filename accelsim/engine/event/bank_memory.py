"""Main memory bank by bank: what the banks sustain of the tiles that each op moves.

The fluid memory costs an op by the law of long transfers. Here the op's own loads and stores run
through the bank model of one channel, and the share of the peak that comes out prices its bytes.
The tiles are those of the mapping, which was chosen without knowing the banks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from accelsim.arch.chip import Chip
from accelsim.arch.memory import MemorySpec
from accelsim.engine.core import bound_of
from accelsim.engine.event.bank_streams import walks_of
from accelsim.engine.event.bank_walks import BLOCK_BYTES, Walk, normalized, sample_walks
from accelsim.engine.graph import CostedGroup
from accelsim.errors import SpecError
from accelsim.mapping.fusion import Group
from accelsim.results.costs import OpCost
from accelsim.timing.dram.address_map import level_bits
from accelsim.timing.dram.effective import DEEP_CONTROLLER, effective_rates
from accelsim.timing.dram.simulate import run_banks
from accelsim.workload.ops import Gather

SAMPLED_CHANNELS = 1
"""All see their share of any pattern: what single channels of a chip sustain of one op differs by
0.1 to 0.6 points (standard deviation). All at once end up to 11 points lower, when the channel that
happens to have the most of so short a sample is done; over a whole op that evens out."""
LINES_PER_CHANNEL = 24_000
"""Of 64 B: some ten refreshes, which leaves the beginning of a sample less than a point."""
_LONGER = 1.01
"""Share of the law beyond which a time is not the bandwidth's but that of loads under way."""
_NOT_RESOURCES = ("overhead", "network")


def with_banks(costed: Sequence[CostedGroup], chip: Chip) -> tuple[CostedGroup, ...]:
    """Price the main-memory time of every group as the banks sustain its tiles.

    Parameters
    ----------
    costed : sequence of CostedGroup
        Costed by the analytic engine.
    chip : Chip

    Returns
    -------
    tuple of CostedGroup
        The same groups; what an op's latency holds beyond its longest resource stays.

    Raises
    ------
    SpecError
        If the chip's main memory has no DRAM timing.
    """
    _timed_memory(chip)
    return tuple(replace(item, cost=_banked(item.group, item.cost, chip)) for item in costed)


def bank_share(walks: Sequence[Walk], chip: Chip, channels: int = SAMPLED_CHANNELS) -> float:
    """Bandwidth over peak that the banks sustain of the tiles of an op.

    Parameters
    ----------
    walks : sequence of Walk
        At least one.
    chip : Chip
        With a timed main memory.
    channels : int
        How many of the chip's to simulate.
    """
    return _share(normalized(walks), chip, channels)


@lru_cache(maxsize=1024)
def _share(walks: tuple[Walk, ...], chip: Chip, sampled: int) -> float:
    memory = _timed_memory(chip)
    channels = _channels(chip, memory)
    size = int(memory.channel_capacity_bytes)
    sample = sample_walks(walks, channels, sampled, size, LINES_PER_CHANNEL)
    controller = replace(
        DEEP_CONTROLLER, channel_interleave_bytes=BLOCK_BYTES, address_map=block_map(memory)
    )
    run = run_banks(memory, sample.addresses, sample.is_write, controller, channels=sampled)
    return run.bandwidth_fraction


def block_map(memory: MemorySpec) -> str:
    """Address map that keeps a block of a channel in one row of one bank.

    Notes
    -----
    Where many channels take turns, a short row of a tile is one block in each. Should that block
    lie in several banks, as in the map ``bgix``, each opens a row for 64 B, and rows of kilobytes
    come out as slow as random lines, which loads of GPUs do not show. Long transfers are the same
    under both maps. Banks are hashed with the row, as in ``bgixp``.
    """
    bits = level_bits(memory, memory.pseudo_channels)
    low = min(bits["column"], (BLOCK_BYTES // int(memory.access_bytes)).bit_length() - 1)
    shared = memory.ranks > 1
    fields = (
        ("column", low), ("group", bits["group"]), ("rank", 0 if shared else bits["rank"]),
        ("column", bits["column"] - low), ("bank", bits["bank"]), ("stack", bits["stack"]),
        ("rank", bits["rank"] if shared else 0),
    )  # fmt: skip
    hashes, start = [], 0
    for level in ("group", "bank", "stack", "rank"):
        hashes += [f"{level}^row[{start}]"] if bits[level] else []
        start += bits[level]
    return " ".join(f"{name}:{n}" for name, n in fields if n) + " row; " + " ".join(hashes)


def _timed_memory(chip: Chip) -> MemorySpec:
    memory = chip.memory
    if memory is not None and memory.timing is not None:
        return memory
    has = f"'{memory.name}', which states none" if memory else "no DRAM of its own"
    raise SpecError(
        f"--dram bank needs the timing of the main memory's banks, and {chip.name} has {has}: "
        "take --dram fluid, or state memory.type as a memory with timing (accelsim list memories)"
    )


def _channels(chip: Chip, memory: MemorySpec) -> int:
    stated = chip.spec.memory
    return stated.channels or memory.channels * (stated.stacks or 1)


def _banked(group: Group, cost: OpCost, chip: Chip) -> OpCost:
    memory_s = cost.times_s.get("memory", 0.0)
    walks = walks_of(group, cost, chip) if memory_s > 0.0 else ()
    if not walks:
        return cost
    found_s = _transfer_s(walks, chip)
    if not isinstance(group.head, Gather):
        moved = cost.activity
        law_s = chip.transfers.seconds(moved.dram_read_bytes, moved.dram_write_bytes)
        if memory_s > _LONGER * law_s:
            found_s = max(found_s, memory_s)
    times = {**cost.times_s, "memory": found_s}
    latency_s = cost.latency_s - _longest_s(cost.times_s) + _longest_s(times)
    return cost._replace(times_s=times, latency_s=latency_s, bound=bound_of(times))


def _transfer_s(walks: Sequence[Walk], chip: Chip) -> float:
    """Time in which the banks move the tiles of an op [s].

    Notes
    -----
    ``bytes / peak * (1 + losses * (1 / share - 1))``: what banks lose is scaled as by
    `accelsim.arch.memory_rates.TransferLaw`, so that a calibrated efficiency holds for the traffic
    that it was measured with, and no pattern passes the peak.
    """
    peak_s = sum(walk.fetched_bytes for walk in walks) / chip.bandwidth_bytes_per_s
    return peak_s * (1.0 + _losses(chip) * (1.0 / bank_share(walks, chip) - 1.0))


def _losses(chip: Chip) -> float:
    """Calibrated over derived losses of two bytes read for one written; 1 without calibration."""
    calibrated = chip.calibration.memory_efficiency
    if calibrated is None:
        return 1.0
    rates = chip.memory_rates or effective_rates(_timed_memory(chip))
    return (1.0 / calibrated - 1.0) / (1.0 / rates.triad - 1.0)


def _longest_s(times_s: dict[str, float]) -> float:
    """Time of the resource that needs the longest [s]."""
    return max(s for name, s in times_s.items() if name not in _NOT_RESOURCES)
