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
from accelsim.errors import AccelsimError, MappingError
from accelsim.mapping.fusion import group_ops
from accelsim.scenarios.op_table import COLUMNS, Row, to_ops
from accelsim.scenarios.predict import predict
from accelsim.scenarios.run import run
from accelsim.validation.measured import LeftOut, MeasuredOps, MeasuredRun
from accelsim.workload.config import ModelConfig
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
        What to predict a chip's rows on, where it is not the packaged chip.
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
    done = 0
    for _, group in measured.frame.groupby(keys, sort=False, dropna=False):
        first = group.iloc[0]
        if first["chip"] not in known:
            known[first["chip"]] = load_system(first["chip"])
        system = known[first["chip"]]
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
        parts.append(pd.DataFrame([_run(one, known) for one in measured.runs]))
    frame = pd.concat(parts, ignore_index=True) if parts else measured.frame.iloc[:0]
    return frame, tuple(left_out)


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
    """Predict a whole network, or one layer of a Transformer, as a row."""
    workload = load_workload(one.model)
    if one.max_positions and isinstance(workload, ModelConfig):
        position = replace(workload.position, max_positions=one.max_positions)
        workload = replace(workload, position=position)
    on = systems.get(one.system, one.system)
    seconds, bounds = {}, {}
    for engine in ("analytic", "roofline"):
        result = run(workload, on, options=replace(one.options, engine=engine))
        if isinstance(workload, Network):
            spent = [(row.latency_s * row.count, row.bound) for row in result.rows]
        else:
            layer = [row for row in result.rows if row.block.startswith("layers")]
            spent = [(row.latency_s, row.bound) for row in layer]
        seconds[engine] = sum(time_s for time_s, _ in spent)
        bounds[engine] = max(spent)[1]
    measured_s = one.measured_s
    if measured_s is None:
        assert isinstance(workload, Network) and one.flop_per_s
        graph = forward_graph(workload, one.options.batch, one.options.dtype)
        measured_s = graph.flop / one.flop_per_s
    dtype = one.options.dtype or workload.dtype
    return {
        **one.labels, "op": f"{one.model} {one.options.phase}", "dtype": dtype,
        "measured_s": measured_s, "predicted_s": seconds["analytic"],
        "roofline_s": seconds["roofline"], "bound": bounds["analytic"],
    }  # fmt: skip
