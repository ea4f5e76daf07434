"""Which scalars data can fix: those they cannot are held one by one, with the reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accelsim.results.calibration import CONFIDENCE, ScalarFit
from accelsim.validation.fit import likeness, most_alike, resampled
from accelsim.validation.groups import group_numbers
from accelsim.validation.scalars import Model, bounds_of, rounded, written
from accelsim.validation.start import Search, find_start

Floats = NDArray[np.float64]
Tell = Callable[[str], None]
LEAST_FELT = 8
"""Different ops that must feel a scalar before it is fitted."""
ALIKE = 0.97
"""Cosine of two scalars' effects from which one of them is held."""
WIDEST = 1.4
"""High over low of an interval from which a scalar counts as not determined."""
HELD_SPREAD = 0.15
"""Standard deviation of the logarithm of a scalar that is held: cards of one family differ so."""
WIDENED = 1.3
"""What intervals are widened by: the model has kinks, which the slopes at the fit do not know.

On 20 synthetic H100s (400 ops, 3 % scatter, scalars within 25 % of the chip's) intervals of slopes
alone held 84 % of the true values (89 of 106); widened, 63 of 68 on 13 of them, and 71 of 73 on 11
A100s that took no part in the choice.
"""
_FELT = 0.05
_SAMPLES = 200
_WIDE_DIFFERENCE = 0.10
_AT_BOUND = 0.002
_LEAST_GAIN = 0.01
_MOST_ROUNDS = 3
_REFUSED = 10.0
"""Twice the log-likelihood that a value loses before data refuse it: about three deviations."""
_ROOM = 0.5
_EXPLORED = 200
"""Different ops among which a start is looked for; the fit itself takes all."""


@dataclass(frozen=True)
class _State:
    """Where a determination stands, to return to."""

    free: tuple[str, ...]
    values: dict[str, float]
    held: dict[str, str]
    interval: dict[str, tuple[float, float]]


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
        self.groups = group_numbers(model.rows)
        self.free = list(start)
        self.values = dict(start)
        self.held: dict[str, str] = {}
        self.felt: dict[str, int] = dict.fromkeys(start, 0)
        self.interval: dict[str, tuple[float, float]] = {}
        self._never = ""
        self._search = Search(model, start)

    def run(self) -> tuple[ScalarFit, ...]:
        """Fit from several places, hold what comes out uncertain, try the held ones again."""
        if (self.model.rows["launch"] == "graph").all():
            self._never = "host_dispatch_s"
            self._hold(self._never, "no row was launched by the host (launch eager)")
        self._find_start()
        self._settle()
        for _ in range(_MOST_ROUNDS):
            if not self._release():
                break
        return tuple(self._result(name) for name in self.start)

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

    def _state(self) -> _State:
        return _State(tuple(self.free), dict(self.values), dict(self.held), dict(self.interval))

    def _return_to(self, state: _State) -> None:
        self.free, self.values = list(state.free), dict(state.values)
        self.held, self.interval = dict(state.held), dict(state.interval)

    def _find_start(self) -> None:
        """Go to the valley of the best fit; hold what no row feels anywhere."""
        self.tell(f"looking where {len(self.free)} scalars may be")
        rows = self.model.rows
        firsts = np.unique(self.groups, return_index=True)[1]
        if len(firsts) > _EXPLORED:
            generator = np.random.default_rng(self.seed)
            firsts = np.sort(generator.choice(firsts, _EXPLORED, replace=False))
        few = Model(self.model.chip, rows.iloc[firsts].reset_index(drop=True))
        found, unfelt = find_start(Search(few, self.start), self.free)
        for name in unfelt:
            self._hold(name, _few(0))
        self.values.update({name: found[name] for name in self.free})

    def _settle(self) -> None:
        """Fit, and hold what is in doubt, until nothing is."""
        while self.free:
            self.tell(f"fitting {len(self.free)} scalars")
            doubts: dict[str, str] = {}
            for polish in (False, True):
                self.values = self._search.fitted(self.values, self.free, polish=polish)
                doubts = self._doubts()
                if doubts:
                    break
            if not doubts:
                return
            for name, reason in doubts.items():
                self._hold(name, reason)

    def _release(self) -> bool:
        """Fit held scalars again that enough ops feel now; tell whether one of them stays free."""
        tried = [name for name in self.held if name != self._never]
        counts = self._count_felt(tried)
        again = [name for name in tried if counts[name] >= LEAST_FELT]
        if not again:
            return False
        before, loss = self._state(), self._search.loss(self.values)
        self.free = [name for name in self.start if name in (*self.free, *again)]
        for name in again:
            del self.held[name]
        self._settle()
        better = self._search.loss(self.values) < (1.0 - _LEAST_GAIN) * loss
        if better or set(self.free) > set(before.free):
            return True
        self._return_to(before)
        return False

    def _slopes(self, names: Sequence[str]) -> Floats:
        problem, point = self._search.problem(self.values, names)
        return problem.slopes(point, _WIDE_DIFFERENCE)

    def _count_felt(self, names: Sequence[str]) -> dict[str, int]:
        """Count the different ops that feel each of these scalars where all stand now."""
        feels = np.abs(self._slopes(names)) >= _FELT
        return {
            name: len(np.unique(self.groups[feels[:, index]])) for index, name in enumerate(names)
        }

    def _doubts(self) -> dict[str, str]:
        """Return free scalars that the data do not determine, and why.

        Those that too few ops feel come together; the others one by one, as to hold one may free
        another of doubt.
        """
        counts = self._count_felt(self.free)
        self.felt.update(counts)
        few = {name: _few(counts[name]) for name in self.free if counts[name] < LEAST_FELT}
        if few:
            return few
        for name in self.free:
            if np.abs(np.log(self.values[name]) - np.log(bounds_of(name))).min() < _AT_BOUND:
                end = written(name, rounded(self.values[name]))
                return {name: f"the fit ends at {end}, the end of its range"}
        for name in sorted(self.free, key=lambda name: counts[name]):
            far = self._as_good(name)
            if far is not None:
                here, there = (written(name, rounded(x)) for x in (self.values[name], far))
                return {name: f"{there} fits as well as {here}"}
        slopes, residuals = self._slopes(self.free), self._search.log_errors(self.values)
        twin = self._twin(slopes, residuals)
        if twin:
            return twin
        self._find_intervals(slopes, residuals)
        widest = max(self.free, key=self._width)
        if self._width(widest) <= WIDEST:
            return {}
        low, high = (written(widest, rounded(end)) for end in self.interval[widest])
        return {widest: f"anything from {low} to {high} fits as well"}

    def _as_good(self, name: str) -> float | None:
        """Return a value far from that of a scalar that the data do not refuse; None without.

        Slopes cannot tell: where a scalar is felt by few rows up to some value and by none from
        there on, a fit of their scatter ends beside the kink.
        """
        here = self._search.loss(self.values)
        ops = int(self.groups.max()) + 1
        for factor in (WIDEST, 1.0 / WIDEST):
            far = float(np.clip(self.values[name] * factor, *bounds_of(name)))
            moved = abs(np.log(far / self.values[name])) / np.log(WIDEST)
            if moved < _ROOM:
                continue
            gain = ops * (self._search.loss({**self.values, name: far}) / max(here, 1e-12) - 1.0)
            if gain < _REFUSED * moved**2:
                return far
        return None

    def _twin(self, slopes: Floats, residuals: Floats) -> dict[str, str]:
        """Return the weaker of two scalars that the data cannot tell apart."""
        pair = most_alike(likeness(slopes, residuals), self.free)
        if pair is None or pair[2] < ALIKE:
            return {}
        strength = dict(zip(self.free, np.linalg.norm(slopes, axis=0), strict=True))
        weak, strong = sorted(pair[:2], key=lambda name: strength[name])
        return {weak: f"cannot be told from {strong}: both move the same rows alike"}

    def _find_intervals(self, slopes: Floats, residuals: Floats) -> None:
        held = [name for name in self.held if name != self._never]
        spread = WIDENED * resampled(
            slopes, residuals, self.groups, others=HELD_SPREAD * self._slopes(held),
            samples=_SAMPLES, seed=self.seed,
        )  # fmt: skip
        tail = 0.5 * (1.0 - CONFIDENCE)
        low, high = np.quantile(spread, [tail, 1.0 - tail], axis=0)
        for index, name in enumerate(self.free):
            least, most = bounds_of(name)
            ends = self.values[name] * np.exp(np.array([low[index], high[index]]))
            self.interval[name] = (float(max(ends[0], least)), float(min(ends[1], most)))

    def _width(self, name: str) -> float:
        low, high = self.interval[name]
        return high / low

    def _result(self, name: str) -> ScalarFit:
        before = self.start[name]
        if name in self.held:
            felt = self.felt[name]
            return ScalarFit(name, before, before, None, None, felt, self.held[name], False)
        low, high = self.interval[name]
        return ScalarFit(
            name, before, rounded(self.values[name]), low, high, self.felt[name], "", True
        )


def _few(count: int) -> str:
    if not count:
        return "no row feels it"
    verb = "s feel" if count > 1 else " feels"
    return f"only {count} different op{verb} it, {LEAST_FELT} are needed"
