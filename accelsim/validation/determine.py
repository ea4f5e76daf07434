"""Which scalars data can fix: those they cannot are held one by one, with the reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from accelsim.results.calibration import CONFIDENCE, ScalarFit
from accelsim.validation.fit import Problem, fit, likeness, most_alike, resampled
from accelsim.validation.scalars import Model, bounds_of, rounded, written

Floats = NDArray[np.float64]
Tell = Callable[[str], None]
LEAST_FELT = 8
"""Rows that must feel a scalar before it is fitted."""
_FELT = 0.05
ALIKE = 0.97
"""Cosine of two scalars' effects from which one of them is held."""
WIDEST = 1.4
"""High over low of an interval from which a scalar counts as not determined."""
_SAMPLES = 200
_WIDE_DIFFERENCE = 0.10


class Determination:
    """A fit that holds, one after the other, the scalars that its data do not determine.

    Parameters
    ----------
    model : Model
        Rows of the fit on the chip.
    start : mapping of str to float
        Scalars before the fit.
    seed : int
        Of the resampling.
    tell : callable, optional
        Called with a line of progress.
    """

    def __init__(
        self, model: Model, start: Mapping[str, float], seed: int, tell: Tell | None = None
    ) -> None:
        self.model = model
        self.start = dict(start)
        self.seed = seed
        self.tell = tell or (lambda _: None)
        self.free = list(start)
        self.values = dict(start)
        self.held: dict[str, str] = {}
        self.felt: dict[str, int] = {}
        self.interval: dict[str, tuple[float, float]] = {}

    def run(self) -> tuple[ScalarFit, ...]:
        """Hold what cannot be fitted, fit the rest, hold what came out uncertain, fit again."""
        if (self.model.rows["launch"] == "graph").all():
            self._hold("host_dispatch_s", "no row was launched by the host (launch eager)")
        self._measure_effects()
        while True:
            self.tell(f"fitting {len(self.free)} scalars")
            problem, point = self._problem()
            point = fit(problem, point)
            self.values.update(self._values(point))
            slopes, residuals = problem.slopes(point, _WIDE_DIFFERENCE), problem.residuals(point)
            if not self.free:
                return tuple(self._result(name) for name in self.start)
            if self._hold_twin(slopes, residuals):
                continue
            self._find_intervals(point, slopes, residuals)
            widest = max(self.free, key=self._width)
            if self._width(widest) <= WIDEST:
                return tuple(self._result(name) for name in self.start)
            low, high = (written(widest, rounded(end)) for end in self.interval[widest])
            self._hold(widest, f"anything from {low} to {high} fits as well")

    def revert(self, reason: str) -> tuple[ScalarFit, ...]:
        """Hold everything."""
        for name in list(self.free):
            self._hold(name, reason)
        return tuple(self._result(name) for name in self.start)

    def _hold(self, name: str, reason: str) -> None:
        if name in self.free:
            self.free.remove(name)
            self.held[name] = reason
            self.values[name] = self.start[name]
            self.interval.pop(name, None)

    def _problem(self) -> tuple[Problem, Floats]:
        """Residuals of the free scalars, and where they stand."""
        limits = np.log([bounds_of(name) for name in self.free]).reshape(-1, 2)
        known: dict[bytes, Floats] = {}

        def residuals(point: Floats) -> Floats:
            key = point.tobytes()
            if key not in known:
                known[key] = self.model.log_errors({**self.values, **self._values(point)})
            return known[key]

        problem = Problem(residuals, limits[:, 0], limits[:, 1])
        tiny = 1e-12  # a scalar may be zero, as the dispatch of a chip without a host's
        return problem, problem.clip(np.log([max(self.values[n], tiny) for n in self.free]))

    def _values(self, point: Floats) -> dict[str, float]:
        return {name: float(np.exp(x)) for name, x in zip(self.free, point, strict=True)}

    def _measure_effects(self) -> None:
        """Count the rows that feel each scalar; hold those that too few do."""
        problem, point = self._problem()
        slopes = problem.slopes(point, _WIDE_DIFFERENCE)
        counts = (np.abs(slopes) >= _FELT).sum(axis=0)
        self.felt = dict.fromkeys(self.start, 0)
        self.felt.update(zip(self.free, (int(count) for count in counts), strict=True))
        for name in list(self.free):
            if self.felt[name] < LEAST_FELT:
                rows = "no row feels it" if not self.felt[name] else (
                    f"only {self.felt[name]} rows feel it, {LEAST_FELT} are needed"
                )  # fmt: skip
                self._hold(name, rows)

    def _hold_twin(self, slopes: Floats, residuals: Floats) -> bool:
        """Hold the weaker of two scalars that the data cannot tell apart."""
        pair = most_alike(likeness(slopes, residuals), self.free)
        if pair is None or pair[2] < ALIKE:
            return False
        strength = dict(zip(self.free, np.linalg.norm(slopes, axis=0), strict=True))
        weak, strong = sorted(pair[:2], key=lambda name: strength[name])
        self._hold(weak, f"cannot be told from {strong}: both move the same rows alike")
        self.values.update({name: self.start[name] for name in self.free})
        return True

    def _find_intervals(self, point: Floats, slopes: Floats, residuals: Floats) -> None:
        shifts = resampled(slopes, residuals, samples=_SAMPLES, seed=self.seed)
        tail = 0.5 * (1.0 - CONFIDENCE)
        # Centred on the fit: the linearised model has its minimum beside that of the real one.
        spread = shifts - np.median(shifts, axis=0)
        low, high = np.quantile(spread, [tail, 1.0 - tail], axis=0)
        for index, name in enumerate(self.free):
            least, most = bounds_of(name)
            ends = np.exp(point[index] + np.array([low[index], high[index]]))
            self.interval[name] = (float(max(ends[0], least)), float(min(ends[1], most)))

    def _width(self, name: str) -> float:
        low, high = self.interval[name]
        return high / low

    def _result(self, name: str) -> ScalarFit:
        before = self.start[name]
        if name in self.held:
            felt = self.felt.get(name, 0)
            return ScalarFit(name, before, before, None, None, felt, self.held[name], False)
        low, high = self.interval[name]
        after = rounded(self.values[name])
        least, most = bounds_of(name)
        at_bound = after <= 1.01 * least or after >= 0.99 * most
        remark = "at the end of its range: the model misses something" if at_bound else ""
        return ScalarFit(name, before, after, low, high, self.felt[name], remark, True)
