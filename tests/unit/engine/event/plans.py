"""What the scenarios share: plans with given times [ns], and logs of what happened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple, TypedDict, Unpack

from accelsim.arch.chip import Chip
from accelsim.arch.loader import load_chip
from accelsim.arch.system import System
from accelsim.engine.event.critical import critical_path, path_by_op
from accelsim.engine.event.journal import Journal
from accelsim.engine.event.outcome import Reading, execution_of
from accelsim.engine.event.plan import ENTRY, LINK, MEMORY, OpPlan, PlanBlock, Program, Stream
from accelsim.engine.event.plan import Service as Work
from accelsim.engine.event.simulate import Outcome, Placement, simulate
from accelsim.results.execution import Execution

PS = 1000
"""Picoseconds in the nanoseconds of the scenarios."""
Log = list[tuple[str, int, int]]


class Rest(TypedDict, total=False):
    """Fields of `OpPlan` that are given as they are."""

    kept_bytes: int
    buffer_bytes: int
    buffers: int


@cache
def teaching() -> Chip:
    """A chip with a memory that software manages: operands can be fetched ahead."""
    return load_chip("teach_systolic_16x16")


@cache
def gpu() -> Chip:
    """A chip whose kernels run in order."""
    return load_chip("t4")


@dataclass(frozen=True)
class Times:
    """Of each piece of an op, alone [ns]; `share` is that of the memory's bandwidth it needs."""

    load: int = 0
    matrix: int = 0
    vector: int = 0
    store: int = 0
    share: float = 1.0


def moves(time_ns: int, share: float = 1.0, bytes_each: float = 64.0) -> Stream:
    """A transfer that takes a time alone, with a share of the bandwidth of the memory."""
    if time_ns == 0:
        return Stream()
    seconds = time_ns * 1e-9
    takes = share * teaching().transfers.read_bytes_per_s * seconds / bytes_each
    return Stream(bytes_each, {MEMORY: takes}, {MEMORY: seconds}, bytes_each, 0.5)


def op(
    name: str, times: Times, pieces: int = 1, after: tuple[int, ...] = (ENTRY,),
    ahead: float = 0.0, **rest: Unpack[Rest],
) -> OpPlan:  # fmt: skip
    """An op of equal pieces; the share `ahead` of its loads may come ahead."""
    load = moves(times.load, times.share)
    early, late = (load.part(share) if share else Stream() for share in (ahead, 1.0 - ahead))
    return OpPlan(
        name, "matmul", pieces, after, load=load, early=early, late=late,
        store=moves(times.store, times.share), matrix=work("matrix", pieces * times.matrix),
        vector=work("vector", pieces * times.vector), **rest,
    )  # fmt: skip


def work(engine: str, total_ns: int) -> Work:
    return Work(total_ns * PS, engine, 2.0 if total_ns else 0.0, 0.25)


def launched(plan: OpPlan, gap_ns: int, host_ns: tuple[int, int] = (0, 0)) -> OpPlan:
    """The same op with a gap before it, and with work of a host before and after its launch."""
    return replace(plan, launch_ps=gap_ns * PS, host_ps=(host_ns[0] * PS, host_ns[1] * PS))


def collective(name: str, wait_ns: int, send_ns: int, after: tuple[int, ...] = (ENTRY,)) -> OpPlan:
    """A collective of two: latencies, then bytes over the links."""
    send = Stream(8.0, {LINK: send_ns * 1e-9 / 8.0}, {}, 8.0, 1.0)
    return OpPlan(name, "all_reduce", 1, after, send=send, members=2, wait_ps=wait_ns * PS)


def program(*ops: OpPlan, repeat: int = 1) -> Program:
    return Program("scenario", (PlanBlock("block", ops, repeat),))


def run(plans: Program, chip: Chip | None = None, fold: bool = True) -> Outcome:
    """One program on one chip."""
    return simulate([chip or teaching()], [Placement(plans)], fold=fold)


class Seen(NamedTuple):
    """A piece of work of the journal, by name."""

    op: int
    track: int
    start_ps: int
    end_ps: int
    amount: float
    energy_j: float
    cause: int
    spent_on: int


def log(outcome: Outcome, *engines: str) -> Log:
    """What the engines did, as (engine op, start, end) [ns], by start and then by engine."""
    journal = outcome.journal
    found = []
    for piece in map(Seen._make, journal.pieces):
        track, record = journal.tracks[piece.track], journal.ops[piece.op]
        if not engines or track.engine in engines:
            name = f"{track.engine} {record.name}"
            found.append((name, whole_ns(piece.start_ps), whole_ns(piece.end_ps)))
    return sorted(found, key=lambda entry: (entry[1], entry[0], entry[2]))


def spans(outcome: Outcome) -> Log:
    """All ops as (name, start, end) [ns], in the order in which they were issued."""
    ops = outcome.journal.ops
    return [(r.name, whole_ns(r.start_ps), whole_ns(r.end_ps)) for r in ops]


def whole_ns(time_ps: int) -> int:
    assert time_ps % PS == 0, f"{time_ps} ps is no whole number of nanoseconds"
    return time_ps // PS


def last_piece(journal: Journal) -> int:
    """The piece that the run ends with."""
    return max(journal.ops, key=lambda record: record.end_ps).last_piece


def chain(outcome: Outcome) -> list[str]:
    """The critical path from its start on, as ``engine op``."""
    journal, found = outcome.journal, []
    place = last_piece(journal)
    while place >= 0:
        piece = Seen._make(journal.pieces[place])
        found.append(f"{journal.tracks[piece.track].engine} {journal.ops[piece.op].name}")
        place = piece.cause
    return found[::-1]


def path(outcome: Outcome, weights: Mapping[int, int] | None = None) -> dict[str, int]:
    """Time that the critical path spends on each resource [ns]."""
    journal = outcome.journal
    end_ps = max(record.end_ps for record in journal.ops)
    shares = critical_path(path_by_op(journal, last_piece(journal), weights or {}), end_ps)
    return {share.resource: whole_ns(share.path_ps) for share in shares}


def execution(outcome: Outcome, chips: int = 1) -> Execution:
    """What the outcome is in results."""
    system = System.of_chip(teaching())
    return execution_of(Reading(outcome), system, "", [f"chip{i}" for i in range(chips)])
