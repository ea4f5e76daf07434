"""Sums of matrix units once more, in exact fractions: one output at a time, slow and plain.

Written from the docstrings of `accelsim.arithmetic`; shares no code with the kernels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from accelsim.arithmetic import Chain, FusedSum, PairwiseSum, SumFamily, TwoStageSum

ZERO_EXPONENT = -126
TINY32 = 2.0**-126
# Fraction bits, smallest normal exponent, largest exponent.
WIDTHS = {"fp16": (10, -14, 15), "fp32": (23, -126, 127), "fp64": (52, -1022, 1023)}


@dataclass(frozen=True)
class Factor:
    """One operand: its value, and the exponent that it is aligned by."""

    value: float
    exponent: int


def floor_log2(x: Fraction) -> int:
    """Largest e with ``2**e <= |x|``."""
    x = abs(x)
    e = x.numerator.bit_length() - x.denominator.bit_length()
    return e if Fraction(2) ** e <= x else e - 1


def alignment_exponent(x: float, smallest: int) -> int:
    """Exponent of the significand; subnormals keep the smallest one, zeros have their own."""
    if x == 0 or not math.isfinite(x):
        return ZERO_EXPONENT
    return max(floor_log2(Fraction(x)), smallest)


def factor(x: float, smallest: int, scale: float = 1.0) -> Factor:
    """Make an operand of a format whose smallest normal is ``2**smallest``, times its scale."""
    e = alignment_exponent(x, smallest)
    return Factor(x * scale, e + (0 if scale == 1.0 else floor_log2(Fraction(scale))))


def nearest_even(x: Fraction, fmt: str) -> float:
    """Round once to a format, ties to even, overflow to infinity; zero is +0."""
    bits, smallest, largest = WIDTHS[fmt]
    if x == 0:
        return 0.0
    unit = Fraction(2) ** (max(floor_log2(x), smallest) - bits)
    rounded = round(x / unit) * unit  # Python's round of fractions is to even.
    sign = 1.0 if x > 0 else -1.0
    if abs(rounded) >= Fraction(2) ** (largest + 1):
        return sign * math.inf
    return math.copysign(float(rounded), sign)


def toward_zero_fp32(x: Fraction, fraction_bits: int) -> float:
    """Cut to fp32 with fewer fraction bits; zero is +0."""
    if abs(x) >= Fraction(2) ** 128:
        return math.inf if x > 0 else -math.inf
    if x == 0:
        return 0.0
    unit = Fraction(2) ** (max(floor_log2(x), -126) - fraction_bits)
    return float(math.trunc(x / unit) * unit) + 0.0


def times(x: float, y: float) -> float:
    """Multiply where a factor is not finite: Inf, or NaN of 0 x Inf."""
    if math.isnan(x) or math.isnan(y) or 0.0 in (x, y):
        return math.nan
    return math.copysign(math.inf, x) * math.copysign(1.0, y)


def all_finite(*values: float) -> bool:
    return all(math.isfinite(v) for v in values)


def fused_multiply_add(x: float, y: float, z: float, fmt: str) -> float:
    """IEEE fma: one rounding; an exact zero is -0 only if product and addend both are."""
    if not all_finite(x, y):
        return times(x, y) + z
    if not math.isfinite(z):
        return z
    exact = Fraction(x) * Fraction(y) + Fraction(z)
    if exact == 0:
        signs = math.copysign(1.0, x) * math.copysign(1.0, y), math.copysign(1.0, z)
        return -0.0 if signs == (-1.0, -1.0) else 0.0
    return nearest_even(exact, fmt)


def multiply(x: float, y: float, fmt: str) -> float:
    """IEEE product."""
    if not all_finite(x, y):
        return times(x, y)
    sign = math.copysign(1.0, x) * math.copysign(1.0, y)
    return math.copysign(nearest_even(Fraction(x) * Fraction(y), fmt), sign)


def add(x: float, y: float, fmt: str = "fp32") -> float:
    """IEEE sum."""
    return fused_multiply_add(x, 1.0, y, fmt)


def flushed(x: float) -> float:
    """Subnormals of fp32 become zeros of their sign."""
    return math.copysign(0.0, x) if abs(x) < TINY32 else x


def specials(products: Sequence[tuple[float, float]], c: float) -> float | None:
    """Infinity or NaN that a fused sum gives, if any term is not finite."""
    terms = [times(x, y) for x, y in products if not all_finite(x, y)]
    if not math.isfinite(c):
        terms.append(c)
    return sum(terms) if terms else None


def cut(x: Fraction, exponent: int, bits: int) -> Fraction:
    """Cut toward zero to a multiple of ``2**(exponent - bits)``."""
    unit = Fraction(2) ** (exponent - bits)
    return math.trunc(x / unit) * unit


def floored(x: Fraction, exponent: int, bits: int) -> Fraction:
    """Cut toward minus infinity to a multiple of ``2**(exponent - bits)``."""
    unit = Fraction(2) ** (exponent - bits)
    return math.floor(x / unit) * unit


def chain(sums: Chain, a: Sequence[Factor], b: Sequence[Factor], c: float) -> float:
    fmt = sums.precision

    def step(x: float, y: float, total: float) -> float:
        if sums.fused:
            total = fused_multiply_add(x, y, total, fmt)
        else:
            total = add(multiply(x, y, fmt), total, fmt)
        return flushed(total) if sums.flush_subnormals else total

    def run(first: int, last: int, total: float) -> float:
        for x, y in zip(a[first:last], b[first:last], strict=True):
            total = step(x.value, y.value, total)
        return total

    if not sums.fold:
        return run(0, len(a), c)
    for start in range(0, len(a), sums.fold):
        c = add(c, run(start, start + sums.fold, 0.0), fmt)
        c = flushed(c) if sums.flush_subnormals else c
    return c


def fused_sum(
    sums: FusedSum, a: Sequence[Factor], b: Sequence[Factor], c: float, output: str
) -> float:
    pairs = list(zip(a, b, strict=True))
    special = specials([(x.value, y.value) for x, y in pairs], c)
    if special is not None:
        return special
    products = [Fraction(x.value) * Fraction(y.value) for x, y in pairs]
    terms = [sum(products[i : i + sums.group], Fraction(0)) for i in range(0, len(a), sums.group)]
    own = alignment_exponent(c, WIDTHS[output][1])
    largest = max([own, *(x.exponent + y.exponent for x, y in pairs)])
    total = sum((cut(t, largest, sums.alignment_bits) for t in [*terms, Fraction(c)]), Fraction(0))
    if output == "fp16":
        return nearest_even(total, "fp16") + 0.0
    return toward_zero_fp32(total, sums.output_fraction_bits)


def pairwise_sum(sums: PairwiseSum, a: Sequence[Factor], b: Sequence[Factor], c: float) -> float:
    def kept(x: float) -> float:
        return flushed(x) if sums.flush_subnormals else x

    level = [kept(multiply(x.value, y.value, "fp32")) for x, y in zip(a, b, strict=True)]
    while len(level) > 1 or len(a) == 1:
        level += [0.0] * (len(level) % 2)
        level = [kept(add(x, y)) for x, y in zip(level[::2], level[1::2], strict=True)]
        if len(level) == 1:
            break
    return kept(add(c, level[0]))


def two_stage_sum(sums: TwoStageSum, a: Sequence[Factor], b: Sequence[Factor], c: float) -> float:
    pairs = list(zip(a, b, strict=True))
    special = specials([(x.value, y.value) for x, y in pairs], c)
    if special is not None:
        return special
    exact = [(Fraction(x.value) * Fraction(y.value), x.exponent + y.exponent) for x, y in pairs]
    beyond = [math.copysign(math.inf, p) for p, _ in exact if abs(p) >= Fraction(2) ** 128]
    if beyond:
        return sum(beyond)

    def aligned(products: list[tuple[Fraction, int]]) -> tuple[Fraction, int]:
        top = max(e for _, e in products)
        return sum((cut(p, top, sums.product_bits) for p, _ in products), Fraction(0)), top

    if sums.interleaved:
        parts = [aligned(exact[i::2]) for i in (0, 1) if exact[i::2]]
        largest = max(e for _, e in parts)
        total = sum((floored(p, largest, sums.product_bits) for p, _ in parts), Fraction(0))
    else:
        total, largest = aligned(exact)
    own = alignment_exponent(c, -126)
    top = max(largest, own)
    kept = 0.0 if sums.interleaved and own < top - 25 else c
    total = floored(total, top, sums.sum_bits)
    return nearest_even(total + floored(Fraction(kept), top, sums.accumulator_bits), "fp32")


def dot(
    sums: SumFamily, a: Sequence[Factor], b: Sequence[Factor], c: float, output: str = "fp32"
) -> float:
    """Sum ``c + a . b`` in a family, k ascending, block after block."""
    if isinstance(sums, Chain):
        return chain(sums, a, b, c)
    if isinstance(sums, PairwiseSum) and sums.flush_subnormals and abs(c) < TINY32:
        c = 0.0
    step = sums.block if isinstance(sums, FusedSum) else sums.group
    for start in range(0, len(a), step):
        x, y = a[start : start + step], b[start : start + step]
        if isinstance(sums, FusedSum):
            c = fused_sum(sums, x, y, c, output)
        elif isinstance(sums, PairwiseSum):
            c = pairwise_sum(sums, x, y, c)
        else:
            c = two_stage_sum(sums, x, y, c)
    return c
