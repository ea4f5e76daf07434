"""Who gets how much of what several share, and what collectives wait for?"""

from __future__ import annotations

import pytest

from accelsim.des.simulation import Simulation
from accelsim.engine.event.folding import FoldBook
from accelsim.engine.event.machine import build_chip
from accelsim.engine.event.network import Network
from accelsim.engine.event.outcome import added_ps
from accelsim.engine.event.plan import ALL, PlanBlock, Program
from accelsim.engine.event.scene import Scene
from accelsim.engine.event.sequencer import Partners, Sequencer
from accelsim.engine.event.simulate import Placement, simulate
from accelsim.errors import SimulationError
from tests.unit.engine.event.plans import (
    PS,
    Log,
    Times,
    chain,
    collective,
    execution,
    log,
    op,
    path,
    program,
    run,
    spans,
    teaching,
)  # fmt: skip


def two_groups(left: Program, right: Program, right_start_ns: int = 0) -> Log:
    """Two programs on the two groups of cores of one chip."""
    placed = [
        Placement(left, group="left"),
        Placement(right, group="right", start_ps=right_start_ns * PS),
    ]
    return spans(simulate([teaching()], placed))


def test_two_equal_streams_each_get_half() -> None:
    # Three loads of 10 in 60 instead of 30 ns.
    stream = [op(name, Times(load=10), 3) for name in ("a", "b")]
    assert two_groups(*map(program, stream)) == [("a", 0, 60), ("b", 0, 60)]


def test_who_comes_later_takes_half_from_then_on() -> None:
    # a alone until 10, then half: 20 more for its last 10; then b alone: 10 left of 20.
    a, b = op("a", Times(load=20)), op("b", Times(load=20))
    assert two_groups(program(a), program(b), 10) == [("a", 0, 30), ("b", 10, 40)]


def test_a_stream_that_cannot_take_its_half_leaves_the_rest() -> None:
    # a can use a quarter of the memory and is not slowed; b gets three quarters: 40 for 30.
    a, b = op("a", Times(load=100, share=0.25)), op("b", Times(load=30))
    assert two_groups(program(a), program(b)) == [("a", 0, 100), ("b", 0, 40)]


def test_matrix_units_of_two_groups_do_not_wait_for_each_other() -> None:
    work = [op(name, Times(matrix=10), 2) for name in ("a", "b")]
    assert two_groups(*map(program, work)) == [("a", 0, 20), ("b", 0, 20)]


def late() -> Placement:
    """What slows down the loads of chip 1 from the start."""
    return Placement(program(op("rival", Times(load=15))), (1,), "rival")


REDUCED = program(
    op("x", Times(load=20)), collective("sum", 7, 30, (0,)), op("y", Times(matrix=5), after=(1,))
)


def test_a_collective_waits_for_who_comes_late() -> None:
    # Chip 1 shares its memory until 30 and loads x by 35; then 7 of latency and 30 on the links.
    found = simulate([teaching()] * 2, [Placement(REDUCED, (0, 1)), late()])
    assert log(found, "network") == [
        ("network sum", 20, 35), ("network sum", 35, 42), ("network sum", 35, 42),
        ("network sum", 42, 72), ("network sum", 42, 72),
    ]  # fmt: skip
    assert sorted(entry for entry in spans(found) if entry[0] in "xy") == [
        ("x", 0, 20), ("x", 0, 35), ("y", 72, 77), ("y", 72, 77),
    ]  # fmt: skip
    # The path of chip 0, which ends with the other: what it spent on waiting is told.
    assert path(found) == {"network": 37, "memory": 20, "others": 15, "matrix": 5}
    assert chain(found)[0] == "load x"


def test_collectives_overlap_with_work_that_does_not_need_them() -> None:
    plans = program(
        op("x", Times(load=20)),
        collective("sum", 0, 30, (0,)),
        op("z", Times(matrix=25), after=(0,)),
    )
    found = simulate([teaching()], [Placement(plans)])
    assert spans(found) == [("x", 0, 20), ("sum", 20, 50), ("z", 20, 45)]


def test_two_collectives_share_the_links() -> None:
    found = run(program(collective("one", 0, 10), collective("two", 0, 10)))
    assert spans(found) == [("one", 0, 20), ("two", 0, 20)]


def test_all_waits_for_everything_before_it() -> None:
    # The step reads all gradients; the op before it, which it does not name, is the last to end.
    ops = [op("slow", Times(matrix=50)), op("quick", Times(vector=5))]
    step = PlanBlock("optimizer", (op("step", Times(vector=3), after=(ALL,)),))
    found = run(Program("train", (PlanBlock("backward", tuple(ops)), step)))
    assert spans(found) == [("slow", 0, 50), ("quick", 0, 5), ("step", 50, 53)]
    # In a block that reads its input alone it would have begun with `quick`.
    entry = PlanBlock("optimizer", (op("step", Times(vector=3)),))
    found = run(Program("train", (PlanBlock("backward", tuple(ops)), entry)))
    assert spans(found)[2] == ("step", 5, 8)


def test_what_ops_add_adds_up_to_the_end() -> None:
    # a ends at 50; b hides behind it; c, at 70, adds 20; the collective 30 more.
    ops = (
        op("a", Times(matrix=50)), op("b", Times(vector=5)), op("c", Times(matrix=20)),
        collective("sum", 0, 30, (2,)),
    )  # fmt: skip
    found = execution(run(program(*ops)))
    assert [added / PS for added in added_ps(found, ["block"] * 4)] == [50, 0, 20, 30]
    assert found.end_ps == 100 * PS


def test_a_deadlock_names_who_is_blocked_and_what_he_waits_for() -> None:
    scene = Scene(Simulation())
    model = build_chip(scene, 0, teaching(), groups={"cores": 1.0})
    plans = program(op("x", Times(load=20)), collective("sum", 7, 30, (0,)))
    # The network expects a second chip that nobody has placed.
    partners = Partners(FoldBook(plans.blocks, 1, enabled=True), Network(scene.sim, "net", 2))
    lonely = Sequencer(scene, (model, model.groups[0]), (plans, partners), (0, 0))
    scene.sim.start("chip0/cores: scenario", lonely.run(0, [lonely]))
    with pytest.raises(SimulationError) as caught:
        scene.sim.run()
    told = str(caught.value)
    assert "deadlock at 20000 ps" in told
    assert "sum#0: send waits for the other members of sum#0" in told
    assert "chip0/cores: scenario waits for the end of sum#0" in told
    assert "x#0" not in told
