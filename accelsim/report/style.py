"""The look of every picture: size, palette, and files whose bytes depend on the data alone.

Figures are made with matplotlib's object interface and the Agg canvas; pyplot and its global
state are never used.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from accelsim.files import atomic_path

DPI = 150
INK = "#222222"
FAINT = "#6b6b6b"
GRID = "#dddddd"
WARNING = "#b2182b"
_WAITING = "#332288"  # Paul Tol (2021), muted: far from the others
_LIMIT = "#8b1a1a"  # of the board, near the red of warnings and darker than vermillion

# Okabe & Ito (2008): distinguishable with every common form of colour vision.
BLUE, SKY, GREEN, ORANGE = "#0072B2", "#56B4E9", "#009E73", "#E69F00"
VERMILLION, PURPLE, YELLOW, GREY = "#D55E00", "#CC79A7", "#F0E442", "#999999"
SERIES = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILLION, YELLOW, GREY)

BOUND_COLOURS = {
    "compute": VERMILLION,
    "load": YELLOW,
    "vector": ORANGE,
    "special": PURPLE,
    "memory": BLUE,
    "latency": _WAITING,
    "l2": SKY,
    "network": GREEN,
    "power": _LIMIT,
    "overhead": GREY,
}
ROLE_COLOURS = {
    "weights": BLUE,
    "kv_cache": ORANGE,
    "activations": GREEN,
    "gradients": PURPLE,
    "optimizer": SKY,
}
KIND_COLOURS = {
    "matmul": BLUE,
    "grouped_matmul": SKY,
    "conv": PURPLE,
    "attention": ORANGE,
    "vector": GREEN,
    "gather": YELLOW,
    "collective": VERMILLION,
}
RESOURCE_COLOURS = {
    "matrix": VERMILLION,
    "vector": ORANGE,
    "memory": BLUE,
    "shared": SKY,
    "network": GREEN,
    "memory_latency": _WAITING,
    "power": _LIMIT,
    "others": YELLOW,
    "gaps": "#c9c9c9",
}


def kind_colour(kind: str) -> str:
    """Colour of a kind of op; one without its own colour is grey."""
    return KIND_COLOURS.get(kind, GREY)


def resource_colour(resource: str) -> str:
    """Colour of a resource of the critical path; one without its own colour is grey."""
    return RESOURCE_COLOURS.get(resource, GREY)


def paler(colour: str, kept: float) -> str:
    """Mix a colour with white; unlike a transparent one it hides the grid behind it."""
    red, green, blue = (kept * part + 1 - kept for part in to_rgb(colour))
    return to_hex((red, green, blue))


def bound_colour(bound: str) -> str:
    """Colour of a bound; a bound without its own colour is grey."""
    return BOUND_COLOURS.get(bound, GREY)


def new_figure(width_in: float = 9.0, height_in: float = 5.0) -> Figure:
    """Make an empty figure with its own Agg canvas.

    Parameters
    ----------
    width_in, height_in : float
        Size [inch].
    """
    figure = Figure(figsize=(width_in, height_in), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def headline(figure: Figure, message: str, detail: str) -> None:
    """Put the message of the picture on top, and in small print what was run."""
    inches = figure.get_figwidth()
    lines = textwrap.wrap(_keep_units(message), int(inches * 9.7))  # letters per inch
    small = textwrap.wrap(_keep_units(detail), int(inches * 13.8))
    height_in = 0.1 + 0.25 * len(lines) + 0.19 * len(small)
    total_in = figure.get_figheight()
    top = 1 - 0.1 / total_in
    figure.text(
        0.012, top, "\n".join(lines), ha="left", va="top",
        fontsize=12.5, fontweight="bold", color=INK, linespacing=1.15,
    )  # fmt: skip
    figure.text(
        0.012, top - 0.25 * len(lines) / total_in, "\n".join(small), ha="left", va="top",
        fontsize=9.5, color=FAINT,
    )  # fmt: skip
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.set(rect=(0.0, 0.0, 1.0, 1 - height_in / total_in))  # type: ignore[call-arg]


def settle(axes: Axes) -> FigureCanvasAgg:
    """Fix the layout, so that positions in pixels are final; return the canvas."""
    canvas = axes.figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    canvas.figure.draw_without_rendering()
    return canvas


def _keep_units(text: str) -> str:
    """Join numbers to their units with no-break spaces, so that no line ends between them."""
    return re.sub(r"(?<=\d) (?=[%A-Za-zµ])", "\N{NO-BREAK SPACE}", text)


def tidy(axes: Axes, grid: Literal["x", "y", "both"] = "both") -> None:
    """Remove the box, lighten the grid, keep the ticks readable."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(GREY)
    axes.tick_params(colors=INK, labelsize=9.5)
    axes.grid(visible=True, axis=grid, color=GRID, linewidth=0.7, zorder=0)
    axes.set_axisbelow(True)


def legend_of_bounds(axes: Axes, bounds: Sequence[str], title: str) -> None:
    """Explain the colours that occur in the lower right corner, ordered as `BOUND_COLOURS`."""
    shown = [b for b in BOUND_COLOURS if b in bounds] + [
        b for b in dict.fromkeys(bounds) if b not in BOUND_COLOURS
    ]
    handles = [Patch(color=bound_colour(b), label=b) for b in shown]
    legend = axes.legend(
        handles=handles,
        title=title,
        loc="lower right",
        fontsize=9,
        title_fontsize=9,
        framealpha=0.9,
    )
    legend.get_frame().set_edgecolor(GRID)


def save(figure: Figure, path: str | Path) -> Path:
    """Write a figure atomically; the same data give the same bytes.

    Parameters
    ----------
    figure : Figure
        Made by `new_figure`.
    path : str or Path
        The suffix chooses the format: ``.png`` (150 dpi) or ``.svg``.

    Returns
    -------
    Path
        Where it was written.
    """
    target = Path(path)
    # Version and date would change the bytes from one installation or run to the next.
    stripped = {"Date": None} if target.suffix == ".svg" else {"Software": None}
    with atomic_path(target) as temporary, rc_context({"svg.hashsalt": "accelsim"}):
        figure.savefig(temporary, dpi=DPI, metadata=stripped)
    return target
