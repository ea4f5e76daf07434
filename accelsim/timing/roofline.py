"""Lower bounds at the chip's peak rates, elementwise work in fp32 as kernels do it."""

from __future__ import annotations

from accelsim.arch.chip import Chip
from accelsim.mapping.fusion import Group


def roofline_times(group: Group, chip: Chip, dtype: str) -> dict[str, float]:
    """Time that each resource needs at its peak, nothing else in the way [s].

    Parameters
    ----------
    group : Group
        Fused ops with the residency that the mapping decided.
    chip : Chip
    dtype : str
        Native dtype in which the matrix work runs.

    Returns
    -------
    dict of str to float
        Keys ``compute``, ``vector``, ``special``, ``memory`` [s].

    References
    ----------
    Williams, Waterman, Patterson: Roofline, CACM 52(4), 2009.
    """
    moved = group.dram_read_bytes + group.dram_write_bytes
    return {
        "compute": group.flop / chip.peak_flop_per_s(dtype) if group.flop else 0.0,
        "vector": group.vector_flop / chip.vector_flop_per_s(),
        "special": group.special / chip.special_per_s,
        "memory": moved / chip.bandwidth_bytes_per_s,
    }
