"""All pictures of one run, under fixed names in one folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from accelsim.report.event_figures import path_figure, utilisation_figure
from accelsim.report.footprint import footprint_figure
from accelsim.report.gantt import gantt_figure
from accelsim.report.latency import latency_figure
from accelsim.report.roofline import roofline_figure
from accelsim.report.words import detail
from accelsim.results.run_result import RunResult
from accelsim.results.together import TogetherResult


def run_figures(result: RunResult, folder: str | Path) -> tuple[Path, ...]:
    """Write ``roofline.png``, ``latency.png`` and ``memory.png`` of a run.

    Parameters
    ----------
    result : RunResult
        What to draw; of the event engine also what `execution_figures` draws.
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
        *execution_figures(result, root),
    )


def execution_figures(result: RunResult | TogetherResult, folder: str | Path) -> tuple[Path, ...]:
    """Write ``gantt.png``, ``utilisation.png`` and ``critical_path.png`` of the event engine.

    Parameters
    ----------
    result : RunResult or TogetherResult
        Of a run without the event engine nothing is written. Of several stages, each has its name
        in those of its pictures (``gantt-decode.png``).
    folder : str or Path
        Made if absent.

    Returns
    -------
    tuple of Path
        The pictures.
    """
    return tuple(_execution_figures(result, Path(folder)))


def _execution_figures(result: RunResult | TogetherResult, root: Path) -> Iterator[Path]:
    shown = result.shown_passes
    for words, (stage, _, execution, ideal_s) in shown:
        end = f"-{stage}.png" if len(shown) > 1 else ".png"
        small = f"{detail(result)}; {words}" if len(shown) > 1 else detail(result)
        yield gantt_figure(execution, root / f"gantt{end}", detail=small)
        yield utilisation_figure(execution, root / f"utilisation{end}", detail=small)
        yield path_figure(
            execution, root / f"critical_path{end}", gains=ideal_s or None, detail=small
        )
