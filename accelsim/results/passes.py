"""The passes of a run one after the other: ops and power over time from the event engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from accelsim.results.execution import StagePass
from accelsim.results.execution_tables import op_table, power
from accelsim.results.over_time import BINS, bin_edges
from accelsim.units import PS_PER_S

if TYPE_CHECKING:
    import pandas as pd


TIMELINE_COLUMNS = (
    "name", "block", "start_s", "end_s", "dynamic_w", "dynamic_j", "chip", "chips", "unit",
)  # fmt: skip


def passes_timeline(passes: Sequence[StagePass]) -> pd.DataFrame:
    """One row per op and chip of one pass of each stage; the stage's other passes are one row.

    Parameters
    ----------
    passes : sequence of StagePass

    Returns
    -------
    DataFrame
        name, block (``stage/block``), start_s, end_s [s]; dynamic_w, dynamic_j: counted power
        [W] and energy [J] of the op on one chip, without idle power; chip, and chips: how many
        equal ones the row stands for; unit, its group of cores.

    Notes
    -----
    The sum of ``dynamic_j chips``, and idle power over the time of all chips, are the energy of
    the run.
    """
    import pandas as pd

    frames, shift_s = [], 0.0
    for stage, times, execution, _ in passes:
        ops = op_table(execution)
        counts = np.array(execution.devices)
        joules = ops["dynamic_j"].to_numpy()
        length = (ops["end_s"] - ops["start_s"]).to_numpy()
        watts = np.divide(joules, length, out=np.zeros(len(ops)), where=length > 0)
        pass_s = execution.end_ps / PS_PER_S
        frames.append(pd.DataFrame({
            "name": ops["name"], "block": stage + "/" + ops["block"],
            "start_s": shift_s + ops["start_s"], "end_s": shift_s + ops["end_s"],
            "dynamic_w": watts, "dynamic_j": joules, "chip": ops["chip"],
            "chips": counts[ops["chip"]], "unit": ops["unit"],
        }))  # fmt: skip
        if times > 1:
            own_j = np.bincount(ops["chip"], joules, len(counts))
            when = (shift_s + pass_s, shift_s + pass_s * times)
            name = f"{times - 1:,.6g} more passes"
            rest = [
                (name, stage, *when, one_j / pass_s, one_j * (times - 1), chip, count, "")
                for chip, (one_j, count) in enumerate(zip(own_j, counts, strict=True))
            ]
            frames.append(pd.DataFrame(rest, columns=list(TIMELINE_COLUMNS)))
        shift_s += pass_s * max(1.0, times)
    return pd.concat(frames, ignore_index=True)


def passes_power(passes: Sequence[StagePass], bins: int = BINS) -> pd.DataFrame:
    """Power of all chips over time: in bins in one pass of each stage, one mean for the others.

    Parameters
    ----------
    passes : sequence of StagePass
    bins : int
        About how many in a pass, see `accelsim.results.over_time.bin_edges`.

    Returns
    -------
    DataFrame
        start_s, end_s [s]; power_w, counted with idle power, whose integral is the energy of
        the passes; board_w, see `accelsim.results.execution_tables.power` [W].
    """
    import pandas as pd

    rows, shift_s = [], 0.0
    for _, times, execution, _ in passes:
        edges = bin_edges(execution, bins) / PS_PER_S
        watts = power(execution, bins)[["power_w", "board_w"]].to_numpy()
        times_s = shift_s + np.stack([edges[:-1], edges[1:]], axis=1)
        rows.append(np.concatenate([times_s, watts], axis=1))
        pass_s = execution.end_ps / PS_PER_S
        if times > 1:
            mean_w = np.average(watts, axis=0, weights=np.diff(edges))
            rows.append(np.array([[shift_s + pass_s, shift_s + pass_s * times, *mean_w]]))
        shift_s += pass_s * max(1.0, times)
    return pd.DataFrame(np.concatenate(rows), columns=["start_s", "end_s", "power_w", "board_w"])
