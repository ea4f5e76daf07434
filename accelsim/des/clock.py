"""Clock domains: from cycles to picoseconds without drift."""

from __future__ import annotations

from dataclasses import dataclass

from accelsim.errors import SimulationError
from accelsim.units import PS_PER_S


@dataclass(frozen=True)
class ClockDomain:
    """Units that tick together.

    Attributes
    ----------
    name : str
    frequency_hz : int
        Whole hertz, so that edges are exact.
    """

    name: str
    frequency_hz: int

    def __post_init__(self) -> None:
        whole = isinstance(self.frequency_hz, int) and not isinstance(self.frequency_hz, bool)
        if not whole or not 1 <= self.frequency_hz <= PS_PER_S:
            raise SimulationError(
                f"clock {self.name}: frequency is {self.frequency_hz!r}, expected whole hertz "
                "from 1 Hz to 1 THz"
            )

    def edge_ps(self, cycle: int) -> int:
        """Time of the rising edge that begins a cycle, the first at 0 [ps]."""
        return int(cycle) * PS_PER_S // self.frequency_hz  # int64 of NumPy would overflow

    def cycle_at(self, time_ps: int) -> int:
        """Cycle that a time lies in."""
        cycle = int(time_ps) * self.frequency_hz // PS_PER_S
        return cycle + 1 if self.edge_ps(cycle + 1) <= time_ps else cycle

    def next_edge_ps(self, time_ps: int) -> int:
        """The first edge at or after a time [ps]: where a signal from elsewhere is seen."""
        cycle = self.cycle_at(time_ps)
        return time_ps if self.edge_ps(cycle) == time_ps else self.edge_ps(cycle + 1)

    def span_ps(self, start_ps: int, cycles: int) -> int:
        """Time that `cycles` cycles take which begin at the first edge from `start_ps` on [ps].

        Counted from `start_ps`: waiting for that edge is part of it.
        """
        first = self.cycle_at(self.next_edge_ps(start_ps))
        return self.edge_ps(first + cycles) - start_ps
