"""Do folded repeats, written out, give what a full simulation would have given?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from accelsim.errors import SimulationError
from accelsim.results.execution import Fold, Track, Work
from accelsim.results.unrolled import unrolled_ops, unrolled_rows, unrolled_work, work_parts
from tests.unit.results.executions import LAYER, collective, folded, layered, prefetching

COLUMNS = ("op", "track", "start_ps", "end_ps", "amount", "energy_j")


def rows(work: Work) -> set[tuple]:
    return set(zip(*(getattr(work, name).tolist() for name in COLUMNS), strict=True))


def test_without_folds_all_is_as_it_was() -> None:
    whole = prefetching()
    assert [op.span for op in unrolled_ops(whole)] == list(whole.ops)
    assert not any(op.copied for op in unrolled_ops(whole))
    assert rows(unrolled_work(whole)) == rows(whole.work)


def test_a_fold_copies_ops_and_work_a_period_apart() -> None:
    execution = replace(prefetching(), folds=(Fold(1, 2, 2, 1000),))
    ops = unrolled_ops(execution)
    assert [(op.span.name, op.span.repeat, op.span.start_ps, op.copied) for op in ops] == [
        ("up", 0, 0, False), ("down", 0, 500_000, False), ("down", 1, 501_000, True),
        ("down", 2, 502_000, True),
    ]  # fmt: skip
    work = unrolled_work(execution)
    assert np.bincount(work.op).tolist() == [3, 5, 5, 5]
    vector = work.where(work.track == 3)
    assert vector.start_ps.tolist() == [1_200_000, 1_201_000, 1_202_000]


def test_ops_after_a_fold_keep_their_times_and_are_counted_behind_the_copies() -> None:
    execution = replace(prefetching(), folds=(Fold(0, 1, 3, 10),))
    assert [op.source for op in unrolled_ops(execution)] == [0, 0, 0, 0, 1]
    work = unrolled_work(execution)
    assert sorted(set(work.op.tolist())) == [0, 1, 2, 3, 4]
    assert work.where(work.op == 4).start_ps.min() == 450_000


@pytest.mark.parametrize("chips", [1, 2])
def test_a_folded_model_is_the_whole_one(chips: int) -> None:
    whole, short = layered(9, chips), folded(9, 3, chips)
    assert len(short.ops) == chips * (2 + 3 * len(LAYER))
    assert [op.span for op in unrolled_ops(short)] == list(whole.ops)
    assert rows(unrolled_work(short)) == rows(whole.work)
    assert unrolled_rows(short) == len(whole.work)


@pytest.mark.parametrize("size", [1, 500, 10**6])
def test_parts_together_are_the_whole(size: int) -> None:
    short = folded(9, 3)
    parts = list(work_parts(short, size))
    assert len(parts) == 1 + {1: 6, 500: 2, 10**6: 1}[size]
    found = [row for part in parts for row in rows(part)]
    assert len(found) == unrolled_rows(short)
    assert set(found) == rows(layered(9).work)


def test_repeats_of_a_fold_over_two_layers_count_by_two() -> None:
    first, second = (op._replace(repeat=i) for i, op in enumerate(prefetching().ops))
    execution = replace(prefetching(), ops=(first, second), folds=(Fold(0, 2, 2, 10**6),))
    assert [op.span.repeat for op in unrolled_ops(execution)] == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "folds", [(Fold(0, 3, 1, 1),), (Fold(1, 1, 1, 1),), (Fold(0, 2, 1, 1), Fold(1, 2, 1, 1))]
)
def test_a_fold_that_copies_what_is_not_there_is_refused(folds: tuple[Fold, ...]) -> None:
    with pytest.raises(SimulationError, match="a fold copies ops"):
        replace(prefetching(), folds=folds)


def test_columns_of_unequal_length_and_wrong_counts_are_refused() -> None:
    work = prefetching().work
    with pytest.raises(SimulationError, match="columns of work"):
        replace(work, amount=work.amount[1:])
    with pytest.raises(SimulationError, match="2 chip_counts for 1 chips"):
        replace(prefetching(), chip_counts=(1, 2))
    assert collective().devices == (1, 3)
    assert prefetching().devices == (1,)


def test_tracks_are_named_as_paths() -> None:
    assert Track(0, "cores", "matrix").name == "chip0/cores/matrix"
    assert Track(3, "", "load", False).name == "chip3/load"
