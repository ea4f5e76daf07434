"""The passes of a run one after the other: ops and power over time from the event engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from accelsim.results.execution import Execution, StagePass
from accelsim.results.execution_tables import op_table, power
from accelsim.results.over_time import bin_edges
from accelsim.results.unrolled import unrolled_ops
from accelsim.units import PS_PER_S

if TYPE_CHECKING:
    import pandas as pd


def passes_timeline(passes: Sequence[StagePass]) -> pd.DataFrame:
    """One row per op and chip of one pass of each stage; the stage's other passes are one row.

    Parameters
    ----------
    passes : sequence of StagePass

    Returns
    -------
    DataFrame
        name, block (``stage/block``), start_s, end_s [s], power_w: dynamic energy of the op on
        its chip over its time [W], chip.
    """
    import pandas as pd

    frames, shift_s = [], 0.0
    for stage, times, execution, _ in passes:
        ops = op_table(execution)
        joules = _op_energy_j(execution)
        length = (ops["end_s"] - ops["start_s"]).to_numpy()
        watts = np.divide(joules, length, out=np.zeros(len(ops)), where=length > 0)
        pass_s = execution.end_ps / PS_PER_S
        frames.append(pd.DataFrame({
            "name": ops["name"], "block": stage + "/" + ops["block"],
            "start_s": shift_s + ops["start_s"], "end_s": shift_s + ops["end_s"],
            "power_w": watts, "chip": ops["chip"],
        }))  # fmt: skip
        if times > 1:
            counts = np.array(execution.devices, np.float64)
            own = np.bincount(ops["chip"], joules, len(counts))
            last = (f"{times - 1:,.6g} more passes", stage, shift_s + pass_s)
            mean_w = float((own * counts).sum()) / pass_s
            row = (*last, shift_s + pass_s * times, mean_w, 0)
            frames.append(pd.DataFrame([row], columns=frames[-1].columns))
        shift_s += pass_s * max(1.0, times)
    return pd.concat(frames, ignore_index=True)


def passes_power(passes: Sequence[StagePass], bins: int = 200) -> pd.DataFrame:
    """Power of all chips over time: so many bins in one pass of each stage, one for the others.

    Parameters
    ----------
    passes : sequence of StagePass
    bins : int
        In a pass.

    Returns
    -------
    DataFrame
        start_s, end_s [s] and power_w [W]; its integral is the energy of the passes.
    """
    import pandas as pd

    rows, shift_s = [], 0.0
    for _, times, execution, _ in passes:
        edges = bin_edges(execution, bins) / PS_PER_S
        watts = power(execution, bins)["power_w"].to_numpy()
        rows.append(np.stack([shift_s + edges[:-1], shift_s + edges[1:], watts], axis=1))
        pass_s = execution.end_ps / PS_PER_S
        if times > 1:
            mean_w = float(np.average(watts, weights=np.diff(edges)))
            rows.append(np.array([[shift_s + pass_s, shift_s + pass_s * times, mean_w]]))
        shift_s += pass_s * max(1.0, times)
    return pd.DataFrame(np.concatenate(rows), columns=["start_s", "end_s", "power_w"])


def _op_energy_j(execution: Execution) -> np.ndarray:
    """Dynamic energy of each unrolled op, float64[ops] [J]."""
    simulated = np.bincount(execution.work.op, execution.work.energy_j, len(execution.ops))
    return simulated[[op.source for op in unrolled_ops(execution)]]
