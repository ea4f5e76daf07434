"""Rotary frequencies: stretched as the papers say, and what is refused before powers are taken."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from accelsim.errors import WorkloadError
from accelsim.functional.rope import rope
from accelsim.functional.rope_frequencies import (
    MAX_ROTARY,
    RopeScaling,
    rope_frequencies,
    yarn_attention_factor,
)


@pytest.mark.parametrize("size", [0, -2, 7, MAX_ROTARY + 2, 10**12])
def test_sizes_that_no_head_has_are_refused(size: int) -> None:
    with pytest.raises(WorkloadError, match=f"size is {size}, expected an even number from 2 to 4"):
        rope_frequencies(size, 1e4)


def test_the_widest_head_is_rotated() -> None:
    found = rope_frequencies(MAX_ROTARY, 1e4)
    assert (found.shape, found[0]) == ((MAX_ROTARY // 2,), 1.0)


def _yarn(size: int, theta: float, scaling: RopeScaling) -> list[float]:
    """YaRN's frequencies by the wavelengths of single pairs, in plain Python."""

    def pair(turns: float) -> float:
        return (
            size
            * math.log(scaling.original_positions / (turns * 2 * math.pi))
            / (2 * math.log(theta))
        )

    first: float = pair(scaling.high_freq_factor)
    last: float = pair(scaling.low_freq_factor)
    if scaling.whole_pairs:
        first, last = math.floor(first), math.ceil(last)
    first, last = max(first, 0), min(last, size - 1)
    found = []
    for j in range(size // 2):
        plain = theta ** (-2 * j / size)
        if j <= first:
            found.append(plain)
        elif j >= last:
            found.append(plain / scaling.factor)
        else:
            moved = (j - first) / (last - first)
            found.append(plain / scaling.factor * moved + plain * (1 - moved))
    return found


YARN = {
    "qwen2.5": (128, 1e6, RopeScaling("yarn", 4.0, 1.0, 32.0, 32768)),
    "deepseek": (64, 1e4, RopeScaling("yarn", 40.0, 1.0, 32.0, 4096)),
    "llama 2": (128, 1e4, RopeScaling("yarn", 16.0, 1.0, 32.0, 4096)),
    "gpt-oss": (64, 15e4, RopeScaling("yarn", 32.0, 1.0, 32.0, 4096, whole_pairs=False)),
    "short": (8, 1e4, RopeScaling("yarn", 2.0, 1.0, 32.0, 64)),
}


@pytest.mark.parametrize("name", list(YARN))
def test_yarn_is_that_of_the_twin(name: str) -> None:
    size, theta, scaling = YARN[name]
    found, plain = rope_frequencies(size, theta, scaling), rope_frequencies(size, theta)
    assert found.tolist() == pytest.approx(_yarn(size, theta, scaling), rel=2e-7)
    assert found[0] == plain[0]
    assert found[-1] == pytest.approx(plain[-1] / scaling.factor)


def test_a_ramp_between_pairs_is_not_that_of_whole_ones() -> None:
    size, theta, scaling = YARN["gpt-oss"]
    whole = rope_frequencies(size, theta, replace(scaling, whole_pairs=True))
    assert (rope_frequencies(size, theta, scaling) != whole).sum() > 5


def test_the_ramp_of_deepseek_v3_is_where_its_report_puts_it() -> None:
    # Pairs 10 to 23 of 32: wavelengths of 4096 / 32 and of 4096 positions at base 10,000.
    size, theta, scaling = YARN["deepseek"]
    ratio = rope_frequencies(size, theta) / rope_frequencies(size, theta, scaling)
    assert (ratio[:11] == 1).all()
    assert (ratio[23:] == pytest.approx(40.0)) and (np.diff(ratio[10:24]) > 0).all()


@pytest.mark.parametrize(
    ("factor", "weight", "expected"),
    [(4.0, 1.0, 1.1386294361119891), (40.0, 1.0, 1.3688879454113936), (40.0, 0.707, 1.2608037774),
     (1.0, 1.0, 1.0), (0.5, 1.0, 1.0)],
)  # fmt: skip
def test_the_attention_factor(factor: float, weight: float, expected: float) -> None:
    assert yarn_attention_factor(factor, weight) == pytest.approx(expected, rel=1e-9)


def test_cosines_carry_the_attention_factor() -> None:
    x = np.random.default_rng(1).standard_normal((2, 5, 8)).astype(np.float32)
    freq = rope_frequencies(6, 1e4)
    plain, scaled = rope(x, np.arange(5), freq), rope(x, np.arange(5), freq, factor=1.25)
    assert scaled[..., :6] == pytest.approx(1.25 * plain[..., :6], abs=1e-6)
    assert np.array_equal(scaled[..., 6:], x[..., 6:])
    half = rope(x, np.arange(5), freq, "bf16", factor=0.5)
    assert np.array_equal(half[..., :6], rope(x, np.arange(5), freq, "bf16")[..., :6] / 2)
    with pytest.raises(WorkloadError, match="a factor of nan on cosines"):
        rope(x, np.arange(5), freq, factor=math.nan)


def test_a_table_divides_each_frequency_by_its_own_factor() -> None:
    factors = (1.0, 1.0, 3.5, 8.0)
    found = rope_frequencies(8, 5e5, RopeScaling("table", factors=factors))
    wanted = [5e5 ** (-j / 4) / factor for j, factor in enumerate(factors)]
    assert found.tolist() == pytest.approx(wanted, rel=1e-7)


def test_the_table_of_llama3_is_its_formula() -> None:
    formula = RopeScaling("llama3", 8.0, 1.0, 4.0, 8192)
    exact = rope_frequencies(128, 5e5) / rope_frequencies(128, 5e5, formula)
    table = RopeScaling("table", factors=tuple(exact.tolist()))
    found = rope_frequencies(128, 5e5, table)
    assert found.tolist() == pytest.approx(rope_frequencies(128, 5e5, formula).tolist(), rel=2e-7)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"kind": "yarm"}, "'yarm': did you mean 'yarn'"),
    ({"kind": "linear", "factor": 0.0}, "expected positive numbers below"),
    ({"kind": "linear", "factor": math.nan}, "expected positive numbers below"),
    ({"kind": "yarn", "factor": 1e300}, "expected positive numbers below"),
    ({"kind": "yarn", "attention_factor": 1e6}, "multiplies cosines by 1000000.0"),
    ({"kind": "yarn", "low_freq_factor": 4.0}, "4.0 to 4.0 turns"),
    ({"kind": "llama3", "low_freq_factor": 8.0}, "8.0 to 4.0 turns"),
    ({"kind": "table", "factors": (1.0, 0.0)}, "factor 1 of 2 .* is 0.0, expected a positive"),
    ({"kind": "table", "factors": (math.nan, 1.0)}, "factor 0 of 2 .* is nan"),
    ({"kind": "table", "factors": (1.0, math.inf)}, "factor 1 of 2 .* is inf"),
]


@pytest.mark.parametrize(("fields", "told"), BAD)
def test_scalings_that_stretch_nothing_are_refused(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(WorkloadError, match=told):
        RopeScaling(**fields)


@pytest.mark.parametrize(
    ("theta", "scaling", "told"),
    [
        (math.nan, None, "rotary base nan"),
        (math.inf, None, "rotary base inf"),
        (1.0, RopeScaling("yarn", 4.0, 1.0, 32.0), "rotary base 1.0: .* above it with yarn"),
        (1e4, RopeScaling("table", factors=(1.0,) * 3), "3 factors, expected 4: one per pair"),
        (1e4, RopeScaling("table"), "0 factors, expected 4"),
        (1e4, RopeScaling("table", factors=(0.5, 1, 1, 1)), "a frequency of 2, limit 1 radian"),
        (1e4, RopeScaling("linear", 0.5), "a frequency of 2, limit 1 radian"),
    ],
)
def test_frequencies_beyond_the_limit_are_refused(
    theta: float, scaling: RopeScaling | None, told: str
) -> None:
    with pytest.raises(WorkloadError, match=told):
        rope_frequencies(8, theta, scaling)


def test_the_rarest_values_neither_hang_nor_crash() -> None:
    tiny, huge = 1e-300, 9e11
    for low, high in ((tiny, huge), (tiny, 2 * tiny), (huge / 2, huge)):
        for theta in (1.0000001, 1e308):
            scaling = RopeScaling("yarn", huge, low, high, 1)
            assert np.isfinite(rope_frequencies(8, theta, scaling)).all()
