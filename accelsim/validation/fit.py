"""A robust fit of few positive parameters, and what the data say of each of them.

Parameters move as logarithms inside bounds. The loss is Huber's of log(predicted / measured):
quadratic for rows within 15 %, linear beyond, so that rows the model does not understand pull
little. The model has kinks (another resource limits, another tile wins), so differences span
some per cent, and a search along the axes ends the fit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Residuals = Callable[[Floats], Floats]
HUBER = 0.15
"""Where the loss turns from quadratic to linear, in log(predicted / measured)."""
_DIFFERENCE = 0.05
_LONGEST_STEP = 0.7
_MOST_STEPS = 12
_MOST_TRIES = 4
_LEAST_GAIN = 1e-4
_POLISH = (0.04, 0.02, 0.01, 0.005, 0.0025)
_RIDGE = 1e-9
_REWEIGHTINGS = 3


def losses(residuals: Floats) -> Floats:
    """Huber loss of each residual in log(predicted / measured)."""
    size = np.abs(residuals)
    return np.where(size <= HUBER, 0.5 * size**2, HUBER * (size - 0.5 * HUBER))


def huber(residuals: Floats) -> float:
    """Mean Huber loss of residuals."""
    return float(losses(residuals).mean())


@dataclass(frozen=True, eq=False)
class Problem:
    """What is fitted: residuals of the parameters' logarithms, and the box they stay in.

    Attributes
    ----------
    residuals : callable
        From float64[parameters] to float64[rows].
    low, high : float64[parameters]
        Bounds of the logarithms.
    """

    residuals: Residuals
    low: Floats
    high: Floats

    def clip(self, point: Floats) -> Floats:
        """Move a point into the box."""
        return np.clip(point, self.low, self.high)

    def slopes(self, point: Floats, step: float = _DIFFERENCE) -> Floats:
        """Differences of the residuals per unit of each logarithm, float64[rows, parameters]."""
        columns = [np.empty((len(self.residuals(point)), 0))]
        for index in range(len(point)):
            above, below = self._moved(point, index, step), self._moved(point, index, -step)
            rise = self.residuals(above) - self.residuals(below)
            columns.append((rise / (above[index] - below[index]))[:, None])
        return np.concatenate(columns, axis=1)

    def steep(self, point: Floats) -> Floats:
        """Return `slopes` by differences to one side: half the work, enough to walk by."""
        here = self.residuals(point)
        columns = []
        for index in range(len(point)):
            aside = self._moved(point, index, _DIFFERENCE)
            if aside[index] == point[index]:
                aside = self._moved(point, index, -_DIFFERENCE)
            columns.append((self.residuals(aside) - here) / (aside[index] - point[index]))
        return np.stack(columns, axis=1)

    def _moved(self, point: Floats, index: int, step: float) -> Floats:
        moved = point.copy()
        moved[index] = np.clip(point[index] + step, self.low[index], self.high[index])
        return moved


def fit(problem: Problem, start: Floats, *, polish: bool = True) -> Floats:
    """Minimise the Huber loss from a start.

    Parameters
    ----------
    problem : Problem
    start : float64[parameters]
        Logarithms.
    polish : bool
        Search along the axes after the walk.

    Returns
    -------
    float64[parameters]
        Logarithms of a local minimum in the box.

    Notes
    -----
    Levenberg-Marquardt on reweighted residuals, then a pattern search along the axes.

    References
    ----------
    Huber, Robust Estimation of a Location Parameter, Ann. Math. Stat. 35 (1964).
    """
    point = problem.clip(np.array(start, float))
    if not len(point):
        return point
    residuals = problem.residuals(point)
    damping = 1e-2
    for _ in range(_MOST_STEPS):
        slopes = problem.steep(point)
        before = huber(residuals)
        for _ in range(_MOST_TRIES):
            step = np.clip(_step(slopes, residuals, damping), -_LONGEST_STEP, _LONGEST_STEP)
            candidate = problem.clip(point + step)
            moved = problem.residuals(candidate)
            if huber(moved) < before:
                point, residuals, damping = candidate, moved, damping / 3
                break
            damping *= 6
        if before - huber(residuals) <= _LEAST_GAIN * before:
            break
    return _polished(problem, point, huber(residuals)) if polish else point


def _step(
    slopes: Floats, residuals: Floats, damping: float, counts: Floats | float = 1.0
) -> Floats:
    """Solve the damped normal equations with Huber's weights; rows count `counts` times."""
    weights = _weights(residuals) * counts
    normal = slopes.T @ (slopes * weights[:, None])
    lift = damping * np.diag(normal) + _RIDGE * max(1.0, float(np.trace(normal)))
    step = np.linalg.solve(normal + np.diag(lift), -slopes.T @ (weights * residuals))
    return np.asarray(step)


def _weights(residuals: Floats) -> Floats:
    return np.asarray(HUBER / np.maximum(np.abs(residuals), HUBER))


def _polished(problem: Problem, point: Floats, loss: float) -> Floats:
    for width in _POLISH:
        for index in range(len(point)):
            for sign in (width, -width):
                candidate = point.copy()
                candidate[index] += sign
                candidate = problem.clip(candidate)
                found = huber(problem.residuals(candidate))
                if found < loss:
                    point, loss = candidate, found
                    break
    return point


def resampled(
    slopes: Floats, residuals: Floats, groups: Integers, *, others: Floats, samples: int, seed: int
) -> Floats:
    """Shifts of the parameters over bootstrap samples of groups of rows, by the linearised model.

    Parameters
    ----------
    slopes : float64[rows, parameters]
        At the fit.
    residuals : float64[rows]
        At the fit.
    groups : int64[rows]
        Number of each row's group, 0 to groups - 1: repetitions of one op come or stay together.
    others : float64[rows, held]
        How the residuals move when a parameter that is not fitted moves by one standard deviation
        of what is known of it: each sample draws its own.
    samples, seed : int
        Number of resamples and the generator's seed.

    Returns
    -------
    float64[samples, parameters]
        Of the logarithms, about their median.

    Notes
    -----
    Spreads are those of the samples times sqrt(n / (n - p)) for n groups and p parameters:
    residuals of a fit are smaller than the errors of the data.

    References
    ----------
    Efron, Bootstrap Methods: Another Look at the Jackknife, Ann. Stat. 7 (1979).
    """
    generator = np.random.default_rng(seed)
    count, parameters = int(groups.max()) + 1, slopes.shape[1]
    shifts = np.empty((samples, parameters))
    for sample in range(samples):
        drawn = generator.integers(0, count, count)
        copies = np.bincount(drawn, minlength=count)[groups].astype(float)
        errors = residuals + others @ generator.standard_normal(others.shape[1])
        shift = np.zeros(parameters)
        for _ in range(_REWEIGHTINGS):
            shift = shift + _step(slopes, errors + slopes @ shift, 0.0, copies)
        shifts[sample] = shift
    # Centred on the fit: the linearised model has its minimum beside that of the real one.
    spread = shifts - np.median(shifts, axis=0)
    return np.asarray(spread * (count / max(count - parameters, 1)) ** 0.5)


def likeness(slopes: Floats, residuals: Floats) -> Floats:
    """Cosines between the weighted effects of the parameters, float64[parameters, parameters].

    Two parameters whose cosine is near 1 or -1 move the same rows in the same proportion: data
    can fix a combination of the two only.
    """
    weighted = slopes * np.sqrt(_weights(residuals))[:, None]
    length = np.maximum(np.linalg.norm(weighted, axis=0), 1e-12)
    return np.asarray((weighted / length).T @ (weighted / length))


def most_alike(cosines: Floats, names: Sequence[str]) -> tuple[str, str, float] | None:
    """Return the two parameters whose effects are most alike, and how much; None of one."""
    if len(names) < 2:
        return None
    size = np.abs(cosines - np.eye(len(names)))
    first, second = np.unravel_index(int(np.argmax(size)), size.shape)
    return names[int(first)], names[int(second)], float(size[first, second])
