"""A systolic array at work as one HTML file that plays without network or other files."""

from __future__ import annotations

import base64
import html
import json
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.arch.array import SystolicArray
from accelsim.errors import CapacityError
from accelsim.files import write_text
from accelsim.report.array_plan import FLOWS, FoldPlan, problem_words
from accelsim.report.array_states import (
    Arrivals,
    adds_up,
    arrivals,
    can_follow,
    filled_at,
    fold_starts,
    pe_states,
    require_trace,
    shown_words,
    state_words,
    used_pes,
)
from accelsim.scenarios.array_problem import ArrayProblem
from accelsim.timing.pe_level import ArrayRun, ArrayTrace

VALUES_PE_CYCLES = 1_000_000
"""Most PE-cycles whose values are written: at 13 bytes and base64 17 MB, compression aside."""
STATES_PE_CYCLES = 15_000_000
"""Most PE-cycles that are written as colours alone: at 1 byte and base64 20 MB."""
_VALUES_UP_TO = 32
"""Rows and columns of the largest array whose values anyone could read."""
_RESULT_UP_TO = 48
"""Rows and columns of the largest C that fills in beside the array."""
_TEMPLATE = Path(__file__).with_suffix(".html")


def write_animation(
    run: ArrayRun,
    array: SystolicArray,
    problem: ArrayProblem,
    path: str | Path,
    *,
    note: str = "",
) -> Path:
    """Write a run as an animation; every value shown is one of the simulated trace.

    Parameters
    ----------
    run : ArrayRun
        With a trace.
    array : SystolicArray
        That it ran on.
    problem : ArrayProblem
        What it computed.
    path : str or Path
        The HTML file.
    note : str
        Said of the problem in the title, such as ``1 of 4 groups``.

    Raises
    ------
    SimulationError
        If the run has no trace.
    CapacityError
        If not even the first fold fits.

    Notes
    -----
    A trace may end before the run. Arrays up to 32 x 32 PEs are written with their values, up to
    a million PE-cycles; others as colours, up to 15 million. Of longer runs the first whole folds
    are shown, and the page says so. Whole numbers that fit 32 bits are exact; all others are
    rounded to single precision.
    """
    trace = require_trace(run)
    cycles, with_values = _room(trace, array)
    document = _document(run, array, problem, cycles, with_values)
    name = "" if array.name == "array" else f"{array.name}: "
    parts = {
        "title": html.escape(f"{name}{problem_words(array, problem, note)}"),
        "note": html.escape(_shown(run, array, cycles)),
        "data": _script_safe(document),
    }
    template = _TEMPLATE.read_text(encoding="utf-8")
    # One pass: text that was filled in is never searched for marks.
    write_text(path, re.sub(r"\{\{(\w+)\}\}", lambda mark: parts[mark[1]], template))
    return Path(path)


def _room(trace: ArrayTrace, array: SystolicArray) -> tuple[int, bool]:
    """Return how many cycles are shown, and whether with values."""
    ends = np.append(fold_starts(trace.fold)[1:], len(trace.fold))
    for limit, with_values in ((VALUES_PE_CYCLES, True), (STATES_PE_CYCLES, False)):
        fitting = ends[ends <= limit // array.pes]
        if fitting.size and not (with_values and max(array.rows, array.cols) > _VALUES_UP_TO):
            return int(fitting[-1]), with_values
    raise CapacityError(
        f"the first fold takes {ends[0]:,} cycles on {array.pes:,} PEs, "
        f"{ends[0] * array.pes:,} PE-cycles; an animation holds {STATES_PE_CYCLES:,}: take a "
        f"smaller array, or stream at most "
        f"{STATES_PE_CYCLES // array.pes:,} cycles per fold"
    )


def _shown(run: ArrayRun, array: SystolicArray, cycles: int) -> str:
    """Say what of a run is shown, where it is not all."""
    extra, sentences = array.features, [shown_words(array)]
    if extra.arrays > 1:
        sentences.append("Counts are of all arrays")
    if extra.mac_latency_cycles > 1:
        late = extra.mac_latency_cycles - 1
        sentences.append(f"The sum in a PE has the product of {late} cycles before")
    if cycles < run.cycles:
        part = f"Shown: the first {cycles:,} of {run.cycles:,} cycles"
        whole = cycles == len(require_trace(run).fold)
        sentences.append(
            f"{part}, as far as they were traced"
            if whole
            else f"{part}, in whole folds; the file would grow too large with all"
        )
    return "".join(f"{sentence}. " for sentence in sentences if sentence).rstrip()


def _document(
    run: ArrayRun, array: SystolicArray, problem: ArrayProblem, cycles: int, with_values: bool
) -> dict[str, Any]:
    """Collect what the page needs; arrays are compressed."""
    trace, extra = require_trace(run), array.features
    plan, flow = FoldPlan.of(array, problem), FLOWS[array.dataflow]
    packed: dict[str, NDArray[Any]] = {
        "states": pe_states(trace, array, plan)[:cycles],
        "fold": trace.fold[:cycles],
        "phase": trace.phase[:cycles],
        "active": run.active_per_cycle[:cycles],
    }
    if with_values:
        packed |= {"a": trace.a[:cycles], "b": trace.b[:cycles], "sums": trace.sums[:cycles]}
    result = can_follow(array) and max(problem.m, problem.n) <= _RESULT_UP_TO
    if result:
        packed |= _result(arrivals(trace, array, problem), cycles)
    folds = np.arange(int(trace.fold[:cycles].max()) + 1)
    return {
        "rows": array.rows,
        "cols": array.cols,
        "high": plan.high // array.rows,
        "wide": plan.wide // array.cols,
        "cycles": cycles,
        "m": problem.m,
        "n": problem.n,
        "dataflow": array.dataflow,
        "flow": {
            "rows": flow.rows, "cols": flow.cols, "stream": flow.stream, "stays": flow.stays,
            "left": flow.enters_left, "top": flow.enters_top,
        },
        "folds": run.folds,
        "plan": {
            "onRows": plan.on_rows, "onCols": plan.on_cols, "streamed": plan.streamed,
            "high": plan.high, "wide": plan.wide, "inner": plan.inner,
        },
        "parts": 1 if array.dataflow == "os" else plan.row_folds,
        "allCycles": run.cycles,
        "allActive": int(run.active_pe_cycles),
        "origins": [plan.origin(fold) for fold in folds.tolist()],
        "filled": filled_at(trace, array, plan).tolist(),
        "usedRows": used_pes(array, plan, folds)[0].tolist(),
        "spans": [plan.span_words(fold) for fold in folds.tolist()],
        "words": {int(state): words for state, words in state_words(array).items()},
        "values": with_values,
        "packing": extra.packing,
        "single": extra.packing == 1 and extra.sparsity is None,
        "follows": can_follow(array),
        "addsUp": adds_up(array),
        "latency": extra.mac_latency_cycles,
        "overlap": extra.double_buffer,
        "arrays": extra.arrays,
        "result": result,
        "packed": {name: pack(values) for name, values in packed.items()},
    }  # fmt: skip


def _result(found: Arrivals, cycles: int) -> dict[str, NDArray[Any]]:
    shown = found.cycle < cycles
    order = np.argsort(found.cycle, kind="stable")
    named = {
        "atCycle": found.cycle, "atRow": found.row, "atCol": found.col, "atValue": found.value,
    }  # fmt: skip
    return {name: values[order][shown[order]] for name, values in named.items()}


def pack(values: NDArray[Any]) -> dict[str, str]:
    """Compress an array for the page.

    Parameters
    ----------
    values : array of numbers
        Written in the shortest of int8, uint8, int16, int32 that is exact; else as float32.

    Returns
    -------
    dict of str to str
        ``type``, and ``data``: little-endian values, deflated (zlib), in base64.
    """
    kind = next((k for k in ("i1", "u1", "i2", "i4") if _exact(values, k)), "f4")
    with np.errstate(over="ignore"):
        plain = values.astype(f"<{kind}").tobytes()
    return {"type": kind, "data": base64.b64encode(zlib.compress(plain, 9)).decode("ascii")}


def _exact(values: NDArray[Any], kind: str) -> bool:
    """Whether an integer type holds all values."""
    if not values.size:
        return True
    limits = np.iinfo(kind)
    low, high = values.min(), values.max()
    whole = values.dtype.kind in "biu" or bool((values == np.trunc(values)).all())
    return bool(whole and limits.min <= low and high <= limits.max)


def _script_safe(document: dict[str, Any]) -> str:
    """Write JSON that cannot end the script element it stands in."""
    text = json.dumps(document, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
