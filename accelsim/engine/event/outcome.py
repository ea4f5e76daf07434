"""From what the journal kept to an `Execution`, and to the time that each op adds to the run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from accelsim.arch.action_energy import BOARD_OVER_COUNTED, energy_per_action
from accelsim.arch.system import System
from accelsim.engine.event.critical import critical_path, limits_by_op, path_by_op
from accelsim.engine.event.journal import Journal, OpRecord
from accelsim.engine.event.simulate import Outcome
from accelsim.mapping.processor import runs_thread_blocks
from accelsim.results.execution import Execution, Fold, OpSpan, PathShare, Work

Number = TypeVar("Number", np.int64, np.float64)


@dataclass(frozen=True)
class _Ordered:
    """Ops of the journal by chip and program order, when they are, and what stands for more."""

    places: list[int]
    shifts_ps: list[int]
    repeats: list[int]
    folds: tuple[Fold, ...]
    weights: dict[int, int]


class Reading:
    """The journal of an outcome put in order, and its critical path, both found once.

    Parameters
    ----------
    outcome : Outcome

    Attributes
    ----------
    spent : mapping
        From `accelsim.engine.event.critical.path_by_op`.
    """

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.order = _ordered(outcome)
        journal, shifts_ps = outcome.journal, self.order.shifts_ps
        last = max(self.order.places, key=lambda i: journal.ops[i].end_ps + shifts_ps[i])
        self.spent = path_by_op(journal, journal.ops[last].last_piece, self.order.weights)

    def path_of(self, stream: int) -> tuple[PathShare, ...]:
        """Return the critical path of one sequencer, from its begin to its own end."""
        journal, shifts_ps = self.outcome.journal, self.order.shifts_ps
        own = (i for i, record in enumerate(journal.ops) if record.where.stream == stream)
        last = max(own, key=lambda i: journal.ops[i].end_ps + shifts_ps[i])
        sequencer = self.outcome.sequencers[stream]
        spent = path_by_op(
            journal, journal.ops[last].last_piece, self.order.weights, sequencer.began_ps
        )
        return critical_path(spent, round(sequencer.length_ps))

    def limits(self) -> dict[tuple[int, int], str]:
        """Name what holds up each op on the critical path, by block and place in the block."""
        return limits_by_op(self.outcome.journal, self.spent)


def execution_of(
    reading: Reading, system: System, dtype: str, names: Sequence[str], alike: int = 1
) -> Execution:
    """Collect what happened.

    Parameters
    ----------
    reading : Reading
    system : System
        For peaks and idle power.
    dtype : str
        Of the matrix work, for its peak; empty where there is none.
    names : sequence of str
        Of the chips that were simulated.
    alike : int
        Chips that each of them stands for.
    """
    outcome, order = reading.outcome, reading.order
    journal = outcome.journal
    blocks = [sequencer.program.blocks for sequencer in outcome.sequencers]
    ops = tuple(
        _span(
            record,
            blocks[record.where.stream][record.where.block].name,
            order.repeats[place],
            order.shifts_ps[place],
        )
        for place in order.places
        if (record := journal.ops[place])
    )
    end_ps = max((op.end_ps for op in ops), default=0)
    prices = energy_per_action(system.chip)
    board = BOARD_OVER_COUNTED if runs_thread_blocks(system.chip) else 1.0
    return Execution(
        chips=tuple(names),
        tracks=tuple(journal.tracks),
        ops=ops,
        work=_work(journal, order),
        folds=order.folds,
        end_ps=end_ps,
        idle_w=prices.idle_w,
        peaks=_peaks(system, dtype),
        path=critical_path(reading.spent, end_ps),
        events=outcome.events,
        chip_counts=(alike,) * len(names),
        limit_w=prices.limit_w,
        board_over_counted=board,
    )


def added_ps(execution: Execution, blocks: Sequence[str]) -> list[float]:
    """Time that each op of a program adds to the run, all repeats together [ps].

    Parameters
    ----------
    execution : Execution
        Of one program; the chip that ends last decides.
    blocks : sequence of str
        The block of every op of the program, in order.

    Notes
    -----
    An op adds what lies between the end of all before it, in program order, and its own end. What
    repeats add that were jumped over is spread like what their example adds.
    """
    ends = [0] * len(execution.chips)
    for op in execution.ops:
        ends[op.chip] = max(ends[op.chip], op.end_ps)
    slowest = ends.index(max(ends))
    first_of = {block: blocks.index(block) for block in dict.fromkeys(blocks)}
    folds = {fold.last_op - 1: fold for fold in execution.folds}
    seen = Counter[tuple[str, int]]()
    added = [0.0] * len(blocks)
    reached = 0
    steps: list[tuple[int, int]] = []
    for index, op in enumerate(execution.ops):
        if op.chip != slowest:
            continue
        key = (op.block, op.repeat)
        steps = [] if not seen[key] else steps
        place = first_of[op.block] + seen[key]
        seen[key] += 1
        steps.append((place, max(0, op.end_ps - reached)))
        reached = max(reached, op.end_ps)
        added[place] += steps[-1][1]
        if index in folds:
            jumped = folds[index].copies * folds[index].period_ps
            reached += jumped
            own = sum(step for _, step in steps)
            for place, step in steps:
                added[place] += jumped * step / own
    return added


def _ordered(outcome: Outcome) -> _Ordered:
    """Sort the ops, and find the repeats that stand for others, and what is later for them.

    The example is the last repeat but one that was simulated: the last is followed by another
    block, and may have let that fetch ahead. It comes when all copies have gone by.
    """
    records = outcome.journal.ops
    places = sorted(range(len(records)), key=lambda i: (*records[i].where[:2], i))
    found: dict[tuple[int, ...], list[int]] = {}
    for position, place in enumerate(places):
        found.setdefault(records[place].where[1:4], []).append(position)
    shifts = [0] * len(records)
    repeats = [record.where.repeat for record in records]
    folds: list[Fold] = []
    weights: dict[int, int] = {}
    for stream, sequencer in enumerate(outcome.sequencers):
        jumped = 0
        for block, (simulated, copies, period_ps) in enumerate(sequencer.jumps()):
            for repeat in range(simulated):
                later = copies if copies and repeat == simulated - 1 else 0
                jumped += later * period_ps
                for position in found[stream, block, repeat]:
                    shifts[places[position]] = jumped
                    repeats[places[position]] += later
            if copies:
                example = found[stream, block, simulated - 2]
                folds.append(Fold(example[0], example[-1] + 1, copies, period_ps))
                weights.update({places[position]: 1 + copies for position in example})
    return _Ordered(places, shifts, repeats, tuple(folds), weights)


def _span(record: OpRecord, block: str, repeat: int, shift_ps: int) -> OpSpan:
    return OpSpan(
        record.where.chip, record.name, record.kind, block, repeat,
        record.ready_ps + shift_ps, record.start_ps + shift_ps, record.end_ps + shift_ps,
    )  # fmt: skip


def _work(journal: Journal, order: _Ordered) -> Work:
    """Pieces as columns, by their ops' new places, in the order of the journal."""
    places = order.places
    position = np.empty(len(places), np.int32)
    position[list(places)] = np.arange(len(places), dtype=np.int32)
    shifts = np.array(order.shifts_ps, np.int64)
    op, track, start_ps, end_ps = (_column(journal, place, np.int64) for place in range(4))
    return Work(
        op=position[op],
        track=track.astype(np.int32),
        start_ps=start_ps + shifts[op],
        end_ps=end_ps + shifts[op],
        amount=_column(journal, 4, np.float64),
        energy_j=_column(journal, 5, np.float64),
    )


def _column(journal: Journal, place: int, kind: type[Number]) -> NDArray[Number]:
    """One number of every piece: column by column, as `zip` would make an iterator of each row."""
    pieces = journal.pieces
    return np.fromiter(map(itemgetter(place), pieces), kind, len(pieces))


def _peaks(system: System, dtype: str) -> dict[str, float]:
    """What a chip reaches at most, by engine."""
    chip = system.chip
    memory = chip.bandwidth_bytes_per_s
    level = system.levels[0].bandwidth_bytes_per_s if system.levels else 0.0
    return {
        "load": memory,
        "store": memory,
        "matrix": chip.peak_flop_per_s(dtype) if dtype else 0.0,
        "vector": chip.vector_flop_per_s(),
        "network": level,
    }
