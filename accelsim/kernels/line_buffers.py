"""An array behind buffers that fill and drain at limited rates: who waits, when and how long.

The kernel knows no dataflow. It steps the arrays of a core cycle by cycle through *turns* (one
fold on each array) and moves *lines*: what enters or leaves in one cycle. Three streams run side
by side:

- Y feeds the columns: stationary values before a turn's stream begins, or a second stream;
- X streams through the rows;
- Z takes results and partial sums.

Each has an SRAM, a circular buffer of line slots, and a port of its own behind it. A port fetches
the next line as soon as it is idle and a slot is free. When a line is not there in time, or a
result finds no slot, the whole array waits, whole cycles at a time.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accelsim.kernels.jit import kernel

Y, X, Z = 0, 1, 2


class LinePlan(NamedTuple):
    """When lines are due, in cycles from the first load as if nothing ever waited.

    With `prefilled`, X and Y buffers are full when the array starts.
    """

    turns: int
    period: int
    cycles: int
    prefilled: int


class LineTable(NamedTuple):
    """The lines of Y, X and Z (axis 0), turn by turn (axis 1).

    Attributes
    ----------
    begin, end : (3, turns) array of int64
        First cycle of a turn in which lines are due, and the first after the last. Both may lie
        beyond the turn's period; a turn never has more such cycles than its period.
    takes : (3, turns) array of int64
        Lines that take a slot in each of these cycles; those of X and Y are fetched.
    gives : (3, turns) array of int64
        Lines that give their slot back after each of these cycles; those of Z are written first.
    ticks : (3, turns) array of int64
        Time of one cycle's transfer on the port: what X and Y fetch, what Z writes and, of spilled
        partial sums, has read before [tick].
    cycle_ticks : (3,) array of int64
        Ticks of a cycle; each port has its own, so that all times are exact integers.
    slots : (3,) array of int64
        Lines that each SRAM holds.
    """

    begin: NDArray[np.int64]
    end: NDArray[np.int64]
    takes: NDArray[np.int64]
    gives: NDArray[np.int64]
    ticks: NDArray[np.int64]
    cycle_ticks: NDArray[np.int64]
    slots: NDArray[np.int64]


class Waits(NamedTuple):
    """Cycles that the array waited: before its first line, then for each stream; and the cycles
    after its last that Z still needs to leave."""

    prefetch_cycles: int
    y_cycles: int
    x_cycles: int
    z_cycles: int
    drain_cycles: int


@kernel
def _ready(
    plan: LinePlan,
    table: LineTable,
    place: tuple[int, int, int],
    port: NDArray[np.int64],
    freed: NDArray[np.int64],
) -> int:
    """Cycle in which lines up to `place` = (stream, turn, number) can be used; books the port."""
    stream, turn, newest = place
    slots = table.slots[stream]
    # Slots are freed in order: where the newest line finds one, those before it did too.
    free = freed[stream, newest % slots] if newest >= slots else 0
    if stream == Z or (plan.prefilled == 1 and newest < slots):
        return int(free)
    per_cycle = table.cycle_ticks[stream]
    port[stream] = max(free * per_cycle, port[stream]) + table.ticks[stream, turn]
    return int((port[stream] + per_cycle - 1) // per_cycle)


@kernel
def _gone(table: LineTable, stream: int, turn: int, now: int, port: NDArray[np.int64]) -> int:
    """Cycle in which lines used until `now` leave their slots; results must be written first."""
    if stream != Z:
        return now
    per_cycle = table.cycle_ticks[Z]
    port[Z] = max(port[Z], now * per_cycle) + table.ticks[Z, turn]
    return int((port[Z] + per_cycle - 1) // per_cycle)


@kernel
def step_turns(plan: LinePlan, table: LineTable, out_waits: NDArray[np.int64]) -> Waits:
    """Step the arrays through all turns.

    Parameters
    ----------
    plan : LinePlan
    table : LineTable
    out_waits : (turns,) array of int64
        Cycles waited for lines of each turn, the first line included.

    Notes
    -----
    Lines are fetched in the order in which they are needed. So a port's time is a recurrence,
    ``done = max(port idle, slot free) + transfer``, and the arrays move on at the latest of the
    lines due: a max-plus system, in which faster ports and more slots never make anything later.
    """
    freed = np.zeros((3, table.slots.max()), dtype=np.int64)
    port, taken, given, turn, waited = np.zeros((5, 3), dtype=np.int64)
    now = prefetch = 0
    first = min(table.begin[Y, 0], table.begin[X, 0])
    for cycle in range(plan.cycles):
        for stream in range(3):
            u = turn[stream]
            at = cycle - u * plan.period
            if at < table.begin[stream, u] or at >= table.end[stream, u]:
                continue
            if table.takes[stream, u] > 0:
                taken[stream] += table.takes[stream, u]
                ready = _ready(plan, table, (stream, u, taken[stream] - 1), port, freed)
                if ready > now:
                    wait = ready - now
                    now = ready
                    out_waits[u] += wait
                    if cycle == first:
                        prefetch += wait
                    else:
                        waited[stream] += wait
        now += 1
        for stream in range(3):
            u = turn[stream]
            at = cycle - u * plan.period
            if at < table.begin[stream, u] or at >= table.end[stream, u]:
                continue
            if table.gives[stream, u] > 0:
                gone = _gone(table, stream, u, now, port)
                for _ in range(table.gives[stream, u]):
                    freed[stream, given[stream] % table.slots[stream]] = gone
                    given[stream] += 1
            if at == table.end[stream, u] - 1 and u < plan.turns - 1:
                turn[stream] += 1
    written = (port[Z] + table.cycle_ticks[Z] - 1) // table.cycle_ticks[Z]
    return Waits(prefetch, waited[Y], waited[X], waited[Z], max(0, written - now))
