"""Models on chips for tests of the event engine, costed once."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

from accelsim.arch.loader import load_system
from accelsim.engine.core import Target
from accelsim.engine.event.engine import Detail, EventRun, Executed
from accelsim.engine.graph import ENGINES, CostedGroup, cost_graph
from accelsim.mapping.fusion import Group, single
from accelsim.parallel.tensor import shard
from accelsim.results.execution import Execution
from accelsim.units import PS_PER_S
from accelsim.workload.config import ModelConfig
from accelsim.workload.graph import Graph
from accelsim.workload.models import load_workload
from accelsim.workload.networks import forward_graph
from accelsim.workload.ops import Op
from accelsim.workload.phases import PhaseOptions, build_graph
from tests.cross.random_ops import target


@dataclass(frozen=True)
class Case:
    """A phase of a model on a chip or system, and how it runs there."""

    model: str
    on: str
    phase: str = "prefill"
    tokens: int = 256
    batch: int = 1
    tp: int = 1
    launch: str = "graph"
    dtype: str = "bf16"
    overrides: tuple[tuple[str, Any], ...] = field(default=())

    def __str__(self) -> str:
        parts = [self.model, self.on, self.phase, f"{self.tokens}", self.launch]
        return "-".join([*parts, f"tp{self.tp}", *(f"{k}={v}" for k, v in self.overrides)])

    @property
    def graph(self) -> Graph:
        workload = load_workload(self.model)
        if not isinstance(workload, ModelConfig):
            return forward_graph(workload, self.batch, self.dtype, None)
        options = PhaseOptions(
            self.phase, batch=self.batch, input_len=self.tokens, dtype=self.dtype
        )
        return shard(build_graph(workload, options), self.tp)

    @property
    def target(self) -> Target:
        return Target(load_system(self.on, dict(self.overrides)), self.launch)

    def costs(self, engine: str = "analytic") -> tuple[CostedGroup, ...]:
        """For launches from a captured graph, as the event engine wants them."""
        graphed = Target(self.target.system)
        return cost_graph(self.graph, ENGINES[engine], graphed)


@cache
def event_run(case: Case) -> EventRun:
    return EventRun(str(case), case.costs(), case.target, case.tp)


@cache
def executed(case: Case, **how: Any) -> Executed:
    return event_run(case).execute(Detail(**how))


def end_s(case: Case, **how: Any) -> float:
    return executed(case, **how).execution.end_ps / PS_PER_S


def alone(chip: str, op: Op) -> tuple[CostedGroup, Execution]:
    """An op alone, its data in main memory: its cost, and its execution."""
    return group_alone(chip, single(op))


def group_alone(chip: str, group: Group) -> tuple[CostedGroup, Execution]:
    """A group of fused ops alone: its cost, and its execution."""
    cost = ENGINES["analytic"].cost(group, target(chip))
    costed = CostedGroup("block", 1, group, cost)
    return costed, EventRun("alone", [costed], target(chip)).execute().execution


SMALL = "smollm2-135m"
CASES = [
    Case(SMALL, "h100_sxm"),
    Case(SMALL, "h100_sxm", "decode"),
    Case(SMALL, "h100_sxm", "decode", launch="eager"),
    Case(SMALL, "h100_sxm", "train"),
    Case(SMALL, "tpu_v5e"),
    Case(SMALL, "tpu_v5e", "decode"),
    Case(SMALL, "tpu_v5e", "train"),
    Case(SMALL, "teach_systolic_16x16", tokens=64),
    Case(SMALL, "teach_edge_npu", "decode", dtype="int8"),
    Case("mixtral-8x7b", "dgx_h100", "decode", tokens=1000, tp=4),
    Case("mixtral-8x7b", "tpu_v5e_4x4", tokens=1000, tp=4),
    Case("llama3.1-8b", "dgx_h100", tokens=2000, tp=4),
    Case("resnet50", "tpu_v5e"),
    Case("resnet50", "h100_sxm"),
    Case("mobilenet_v1", "tpu_v4"),
    Case("lstm0", "tpu_v1", dtype="int8"),
]
# What overlaps there depends most on how finely ops are cut.
MANY_OVERLAPS = [
    Case("lstm0", "mtia_v2"),
    Case("resnet50", "mtia_v2", batch=2),
    Case("resnet50", "vck190", batch=2, dtype="int8"),
    Case(SMALL, "sn40l", "decode", tokens=2000, batch=16),
    Case(SMALL, "gaudi2", "train", tokens=64, batch=2),
]
