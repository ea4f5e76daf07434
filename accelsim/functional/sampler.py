"""From logits to the next token: greedy, or drawn by temperature, top-k, top-p and min-p.

References
----------
Holtzman et al., The Curious Case of Neural Text Degeneration, ICLR 2020, arXiv 1904.09751 (top-p);
Keskar et al., CTRL, 2019, arXiv 1909.05858 (repetition penalty); Nguyen et al., Turning Up the
Heat: Min-p Sampling, 2024, arXiv 2407.01082.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import WorkloadError
from accelsim.kernels.formats import random_unit

_MOST_SEEDS = 2**32


class NoTokenError(WorkloadError):
    """Logits from which no token can be chosen: NaN, or nothing possible."""


@dataclass(frozen=True)
class Sampler:
    """How the next token is chosen.

    Attributes
    ----------
    temperature : float
        Logits are divided by it; 0: the token of the largest logit, of equal ones the lowest.
    top_k : int
        Only the k likeliest tokens; 0: all. Of equal ones the lowest come first.
    top_p : float
        Only the likeliest tokens up to that one with which their probability reaches `top_p`.
    min_p : float
        Only tokens of at least `min_p` times the probability of the likeliest.
    repetition_penalty : float
        Logits of tokens seen before are divided by it where positive, multiplied where negative;
        acts before all others, on greedy choice too.
    seed : int
        0 to 2^32 - 1. The draw depends on seed and step alone.

    Raises
    ------
    WorkloadError
        If a parameter is out of its range.

    Notes
    -----
    Cuts apply in the order of the attributes; `top_p` counts the probability of what `top_k` left.
    The draw is the step-th number u of Philox-2x32-10 under the seed: the first token, likeliest
    first, at which the sum of probabilities exceeds u.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        ranges = (
            ("temperature", math.isfinite(self.temperature) and self.temperature >= 0.0, "from 0"),
            ("top_p", 0.0 < self.top_p <= 1.0, "above 0, up to 1"),
            ("min_p", 0.0 <= self.min_p <= 1.0, "from 0 to 1"),
            ("repetition_penalty", 0.0 < self.repetition_penalty < math.inf, "above 0"),
        )
        for name, fits, wanted in ranges:
            if not fits:
                raise WorkloadError(f"{name} is {getattr(self, name)}, expected a number {wanted}")
        for name, most in (("top_k", 2**31), ("seed", _MOST_SEEDS)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < most:
                raise WorkloadError(
                    f"{name} is {value!r}, expected a whole number from 0 to {most - 1}"
                )

    def next_token(
        self, logits: NDArray[np.float32], step: int = 0, previous: Sequence[int] = ()
    ) -> int:
        """Choose one token.

        Parameters
        ----------
        logits : array of float, shape (vocabulary,)
            -Inf: the token is not possible.
        step : int, optional
            Number of the token in the text; another step is another draw.
        previous : sequence of int, optional
            Tokens that `repetition_penalty` looks at.

        Raises
        ------
        WorkloadError
            If logits are NaN or +Inf, or all are -Inf; or a previous token or the step is out of
            range.
        """
        scores = self._penalised(_checked(logits), previous)
        if step < 0:
            raise WorkloadError(f"step is {step}, expected a whole number from 0")
        if self.temperature == 0.0:
            return int(scores.argmax())
        order = self._likeliest_first(scores)
        with np.errstate(over="ignore"):  # a temperature near 0: -Inf, probability 0
            weights = np.exp((scores[order] - scores[order[0]]) / self.temperature)
        sums = np.cumsum(weights)
        kept = len(order)
        if self.top_p < 1.0:
            kept = min(kept, int(np.searchsorted(sums, self.top_p * sums[-1])) + 1)
        if self.min_p > 0.0:
            kept = min(kept, int(np.count_nonzero(weights >= self.min_p)))
        # The last one that can be drawn at all: u * sum may round up to the sum.
        kept = min(kept, int(np.count_nonzero(weights)))
        drawn = random_unit(self.seed, step) * sums[kept - 1]
        return int(order[min(int(np.searchsorted(sums[:kept], drawn, side="right")), kept - 1)])

    def _penalised(
        self, logits: NDArray[np.float32], previous: Sequence[int]
    ) -> NDArray[np.float64]:
        scores = logits.astype(np.float64)
        if self.repetition_penalty == 1.0 or not len(previous):
            return scores
        seen = np.unique(np.asarray(previous, dtype=np.int64))
        if seen[0] < 0 or seen[-1] >= len(scores):
            worst = seen[0] if seen[0] < 0 else seen[-1]
            raise WorkloadError(
                f"previous token {worst} is not in the vocabulary of {len(scores)} tokens"
            )
        old = scores[seen]
        scores[seen] = np.where(
            old > 0, old / self.repetition_penalty, old * self.repetition_penalty
        )
        return scores

    def _likeliest_first(self, scores: NDArray[np.float64]) -> NDArray[np.intp]:
        """Return tokens by falling score, equal ones by number, the `top_k` first of them."""
        count = len(scores)
        if not 0 < self.top_k < count:
            return np.argsort(-scores, kind="stable")
        # The k-th largest score may belong to several tokens: the lowest of them are kept.
        least = np.partition(scores, count - self.top_k)[count - self.top_k]
        candidates = np.flatnonzero(scores >= least)
        return candidates[np.argsort(-scores[candidates], kind="stable")][: self.top_k]


GREEDY = Sampler()
"""Always the likeliest token."""


def _checked(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    if logits.ndim != 1 or logits.size == 0 or logits.dtype.kind != "f":
        raise WorkloadError(
            f"logits are {logits.dtype} of shape {logits.shape}, expected floats of (vocabulary,)"
        )
    nan, infinite = np.isnan(logits).sum(), np.isposinf(logits).sum()
    if nan or infinite:
        raise NoTokenError(
            f"{nan} of {logits.size} logits are NaN and {infinite} +Inf: no token can be chosen; "
            "look for overflow in a narrow format, or for faults"
        )
    if np.isneginf(logits).all():
        raise NoTokenError(f"all {logits.size} logits are -Inf: no token is possible")
    return logits
