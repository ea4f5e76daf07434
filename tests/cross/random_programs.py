"""Random small programs on chips whose memory software manages, and what comes of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

from hypothesis import strategies as st

from accelsim.arch.chip import Chip
from accelsim.arch.loader import load_system
from accelsim.engine.core import Target
from accelsim.engine.event.engine import Detail, EventRun
from accelsim.engine.event.plan import OpPlan, PlanBlock, Program
from accelsim.engine.event.simulate import Outcome, Placement, simulate
from accelsim.engine.graph import ENGINES, CostedGroup
from accelsim.mapping.fusion import group_ops
from accelsim.workload.ops import Attention, Collective, MatMul, Op, Vector
from tests.cross.random_ops import CHIPS, chip_of

MANAGED = tuple(name for name in CHIPS if chip_of(name).software_managed)
SYSTEMS = ("tpu_v5e_4x4", "tpu_v4_4x4x4")
NEVER_PS = 10**19
"""A competitor that comes then does nothing to anybody, and leaves the chip as it is divided."""
# Ops of about the same size, some of them tiny, so that neighbours matter.
TOKENS = st.sampled_from((1, 8, 64, 100, 256, 1000))
WIDTHS = st.sampled_from((64, 128, 500, 1024, 4096))
FUNCTIONS = st.sampled_from(("add", "silu", "rmsnorm", "softmax", "copy", "mul"))


@dataclass(frozen=True)
class Scenario:
    """A program on chips that run it together.

    Attributes
    ----------
    run : EventRun
    on : str
        Chip or system.
    costed : tuple of CostedGroup
    chips : int
    """

    run: EventRun
    on: str
    costed: tuple[CostedGroup, ...]
    chips: int

    def __repr__(self) -> str:
        ops = [
            f"{item.block} x{item.repeat}: {op} after {op.after}"
            for item in self.costed
            for op in item.group.ops
        ]
        return f"{self.chips} of {self.on}: {'; '.join(ops)}"

    @property
    def in_order(self) -> bool:
        """Whether every op reads what the one before it made: nothing to choose between."""
        return all(op.after is None for item in self.costed for op in item.group.ops)

    @property
    def chip(self) -> Chip:
        return target_of(self.on).system.chip

    def program(self, **how: object) -> Program:
        return self.run.program(Detail(**how))  # type: ignore[arg-type]


@cache
def target_of(on: str) -> Target:
    return Target(load_system(on))


@st.composite
def _op(draw: st.DrawFn, name: str, dtype: str, devices: int) -> Op:
    kind = draw(st.sampled_from(("matmul", "matmul", "vector", "attention", "collective")))
    if kind == "collective" and devices > 1:
        size = draw(TOKENS) * draw(WIDTHS) * 2.0
        return Collective(name, fn="all_reduce", size_bytes=size, devices=devices)
    if kind == "attention":
        queries, keys = draw(st.sampled_from(((1, 500), (64, 64), (100, 1000))))
        batch, kv_heads = draw(st.sampled_from((1, 4))), draw(st.sampled_from((2, 8)))
        return Attention(
            name, batch=batch, heads=8, kv_heads=kv_heads,
            q_len=queries, kv_len=keys, head_dim=64, v_head_dim=64, causal=True, cached=True,
            window=None, dtype=dtype, kv_dtype=dtype,
        )  # fmt: skip
    if kind == "vector":
        fn = draw(FUNCTIONS)
        return Vector(name, fn=fn, rows=draw(TOKENS), cols=draw(WIDTHS), dtype=dtype)
    weights = dtype if draw(st.booleans()) else None
    m, n, k = draw(TOKENS), draw(WIDTHS), draw(WIDTHS)
    return MatMul(name, m=m, n=n, k=k, dtype=dtype, weight_dtype=weights)


@st.composite
def _block(draw: st.DrawFn, dtype: str, devices: int, free: bool) -> list[Op]:
    """One to five ops, each after the one before; if free, some after others, or after none."""
    ops: list[Op] = []
    for place in range(draw(st.integers(1, 5))):
        op = draw(_op(f"op{place}", dtype, devices))
        names = [other.name for other in ops]
        if free and names and draw(st.booleans()):
            op = replace(op, after=tuple(draw(st.lists(st.sampled_from(names), unique=True))))
        ops.append(op)
    return ops


@st.composite
def scenarios(
    draw: st.DrawFn,
    chips: Sequence[str] = MANAGED,
    *,
    several: bool = False,
    free: bool = True,
    most_repeats: int = 4,
) -> Scenario:
    """One or two blocks of ops, mapped and costed on a chip, or on several of a system."""
    on = draw(st.sampled_from(SYSTEMS if several else tuple(chips)))
    devices = draw(st.sampled_from((2, 4))) if several else 1
    chip = target_of(on).system.chip
    dtype = draw(st.sampled_from([d for d in ("bf16", "fp16", "int8", "fp32") if d in chip.dtypes]))
    blocks = [
        (draw(st.integers(1, most_repeats)), draw(_block(dtype, devices, free)))
        for _ in range(draw(st.integers(1, 2)))
    ]
    return scenario(on, blocks, devices)


def scenario(on: str, blocks: Sequence[tuple[int, Sequence[Op]]], devices: int = 1) -> Scenario:
    """Repeats and ops of blocks, mapped and costed on a chip."""
    target = target_of(on)
    costed = []
    for number, (repeat, ops) in enumerate(blocks):
        for group in group_ops(ops, target.system.chip):
            cost = ENGINES["analytic"].cost(group, target)
            costed.append(CostedGroup(f"block{number}", repeat, group, cost))
    return Scenario(EventRun("random", costed, target, devices), on, tuple(costed), devices)


def executed(program: Program, chip: Chip, chips: int = 1, **how: object) -> Outcome:
    """Run a program alone; `share`, `fold` and `ideal` as in the engine."""
    share = how.pop("share", None)
    placed = Placement(program, tuple(range(chips)), share=share)  # type: ignore[arg-type]
    return simulate([chip] * chips, [placed], **how)  # type: ignore[arg-type]


def length_ps(outcome: Outcome, stream: int = 0) -> float:
    return outcome.sequencers[stream].length_ps


def beside(chip: Chip, programs: Sequence[Program], starts_ps: Sequence[int]) -> Outcome:
    """Run programs on groups of cores of one chip, each with its part of the memory."""
    placed = [
        Placement(program, group=f"group{number}", start_ps=start)
        for number, (program, start) in enumerate(zip(programs, starts_ps, strict=True))
    ]
    return simulate([chip], placed, fold=False)


def with_faster_units(program: Program, factor: float) -> Program:
    """The same with matrix and vector units at a faster clock."""

    def faster(op: OpPlan) -> OpPlan:
        services = {
            name: replace(work, total_ps=int(work.total_ps / factor))
            for name, work in (("matrix", op.matrix), ("vector", op.vector))
        }
        return replace(op, **services)

    return _each_op(program, faster)


def with_buffers(program: Program, buffers: int) -> Program:
    """The same with so many buffers in the room that its own take."""

    def filled(op: OpPlan) -> OpPlan:
        size = op.buffers * op.buffer_bytes // buffers
        return replace(op, buffers=buffers, buffer_bytes=size)

    return _each_op(program, filled)


def _each_op(program: Program, change: Callable[[OpPlan], OpPlan]) -> Program:
    blocks = (PlanBlock(b.name, tuple(map(change, b.ops)), b.repeat) for b in program.blocks)
    return Program(program.name, tuple(blocks))
