"""Do the sums, elements and cut traces that pictures of arrays show agree with the simulator?"""

from __future__ import annotations

import numpy as np
import pytest

from accelsim.arch.array import DATAFLOWS, ArrayFeatures, SystolicArray
from accelsim.report.array_figures import telling_cycle
from accelsim.report.array_plan import FoldPlan, problem_words, share_words
from accelsim.report.array_scene import DISTANCES, Scene
from accelsim.report.array_states import (
    adds_up,
    fold_starts,
    pe_states,
    shown_words,
    sums_before,
    used_pes,
)
from accelsim.report.array_wavefront import VALUES_UP_TO
from accelsim.scenarios.array_problem import ArrayProblem
from tests.unit.report.array_runs import FEATURES, PARTIAL, SIZES, cut, traced

EVERY = (*FEATURES, *PARTIAL, ArrayFeatures(arrays=2, double_buffer=True))


def arrays(*features, rows=4, cols=3):
    """Arrays of every dataflow with these features, where they go together."""
    for dataflow in DATAFLOWS:
        for extra in features:
            if not (dataflow == "is" and extra.sparsity):
                yield SystolicArray(dataflow, rows, cols, extra)


@pytest.mark.parametrize("array", [*arrays(*EVERY)], ids=str)
def test_a_sum_before_and_the_product_are_the_sum_after(array):
    run, _, _ = traced(array)
    trace, same = run.trace, True
    for at in range(run.cycles):
        works = trace.active[at]
        wanted = sums_before(trace, array, at) + trace.a[at] * trace.b[at]
        same &= bool((wanted == trace.sums[at])[works].all())
    assert same == adds_up(array)


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_a_pe_alone_adds_up_too(dataflow):
    array, sizes = SystolicArray(dataflow, 1, 1), ArrayProblem(2, 3, 4)
    run, _, _ = traced(array, sizes)
    for at in np.flatnonzero(run.trace.active[:, 0, 0]):
        before = sums_before(run.trace, array, at)
        assert before + run.trace.a[at] * run.trace.b[at] == run.trace.sums[at]


@pytest.mark.parametrize("array", [*arrays(*FEATURES[:4])], ids=str)
def test_values_outside_are_the_elements_they_are_said_to_be(array):
    run, a, b = traced(array)
    plan = FoldPlan.of(array, SIZES)
    names = {"left": plan.flow.enters_left, "top": plan.flow.enters_top}
    seen = set()
    for at in range(run.cycles):
        for token in Scene.of(run.trace, array, plan, at).tokens:
            assert token.distance <= DISTANCES
            if token.side == "bottom":
                row, col = token.element
                parts = [a[row, k : k + 4] @ b[k : k + 4, col] for k in range(0, SIZES.k, 4)]
                assert token.value in parts
                seen.add(("C", row, col))
            else:
                operand = names[token.side]
                assert token.value == {"A": a, "B": b}[operand][token.element]
                seen.add((operand, *token.element))
    streamed = plan.flow.enters_left
    # What enters in the first cycle of a fold has not waited in it.
    whole = {"A": a, "B": b}[streamed].size
    assert 0.8 * whole < sum(name == streamed for name, _, _ in seen) <= whole


@pytest.mark.parametrize("array", [*arrays(*EVERY)], ids=str)
def test_folds_cover_the_pes_that_work_in_them(array):
    run, _, _ = traced(array)
    trace, plan = run.trace, FoldPlan.of(array, SIZES)
    if array.features.double_buffer:  # folds share cycles
        return
    starts = fold_starts(trace.fold)
    works = np.logical_or.reduceat(trace.active, starts, axis=0)
    rows, cols = used_pes(array, plan, trace.fold[starts])
    assert (works.any(axis=2).sum(axis=1) == rows).all()
    assert (works.any(axis=1).sum(axis=1) == cols).all()


@pytest.mark.parametrize("array", [*arrays(*FEATURES, PARTIAL[0])], ids=str)
def test_a_cut_trace_shows_what_the_whole_one_does(array):
    run, _, _ = traced(array)
    plan = FoldPlan.of(array, SIZES)
    whole = pe_states(run.trace, array, plan)
    for cycles in (1, 5, run.cycles // 2, run.cycles - 1):
        short = cut(run, cycles).trace
        assert (pe_states(short, array, plan) == whole[:cycles]).all()
        for at in {0, cycles - 1}:
            stages = {Scene.of(trace, array, plan, at).stage for trace in (short, run.trace)}
            assert len(stages) == 1


def test_the_cycle_chosen_is_traced_and_tells_something():
    small, large = SystolicArray("ws", 4, 4), SystolicArray("ws", VALUES_UP_TO + 1, 4)
    for array in (small, large):
        run, _, _ = traced(array)
        share = run.active_per_cycle[telling_cycle(run, array) - 1] / run.active_per_cycle.max()
        assert share == 1 if array is large else 0.5 <= share < 1
        assert telling_cycle(cut(run, 6), array) <= 6


def test_words_name_features_and_what_a_trace_shows_of_them():
    array = SystolicArray("ws", 4, 4, ArrayFeatures(arrays=3, packing=2, double_buffer=True))
    words = problem_words(array, SIZES, "1 of 4 groups")
    assert words.startswith("4x4 weight stationary, ")
    assert words.endswith(", C[5, 7] = A[5, 6] B[6, 7] (1 of 4 groups)")
    assert all(part in words for part in ("3 arrays", "double-buffered", "2 multiply-adds per PE"))
    assert shown_words(array).startswith("Shown: the first of 3 arrays; the operands of the first")
    assert shown_words(SystolicArray("ws", 4, 4)) == ""
    assert "sum of all" in shown_words(SystolicArray("os", 4, 4, ArrayFeatures(packing=2)))
    assert share_words(0.1153) == "11.5 %"
