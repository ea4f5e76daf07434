"""Time of a grid of equal thread blocks, several of which live on a core at once."""

from __future__ import annotations

import math
from typing import NamedTuple

from accelsim.kernels.gpu.processor import Processor
from accelsim.kernels.jit import kernel

# Share of the shorter of two things done side by side that stays exposed: blocks start together,
# so loads and arithmetic of a core meet now and then. Common to all devices; FlashAttention on
# A100 and H100 agree within 0.05.
EXPOSED = 0.25
# From this many waves on blocks no longer end together: the last wave is as full as any.
_MANY_WAVES = 8.0


class Lives(NamedTuple):
    """How long blocks live [s]: the mean one and the longest, alone on a core or among others."""

    alone_s: float
    among_s: float
    longest_alone_s: float
    longest_among_s: float


@kernel
def life_s(alone_s: float, among_s: float, resident: float, blocks: float) -> float:
    """Life of a block that shares its core with `blocks` - 1 others, at most `resident` - 1 [s]."""
    if resident <= 1.0:
        return alone_s
    return alone_s + (among_s - alone_s) * (min(blocks, resident) - 1.0) / (resident - 1.0)


@kernel
def grid_s(per_core: float, resident: float, lives: Lives, masked: int) -> float:
    """Time until the last block of a grid ends [s].

    Parameters
    ----------
    per_core : float
        Blocks over cores.
    resident : float
        Blocks that fit a core at once.
    lives : Lives
        Of a block.
    masked : int
        1 when blocks differ in length: they fill gaps, and the longest one ends last.

    Notes
    -----
    Up to one wave, the longest block's life among the others of its core. Blocks of equal length
    run in whole waves and a last one that is less crowded; unequal ones run back to back, with
    one of the longest left over.
    """
    if per_core <= resident:
        crowd = max(1.0, math.ceil(per_core))
        return life_s(lives.longest_alone_s, lives.longest_among_s, resident, crowd)
    waves = per_core / resident
    if masked == 1:
        return max(lives.longest_among_s, waves * lives.among_s + lives.longest_among_s / resident)
    if waves >= _MANY_WAVES:
        return waves * lives.among_s
    whole = math.floor(waves + 1e-9)
    rest = math.ceil(per_core - whole * resident - 1e-9)
    seconds = whole * lives.among_s
    if rest > 0:
        seconds += life_s(lives.alone_s, lives.among_s, resident, rest)
    return seconds


@kernel
def split_sums_s(
    processor: Processor, waits: float, part_waits: float, split: int, partial_bytes: float
) -> float:
    """Time to add up the parts into which keys were split [s].

    Parameters
    ----------
    processor : Processor
    waits : float
        Latencies of the main memory in the chain that any number of parts takes.
    part_waits : float
        Latencies of the L2 for each part.
    split : int
        Parts; nothing is to be added for one.
    partial_bytes : float
        Partial sums written and read [B].
    """
    if split <= 1:
        return 0.0
    chain = waits * processor.latency_s + part_waits * split * processor.shared_latency_s
    return chain + partial_bytes / processor.dram_bytes_per_s
