"""A calibrated chip as a file: what it extends, and the fitted values with their data."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

from accelsim import __version__
from accelsim.arch.loader import load_chip, spec_files
from accelsim.errors import SpecError
from accelsim.files import atomic_path
from accelsim.results.calibration import CONFIDENCE, CalibrationResult, ScalarFit
from accelsim.validation.devices import FITTED
from accelsim.validation.scalars import written

_SUFFIXES = (".yaml", ".yml")


def write_chip_file(result: CalibrationResult, path: str | Path) -> Path:
    """Write a chip that extends the calibrated one, and check that it loads.

    Parameters
    ----------
    result : CalibrationResult
        With at least one scalar that the data determine.
    path : str or Path
        Ends in .yaml; written whole or not at all.

    Raises
    ------
    SpecError
        If nothing is determined, or the file's name cannot be that of a chip.
    """
    target = Path(path)
    if target.suffix not in _SUFFIXES:
        raise SpecError(f"{path}: the file of a chip ends in .yaml")
    if not result.values:
        raise SpecError(
            f"{path} is not written: these data determine no scalar of {result.chip}, so the "
            "chip stays as it is"
        )
    text = "\n".join(_lines(result, target)) + "\n"
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
        load_chip(str(temporary))
    return target


def check_chip_file_name(path: str | Path) -> None:
    """Refuse a name that `write_chip_file` would refuse, before any work is done.

    Raises
    ------
    SpecError
        If the name does not end in .yaml.
    """
    if Path(path).suffix not in _SUFFIXES:
        raise SpecError(f"{path}: the file of a chip ends in .yaml")


def _lines(result: CalibrationResult, target: Path) -> Iterator[str]:
    chip = load_chip(result.chip_path)
    name = _chip_name(target)
    key = f"fit_{re.sub('[^a-z0-9]', '_', name)}"
    yield f"# Scalars of {result.chip} fitted by accelsim calibrate; docs/validate.md tells how."
    yield f"extends: {_parent(result, target)}"
    yield f"name: {name}"
    yield f"title: {json.dumps(f'{chip.spec.title}, calibrated', ensure_ascii=False)}"
    sources = ", ".join(_named(source) for source in result.sources)
    text = f"accelsim {__version__} calibrate, {result.rows} rows of {sources}, seed {result.seed}"
    yield f"sources: {{{key}: {json.dumps(text, ensure_ascii=False)}}}"
    yield "calibration:"
    for fit in result.scalars:
        if fit.determined:
            note = json.dumps(_note(fit), ensure_ascii=False)
            value = written(fit.name, fit.after)
            yield (
                f"  {fit.name.removesuffix('_s')}: "
                f"{{value: {value}, source: {key}, status: measured, note: {note}}}"
            )
    for name_, reason in result.undetermined.items():
        yield f"  # {name_.removesuffix('_s')}: not determined by these data: {reason}"


def _note(fit: ScalarFit) -> str:
    assert fit.low is not None and fit.high is not None
    low, high = written(fit.name, fit.low), written(fit.name, fit.high)
    remark = f"; {fit.reason}" if fit.reason else ""
    return (
        f"{FITTED} {fit.felt_ops} different ops that feel it, {100 * CONFIDENCE:.0f} % of "
        f"resamples from {low} to {high}{remark}"
    )


def _named(source: str) -> str:
    """Return a source with the beginning of its file's hash, if it is a file."""
    path = Path(source)
    if not path.is_file():
        return source
    return f"{path.name} (sha256 {hashlib.sha256(path.read_bytes()).hexdigest()[:12]})"


def _parent(result: CalibrationResult, target: Path) -> str:
    """Name the parent: a packaged chip by name, a file by its path from the new file."""
    packaged = spec_files("chip").get(result.chip)
    if packaged is not None and packaged.resolve() == Path(result.chip_path).resolve():
        return result.chip
    folder = target.resolve().parent
    relative = os.path.relpath(Path(result.chip_path).resolve(), folder)
    return json.dumps(Path(relative).as_posix(), ensure_ascii=False)


def _chip_name(target: Path) -> str:
    name = re.sub(r"[^a-z0-9_.-]+", "_", target.stem.lower()).lstrip("_.-")[:64]
    return name or "calibrated"
