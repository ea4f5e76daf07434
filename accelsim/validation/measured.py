"""Measured ops: one table for all sources, with the rows that were left out counted by reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from accelsim.scenarios.op_table import COLUMNS
from accelsim.scenarios.options import RunOptions
from accelsim.validation.devices import chip_of_device

LABELS = ("suite", "device", "chip", "launch", "source", "place")
"""Columns that say what a row is, beside those of predict and ``measured_s``."""
_OF_A_SYSTEM = "of a system of chips, not of the chip alone"
ALL_ROWS = 0
"""As a limit of rows: no limit."""


@dataclass(frozen=True)
class LeftOut:
    """Rows of a source that are not compared, and why."""

    suite: str
    device: str
    reason: str
    rows: int


@dataclass(frozen=True)
class MeasuredRun:
    """A measured network, which `accelsim.run` predicts.

    Attributes
    ----------
    labels : dict of str to str
        The columns `LABELS` of its row.
    model, system : str
        Names as `accelsim.run` takes them.
    options : RunOptions
        How it was run.
    measured_s : float or None
        Time of one pass [s].
    flop_per_s : float or None
        Or the rate at which its matrix FLOP were done [FLOP/s].
    """

    labels: dict[str, str]
    model: str
    system: str
    options: RunOptions
    measured_s: float | None = None
    flop_per_s: float | None = None


@dataclass(frozen=True)
class MeasuredSum:
    """Ops that were timed one by one, of which only the sum is published.

    Attributes
    ----------
    labels : dict of str to str
        The columns `LABELS` of its row.
    name, dtype : str
        What the ops are together, and the number format of most of them.
    system : str
        Chip or system that they ran on.
    ops : DataFrame
        Columns of predict, ``launch`` (how each op was launched) and ``count``.
    measured_s : float
        Sum [s].
    """

    labels: dict[str, str]
    name: str
    dtype: str
    system: str
    ops: pd.DataFrame
    measured_s: float


@dataclass(frozen=True)
class MeasuredOps:
    """Ops with their measured times.

    Attributes
    ----------
    frame : DataFrame
        Columns of predict, `LABELS` and ``measured_s`` [s]; one line per op. ``system`` names
        what a collective ran on.
    left_out : tuple of LeftOut
        What the reader did not take.
    runs : tuple of MeasuredRun or MeasuredSum
        Networks and layers measured whole.
    versions : dict of str to str
        Of the sources.
    """

    frame: pd.DataFrame
    left_out: tuple[LeftOut, ...] = ()
    runs: tuple[MeasuredRun | MeasuredSum, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.frame) + len(self.runs)

    def of_suites(self, suites: Iterable[str]) -> MeasuredOps:
        """Keep the classes of these names."""
        names = set(suites)
        return replace(
            self,
            frame=self.frame[self.frame["suite"].isin(names)].reset_index(drop=True),
            left_out=tuple(part for part in self.left_out if part.suite in names),
            runs=tuple(run for run in self.runs if run.labels["suite"] in names),
        )

    def of_chips(self, chips: Iterable[str]) -> MeasuredOps:
        """Keep the rows of these chips."""
        names = set(chips)
        left_out = (p for p in self.left_out if not p.device or chip_of_device(p.device) in names)
        return replace(
            self,
            frame=self.frame[self.frame["chip"].isin(names)].reset_index(drop=True),
            left_out=tuple(left_out),
            runs=tuple(run for run in self.runs if run.labels["chip"] in names),
        )

    def of_single_chips(self) -> MeasuredOps:
        """Leave out, and count, collectives: they are measurements of a system, not of a chip."""
        if "system" not in self.frame:
            return self
        networked = self.frame["system"].notna()
        left_out = [
            LeftOut(rows["suite"].iloc[0], rows["device"].iloc[0], _OF_A_SYSTEM, len(rows))
            for _, rows in self.frame[networked].groupby(["suite", "device"], sort=False)
        ]
        frame = self.frame[~networked].reset_index(drop=True)
        return replace(self, frame=frame, left_out=(*self.left_out, *left_out))

    def limited(self, rows: int) -> MeasuredOps:
        """Keep at most `rows` rows of each class, device and dtype, the same ones every time.

        What is not in the sample is counted among what is left out.
        """
        if rows == ALL_ROWS:
            return self
        kept: list[NDArray[np.int64]] = []
        cut: list[LeftOut] = []
        group = self.frame.groupby(["suite", "device", "dtype"], sort=False, dropna=False).ngroup()
        for number in range(int(group.max()) + 1 if len(group) else 0):
            places = np.flatnonzero(group.to_numpy() == number)
            if len(places) > rows:
                first = self.frame.iloc[places[0]]
                reason = f"beyond a sample of {rows} per class, device and dtype"
                cut.append(LeftOut(first["suite"], first["device"], reason, len(places) - rows))
                places = np.random.default_rng(0).choice(places, rows, replace=False)
            kept.append(places)
        order = np.sort(np.concatenate(kept)) if kept else np.empty(0, np.int64)
        frame = self.frame.iloc[order].reset_index(drop=True)
        return replace(self, frame=frame, left_out=(*self.left_out, *cut))


def join(parts: Iterable[MeasuredOps]) -> MeasuredOps:
    """Put sources together."""
    listed = list(parts)
    frames = [part.frame for part in listed if len(part.frame)]
    versions: dict[str, str] = {}
    for part in listed:
        versions.update(part.versions)
    return MeasuredOps(
        pd.concat(frames, ignore_index=True) if frames else empty_frame(),
        tuple(line for part in listed for line in part.left_out),
        tuple(run for part in listed for run in part.runs),
        versions,
    )


def empty_frame() -> pd.DataFrame:
    """Return a table of measured ops without rows."""
    return pd.DataFrame({name: [] for name in (*COLUMNS, *LABELS, "measured_s")})


class Screen:
    """Rows of one source on their way: each rule drops some and counts them by its reason.

    Parameters
    ----------
    suite : str
        What the counts are filed under.
    frame : DataFrame
        Rows as the source has them.
    device : str, optional
        Whose rows they are; without, the column ``device`` says it.
    """

    def __init__(self, suite: str, frame: pd.DataFrame, device: str | None = None) -> None:
        self.suite = suite
        self.frame = frame if device is None else frame.assign(device=device)
        self.left_out: list[LeftOut] = []

    def drop(self, spoiled: pd.Series[bool], reason: str) -> None:
        """Leave out the rows where `spoiled` is true."""
        counts = self.frame.loc[spoiled, "device"].value_counts(sort=False).sort_index()
        for device, count in counts.items():
            self.left_out.append(LeftOut(self.suite, str(device), reason, int(count)))
        self.frame = self.frame[~spoiled]
