"""`accelsim.simulate_dram`: accesses through a memory, bank by bank, with the energy they take."""

from __future__ import annotations

import dataclasses
from typing import Any

from numpy.typing import ArrayLike

from accelsim.arch.loader import load_memory
from accelsim.arch.memory import MemorySpec
from accelsim.energy.dram import dram_energy_j
from accelsim.errors import SimulationError, SpecError, suggest
from accelsim.results.dram import DramResult
from accelsim.timing.dram.controller import Controller
from accelsim.timing.dram.simulate import run_banks


def simulate_dram(
    memory: str | MemorySpec,
    addresses: ArrayLike,
    is_write: ArrayLike = False,
    *,
    channels: int = 1,
    pseudo_channels: int | None = None,
    access_bytes: int = 64,
    trace_commands: int = 0,
    **controller: Any,
) -> DramResult:
    """Simulate accesses to a memory, bank by bank, command by command.

    Parameters
    ----------
    memory : str or MemorySpec
        A packaged memory ("hbm3_6400"), a family ("hbm3"), a path, or a specification.
    addresses : int64[n]
        Byte addresses of accesses in program order, multiples of a burst [B].
    is_write : bool[n] or bool
    channels : int
        Channels behind one front end; addresses go round them in blocks.
    pseudo_channels : int, optional
        Pseudo-channels of each channel that are simulated; all by default.
    access_bytes : int
        Bytes at every address [B]; split into bursts of the memory.
    trace_commands : int
        Commands to keep per channel, in `DramResult.trace`: tick, command, channel, rank (or
        pseudo-channel), stack, group, bank, row and column (of the transaction that the command
        was for); -1 where a command has none.
    **controller
        Fields of `accelsim.timing.dram.controller.Controller`: scheduler, page_policy, refresh,
        read_queue, write_queue, write_high, write_low, address_map, channel_interleave_bytes,
        stage_depth, outstanding.

    Returns
    -------
    DramResult

    Raises
    ------
    SpecError
        If the memory is unknown, contradicts itself, or has no timing.
    SimulationError
        If a policy is unknown, a size absurd, or the traffic empty, misaligned or out of range.

    Notes
    -----
    Traffic does not think: an access enters as soon as its queue has room and those before it
    have entered. One transaction is one burst; a read is done with its last data, a write with its
    command. Reads and writes are answered as they come, whatever older ones to the same place wait
    for: times are simulated, not data. Not modelled: delays of the controller's pipeline and of the
    wires, limits of bank-level parallelism beyond tRRD and tFAW, temperature-dependent refresh,
    power-down, ECC.

    References
    ----------
    Rixner et al., Memory Access Scheduling, ISCA 2000 (FR-FCFS). JEDEC standards: see
    `accelsim.timing.dram.rules`.
    """
    if not isinstance(memory, str | MemorySpec):
        raise SpecError(f"memory {memory!r}: expected a name, a path or a MemorySpec")
    for name in controller:
        if name not in Controller.__dataclass_fields__:
            known = suggest(name, Controller.__dataclass_fields__)
            raise SimulationError(f"simulate_dram has no option '{name}': {known}")
    spec = load_memory(memory) if isinstance(memory, str) else memory
    result = run_banks(
        spec,
        addresses,
        is_write,
        Controller(**controller),
        channels=channels,
        pseudo_channels=pseudo_channels,
        access_bytes=access_bytes,
        trace_commands=trace_commands,
    )
    return dataclasses.replace(result, energy_j=dram_energy_j(result, spec))
