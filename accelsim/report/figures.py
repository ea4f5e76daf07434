"""All pictures of one run, under fixed names in one folder."""

from __future__ import annotations

from pathlib import Path

from accelsim.arch.chip import Chip
from accelsim.report.footprint import footprint_figure
from accelsim.report.latency import latency_figure
from accelsim.report.roofline import Roof, roofline_figure
from accelsim.results.run_result import RunResult


def shared_roof(chip: Chip) -> Roof | None:
    """The roof of a chip's shared buffer, if it has one."""
    shared = chip.spec.shared
    return Roof(shared.name, shared.bandwidth_bytes_per_s) if shared else None


def run_figures(result: RunResult, chip: Chip, folder: str | Path) -> tuple[Path, ...]:
    """Write ``roofline.png``, ``latency.png`` and ``memory.png`` of a run.

    Parameters
    ----------
    result : RunResult
        What to draw.
    chip : Chip
        The chip it ran on, for the roof of the shared buffer.
    folder : str or Path
        Made if absent.

    Returns
    -------
    tuple of Path
        The pictures.
    """
    root = Path(folder)
    return (
        roofline_figure(result, root / "roofline.png", shared_roof(chip)),
        latency_figure(result, root / "latency.png"),
        footprint_figure(result, root / "memory.png"),
    )
