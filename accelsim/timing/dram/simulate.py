"""Run addresses through the bank model."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from accelsim.arch.dram_timing import resolved_cycles
from accelsim.arch.memory import MemorySpec
from accelsim.errors import SimulationError
from accelsim.kernels.dram import layout
from accelsim.kernels.dram.addresses import decode, sort_by_channel
from accelsim.kernels.dram.front import rest, run_apart, run_in_order, run_one, run_window
from accelsim.results.dram import DramResult
from accelsim.timing.dram.address_map import address_map
from accelsim.timing.dram.controller import (
    MAX_CHANNELS,
    Controller,
    Tables,
    check_whole,
    kernel_tables,
)
from accelsim.timing.dram.rules import command_bus, tick_s

MAX_TRACE = 100_000_000
MAX_ACCESS_BYTES = 1 << 40


def simulated_bytes(memory: MemorySpec, channels: int, pseudo_channels: int) -> int:
    """Capacity of so many channels of a memory with so many pseudo-channels each [B]."""
    whole = int(memory.channel_capacity_bytes) * channels
    return whole * pseudo_channels // memory.pseudo_channels


def run_banks(
    memory: MemorySpec,
    addresses: ArrayLike,
    is_write: ArrayLike,
    controller: Controller,
    *,
    channels: int = 1,
    pseudo_channels: int | None = None,
    access_bytes: int = 64,
    trace_commands: int = 0,
) -> DramResult:
    """Simulate accesses in program order; the public form is `accelsim.simulate_dram`.

    Parameters
    ----------
    memory : MemorySpec
    addresses : int64[n]
        Byte addresses, multiples of the transaction [B].
    is_write : bool[n] or bool
    controller : Controller
    channels, pseudo_channels : int
    access_bytes : int
        Bytes at every address [B].
    trace_commands : int
        Commands to keep per channel.

    Returns
    -------
    DramResult
        Without energy.

    Raises
    ------
    SpecError
        If the memory has no timing or its standard no bank model.
    SimulationError
        If the traffic is empty, misaligned or out of range.
    """
    buses = memory.pseudo_channels if pseudo_channels is None else pseudo_channels
    check_whole("channels", channels, 1, MAX_CHANNELS)
    check_whole("trace_commands", trace_commands, 0, MAX_TRACE // channels)
    check_whole("access_bytes", access_bytes, 1, MAX_ACCESS_BYTES)
    tables = kernel_tables(memory, controller, channels, buses)
    if channels > 1 and controller.channel_interleave_bytes % memory.access_bytes:
        raise SimulationError(
            f"channel_interleave_bytes {controller.channel_interleave_bytes} cuts bursts of "
            f"'{memory.name}': take a multiple of {memory.access_bytes:g}"
        )
    limit_bytes = simulated_bytes(memory, channels, buses)
    where, writes = _traffic(memory, addresses, is_write, limit_bytes, access_bytes)
    per_access = access_bytes // int(memory.access_bytes)
    chosen = address_map(controller.address_map, memory, buses)
    n = where.size * per_access
    channel_of, places = np.zeros(n, np.int32), np.empty((n, 4), np.int32)
    sizes = np.array([memory.stack_ids, memory.bank_groups, memory.banks_per_group], np.int64)
    decode(
        where, writes, per_access, int(memory.access_bytes), channels,
        int(controller.channel_interleave_bytes), chosen.field_table, chosen.hash_table, sizes,
        np.empty(6, np.int64), channel_of, places,
    )  # fmt: skip
    trace = np.empty((channels, trace_commands, 5), np.int64)
    latency_ticks = np.zeros(n, np.int32)
    if not _run(
        tables, controller, channel_of, places, out_trace=trace, out_latency_ticks=latency_ticks
    ):
        raise SimulationError("the controller stands still with work left: please report this")
    rest(tables.cells, tables.ready, tables.rules, trace, latency_ticks)
    kept = _trace(memory, tables, trace) if trace_commands else None
    return _result(
        memory,
        tables,
        controller,
        is_write=np.repeat(writes, per_access),
        latency_ticks=latency_ticks,
        trace=kept,
    )


def _traffic(
    memory: MemorySpec,
    addresses: ArrayLike,
    is_write: ArrayLike,
    limit_bytes: int,
    access_bytes: int,
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Check the traffic and return it as arrays."""
    burst = int(memory.access_bytes)
    if access_bytes < burst or access_bytes % burst:
        raise SimulationError(
            f"access_bytes {access_bytes} is no multiple of a burst of '{memory.name}', {burst} B"
        )
    try:
        given = np.asarray(addresses)
    except ValueError as problem:
        raise SimulationError(f"addresses are no list of numbers: {problem}") from None
    if given.ndim != 1 or given.size == 0:
        raise SimulationError(f"addresses of shape {given.shape}: expected a list of one or more")
    if given.dtype.kind not in "iu":
        raise SimulationError(f"addresses are {given.dtype}, expected whole numbers of bytes")
    writes = np.asarray(is_write)
    if writes.dtype.kind not in "biu":
        raise SimulationError(f"is_write is {writes.dtype}, expected bool: True for a write")
    if writes.shape not in ((), given.shape):
        raise SimulationError(
            f"is_write has shape {writes.shape}, addresses {given.shape}: expected one for each"
        )
    outside = (given < 0) | (given > limit_bytes - access_bytes)
    if outside.any():
        i = int(outside.argmax())
        raise SimulationError(
            f"address {given[i]} (access {i}) is outside the {limit_bytes} B of the simulated "
            f"channels of '{memory.name}': simulate more channels or fold the addresses"
        )
    where = np.ascontiguousarray(given, np.int64)
    if (where % burst).any():
        i = int((where % burst).argmax())
        raise SimulationError(f"address {where[i]} (access {i}) is no multiple of {burst} B")
    return where, np.ascontiguousarray(np.broadcast_to(writes.astype(bool), where.shape))


def _run(
    tables: Tables,
    controller: Controller,
    channel_of: NDArray[np.int32],
    places: NDArray[np.int32],
    *,
    out_trace: NDArray[np.int64],
    out_latency_ticks: NDArray[np.int32],
) -> bool:
    """Run the kernel that fits the front end."""
    cells, ready, rules = tables.cells, tables.ready, tables.rules
    channels, n = cells.shape[0], channel_of.size
    if controller.outstanding is not None:
        return run_window(
            cells, ready, rules, places, channel_of, controller.outstanding, out_trace,
            out_latency_ticks, np.empty(n, np.int64),
        )  # fmt: skip
    first, order = np.zeros(channels + 1, np.int64), np.empty(n, np.int64)
    sort_by_channel(channel_of, first, order)
    if channels == 1:
        return run_one(cells[0], ready[0], rules, places, order, out_trace[0], out_latency_ticks)
    if controller.stage_depth is None:
        done = np.zeros(channels, np.bool_)
        run_apart(cells, ready, rules, places, first, order, out_trace, out_latency_ticks, done)
        return bool(done.all())
    return run_in_order(
        cells, ready, rules, places, channel_of, first, order, controller.stage_depth, out_trace,
        out_latency_ticks,
    )  # fmt: skip


def _result(
    memory: MemorySpec,
    tables: Tables,
    controller: Controller,
    *,
    is_write: NDArray[np.bool_],
    latency_ticks: NDArray[np.int32],
    trace: pd.DataFrame | None,
) -> DramResult:
    state = tables.cells[:, 0]
    channels, ranks = len(state), int(state[0, layout.RANKS])
    buses, ticks = ranks // memory.ranks, int(state[:, layout.LAST].max())
    banks = int(state[0, layout.BANKS])
    issued = state[:, layout.ISSUED : layout.ISSUED + len(layout.COMMANDS)].sum(axis=0)
    bank_rows = tables.cells[:, 1 : banks + 1]
    still_open = bank_rows[:, :, layout.OPEN_ROW] >= 0
    open_ticks = bank_rows[:, :, layout.OPEN_TICKS] + still_open * np.maximum(
        ticks - bank_rows[:, :, layout.OPENED_AT], 0
    )
    n, scale = resolved_cycles(memory), command_bus(memory).ticks_per_clock
    totals = state.sum(axis=0)
    burst_s = scale * n["nBL"] * tick_s(memory)
    return DramResult(
        memory=memory.name,
        channels=channels,
        pseudo_channels=ranks,
        banks=banks,
        ticks=ticks,
        tick_s=tick_s(memory),
        transactions=is_write.size,
        transaction_bytes=int(memory.access_bytes),
        peak_bytes_per_s=channels * buses * memory.access_bytes / burst_s,
        row_hits=int(totals[layout.HITS]),
        row_misses=int(totals[layout.MISSES]),
        row_conflicts=int(totals[layout.CONFLICTS]),
        forwarded_reads=int(totals[layout.FORWARDED]),
        merged_writes=int(totals[layout.MERGED]),
        turnarounds=int(totals[layout.SWITCHES]),
        commands={name: int(k) for name, k in zip(layout.COMMANDS, issued, strict=True)},
        latency_ticks=latency_ticks,
        is_write=is_write,
        bank_open_ticks=open_ticks,
        bank_activates=bank_rows[:, :, layout.ACTIVATES].copy(),
        refresh_ticks=scale * n["nRFCpb" if controller.refresh == "per-bank" else "nRFC"],
        trace=trace,
    )


def _trace(memory: MemorySpec, tables: Tables, trace: NDArray[np.int64]) -> pd.DataFrame:
    """Commands kept, in order of time, with the place of each; -1 where it has none."""
    kept = tables.cells[:, 0, layout.TRACED]
    rows = np.concatenate([trace[c, :k] for c, k in enumerate(kept)])
    tick, command, bank, row, column = rows.T
    per_rank, per_group = memory.banks, memory.banks_per_group
    whole = np.isin(command, (layout.PREA, layout.REFA))
    groups = memory.bank_groups
    frame = pd.DataFrame(
        {
            "tick": tick,
            "command": np.array(layout.COMMANDS)[command],
            "channel": np.repeat(np.arange(len(kept)), kept),
            "rank": np.where(whole, bank, bank // per_rank),
            "stack": np.where(whole, -1, bank % per_rank // (groups * per_group)),
            "group": np.where(whole, -1, bank // per_group % groups),
            "bank": np.where(whole, -1, bank % per_group),
            "row": row,
            "column": column,
        }
    )
    return frame.sort_values("tick", kind="stable", ignore_index=True)
