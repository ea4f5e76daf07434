"""Labels beside dots that do not cover each other: greedy placement in display space."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

from accelsim.report.style import FAINT, INK, settle

_ANGLES_DEG = (20, -20, 160, -160, 60, -60, 120, -120, 90, -90)
_LINE_STEPS = 16
_RADII_PT = (16, 30, 46, 64, 84, 106)


@dataclass(frozen=True)
class Dot:
    """A dot with a text: data coordinates, radius [pt] (its own and a label's distance)."""

    x: float
    y: float
    text: str
    radius_pt: float


def place_labels(
    axes: Axes, dots: Sequence[Dot], labelled: int, obstacles: Sequence[Artist] = ()
) -> None:
    """Annotate the first `labelled` dots so that texts overlap neither texts nor dots.

    Parameters
    ----------
    axes : Axes
        Final limits and scales must be set.
    dots : sequence of Dot
        All dots, the most important first; those beyond `labelled` are only obstacles.
    labelled : int
        How many get a text.
    obstacles : sequence of Artist
        Texts and legends that labels must not cover either.

    Notes
    -----
    Each label tries a ring of positions from near to far and takes the one that covers least,
    itself and by the thin line that joins it to its dot.
    """
    renderer = settle(axes).get_renderer()  # type: ignore[no-untyped-call]
    pixels_per_pt = float(axes.figure.dpi) / 72
    frame = axes.get_window_extent(renderer)
    taken = [_around(axes, dot, pixels_per_pt) for dot in dots]
    taken += [artist.get_window_extent(renderer) for artist in obstacles]
    for dot in dots[:labelled]:
        note = axes.annotate(
            dot.text, (dot.x, dot.y), xytext=(0, 0), textcoords="offset points", color=INK,
            fontsize=9, ha="center", va="center", zorder=6,
            arrowprops={"arrowstyle": "-", "color": FAINT, "linewidth": 0.6, "shrinkB": 0},
            bbox={"boxstyle": "round,pad=0.12", "fc": "white", "ec": "none", "alpha": 0.75},
        )  # fmt: skip
        extent = note.get_window_extent(renderer)
        half = (extent.width / 2 + 2, extent.height / 2 + 2)
        x, y = axes.transData.transform((dot.x, dot.y))
        boxes = _positions((x, y), dot.radius_pt, half, pixels_per_pt)
        # Equal costs go to the earlier position, the nearer one.
        others = [box for box, other in zip(taken, dots, strict=False) if other is not dot]
        costs = [
            _cost(box, frame, taken) + _crossed((x, y), box, others) + 25.0 * ring
            for ring, box in boxes
        ]
        best = boxes[costs.index(min(costs))][1]
        taken.append(best)
        centre_x, centre_y = (best.x0 + best.x1) / 2, (best.y0 + best.y1) / 2
        note.set_position(((centre_x - x) / pixels_per_pt, (centre_y - y) / pixels_per_pt))


def _around(axes: Axes, dot: Dot, pixels_per_pt: float) -> Bbox:
    x, y = axes.transData.transform((dot.x, dot.y))
    r = dot.radius_pt * pixels_per_pt
    return Bbox.from_extents(x - r, y - r, x + r, y + r)


def _positions(
    centre: tuple[float, float], radius_pt: float, half: tuple[float, float], scale: float
) -> list[tuple[int, Bbox]]:
    """Boxes of a label around its dot [pixel], with the number of their ring."""
    boxes = []
    for ring, distance_pt in enumerate(_RADII_PT):
        reach = (radius_pt + distance_pt) * scale
        for angle_deg in _ANGLES_DEG:
            angle = math.radians(angle_deg)
            x = centre[0] + math.cos(angle) * (reach + half[0] * 0.9)
            y = centre[1] + math.sin(angle) * reach
            box = Bbox.from_extents(x - half[0], y - half[1], x + half[0], y + half[1])
            boxes.append((ring, box))
    return boxes


def _cost(box: Bbox, frame: Bbox, taken: Sequence[Bbox]) -> float:
    """Pixels of other things covered, plus a heavy price for leaving the frame."""
    covered = 0.0
    for other in taken:
        width = min(box.x1, other.x1) - max(box.x0, other.x0)
        height = min(box.y1, other.y1) - max(box.y0, other.y0)
        if width > 0 and height > 0:
            covered += width * height
    outside = max(frame.x0 - box.x0, box.x1 - frame.x1, frame.y0 - box.y0, box.y1 - frame.y1, 0.0)
    return covered + 1000.0 * float(outside)


def _crossed(centre: tuple[float, float], box: Bbox, dots: Sequence[Bbox]) -> float:
    """Price of a line from a dot to its label that runs over other dots."""
    ends = ((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2)
    steps = [step / _LINE_STEPS for step in range(1, _LINE_STEPS)]
    points = [tuple(a + t * (b - a) for a, b in zip(centre, ends, strict=True)) for t in steps]
    hits = [dot.x0 < x < dot.x1 and dot.y0 < y < dot.y1 for x, y in points for dot in dots]
    return 40.0 * hits.count(True)
