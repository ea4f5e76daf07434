"""All pictures of one run, under fixed names in one folder."""

from __future__ import annotations

from pathlib import Path

from accelsim.report.footprint import footprint_figure
from accelsim.report.latency import latency_figure
from accelsim.report.roofline import roofline_figure
from accelsim.results.run_result import RunResult


def run_figures(result: RunResult, folder: str | Path) -> tuple[Path, ...]:
    """Write ``roofline.png``, ``latency.png`` and ``memory.png`` of a run.

    Parameters
    ----------
    result : RunResult
        What to draw.
    folder : str or Path
        Made if absent.

    Returns
    -------
    tuple of Path
        The pictures.
    """
    root = Path(folder)
    return (
        roofline_figure(result, root / "roofline.png"),
        latency_figure(result, root / "latency.png"),
        footprint_figure(result, root / "memory.png"),
    )
