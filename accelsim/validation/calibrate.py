"""Fit the calibrated scalars of a chip to a user's measurements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from accelsim.arch.chip import Chip
from accelsim.arch.loader import load_chip
from accelsim.arch.system import System
from accelsim.errors import WorkloadError
from accelsim.results.accuracy import error_summary, size_buckets
from accelsim.results.calibration import CalibrationResult
from accelsim.scenarios.memory_rates import with_memory_rates
from accelsim.validation.compare import compare
from accelsim.validation.determine import Determination
from accelsim.validation.devices import lineage
from accelsim.validation.fit import losses
from accelsim.validation.folder import read_folder
from accelsim.validation.groups import group_numbers
from accelsim.validation.measured import LeftOut, MeasuredOps
from accelsim.validation.scalars import Model, values_of
from accelsim.validation.user_table import read_user_csv, user_table

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]
Progress = Callable[[str, int, int], None]
LEAST_ROWS = 20
"""Fewer rows are not fitted."""
MOST_ROWS = 2000
"""Rows of a fit unless more are asked for; a step of the fit predicts them some ten times."""
_STRATA = ("suite", "dtype", "launch", "size")
_FIGURES = ("mape", "median", "p90", "bias")


def calibrate(
    chip: str | Path | Chip,
    data: str | Path | pd.DataFrame,
    launch: str = "graph",
    *,
    seed: int = 0,
    test_share: float = 0.3,
    rows: int = MOST_ROWS,
    progress: Progress | None = None,
) -> CalibrationResult:
    """Fit a chip's calibrated scalars, and say which of them the data determine.

    Parameters
    ----------
    chip : str, Path or Chip
        Where the fit starts; what the data do not determine stays as it has it.
    data : str, Path or DataFrame
        Columns of predict and a measured time (see docs/validate.md), or a folder of extracts.
    launch : str
        How rows that do not say so were launched: ``graph``, ``eager`` or
        ``compiled``.
    seed : int
        Of the split into rows of the fit and of the test, and of the resampling.
    test_share : float
        Share of the ops kept aside, 0 to 0.9; every class and size gives its share, and
        repetitions of one op stay together.
    rows : int
        Most rows to use, 0: all.
    progress : callable, optional
        Called with (label, done, total).

    Returns
    -------
    CalibrationResult

    Raises
    ------
    AccelsimError
        If the table is malformed, or too few of its rows are of this chip.

    Notes
    -----
    The loss is Huber's of log(predicted / measured). Intervals are those of resampled ops, each
    sample with scalars that are held moved at random by their `HELD_SPREAD`: they hold the scatter
    of the measurements and what held scalars may be, not what the model misses.
    """
    _check(seed, test_share, rows)
    start = with_memory_rates(System.of_chip(_loaded(chip))).chip
    measured = _rows_of(start, chip, data, launch)
    limited, dropped = _capped(measured.frame, rows, seed)
    frame, refused = compare(
        MeasuredOps(limited), {start.name: System.of_chip(start)}, strict=True, progress=progress
    )
    left_out = (*measured.left_out, *dropped, *refused)
    if len(frame) < LEAST_ROWS:
        raise WorkloadError(
            f"{len(frame)} usable rows of {start.name}: a fit needs at least {LEAST_ROWS}"
            f"{_reasons(left_out)}"
        )
    frame = frame.assign(size=size_buckets(frame["measured_s"].to_numpy(float)))
    aside = _chosen(frame, group_numbers(frame), test_share, seed)
    before_s = frame["predicted_s"].to_numpy(float)

    def tell(words: str) -> None:
        if progress is not None:
            progress(words, 0, 0)

    values = values_of(start)
    determination = Determination(Model(start, frame[~aside]), values, seed, tell)
    scalars = determination.run()
    whole = Model(start, frame)
    after_s = whole.seconds({fit.name: fit.after for fit in scalars if fit.determined})
    if _worse(frame, before_s, after_s, aside):
        scalars = determination.revert("a fit predicts the rows kept aside worse than none")
        after_s = before_s
    return CalibrationResult(
        chip=start.name,
        chip_path=start.path,
        scalars=scalars,
        errors=_errors(frame, before_s, after_s, aside),
        left_out=_counted(left_out),
        sources=tuple(dict.fromkeys(frame["source"])),
        seed=seed,
        rows=len(frame),
    )


def _check(seed: int, test_share: float, rows: int) -> None:
    if not 0 <= test_share <= 0.9:
        raise WorkloadError(f"test_share is {test_share:g}, expected 0 to 0.9")
    if seed < 0:
        raise WorkloadError(f"seed is {seed}, expected 0 or more")
    if rows != 0 and rows < LEAST_ROWS:
        raise WorkloadError(f"rows is {rows}, expected at least {LEAST_ROWS}, or 0 for all")


def _loaded(chip: str | Path | Chip) -> Chip:
    return chip if isinstance(chip, Chip) else load_chip(str(chip))


def _rows_of(
    start: Chip, chip: str | Path | Chip, data: str | Path | pd.DataFrame, launch: str
) -> MeasuredOps:
    """Read the rows and keep those of the chip, or of one that it extends."""
    names = dict.fromkeys([start.name, *lineage(chip if isinstance(chip, Chip) else str(chip))])
    if isinstance(data, pd.DataFrame):
        found = user_table(data, start.name, launch)
    elif Path(data).is_dir():
        found = read_folder(data)
    else:
        found = read_user_csv(data, start.name, launch)
    own = found.frame["chip"].isin(names)
    if not own.any():
        devices = ", ".join(sorted(dict.fromkeys(found.frame["device"])))
        raise WorkloadError(f"no row was measured on {start.name}: the devices are {devices}")
    others = int((~own).sum())
    more = (LeftOut("all", "", f"measured on another device than {start.name}", others),)
    frame = found.frame[own].assign(chip=start.name).reset_index(drop=True)
    left_out = found.of_chips(names).left_out
    return MeasuredOps(frame, (*left_out, *more) if others else left_out).of_single_chips()


def _capped(frame: pd.DataFrame, rows: int, seed: int) -> tuple[pd.DataFrame, tuple[LeftOut, ...]]:
    """Sample at most `rows` rows, the same share of every class and size."""
    if rows == 0 or len(frame) <= rows:
        return frame, ()
    sized = frame.assign(size=size_buckets(frame["measured_s"].to_numpy(float)))
    kept = _chosen(sized, np.arange(len(frame)), rows / len(frame), seed)
    cut = LeftOut("all", "", f"beyond a sample of {rows} rows", int((~kept).sum()))
    return frame[kept].reset_index(drop=True), (cut,)


def _chosen(frame: pd.DataFrame, groups: Integers, share: float, seed: int) -> Flags:
    """Choose a share of the groups of rows of every class, dtype, launch and size."""
    chosen = np.zeros(len(frame), np.bool_)
    generator = np.random.default_rng(seed)
    numbers, firsts = np.unique(groups, return_index=True)
    ordered = frame.iloc[firsts].groupby(list(_STRATA), sort=True, dropna=False)
    strata = ordered.ngroup().to_numpy()
    owed = 0.0
    for stratum in range(int(strata.max()) + 1):
        places = numbers[strata == stratum]
        # What rounding takes from small strata is given to the next ones.
        owed += share * len(places)
        count = min(int(owed + 0.5), len(places))
        owed -= count
        chosen |= np.isin(groups, generator.permutation(places)[:count])
    return chosen


def _worse(frame: pd.DataFrame, before_s: Floats, after_s: Floats, aside: Flags) -> bool:
    """Tell whether the rows kept aside lose by more than the standard error of their loss."""
    measured_s = frame["measured_s"].to_numpy(float)[aside]
    before, after = (losses(np.log(t[aside] / measured_s)) for t in (before_s, after_s))
    change = after - before
    return len(change) > 0 and float(change.mean()) > float(change.std()) / len(change) ** 0.5


def _errors(frame: pd.DataFrame, before_s: Floats, after_s: Floats, aside: Flags) -> pd.DataFrame:
    """Errors before and after, of the fit and of the test, all together and by class."""
    measured_s = frame["measured_s"].to_numpy(float)
    suites = frame["suite"].to_numpy(object)
    lines = []
    for split, part in (("fit", ~aside), ("test", aside)):
        for suite in ("all", *dict.fromkeys(suites)):
            chosen = part if suite == "all" else part & (suites == suite)
            if not chosen.any():
                continue
            moments = {"before": before_s, "after": after_s}
            found = {n: error_summary(t[chosen], measured_s[chosen]) for n, t in moments.items()}
            figures = {f"{n}_{f}": found[n][f] for n in moments for f in _FIGURES}
            lines.append({"split": split, "suite": suite, "rows": int(chosen.sum()), **figures})
    return pd.DataFrame(lines)


def _counted(left_out: Sequence[LeftOut]) -> pd.DataFrame:
    rows = [(part.suite, part.device, part.reason, part.rows) for part in left_out]
    return pd.DataFrame(rows, columns=["suite", "device", "reason", "rows"])


def _reasons(left_out: Sequence[LeftOut]) -> str:
    words = "; ".join(f"{part.rows} rows left out: {part.reason}" for part in left_out[:3])
    return f" ({words})" if words else ""
