"""Use of engines in words: busy time or share of a peak, and over how long it is a mean."""

from __future__ import annotations

from collections.abc import Sequence

from accelsim.report.words import percent
from accelsim.results.execution import Execution
from accelsim.results.over_time import bin_edges, bin_width_s
from accelsim.units import format_si

_DIGITS = 2


def mean_over(executions: Sequence[Execution]) -> str:
    """Say over how long values in bins are means, such as ``mean over 21 µs``.

    Parameters
    ----------
    executions : sequence of Execution
        Those that have no time are left out. If their bins differ, the shortest and the longest
        are named.
    """
    widths_s = [bin_width_s(bin_edges(one)) for one in executions if one.end_ps > 0]
    if not widths_s:
        return "no time"
    shortest, longest = (format_si(f(widths_s), "s", _DIGITS) for f in (min, max))
    return f"mean over {shortest}" + (f" to {longest}" if longest != shortest else "")


def use_sentence(busy: Sequence[tuple[str, float]], moved: Sequence[tuple[str, float]]) -> str:
    """Say for which share of the time units work, and what share of its peak memory and links move.

    Parameters
    ----------
    busy, moved : sequence of (words, share)
        Words in the plural, but for ``main memory``; empty parts are left out.
    """
    parts = []
    if busy:
        words, share, others = _ordered(busy)
        parts.append(f"{words} are busy {percent(share)} of the time{others}")
    if moved:
        words, share, others = _ordered(moved)
        verb = "reaches" if words == "main memory" else "reach"
        parts.append(f"{words} {verb} {percent(share)} of peak{others}")
    return "; ".join(parts)


def _ordered(parts: Sequence[tuple[str, float]]) -> tuple[str, float, str]:
    """Return the words and the share of the most used, and the others in words."""
    first, *rest = sorted(parts, key=lambda part: -part[1])
    return *first, "".join(f", {words} {percent(share)}" for words, share in rest)
