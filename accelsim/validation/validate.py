"""How wrong is it: predictions against every measurement at hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from accelsim import __version__
from accelsim.arch.loader import load_system
from accelsim.arch.system import System
from accelsim.errors import AccelsimError, WorkloadError, suggest
from accelsim.results.accuracy import ValidationResult, size_buckets
from accelsim.validation.compare import compare
from accelsim.validation.devices import fitted_scalars, lineage
from accelsim.validation.folder import FOLDER_SUITES, read_folder
from accelsim.validation.measured import LeftOut, MeasuredOps, join
from accelsim.validation.published import published_figures
from accelsim.validation.silicon import SUITES, read_silicon, silicon_folder
from accelsim.validation.user_table import read_user_csv, user_table

Progress = Callable[[str, int, int], None]
DEFAULT_ROWS = 2000
"""Most rows of a class, device and dtype that are compared unless more are asked for."""
_TABULAR = (".csv",)

_NONE_OF_THESE = "the classes asked for have rows of no chip; leave them out to see which do"


def validate(
    *suites: str,
    on: str | Path | System | None = None,
    data: str | Path | pd.DataFrame | None = None,
    rows: int = DEFAULT_ROWS,
    launch: str = "graph",
    progress: Progress | None = None,
) -> ValidationResult:
    """Compare predictions with measurements.

    Parameters
    ----------
    *suites : str
        Classes such as ``"gemm"`` or ``"attention"`` (every class that begins so); none: all.
    on : str, Path or System, optional
        One chip: its data only, or those of the nearest chip that it extends. Rows of a user's
        table without a device were measured on it.
    data : str, Path or DataFrame, optional
        A user's table (CSV or frame, see docs/validate.md) or a folder of extracts. Without: the
        published figures of the package, and the extra [silicon] where it is installed.
    rows : int
        Most rows of each class, device and dtype, the same ones every time; 0: all.
    launch : str
        How rows of a user's table that do not say so were launched.
    progress : callable, optional
        Called with (label, done, total).

    Returns
    -------
    ValidationResult

    Raises
    ------
    AccelsimError
        If the data are malformed, or nothing is left to compare.

    Notes
    -----
    Errors are e = predicted / measured - 1. A class of the extra or of a folder leaves out the
    rows that their measurement spoils (`accelsim.validation.rules`), each counted by reason.
    """
    if rows < 0:
        raise WorkloadError(f"rows is {rows}, expected a positive number, or 0 for all")
    system = on if isinstance(on, System) or on is None else load_system(str(on))
    own = isinstance(data, pd.DataFrame) or str(data).endswith(_TABULAR)
    if own:
        measured = _user_data(data, system, launch)
        names = _chosen(suites, dict.fromkeys(measured.frame["suite"]))
        measured = measured.of_suites({*names, "table"})
    else:
        measured = _collected(data, suites, system, on)
    if system is not None and own:
        measured = measured.of_chips([system.chip.name])
    measured = measured.limited(rows)
    if not len(measured):
        raise WorkloadError(f"nothing to compare{_why(measured.left_out)}")
    systems = {} if system is None else {system.chip.name: system}
    frame, refused = compare(measured, systems, strict=own, progress=progress)
    if frame.empty:
        raise WorkloadError(f"nothing to compare{_why((*measured.left_out, *refused))}")
    return _result(frame, (*measured.left_out, *refused), measured.versions, systems)


def _user_data(data: object, system: System | None, launch: str) -> MeasuredOps:
    chip = None if system is None else system.chip.name
    if isinstance(data, pd.DataFrame):
        return user_table(data, chip, launch)
    return read_user_csv(str(data), chip, launch)


def _collected(
    data: object, suites: Sequence[str], system: System | None, on: object
) -> MeasuredOps:
    """Read what comes with the package and the extra, or a folder."""
    if data is not None:
        folder = str(data)
        if not Path(folder).is_dir():
            raise WorkloadError(f"{folder} is neither a folder nor a .csv file of measurements")
        found = read_folder(folder, _chosen(suites, FOLDER_SUITES))
        return found if system is None else _of_chip(found, system, on)
    published = published_figures()
    known = dict.fromkeys([
        *published.frame["suite"], *(run.labels["suite"] for run in published.runs), *SUITES,
    ])  # fmt: skip
    names = _chosen(suites, known)
    parts = [published.of_suites(names)]
    extra = silicon_folder()
    if extra is not None:
        chips = None if system is None else _ancestors(system, on)
        parts.append(read_silicon(extra, chips, names))
    elif suites and not len(parts[0]):
        raise WorkloadError(
            f"{', '.join(names)} needs the measurements of pip install 'accelsim[silicon]' or "
            "--data FOLDER"
        )
    joined = join(parts)
    return joined if system is None else _of_chip(joined, system, on)


def _chosen(suites: Sequence[str], known: Iterable[str]) -> tuple[str, ...]:
    """Return the classes that begin as one of the asked ones does; all without any."""
    names = tuple(known)
    if not suites:
        return names
    for suite in suites:
        if not any(name.startswith(suite) for name in names):
            raise WorkloadError(f"unknown suite '{suite}': {suggest(suite, names)}")
    return tuple(name for name in names if name.startswith(tuple(suites)))


def _ancestors(system: System, on: object) -> tuple[str, ...]:
    return lineage(system.chip if isinstance(on, System) else str(on)) if on else ()


def _of_chip(measured: MeasuredOps, system: System, on: object) -> MeasuredOps:
    """Rows of the chip, or of the nearest that it extends, under the name of the chip."""
    runs = {run.labels["chip"] for run in measured.runs}
    chips = {*measured.frame["chip"], *runs}
    names = [*dict.fromkeys([system.chip.name, *_ancestors(system, on)])]
    found = next((name for name in names if name in chips), None)
    if found is None:
        some = f"there are some of {', '.join(sorted(chips))}" if chips else _NONE_OF_THESE
        raise AccelsimError(f"no measurements of {system.chip.name}: {some}")
    kept = measured.of_chips([found])
    if found == system.chip.name:
        return kept
    # Another chip than the measured one: its systems are not the packaged ones.
    alone = kept.of_single_chips()
    return replace(alone, frame=alone.frame.assign(chip=system.chip.name), runs=())


def _why(left_out: Iterable[LeftOut]) -> str:
    reasons = [f"{part.rows} rows of {part.suite}: {part.reason}" for part in left_out]
    return f" ({'; '.join(reasons[:4])})" if reasons else ""


def _result(
    frame: pd.DataFrame,
    left_out: Sequence[LeftOut],
    versions: dict[str, str],
    systems: dict[str, System],
) -> ValidationResult:
    chips = {
        name: systems[name] if name in systems else load_system(name)
        for name in dict.fromkeys(frame["chip"])
    }
    fitted = {name: fitted_scalars(system.chip) for name, system in chips.items()}
    measured_s = frame["measured_s"].to_numpy(float)
    rows = frame.assign(
        size=size_buckets(measured_s),
        fitted=[bool(fitted[name]) for name in frame["chip"]],
        error=frame["predicted_s"].to_numpy(float) / measured_s - 1.0,
    )
    counted = pd.DataFrame(
        [(part.suite, part.device, part.reason, part.rows) for part in left_out],
        columns=["suite", "device", "reason", "rows"],
    )
    numbers = {"accelsim": __version__, "numpy": version("numpy"), "numba": version("numba")}
    return ValidationResult(rows, counted, fitted, {**numbers, **versions})
