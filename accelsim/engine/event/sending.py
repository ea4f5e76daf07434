"""Runs a collective on one chip: meet the others, then move bytes over the links."""

from __future__ import annotations

from collections.abc import Hashable

from accelsim.des.components import Port
from accelsim.des.simulation import Steps
from accelsim.engine.event.network import Request
from accelsim.engine.event.task import Task


def send(task: Task, port: Port, key: Hashable) -> Steps:
    """Take part in a collective.

    Parameters
    ----------
    task : Task
    port : Port
        To the network.
    key : hashable
        The same on all members.
    """
    sim, plan, track = task.sim, task.plan, task.chip.network_track
    yield task.ready
    arrived_ps, last = sim.now_ps, task.ready_by
    request = Request(key, sim.event(lambda: f"the other members of {task.label}"))
    yield port.send(request)
    yield request.started
    if sim.now_ps > arrived_ps:
        last = task.note(track, arrived_ps, last, "others")
    if plan.wait_ps:
        start_ps = sim.now_ps
        yield sim.timeout(plan.wait_ps)
        last = task.note(track, start_ps, last, "network")
    if plan.send.size_bytes:
        flow = task.chip.transfers.transfer(task.ways.send, plan.send.size_bytes)
        yield flow
        last = task.moved(track, flow, plan.send, last)
    task.finish(last)
