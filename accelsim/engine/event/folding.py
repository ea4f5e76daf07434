"""When repeats of a block are alike, the rest of them is jumped over."""

from __future__ import annotations

import math

from accelsim.engine.event.plan import PlanBlock

_ALIKE = 1e-5
"""Relative difference below which periods count as equal: rounding to picoseconds is far below."""
_LEAST_SEEN = 3


class Repeats:
    """What one sequencer has seen of one block [ps].

    Attributes
    ----------
    issued_ps : list of int
        When the first op of each repeat was issued.
    ended_ps : list of int
        When each repeat, and all before it, had ended.
    left : list of int
        Ops of each issued repeat that have not ended.
    """

    def __init__(self) -> None:
        self.issued_ps: list[int] = []
        self.ended_ps: list[int] = []
        self.left: list[int] = []

    def op_ended(self, repeat: int, now_ps: int) -> None:
        """Count an op of a repeat as done."""
        self.left[repeat] -= 1
        while len(self.ended_ps) < len(self.left) and self.left[len(self.ended_ps)] == 0:
            self.ended_ps.append(now_ps)

    def period_ps(self, since_ps: float) -> int | None:
        """Return the period, once repeats start and end a constant time apart after a time."""
        if len(self.ended_ps) < _LEAST_SEEN or self.ended_ps[-_LEAST_SEEN] < since_ps:
            return None
        before, period = _last_gaps(self.ended_ps)
        gaps = (before, *_last_gaps(self.issued_ps))
        alike = all(abs(gap - period) <= _ALIKE * period for gap in gaps)
        return period if alike and period > 0 else None


def _ended_ps(blocks: list[Repeats]) -> float:
    """When all ops of blocks had ended: as long as one is under way, it is a rival of others."""
    if any(any(block.left) for block in blocks):
        return math.inf
    return max((block.ended_ps[-1] for block in blocks if block.ended_ps), default=0.0)


def _last_gaps(times_ps: list[int]) -> tuple[int, int]:
    first, second, third = times_ps[-3:]
    return second - first, third - second


class FoldBook:
    """Decides for sequencers that run the same program together which repeats they skip.

    Parameters
    ----------
    blocks : tuple of PlanBlock
    members : int
        Sequencers.
    enabled : bool
        False: every repeat is simulated.
    """

    def __init__(self, blocks: tuple[PlanBlock, ...], members: int, *, enabled: bool) -> None:
        self._blocks = blocks
        self._enabled = enabled
        self.seen = [[Repeats() for _ in blocks] for _ in range(members)]
        self.limits = [block.repeat for block in blocks]
        self.periods_ps = [0] * len(blocks)

    def goes_on(self, member: int, block: int, repeat: int, alone_since_ps: float) -> bool:
        """Tell whether `member` has to simulate this repeat of a block.

        `alone_since_ps` is since when nobody else is at work on the same hardware, infinite while
        somebody is: only what has been periodic since then stays so.
        """
        if repeat >= self.limits[block]:
            return False
        if not self._enabled or self.limits[block] < self._blocks[block].repeat:
            return True
        self._decide(block, alone_since_ps)
        return repeat < self.limits[block]

    def jump_ps(self, block: int) -> int:
        """Time that the repeats stand for which nobody simulates [ps]."""
        return (self._blocks[block].repeat - self.limits[block]) * self.periods_ps[block]

    def _decide(self, block: int, since_ps: float) -> None:
        seen = [repeats[block] for repeats in self.seen]
        since_ps = max(since_ps, *(_ended_ps(repeats[:block]) for repeats in self.seen))
        periods = [repeats.period_ps(since_ps) for repeats in seen]
        first = periods[0]
        if first is None or any(p is None or abs(p - first) > _ALIKE * first for p in periods):
            return
        self.limits[block] = max(len(repeats.issued_ps) for repeats in seen)
        self.periods_ps[block] = first
