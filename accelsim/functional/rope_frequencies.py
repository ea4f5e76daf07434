"""Rotary frequencies, and how they are stretched for contexts longer than those of training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Literal, get_args

import numpy as np

from accelsim.errors import WorkloadError, suggest
from accelsim.functional.vector import Float32

ScalingKind = Literal["linear", "llama3", "yarn", "table"]
MAX_ROTARY = 4096
"""Most elements of a head that are rotated; the widest heads that are known have 576."""
_LARGEST_ATTENTION_FACTOR = 1000.0
_LARGEST = 1e12


@dataclass(frozen=True)
class RopeScaling:
    """How rotary frequencies are stretched for contexts longer than those of training.

    Attributes
    ----------
    kind : str
        "linear": all are divided by `factor`. "llama3" and "yarn": those that turn fewer than
        `low_freq_factor` times within `original_positions` are, those that turn more than
        `high_freq_factor` times stay; between the two they are mixed, in proportion to the turns
        (llama3) or to the index of the pair (yarn). "table": each is divided by its own of
        `factors`.
    factor : float
    low_freq_factor, high_freq_factor : float
        Turns; beta_slow (1) and beta_fast (32) of YaRN.
    original_positions : int
        Context length of training.
    attention_factor : float
        Cosines and sines are multiplied by it, see `yarn_attention_factor`.
    whole_pairs : bool
        Of "yarn": the mixing begins and ends at whole pairs (gpt-oss: it does not).
    factors : tuple of float
        Of "table": one per pair of elements.

    Raises
    ------
    WorkloadError
        If the kind is none of these, or a value is not a positive number of a usual size.
    """

    kind: ScalingKind
    factor: float = 1.0
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_positions: int = 8192
    attention_factor: float = 1.0
    whole_pairs: bool = True
    factors: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        kinds = get_args(ScalingKind)
        if self.kind not in kinds:
            raise WorkloadError(f"rope scaling '{self.kind}': {suggest(str(self.kind), kinds)}")
        values = (self.factor, self.low_freq_factor, self.high_freq_factor,
                  self.original_positions, self.attention_factor)  # fmt: skip
        if not all(0 < value < _LARGEST for value in values):
            raise WorkloadError(
                f"the factors of rope scaling '{self.kind}' are {values}, expected positive "
                f"numbers below {_LARGEST:.0e}"
            )
        for place, value in enumerate(self.factors):
            if not 0 < value < math.inf:
                raise WorkloadError(
                    f"factor {place} of {len(self.factors)} of a table that scales rotary "
                    f"positions is {value}, expected a positive finite number"
                )
        if self.attention_factor >= _LARGEST_ATTENTION_FACTOR:
            raise WorkloadError(
                f"rope scaling '{self.kind}' multiplies cosines by {self.attention_factor}, "
                f"expected less than {_LARGEST_ATTENTION_FACTOR}"
            )
        if self.kind in ("llama3", "yarn") and self.low_freq_factor >= self.high_freq_factor:
            raise WorkloadError(
                f"rope scaling '{self.kind}' mixes frequencies of {self.low_freq_factor} to "
                f"{self.high_freq_factor} turns, expected the first to be smaller"
            )


def yarn_attention_factor(factor: float, weight: float = 1.0) -> float:
    """Return what YaRN multiplies cosines and sines by: ``0.1 weight ln(factor) + 1``.

    Parameters
    ----------
    factor : float
        Ratio of the new context to that of training; 1 and less give 1.
    weight : float, optional
        DeepSeek divides the factor of its `mscale` by that of its `mscale_all_dim`.

    References
    ----------
    Peng et al., YaRN: Efficient Context Window Extension of Large Language Models, 2023,
    arXiv 2309.00071, equation 22.
    """
    return 1.0 if factor <= 1 else 0.1 * weight * _ln(factor) + 1.0


@lru_cache(maxsize=64)
def rope_frequencies(size: int, theta: float, scaling: RopeScaling | None = None) -> Float32:
    """Return rotary frequencies ``theta**(-2 j / size)``, j below size / 2 [rad per position].

    Parameters
    ----------
    size : int
        Elements of a head that are rotated, even, from 2 to 4096.
    theta : float
        Base.
    scaling : RopeScaling, optional

    Returns
    -------
    array of float32, shape (size // 2,)
        Read-only. Powers and logarithms are computed in decimal arithmetic: the same bits on every
        machine.

    Raises
    ------
    WorkloadError
        If the size is no such number, the base below 1, a table has not size / 2 factors, or a
        stretched frequency is above 1.

    References
    ----------
    [1] Su et al., RoFormer, 2021, arXiv 2104.09864, section 3.2.2.
    [2] Peng et al., YaRN, 2023, arXiv 2309.00071, sections 3.2 (by parts) and 3.4.
    """
    if not 2 <= size <= MAX_ROTARY or size % 2:
        raise WorkloadError(
            f"rotary size is {size}, expected an even number from 2 to {MAX_ROTARY}"
        )
    yarn = scaling is not None and scaling.kind == "yarn"
    if not 1 <= theta < math.inf or (yarn and theta == 1):
        raise WorkloadError(
            f"rotary base {theta}: expected a finite number from 1{', above it with yarn' * yarn}"
        )
    powers = [float(Decimal(theta) ** (Decimal(-2 * j) / size)) for j in range(size // 2)]
    if scaling is not None:
        powers = _stretched(powers, theta, scaling)
        if max(powers) > 1:
            raise WorkloadError(
                f"rope scaling '{scaling.kind}' makes a frequency of {max(powers):.4g}, limit 1 "
                "radian per position: its factors shorten wavelengths"
            )
    found = np.array(powers, np.float32)
    found.flags.writeable = False
    return found


def _stretched(powers: list[float], theta: float, scaling: RopeScaling) -> list[float]:
    if scaling.kind == "table":
        if len(scaling.factors) != len(powers):
            raise WorkloadError(
                f"rope scaling by a table of {len(scaling.factors)} factors, expected "
                f"{len(powers)}: one per pair of the {2 * len(powers)} elements that are rotated"
            )
        return [power / own for power, own in zip(powers, scaling.factors, strict=True)]
    kept = _kept_shares(powers, theta, scaling)
    return [
        (1 - share) * power / scaling.factor + share * power
        for power, share in zip(powers, kept, strict=True)
    ]


def _kept_shares(powers: list[float], theta: float, scaling: RopeScaling) -> list[float]:
    """Share of every frequency that stays as it is."""
    low, high = scaling.low_freq_factor, scaling.high_freq_factor
    if scaling.kind == "linear":
        return [0.0] * len(powers)
    if scaling.kind == "llama3":
        turns = (scaling.original_positions * power / (2 * np.pi) for power in powers)
        return [min(1.0, max(0.0, (turn - low) / (high - low))) for turn in turns]
    begin, end = (_pair_of(turns, len(powers), theta, scaling) for turns in (high, low))
    if scaling.whole_pairs:
        begin, end = math.floor(begin), math.ceil(end)
    first, last = max(0, begin), min(2 * len(powers) - 1, end)
    # Where both are one pair the ramp is a step, as in the implementation of the authors.
    width = max(0.001, last - first)
    return [1 - min(1.0, max(0.0, (j - first) / width)) for j in range(len(powers))]


def _pair_of(turns: float, pairs: int, theta: float, scaling: RopeScaling) -> float:
    """Index, not whole, of the pair that turns so often within the context of training."""
    return pairs * _ln(scaling.original_positions / (2 * math.pi * turns)) / _ln(theta)


def _ln(x: float) -> float:
    return float(Decimal(x).ln())
