"""Do the three roundings equal exact ones in fractions?"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from accelsim.functional.formats import decode, encode, round_to
from accelsim.kernels.formats import random_unit

# Fraction bits, smallest normal exponent, largest value: from the specifications, by hand.
FLOATS = {
    "fp32": (23, -126, Fraction(2) ** 128 - Fraction(2) ** 104),
    "tf32": (10, -126, Fraction(2) ** 128 - Fraction(2) ** 117),
    "bf16": (7, -126, Fraction(2) ** 128 - Fraction(2) ** 120),
    "fp16": (10, -14, Fraction(65504)),
    "fp8_e4m3": (3, -6, Fraction(448)),
    "fp8_e5m2": (2, -14, Fraction(57344)),
    "fp8_e4m3fnuz": (3, -7, Fraction(240)),
    "fp8_e5m2fnuz": (2, -15, Fraction(57344)),
    "fp6_e3m2": (2, -2, Fraction(28)),
    "fp6_e2m3": (3, 0, Fraction(15, 2)),
    "fp4_e2m1": (1, 0, Fraction(6)),
}


def neighbours(x: float, name: str) -> tuple[Fraction, Fraction, int]:
    """Magnitudes next to |x|, the range unbounded above, and the number of steps to the lower."""
    fraction_bits, smallest, _ = FLOATS[name]
    exact = abs(Fraction(x))
    exponent = smallest
    while exact >= Fraction(2) ** (exponent + 1):
        exponent += 1
    step = Fraction(2) ** (exponent - fraction_bits)
    steps = exact // step
    return steps * step, (steps + 1) * step, int(steps)


def naive(x: float, name: str, rounding: str, unit: Fraction) -> float:
    """Round with saturation; `unit` is the random number in [0, 1)."""
    low, high, steps = neighbours(x, name)
    rest = (abs(Fraction(x)) - low) / (high - low)
    if rounding == "toward_zero":
        up = False
    elif rounding == "stochastic":
        up = unit < rest
    else:
        up = rest > Fraction(1, 2) or (rest == Fraction(1, 2) and steps % 2 == 1)
    return math.copysign(float(min(high if up else low, FLOATS[name][2])), x)


def philox(key: int, index: int) -> tuple[int, int]:
    """Philox-2x32-10 of Salmon et al. 2011, in plain integers."""
    left, right = index % 2**32, index // 2**32
    for step in range(10):
        product = 0xD256D193 * left
        left = product // 2**32 ^ (key + step * 0x9E3779B9) % 2**32 ^ right
        right = product % 2**32
    return left, right


def unit_of(key: int, index: int) -> Fraction:
    left, right = philox(key, index)
    return Fraction(left * 2**21 + right // 2**11, 2**53)


def samples(name: str) -> np.ndarray:
    """Values of all sizes, ties and exact values among them."""
    rng = np.random.default_rng(2)
    _, smallest, largest = FLOATS[name]
    top = math.frexp(float(largest))[1]
    spread = rng.standard_normal(300) * np.exp2(rng.integers(smallest - 30, top + 1, 300))
    near = np.array([(2 * rng.integers(1, 40) + 1) * 0.5 for _ in range(50)])
    ties = near * math.ldexp(1, smallest - FLOATS[name][0])
    return np.concatenate([spread, ties, -ties, 2 * ties, [float(largest), 0.0, -0.0]])


@pytest.mark.parametrize("rounding", ["nearest_even", "toward_zero", "stochastic"])
@pytest.mark.parametrize("name", FLOATS)
def test_rounding_equals_the_exact_one(name: str, rounding: str) -> None:
    x = samples(name)
    if name == "fp32":  # 2^128 and above are no fp32, and saturate
        x = np.clip(x, -3.5e38, 3.5e38)
    seed = 11 if rounding == "stochastic" else None
    found = round_to(x, name, rounding=rounding, saturate=True, seed=seed)
    wanted = [naive(v, name, rounding, unit_of(11, i)) for i, v in enumerate(x.tolist())]
    assert found.tolist() == wanted
    assert "fnuz" in name or np.array_equal(np.signbit(found), np.signbit(x))
    codes = encode(x, name, rounding=rounding, saturate=True, seed=seed)
    assert np.array_equal(decode(codes, name), found)


def test_random_numbers_are_those_of_philox() -> None:
    # Data from the known answers of Random123 (kat_vectors, philox2x32 10).
    assert philox(0, 0) == (0xFF1DAE59, 0x6CD10DF2)
    assert philox(0x13198A2E, 0x85A308D3243F6A88) == (0xDD7CE038, 0xF62A4C12)
    for key, index in ((0, 0), (7, 1), (2**32 - 1, 2**40 + 3)):
        assert random_unit(key, index) == unit_of(key, index)


@pytest.mark.parametrize(("name", "low", "step"), [("bf16", 1.0, 2.0**-7), ("fp4", 2.0, 1.0)])
def test_stochastic_rounding_keeps_the_mean(name: str, low: float, step: float) -> None:
    count = 200_000
    for share in (0.01, 0.3, 0.5, 0.9):
        x = np.full(count, low + share * step)
        found = round_to(x, name, rounding="stochastic", seed=3).astype(np.float64)
        assert set(np.unique(found)) == {low, low + step}
        sigma = step * math.sqrt(share * (1 - share) / count)
        assert abs(found.mean() - x[0]) < 4 * sigma


def test_seeds_differ_and_exact_values_stay() -> None:
    x = np.full(1000, 1.0 + 2.0**-8, np.float32)
    first, second = (round_to(x, "bf16", rounding="stochastic", seed=s) for s in (0, 1))
    assert (first != second).mean() > 0.4
    exact = decode(np.arange(0x7F80, dtype=np.uint16), "bf16")
    assert np.array_equal(round_to(exact, "bf16", rounding="stochastic", seed=0), exact)
