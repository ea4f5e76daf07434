"""Which repeats are jumped over, and is the run the same without jumping?"""

from __future__ import annotations

from dataclasses import replace

import pytest

from accelsim.engine.event.folding import FoldBook, Repeats
from accelsim.engine.event.outcome import added_ps
from accelsim.engine.event.plan import PlanBlock, Program
from accelsim.engine.event.simulate import Outcome, Placement, simulate
from tests.unit.engine.event.plans import (
    PS,
    Times,
    collective,
    execution,
    gpu,
    launched,
    op,
    program,
    run,
    spans,
    teaching,
)  # fmt: skip

STEP = op("step", Times(load=10, matrix=20))


def ends(outcome: Outcome) -> int:
    return execution(outcome).end_ps


def jumps(outcome: Outcome, stream: int = 0) -> list[tuple[int, int, int]]:
    return outcome.sequencers[stream].jumps()


def test_equal_repeats_are_simulated_a_few_times() -> None:
    # Each waits for the one before: 30 ns apart from the start. Issue runs four ops ahead.
    found = run(program(STEP, repeat=100))
    ((simulated, copies, period_ps),) = jumps(found)
    assert (simulated + copies, period_ps) == (100, 30 * PS)
    assert simulated <= 8
    assert ends(found) == ends(run(program(STEP, repeat=100), fold=False)) == 3000 * PS


@pytest.mark.parametrize("repeat", range(1, 12))
def test_any_number_of_repeats_ends_when_it_should(repeat: int) -> None:
    last = PlanBlock("last", (op("last", Times(matrix=7)),))
    plans = Program("p", (PlanBlock("block", (STEP,), repeat), last))
    found = execution(run(plans))
    assert found.end_ps == (30 * repeat + 7) * PS
    assert sum(added_ps(found, ["block", "last"])) == pytest.approx(found.end_ps, abs=1e-3)
    assert added_ps(found, ["block", "last"])[1] == pytest.approx(7 * PS)


def test_the_last_repeat_lies_behind_all_copies() -> None:
    found = execution(run(program(STEP, repeat=50)))
    (fold,) = found.folds
    example, last = found.ops[fold.first_op], found.ops[fold.last_op]
    assert last.start_ps - example.start_ps == (fold.copies + 1) * fold.period_ps
    assert found.ops[-1].end_ps == 1500 * PS


def other(start_ns: int) -> Placement:
    return Placement(program(op("rival", Times(load=1000))), group="other", start_ps=start_ns * PS)


@pytest.mark.parametrize("start_ns", [0, 250])
def test_a_rival_ends_the_jump_even_if_it_only_comes_later(start_ns: int) -> None:
    mine = Placement(program(op("step", Times(load=10)), repeat=100), group="mine")
    found = simulate([teaching()], [mine, other(start_ns)])
    ((simulated, copies, period_ps),) = jumps(found)
    # Alone 10 each; while the rival moves 1000 bytes' time, 20 each, and it moves as much: all 100
    # repeats (1000 of work) end at 2000 with a rival from 0, and the jump starts when it has ended.
    full = simulate([teaching()], [mine, other(start_ns)], fold=False)
    mine_ends = [max(r.end_ps for r in o.journal.ops if r.name == "step") for o in (full, found)]
    assert copies == 0 and simulated == 100 and period_ps == 0
    assert mine_ends[0] == mine_ends[1] == (2000 - start_ns) * PS


def test_when_the_rival_has_ended_the_rest_is_jumped_over() -> None:
    mine = Placement(program(op("step", Times(load=10)), repeat=1000), group="mine")
    found = simulate([teaching()], [mine, other(0)])
    ((simulated, copies, period_ps),) = jumps(found)
    assert (simulated + copies, period_ps) == (1000, 10 * PS)
    assert copies > 800
    # 100 repeats with the rival until 2000, then 900 alone.
    assert ends(found) == (2000 + 9000) * PS


def test_who_works_on_other_chips_is_no_rival() -> None:
    steps = program(op("step", Times(load=10)), repeat=1000)
    replicas = [Placement(steps, (chip,)) for chip in (0, 1)]
    found = simulate([teaching()] * 2, replicas)
    assert [copies > 900 for one in found.sequencers for _, copies, _ in one.jumps()] == [True] * 2
    assert ends(found) == 10_000 * PS


def test_an_op_of_an_earlier_block_is_a_rival_too() -> None:
    # `slow` loads for 2000 beside the repeats, whose input is `quick`: until it ends, at 3999,
    # repeats of 10 take 20. What is periodic meanwhile does not stay so.
    first = PlanBlock("first", (op("slow", Times(load=2000)), op("quick", Times(matrix=1))))
    plans = Program("p", (first, PlanBlock("rest", (op("r", Times(load=10)),), 1000)))
    found = execution(run(plans))
    assert found.end_ps == execution(run(plans, fold=False)).end_ps == 12000 * PS
    assert [fold.period_ps for fold in found.folds] == [10 * PS]
    assert sum(added_ps(found, ["first", "first", "rest"])) == pytest.approx(12000 * PS)


def test_a_host_that_runs_ahead_changes_the_period_when_its_queue_is_full() -> None:
    # The host needs 4 ns and the kernel 15: launches are 4 apart until 32 ops wait, then 15.
    plans = program(launched(op("k", Times(matrix=10)), 5, (3, 1)), repeat=200)
    found, full = run(plans, gpu()), run(plans, gpu(), fold=False)
    ((simulated, _, period_ps),) = jumps(found)
    assert simulated > 32 and period_ps == 15 * PS
    assert ends(found) == ends(full) == (3 + 200 * 15) * PS


def test_chips_that_meet_in_collectives_jump_together() -> None:
    plans = program(STEP, collective("sum", 5, 10, (0,)), repeat=60)
    found = simulate([teaching()] * 2, [Placement(plans, (0, 1))])
    assert jumps(found, 0) == jumps(found, 1)
    assert jumps(found)[0][2] == 45 * PS
    assert execution(found, 2).end_ps == 60 * 45 * PS


def test_no_period_no_jump() -> None:
    seen = Repeats()
    for issued, ended in ((0, 30), (30, 60), (60, 91)):
        seen.issued_ps.append(issued * PS)
        seen.left.append(1)
        seen.op_ended(len(seen.left) - 1, ended * PS)
    assert seen.period_ps(0) is None  # ends are 30 and 31 apart
    seen.ended_ps[-1] = 90 * PS
    assert seen.period_ps(0) == 30 * PS
    assert seen.period_ps(31 * PS) is None  # something else ran until 31
    seen.issued_ps[-1] += 1000
    assert seen.period_ps(0) is None  # issued 30 and 31 apart


def test_a_repeat_has_ended_when_all_before_it_have() -> None:
    seen = Repeats()
    seen.left += [1, 1]
    seen.op_ended(1, 5)
    assert seen.ended_ps == []
    seen.op_ended(0, 9)
    assert seen.ended_ps == [9, 9]


def test_a_member_that_is_behind_does_not_decide() -> None:
    blocks = (PlanBlock("first", (STEP,)), PlanBlock("rest", (STEP,), 100))
    book = FoldBook(blocks, 2, enabled=True)
    ahead = book.seen[0]
    for block, count in ((0, 1), (1, 5)):
        for repeat in range(count):
            ahead[block].issued_ps.append(repeat * 10)
            ahead[block].left.append(1)
            ahead[block].op_ended(repeat, repeat * 10 + 10)
    assert book.goes_on(0, 1, 5, 0)  # the other chip has not even begun
    book.seen[1] = [replace_times(ahead[0]), replace_times(ahead[1])]
    assert not book.goes_on(0, 1, 5, 0)
    assert (book.limits[1], book.periods_ps[1], book.jump_ps(1)) == (5, 10, 950)


def replace_times(repeats: Repeats) -> Repeats:
    copy = Repeats()
    copy.issued_ps, copy.ended_ps, copy.left = (
        list(repeats.issued_ps), list(repeats.ended_ps), list(repeats.left)
    )  # fmt: skip
    return copy


def test_fetching_ahead_is_in_the_period() -> None:
    # Weights of the next repeat come under the matrix work of this one: 40 each, not 60.
    heavy = op("heavy", Times(load=20, matrix=40), ahead=1.0)
    plans = program(replace(heavy, pieces=1), repeat=40)
    found, full = run(plans), run(plans, fold=False)
    assert ends(found) == ends(full) == (20 + 40 * 40) * PS
    assert spans(found)[1] == ("heavy", 0, 100)
    assert jumps(found)[0][2] == 40 * PS
