"""Predictions beside measurements, and the roofline beside both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from accelsim.arch.loader import load_system
from accelsim.arch.system import System
from accelsim.engine.core import Target
from accelsim.engine.graph import ENGINES
from accelsim.errors import AccelsimError, MappingError, WorkloadError
from accelsim.mapping.fusion import group_ops
from accelsim.scenarios.op_table import COLUMNS, Row, to_ops
from accelsim.scenarios.predict import predict
from accelsim.scenarios.run import run
from accelsim.validation.measured import LeftOut, MeasuredOps, MeasuredRun, MeasuredSum
from accelsim.workload.models import load_workload
from accelsim.workload.networks import Network, forward_graph

Progress = Callable[[str, int, int], None]
Systems = Mapping[str, System]


def compare(
    measured: MeasuredOps,
    systems: Systems | None = None,
    *,
    strict: bool = False,
    progress: Progress | None = None,
) -> tuple[pd.DataFrame, tuple[LeftOut, ...]]:
    """Predict every measured op.

    Parameters
    ----------
    measured : MeasuredOps
    systems : mapping of str to System, optional
        What to predict a chip's rows on, where it is not the packaged chip. One chip alone
        does not take the place of the system that collectives ran on.
    strict : bool
        A malformed row is an error; else its group (class, device, op and dtype) is left out and
        counted, as ops that the chip cannot run always are.
    progress : callable, optional
        Called with (label, done, total).

    Returns
    -------
    DataFrame, tuple of LeftOut
        The rows with ``predicted_s``, ``roofline_s`` [s] and ``bound``, and what was left out.
    """
    known = dict(systems or {})
    parts: list[pd.DataFrame] = []
    left_out: list[LeftOut] = []
    keys = ["suite", "device", "chip", "launch", "op", "dtype"]
    keys += ["system"] if "system" in measured.frame else []
    done = 0
    for _, group in measured.frame.groupby(keys, sort=False, dropna=False):
        first = group.iloc[0]
        system = _system_of(first, known)
        try:
            parts.append(_predicted(group, system, first["launch"]))
        except AccelsimError as problem:
            if strict and not isinstance(problem, MappingError):
                raise
            left_out.append(LeftOut(first["suite"], first["device"], str(problem), len(group)))
        done += len(group)
        if progress is not None:
            progress(f"{first['suite']} on {first['chip']}", done, len(measured))
    if measured.runs:
        whole = [
            _run(one, known) if isinstance(one, MeasuredRun) else _sum(one, known)
            for one in measured.runs
        ]
        parts.append(pd.DataFrame(whole))
    frame = pd.concat(parts, ignore_index=True) if parts else measured.frame.iloc[:0]
    return frame, tuple(left_out)


def _system_of(row: pd.Series[Any], known: dict[str, System]) -> System:
    """Return what a row is predicted on, which is added to those known."""
    name, own = row["chip"], row.get("system")
    if isinstance(own, str) and (name not in known or known[name].chips == 1):
        name = own
    if name not in known:
        known[name] = load_system(name)
    return known[name]


def _predicted(group: pd.DataFrame, system: System, launch: str) -> pd.DataFrame:
    ops = ops_of(group)
    answer = predict(ops, system, launch)
    return group.assign(
        predicted_s=answer["latency_s"].to_numpy(float),
        roofline_s=roofline_s(ops, system),
        bound=answer["bound"].to_numpy(object),
    )


def ops_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of predict that these rows fill, with their places for messages."""
    ops = rows[[name for name in COLUMNS if name in rows.columns and rows[name].notna().any()]]
    ops.attrs["where"] = dict(zip(rows.index, rows["place"], strict=True))
    return ops


def roofline_s(ops: pd.DataFrame, system: System) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Lower bound of every op: peak rates of the spec, compulsory traffic, no overhead [s]."""
    engine, target = ENGINES["roofline"], Target(system)
    names = [str(name) for name in ops.columns]
    times_s = []
    for cells in ops.itertuples(index=False, name=None):
        row = Row("", dict(zip(names, cells, strict=True)))
        groups = group_ops(to_ops(row), system.chip)
        times_s.append(sum(engine.cost(group, target).latency_s for group in groups))
    return np.array(times_s)


def _run(one: MeasuredRun, systems: Systems) -> dict[str, Any]:
    """Predict a network as a row."""
    network, on = load_workload(one.model), systems.get(one.system, one.system)
    if not isinstance(network, Network):
        raise WorkloadError(f"{one.model} is no network without tokens: publish its ops as a sum")
    results = {
        engine: run(network, on, options=replace(one.options, engine=engine))
        for engine in ("analytic", "roofline")
    }
    spent = [(row.latency_s * row.count, row.bound) for row in results["analytic"].rows]
    measured_s = one.measured_s
    if measured_s is None:
        assert one.flop_per_s
        graph = forward_graph(network, one.options.batch, one.options.dtype)
        measured_s = graph.flop / one.flop_per_s
    return {
        **one.labels, "op": f"{one.model} {one.options.phase}",
        "dtype": one.options.dtype or network.dtype, "measured_s": measured_s,
        "predicted_s": sum(time_s for time_s, _ in spent),
        "roofline_s": sum(r.latency_s * r.count for r in results["roofline"].rows),
        "bound": max(spent)[1],
    }  # fmt: skip


def _sum(one: MeasuredSum, systems: Systems) -> dict[str, Any]:
    """Predict ops one by one, each launched as it was, as one row."""
    system = systems[one.system] if one.system in systems else load_system(one.system)
    predicted_s = roofline = 0.0
    longest = (0.0, "")
    for launch, group in one.ops.groupby("launch", sort=False):
        ops = group[[name for name in COLUMNS if name in group.columns]]
        answer = predict(ops, system, str(launch))
        times_s = answer["latency_s"].to_numpy(float) * group["count"].to_numpy(float)
        predicted_s += float(times_s.sum())
        roofline += float(roofline_s(ops, system) @ group["count"].to_numpy(float))
        longest = max(longest, *zip(times_s.tolist(), answer["bound"], strict=True))
    return {
        **one.labels, "op": one.name, "dtype": one.dtype, "measured_s": one.measured_s,
        "predicted_s": predicted_s, "roofline_s": roofline, "bound": longest[1],
    }  # fmt: skip
