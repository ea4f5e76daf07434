"""What do competitors on the same chip do to each other?"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.engine.event.alone import shape_of
from accelsim.engine.event.lower import Lowering, lower
from accelsim.engine.event.plan import ENTRY, OpPlan, PlanBlock, Program
from accelsim.engine.event.simulate import Placement, simulate
from accelsim.engine.graph import ENGINES
from accelsim.mapping.fusion import single
from accelsim.workload.ops import Op, Vector
from tests.cross.random_ops import CHIPS, attentions, chip_of, convs, matmuls, target, vectors
from tests.cross.random_programs import NEVER_PS


def plan(op: Op, chip: str) -> OpPlan:
    group, how = single(op), Lowering(target(chip))
    cost = ENGINES["analytic"].cost(group, target(chip))
    return lower(group, cost, (ENTRY,), how, shape_of(group, cost, how))


def ends_ps(chip: str, ops: tuple[OpPlan, OpPlan], second_ps: int) -> list[int]:
    """When two programs on the two groups of cores of a chip end: each runs its op twice."""
    programs = [Program(op.name, (PlanBlock("block", (op, op)),)) for op in ops]
    first = Placement(programs[0], group="first")
    second = Placement(programs[1], group="second", start_ps=second_ps)
    records = simulate([chip_of(chip)], [first, second]).journal.ops
    return [max(r.end_ps for r in records if r.where.stream == stream) for stream in (0, 1)]


@st.composite
def rivals(draw: st.DrawFn) -> tuple[str, Op, Op]:
    chip = draw(st.sampled_from(CHIPS))
    dtype = draw(st.sampled_from(chip_of(chip).dtypes))
    kinds = st.one_of(matmuls(dtype), attentions(dtype), vectors(), convs(dtype))
    return chip, draw(kinds), draw(kinds)


@given(rivals())
@settings(max_examples=60)
def test_a_competitor_never_speeds_anybody_up(case: tuple[str, Op, Op]) -> None:
    chip, one, other = case
    plans = plan(one, chip), plan(other, chip)
    alone_ps = ends_ps(chip, plans, NEVER_PS)[0]
    both_ps = ends_ps(chip, plans, 0)
    assert both_ps[0] >= alone_ps
    # Nor do two programs take longer side by side than one after the other.
    other_ps = ends_ps(chip, plans[::-1], NEVER_PS)[0]
    assert max(both_ps) <= 1.001 * (alone_ps + other_ps)


# On these wafers the copy is not bound by the memory alone.
MEMORY_BOUND = [chip for chip in CHIPS if chip not in {"wse2", "wse3"}]


@pytest.mark.parametrize("chip", MEMORY_BOUND)
def test_two_equal_streams_each_get_half_of_the_memory(chip: str) -> None:
    # A copy far larger than any cache; its fill and its latency are less than 1 %.
    copy = plan(Vector("copy", fn="copy", rows=2**18, cols=2**12, dtype="bf16"), chip)
    alone_ps = ends_ps(chip, (copy, copy), NEVER_PS)[0]
    both_ps = ends_ps(chip, (copy, copy), 0)
    assert both_ps[0] == both_ps[1]
    assert both_ps[0] == pytest.approx(2 * alone_ps, rel=0.01)
