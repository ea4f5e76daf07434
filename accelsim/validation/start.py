"""Where a fit begins: a scalar may be hidden at the chip's value and be plain at another one.

Behind the power limit no product feels the efficiency of the matrix units, until it is low enough
that they limit instead. A walk downhill from the chip's values would never learn of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from accelsim.validation.fit import Problem, fit, huber
from accelsim.validation.scalars import Model, bounds_of

Floats = NDArray[np.float64]
_PLACES = (0.15, 0.3, 0.45, 0.6, 0.8, 1.0)
_REFINED = (0.12, 0.06, 0.03)
_TIMES_MOVED = 1.5
_FELT = 0.005
_LEAST_GAIN = 0.01
_TINY = 1e-12  # a scalar may be zero, as the dispatch of a chip without a host's


class Search:
    """Losses of a model at values of its scalars, each computed once.

    Parameters
    ----------
    model : Model
        Predictions and measurements.
    start : mapping of str to float
        All scalars.
    """

    def __init__(self, model: Model, start: Mapping[str, float]) -> None:
        self.model = model
        self.start = dict(start)
        self._known: dict[tuple[float, ...], Floats] = {}

    def log_errors(self, values: Mapping[str, float]) -> Floats:
        """Return log(predicted / measured) of all rows."""
        key = tuple(values[name] for name in self.start)
        if key not in self._known:
            self._known[key] = self.model.log_errors(values)
        return self._known[key]

    def loss(self, values: Mapping[str, float]) -> float:
        """Return the mean Huber loss."""
        return huber(self.log_errors(values))

    def problem(self, values: Mapping[str, float], names: Sequence[str]) -> tuple[Problem, Floats]:
        """Residuals as a function of some scalars' logarithms, and where these stand."""
        limits = np.log([bounds_of(name) for name in names]).reshape(-1, 2)
        problem = Problem(
            lambda point: self.log_errors({**values, **named(names, point)}),
            limits[:, 0], limits[:, 1],
        )  # fmt: skip
        return problem, problem.clip(np.log([max(values[name], _TINY) for name in names]))

    def fitted(
        self, values: Mapping[str, float], names: Sequence[str], *, polish: bool = True
    ) -> dict[str, float]:
        """Return the values with some of them fitted."""
        problem, point = self.problem(values, names)
        return {**values, **named(names, fit(problem, point, polish=polish))}


def named(names: Sequence[str], point: Floats) -> dict[str, float]:
    """Return the scalars whose logarithms a point has."""
    return {name: float(np.exp(x)) for name, x in zip(names, point, strict=True)}


def find_start(search: Search, names: Sequence[str]) -> tuple[dict[str, float], tuple[str, ...]]:
    """Look for the valley of the best fit, and for scalars that no row feels anywhere.

    Parameters
    ----------
    search : Search
    names : sequence of str
        Scalars that may move.

    Returns
    -------
    dict of str to float, tuple of str
        All scalars near the best fit, and those of `names` that move no row by half a per cent
        at any place looked at.

    Notes
    -----
    Fits start from the chip's values, from the efficiency that alone explains most, and from there
    with the others scanned after it.
    """
    start = search.start
    here = search.log_errors(start)
    efficiencies = [name for name in names if not name.endswith("_s")]
    feels = np.zeros(len(names), np.bool_)
    for index, name in enumerate(names):
        other = (max(start[name], _TINY) * _TIMES_MOVED,)
        looked = _PLACES if name in efficiencies else other
        moved = (search.log_errors({**start, name: place}) - here for place in looked)
        feels[index] = any((np.abs(change) > _FELT).any() for change in moved)
    felt = [name for name, felt in zip(names, feels, strict=True) if felt]
    unfelt = tuple(name for name in names if name not in felt)
    scanned = [name for name in efficiencies if name in felt]
    alone = sorted((_best_of(search, start, name) for name in scanned), key=search.loss)
    places = [start, *alone[:1]]
    if alone:
        joint = alone[0]
        for name in scanned:
            joint = _best_of(search, joint, name)
        places.append(joint)
    found = [search.fitted(place, felt, polish=False) for place in places] if felt else [start]
    near, best = found[0], min(found, key=search.loss)
    gained = search.loss(best) < (1.0 - _LEAST_GAIN) * search.loss(near)
    return (best if gained else near), unfelt


def _best_of(search: Search, values: Mapping[str, float], name: str) -> dict[str, float]:
    """Return the values with one efficiency where it alone is best."""
    tried = [dict(values), *({**values, name: place} for place in _PLACES)]
    best = min(tried, key=search.loss)
    least, most = bounds_of(name)
    for width in _REFINED:
        for factor in (np.exp(width), np.exp(-width)):
            moved = {**best, name: float(np.clip(best[name] * factor, least, most))}
            best = min((best, moved), key=search.loss)
    return best
