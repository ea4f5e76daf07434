"""What only the event engine knows, as plain data for JSON; units are in the keys."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from accelsim.results.ahead import passes_fetched_ahead
from accelsim.results.execution import StagePass
from accelsim.results.execution_tables import engine_totals
from accelsim.results.waits import waiting_ops
from accelsim.units import PS_PER_S

_AMOUNTS = {"matrix": "flop", "vector": "flop", "launch": None}


def what_happened(
    passes: Sequence[StagePass], shown: Sequence[StagePass]
) -> dict[str, list[dict[str, Any]] | float]:
    """Critical paths, engines, waits and bytes fetched ahead.

    Parameters
    ----------
    passes : sequence of StagePass
        All of a run.
    shown : sequence of StagePass
        Those of which engines and waits are listed: one per stage, as in the printed tables.
    """
    ahead = passes_fetched_ahead(passes)
    return {
        "critical_path": [
            {
                "stage": one.stage,
                **{f"{part.resource}_s": part.path_ps / PS_PER_S for part in one.execution.path},
            }
            for one in passes
        ],
        "engines": [row for one in shown for row in _engines(one)],
        "waiting_ops": [row for one in shown for row in _waits(one)],
        "loaded_bytes": ahead.loaded_bytes,
        "fetched_ahead_bytes": ahead.ahead_bytes,
        "fetched_ahead_share": ahead.share,
    }


def _engines(one: StagePass) -> Iterator[dict[str, Any]]:
    """Engines in one pass: what each chip's did, and how many equal chips it stands for."""
    devices = one.execution.devices
    for row in engine_totals(one.execution).to_dict("records"):
        amount = _AMOUNTS.get(row["engine"], "bytes")
        of_peak = row["of_peak"]
        yield {
            "stage": one.stage, "chip": row["chip"], "chips": devices[row["chip"]],
            "unit": row["unit"], "engine": row["engine"], "busy_s": row["busy_s"],
            "share_of_time": row["share"],
            "share_of_peak": of_peak if math.isfinite(of_peak) else None,
            **({amount: row["amount"]} if amount else {}),
            "dynamic_j": row["dynamic_j"], "pieces": row["pieces"],
        }  # fmt: skip


def _waits(one: StagePass) -> Iterator[dict[str, Any]]:
    """Ops of the first chip that had to wait in one pass; times are sums over `times`."""
    for row in waiting_ops(one.execution).to_dict("records"):
        yield {
            "stage": one.stage, "unit": row["unit"], "block": row["block"], "name": row["name"],
            "times": row["times"], "waited_s": row["waited_s"], "for_host_s": row["host_s"],
            "begun_ahead_s": row["ahead_s"], "then_took_s": row["length_s"],
        }  # fmt: skip
