"""From the cost of an op to its pipeline of pieces.

An engine that costs ops one by one says what each resource needs (`OpCost.times_s`) and how long
the op takes alone. The pipeline has the same demands. What is left of the op's time, beyond its
longest resource, is what nothing hides: the start, the first and last piece, and contention inside
the op near the balance of two resources, which lengthens the longest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

from accelsim.arch.action_energy import energy_per_action
from accelsim.arch.chip import Chip
from accelsim.energy.price import dynamic_by_action_j
from accelsim.engine.core import Target
from accelsim.engine.event.plan import (
    DOUBLE,
    LATENCY,
    LINK,
    MEMORY,
    SHARED,
    OpPlan,
    Service,
    Stream,
)
from accelsim.engine.event.streams import Demand, streamed_s, streams
from accelsim.mapping.attention import AttentionMapping
from accelsim.mapping.fusion import Group
from accelsim.mapping.matmul import MatmulMapping
from accelsim.network.collectives import collective_cost
from accelsim.results.costs import OpCost
from accelsim.timing.dispatch import host_parts_s
from accelsim.timing.gpu_vector import BYTES_PER_CORE
from accelsim.units import to_ps
from accelsim.workload.ops import Collective

FEWEST_PIECES, MOST_PIECES = 12, 150
UNHIDDEN_SHARE = 0.005
"""Share of an op's time by which a coarse pipeline may exceed it: sets the number of pieces."""
MAPPED = 0
"""Pieces of a full run: every step of the mapping for itself."""
_MOST_STEPS = 4096
IDEAL = ("matrix", "vector", MEMORY, LATENCY, SHARED, "network", "power", "launch")
"""Resources that can be taken for infinite; of `LATENCY` none is left."""


@dataclass(frozen=True)
class Lowering:
    """How ops are lowered.

    Attributes
    ----------
    target : Target
    ideal : frozenset of str
        Resources of `IDEAL` that cost no time.
    pieces : int or None
        Of every op, `MAPPED` for as many as its mapping has steps; None: as few as keep the error
        small.
    banked : bool
        Times of main memory are those of its banks: it is busy as long.
    buffers : int
        See `OpPlan.buffers`; where software manages the memory, as many as have room.
    has_rivals : bool
        See `accelsim.engine.event.streams.Demand.has_rivals`.
    """

    target: Target
    ideal: frozenset[str] = frozenset()
    pieces: int | None = None
    banked: bool = False
    buffers: int = DOUBLE
    has_rivals: bool = False

    @property
    def chip(self) -> Chip:
        """The chip."""
        return self.target.system.chip


class Shape(NamedTuple):
    """How a pipeline is cut: its pieces, and contention inside the op beyond theirs [s]."""

    pieces: int
    contention_s: float


def lower(
    group: Group, cost: OpCost, after: tuple[int, ...], how: Lowering, shape: Shape
) -> OpPlan:
    """Make the pipeline of one op.

    Parameters
    ----------
    group : Group
    cost : OpCost
        Of the group on ``how.target``, launched from a captured graph.
    after : tuple of int
        See `OpPlan.after`.
    how : Lowering
    shape : Shape
        From `first_shape`, or better.
    """
    gap_s = how.chip.calibration.kernel_overhead_s
    before_s, behind_s = host_parts_s(
        group.head, how.chip.calibration.host_dispatch_s, how.target.launch
    )
    launch = 0.0 if "launch" in how.ideal else 1.0
    plan = OpPlan(
        cost.name, cost.kind, 1, after,
        launch_ps=to_ps(launch * gap_s),
        host_ps=(to_ps(launch * before_s), to_ps(launch * behind_s)),
    )  # fmt: skip
    if isinstance(group.head, Collective):
        return _collective(plan, group.head, how)
    return _pipeline(plan, group, cost, how, shape)


def first_shape(group: Group, cost: OpCost, how: Lowering) -> Shape:
    """Guess the pieces of an op, and the contention inside it.

    Notes
    -----
    A pipeline of n pieces takes the total of its longest resource and one nth of one pass through
    all others: the first piece passes the stages before that resource alone, the last those behind
    it. There are as few pieces as leave no more exposed than the op's own time has room for.
    """
    demand = _demand(cost, how)
    moved = streams(group, cost.activity, demand, how.chip, busy=how.banked)
    times = demand.times_s
    passing_s = times["matrix"] + times["vector"] + moved.load.alone_s + moved.store.alone_s
    exposed_s = passing_s - max(times.values())
    hidden_s = demand.rest_s - _first_data_s(demand, how.chip)
    pieces = how.pieces or FEWEST_PIECES
    room_s = hidden_s + UNHIDDEN_SHARE * demand.kernel_s
    if not how.pieces and room_s > 0.0:
        pieces = max(pieces, math.ceil(min(exposed_s / room_s, MOST_PIECES)))
    if how.pieces == MAPPED:
        pieces = max(pieces, min(mapped_steps(cost, how.chip), _MOST_STEPS))
    return Shape(pieces, max(0.0, hidden_s - exposed_s / pieces))


def mapped_steps(cost: OpCost, chip: Chip) -> int:
    """Steps in which the busiest core loads operands, as the op is mapped."""
    placed = cost.placed
    if isinstance(placed, MatmulMapping):
        problem, tiling = placed.problem, placed.tiling
        tiles = problem.batch * math.ceil(problem.m / tiling.tile_m)
        tiles *= math.ceil(problem.n / tiling.tile_n) * tiling.split_k
        depth = math.ceil(math.ceil(problem.k / tiling.split_k) / max(1, tiling.tile_k))
        return math.ceil(tiles / max(1.0, placed.cost.active_cores)) * depth
    if isinstance(placed, AttentionMapping):
        asked, tile = placed.problem, placed.tiling
        tiles = asked.tasks * math.ceil(asked.rows / tile.tile_q) * tile.split_kv
        keys = math.ceil(math.ceil(asked.kv_len / tile.split_kv) / tile.tile_kv)
        return math.ceil(tiles / max(1.0, placed.cost.active_cores)) * keys
    moved = cost.activity.dram_bytes or cost.activity.shared_bytes
    return max(1, math.ceil(moved / (BYTES_PER_CORE * chip.spec.cores)))


def _first_data_s(demand: Demand, chip: Chip) -> float:
    """Latency of an op's first data [s]."""
    return min(demand.rest_s, chip.calibration.memory_latency_s)


def _collective(plan: OpPlan, op: Collective, how: Lowering) -> OpPlan:
    """Latencies of the steps, then the bytes over the chip's links."""
    cost = collective_cost(op, how.target.system)
    joules = cost.sent_bytes * energy_per_action(how.chip).link_j_per_byte
    moves = cost.wire_s > 0.0 and "network" not in how.ideal
    size = cost.sent_bytes if moves else 0.0
    send = Stream(size, {LINK: cost.wire_s / size} if moves else {}, {}, size, joules)
    waits_s = 0.0 if "network" in how.ideal else cost.latency_s - cost.wire_s
    return replace(plan, send=send, wait_ps=to_ps(waits_s), members=op.devices)


def _demand(cost: OpCost, how: Lowering) -> Demand:
    """Times of the stages."""
    given = cost.times_s
    times = {
        "matrix": max(given.get("compute", 0.0), given.get("load", 0.0)),
        "vector": max(given.get("vector", 0.0), given.get("special", 0.0)),
        MEMORY: given.get("memory", 0.0),
        SHARED: given.get("l2", 0.0),
    }
    kernel_s = cost.latency_s - how.chip.calibration.kernel_overhead_s
    bytes_s = streamed_s(cost.activity, how.chip)
    return Demand(times, given.get("power", 0.0), kernel_s, bytes_s, how.has_rivals)


def _pipeline(plan: OpPlan, group: Group, cost: OpCost, how: Lowering, shape: Shape) -> OpPlan:
    chip, activity, pieces = how.chip, cost.activity, shape.pieces
    demand = _demand(cost, how)
    first_s = _first_data_s(demand, chip)
    demand = demand.contended(shape.contention_s).without(how.ideal)
    times = demand.times_s
    joules = dynamic_by_action_j(energy_per_action(chip), activity)
    moves = streams(group, activity, demand, chip, busy=how.banked)
    matrix_ps, vector_ps = to_ps(times["matrix"]), to_ps(times["vector"])
    on_array = joules["matrix"] + (joules["scratchpad"] if matrix_ps else 0.0)
    on_lanes = joules["vector"] + (0.0 if matrix_ps else joules["scratchpad"])
    # Copies and permutations are only moved, and a few sums take less than a picosecond.
    without_time = (0.0 if matrix_ps else on_array) + (0.0 if vector_ps else on_lanes)
    load, store, early, late = moves
    load, late = load.with_energy(without_time), late.with_energy(without_time)
    power = "power" if demand.slows_units else ""
    kept = math.ceil(group.traffic.outputs) if group.output_on_chip else 0
    tile = math.ceil(_tile_bytes(cost, chip))
    return replace(
        plan,
        pieces=pieces,
        first_data_ps=0 if LATENCY in how.ideal else to_ps(first_s),
        load=load.part(1.0 / pieces),
        store=store.part(1.0 / pieces),
        early=early.part(1.0 / pieces),
        late=late.part(1.0 / pieces),
        writes_weights=group.traffic.weights_written > 0.0,
        matrix=Service(
            matrix_ps, power or "matrix", cost.flop / pieces, on_array / pieces
        ),
        vector=Service(
            vector_ps, power or "vector",
            (activity.vector_flop + activity.special) / pieces, on_lanes / pieces,
        ),
        kept_bytes=kept,
        buffer_bytes=tile,
        buffers=_buffers(kept, tile, how),
    )  # fmt: skip


def _buffers(kept_bytes: int, tile_bytes: int, how: Lowering) -> int:
    """Buffers for operands: of more than two, as many as half of the memory has room for.

    The other half is for the results and operands of the op after it.
    """
    if how.buffers <= DOUBLE or not how.chip.software_managed or not tile_bytes:
        return how.buffers
    fit = int(how.chip.on_chip_bytes / 2 - kept_bytes) // tile_bytes
    return max(DOUBLE, min(how.buffers, fit))


def _tile_bytes(cost: OpCost, chip: Chip) -> float:
    """Operand tiles of all cores at work, each once [B]."""
    if not isinstance(cost.placed, MatmulMapping):
        return BYTES_PER_CORE * chip.spec.cores
    tiling, problem = cost.placed.tiling, cost.placed.problem
    operands = tiling.tile_m * problem.a_bytes + tiling.tile_n * problem.b_bytes
    return tiling.tile_k * operands * cost.placed.cost.active_cores
