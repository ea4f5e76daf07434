"""What one run of a memory leaves behind: its pictures, and its command trace as a file."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import pandas as pd

from accelsim.files import atomic_path
from accelsim.report.dram_curves import latency_figure
from accelsim.report.dram_gantt import timeline_figure
from accelsim.report.dram_tables import setting_words
from accelsim.report.dram_timeline import timeline_of, window_about
from accelsim.scenarios.dram_study import DramStudy
from accelsim.timing.dram.rules import tick_s

PICTURED_COMMANDS = 20_000
"""Commands of a channel that are kept for a picture of the first conflict."""


def dram_figures(
    study: DramStudy,
    trace: pd.DataFrame,
    folder: str | Path,
    *,
    window: tuple[float | None, float | None] = (None, None),
    detail: str = "",
) -> tuple[Path, ...]:
    """Write ``timeline.png``, ``refresh.png`` and ``latency.png`` of a run.

    Parameters
    ----------
    study : DramStudy
    trace : DataFrame
        Its commands.
    folder : str or Path
        Made if absent.
    window : (float, float)
        Beginning and length of the timeline [s]; None: about a row conflict, two row cycles.
    detail : str
        Of the traffic, for the small print.

    Returns
    -------
    tuple of Path
        The pictures: no refresh where the trace has none, no latency without reads.

    Raises
    ------
    SimulationError
        If the window holds no command.
    """
    root, memory = Path(folder), study.setting.memory
    words = f"{setting_words(study.setting)}; {detail}" if detail else setting_words(study.setting)
    channel = int(trace["channel"].iloc[0])
    windows = {"timeline.png": _chosen(study, trace, channel, window)}
    for about in ("REFab", "REFpb"):
        found = window_about(trace, memory, channel=channel, about=about)
        if found is not None and window[0] is None:
            windows["refresh.png"] = found
    made = [
        timeline_figure(
            timeline_of(trace, memory, *ticks, channel=channel), root / name, detail=words
        )
        for name, ticks in windows.items()
    ]
    histogram = latency_figure(study.result, study.setting, root / "latency.png", detail=detail)
    return (*made, histogram) if histogram is not None else tuple(made)


def _chosen(
    study: DramStudy, trace: pd.DataFrame, channel: int, window: tuple[float | None, float | None]
) -> tuple[int, int]:
    """Ticks of the timeline: as asked, about a conflict, or about the first activate.

    It ends with the commands that were kept, however long was asked for.
    """
    memory, (begin_s, span_s) = study.setting.memory, window
    for about in ("PRE", "ACT"):
        found = window_about(trace, memory, channel=channel, about=about, span_s=span_s)
        if found is not None:
            break
    assert found is not None  # nothing moves without an activate
    first, span = found[0], found[1] - found[0]
    if begin_s is not None:
        first = max(round(begin_s / tick_s(memory)), 1)
    last = int(trace.loc[trace["channel"] == channel, "tick"].max()) + 1
    return first, min(first + span, last) if last > first else first + span


def write_trace(trace: pd.DataFrame, tick_length_s: float, path: str | Path) -> Path:
    """Write commands as CSV, with the time of each; ``.gz`` is compressed.

    Parameters
    ----------
    trace : DataFrame
        `DramResult.trace`.
    tick_length_s : float
        [s]
    path : str or Path

    Returns
    -------
    Path
        Where it was written.
    """
    target = Path(path)
    frame = trace.copy()
    frame.insert(1, "time_ns", (frame["tick"] * (1e9 * tick_length_s)).round(4))
    with atomic_path(target) as temporary, temporary.open("wb") as raw:
        if target.suffix == ".gz":  # name and time would make the bytes differ from run to run
            with gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed:
                _write_csv(frame, packed)
        else:
            _write_csv(frame, raw)
    return target


def _write_csv(frame: pd.DataFrame, binary: io.BufferedWriter | gzip.GzipFile) -> None:
    text = io.TextIOWrapper(binary, encoding="utf-8", newline="")
    frame.to_csv(text, index=False, lineterminator="\n")
    text.flush()
    text.detach()
