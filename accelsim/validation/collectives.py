"""Measured collectives as rows of predict, on the packaged systems that are built like theirs."""

from __future__ import annotations

from functools import cache

import pandas as pd

from accelsim.arch.loader import load_system
from accelsim.scenarios.capacity import system_with
from accelsim.validation import rules
from accelsim.validation.devices import chip_of_device
from accelsim.validation.measured import Screen

CUSTOM = "custom_all_reduce"
"""All-reduce kernels of a serving library; all other classes are named after their op."""
COLLECTIVE_SUITES = (
    "all_reduce", "all_gather", "reduce_scatter", "all_to_all", "send_recv", CUSTOM,
)  # fmt: skip


def collective_ops(rows: Screen, op: str) -> pd.DataFrame:
    """Turn rows into ops with the column ``system``; drop those that no packaged system fits.

    Parameters
    ----------
    rows : Screen
        Columns ``device``, ``num_gpus``, ``per_node`` (devices used in each node), ``bytes`` (as
        nccl-tests counts) and ``latency_us``; of one class.
    op : str
        As predict names it.
    """
    keys = ["device", "num_gpus", "per_node"]
    found = [
        _system(str(device), int(devices), int(per_node))
        for device, devices, per_node in rows.frame[keys].itertuples(index=False, name=None)
    ]
    rows.frame = rows.frame.assign(system=pd.Series(found, rows.frame.index, dtype=object))
    rows.drop(rows.frame["system"].isna(), rules.NO_SYSTEM)
    kept = rows.frame
    return pd.DataFrame({
        "device": kept["device"], "op": op, "dtype": "bf16" if rows.suite == CUSTOM else "fp16",
        "bytes": kept["bytes"], "devices": kept["num_gpus"], "system": kept["system"],
        "measured_s": kept["latency_us"] * 1e-6,
    })  # fmt: skip


@cache
def _system(device: str, devices: int, per_node: int) -> str | None:
    """Smallest packaged system that has so many chips of the device in one node.

    What connects the nodes of a measurement is not known, so none across nodes is compared.
    """
    chip = chip_of_device(device)
    name = None if chip is None or devices > per_node else system_with(chip, devices)
    return name if name and devices <= load_system(name).levels[0].size else None
