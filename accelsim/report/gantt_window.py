"""The stretch of an execution that a Gantt picture shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from accelsim.errors import SimulationError
from accelsim.results.execution import Execution, OpSpan
from accelsim.results.op_facts import op_units
from accelsim.results.unrolled import UnrolledOp, unrolled_ops

_MARGIN = 0.12
_MOST_OPS = 30
_FEW_OPS = 16


class Window(NamedTuple):
    """From one time to another [ps], and what that is in words."""

    first_ps: int
    last_ps: int
    words: str = ""


def default_window(execution: Execution) -> Window:
    """Choose a repeat of the block that takes longest, steady if there is one, and a bit around.

    Parameters
    ----------
    execution : Execution

    Notes
    -----
    Of a repeat of more than 30 ops, those around the longest one are shown.

    Raises
    ------
    SimulationError
        If no op takes time.
    """
    if execution.end_ps < 1 or not execution.ops:
        raise SimulationError("an execution without ops that take time cannot be drawn")
    first = execution.ops[0].chip
    ops = [op for op in unrolled_ops(execution) if op.span.chip == first]
    blocks: dict[tuple[str, str], list[list[UnrolledOp]]] = {}
    for unit, group in repeats_of(execution, ops):
        blocks.setdefault((unit, group[0].span.block), []).append(group)
    unit, block = max(blocks, key=lambda key: sum(_length(group) for group in blocks[key]))
    groups = blocks[unit, block]
    repeats = sorted({group[0].span.repeat for group in groups})
    repeat = _steady(execution, block, repeats)
    passes = [group for group in groups if group[0].span.repeat == repeat]
    shown = [op.span for op in passes[len(passes) // 2]]
    words = f"{block or 'graph'}, repeat {repeat + 1} of {len(repeats)}" if repeats[1:] else ""
    if len({of_unit for of_unit, _ in blocks}) > 1:
        words = " on ".join(part for part in (words, unit) if part)
    words += _copied(execution, block)
    if len(shown) > _MOST_OPS:
        shown = _around_longest(shown)
        words = ", ".join(part for part in (words, f"{len(shown)} ops around the longest") if part)
    return _widened(execution, shown, words)


def repeats_of(
    execution: Execution, ops: Sequence[UnrolledOp]
) -> list[tuple[str, list[UnrolledOp]]]:
    """Part ops of a chip, in program order, into repeats of blocks, each with its group of cores.

    Parameters
    ----------
    execution : Execution
    ops : sequence of UnrolledOp
        Of the execution, of one chip.
    """
    units = op_units(execution)
    found: list[tuple[str, list[UnrolledOp]]] = []
    before = None
    for op in ops:
        key = (units[op.source], op.span.block, op.span.repeat)
        if key != before:
            found.append((key[0], []))
        found[-1][1].append(op)
        before = key
    return found


def _length(ops: Sequence[UnrolledOp]) -> int:
    return max(op.span.end_ps for op in ops) - min(op.span.start_ps for op in ops)


def _steady(execution: Execution, block: str, repeats: Sequence[int]) -> int:
    """Return the repeat that a fold copies, or the middle one."""
    for fold in execution.folds:
        span = execution.ops[fold.first_op]
        if span.block == block and fold.copies:
            return span.repeat
    return repeats[len(repeats) // 2]


def _copied(execution: Execution, block: str) -> str:
    for fold in execution.folds:
        if execution.ops[fold.first_op].block == block and fold.copies:
            return f", copied {fold.copies:,} times"
    return ""


def _around_longest(spans: Sequence[OpSpan]) -> list[OpSpan]:
    longest = max(range(len(spans)), key=lambda i: spans[i].end_ps - spans[i].start_ps)
    first = max(0, min(longest - _FEW_OPS // 2, len(spans) - _FEW_OPS))
    return list(spans[first : first + _FEW_OPS])


def _widened(execution: Execution, spans: Sequence[OpSpan], words: str) -> Window:
    first = min(span.start_ps for span in spans)
    last = max(span.end_ps for span in spans)
    margin = max(1, int(_MARGIN * (last - first)))
    return Window(max(0, first - margin), min(execution.end_ps, last + margin), words)
