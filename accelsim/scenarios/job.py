"""What a run is made of: a job, and the stages that it is split into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from accelsim.arch.system import System
from accelsim.engine.graph import CostedGroup
from accelsim.results.execution import Execution
from accelsim.scenarios.options import RunOptions
from accelsim.workload.config import ModelConfig
from accelsim.workload.graph import Graph
from accelsim.workload.networks import Network

DECODE_SAMPLES = 9
"""Decode contexts that a generate phase simulates at most."""


@dataclass(frozen=True)
class Job:
    """What runs on what and how; batch and length are filled in where the options leave them open.

    `phase` is the options' own, or ``forward`` for networks.
    """

    workload: ModelConfig | Network
    system: System
    options: RunOptions
    phase: str
    batch: int
    input_len: int


@dataclass(frozen=True)
class Stage:
    """One graph of a run and how many times it runs (fractional: a weight of integration)."""

    name: str
    graph: Graph
    times: float


@dataclass(frozen=True)
class CostedStage:
    """A stage with the cost of its groups, and what the event engine saw of one pass of it.

    `ideal_s` is the time of one pass if each resource were infinite, where that was asked for [s].
    """

    stage: Stage
    groups: tuple[CostedGroup, ...]
    execution: Execution | None = None
    ideal_s: Mapping[str, float] = field(default_factory=dict)
