"""The vector unit once more: plain Python numbers, rounded by struct and by arithmetic."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence

Round = Callable[[float], float]
LANES = 16


def fp32(x: float) -> float:
    """Round to the nearest fp32 by packing; struct refuses what overflows."""
    try:
        return float(struct.unpack("<f", struct.pack("<f", x))[0])
    except OverflowError:
        return math.copysign(math.inf, x)


def _narrow(bits: int, least: int, largest: float) -> Round:
    def to_nearest(x: float) -> float:
        if x == 0 or not math.isfinite(x):
            return x
        quantum = 2.0 ** max(math.frexp(x)[1] - bits, least)
        found = round(x / quantum) * quantum  # round() is to even
        return math.copysign(found if abs(found) <= largest else math.inf, x)

    return to_nearest


ROUND: dict[str, Round] = {
    "fp32": fp32,
    "bf16": _narrow(8, -133, (2 - 2**-7) * 2.0**127),
    "fp16": _narrow(11, -24, 65504.0),
}


def divided(a: float, b: float) -> float:
    if b != 0 or math.isnan(a):
        return a / b if b != 0 else a
    return math.nan if a == 0 else math.copysign(math.inf, a) * math.copysign(1.0, b)


def polynomial(r: float, coefficients: Sequence[float]) -> float:
    """Horner, highest power first."""
    p = coefficients[0]
    for c in coefficients[1:]:
        p = p * r + c
    return p


def _reduced(wide: float) -> tuple[float, float]:
    k = round(wide * math.log2(math.e))
    return wide - k * math.log(2), 2.0**k


def exp(x: float) -> float:
    if math.isnan(x):
        return x
    r, scale = _reduced(min(max(x, -104.0), 89.0))
    return fp32(polynomial(r, [1 / math.factorial(n) for n in range(10, -1, -1)]) * scale)


def tanh(x: float) -> float:
    if math.isnan(x) or x == 0:
        return x
    r, scale = _reduced(min(max(2 * x, -40.0), 40.0))
    p = polynomial(r, [1 / math.factorial(n) for n in range(11, 0, -1)])
    e = p * r * scale + (scale - 1)
    return fp32(e / (e + 2))


class Unit:
    """Elementary operations in one format."""

    def __init__(self, fmt: str) -> None:
        narrow = ROUND[fmt]
        self.of: Round = lambda x: narrow(fp32(x))

    def add(self, a: float, b: float) -> float:
        return self.of(a + b)

    def mul(self, a: float, b: float) -> float:
        return self.of(a * b)

    def div(self, a: float, b: float) -> float:
        return self.of(divided(a, b))

    def rsqrt(self, x: float) -> float:
        return self.of(1 / math.sqrt(x))

    def total(self, row: Sequence[float]) -> float:
        lanes = [0.0] * LANES
        for j, value in enumerate(row):
            lanes[j % LANES] = self.add(lanes[j % LANES], value)
        while len(lanes) > 1:
            half = len(lanes) // 2
            lanes = [self.add(lanes[j], lanes[j + half]) for j in range(half)]
        return lanes[0]

    def rmsnorm(self, row: Sequence[float], weight: Sequence[float], eps: float) -> list[float]:
        held = [self.of(value) for value in row]
        factor = self._factor(held, eps)
        return [
            self.mul(self.mul(x, factor), self.of(w)) for x, w in zip(held, weight, strict=True)
        ]

    def layernorm(
        self, row: Sequence[float], weight: Sequence[float], bias: Sequence[float], eps: float
    ) -> list[float]:
        held = [self.of(value) for value in row]
        mean = self.div(self.total(held), len(held))
        centred = [self.add(x, -mean) for x in held]
        factor = self._factor(centred, eps)
        return [
            self.add(self.mul(self.mul(x, factor), self.of(w)), self.of(b))
            for x, w, b in zip(centred, weight, bias, strict=True)
        ]

    def _factor(self, held: Sequence[float], eps: float) -> float:
        mean = self.div(self.total([self.mul(x, x) for x in held]), len(held))
        return self.rsqrt(self.add(mean, self.of(fp32(eps))))

    def scaled(self, row: Sequence[float], scale: float, cap: float = 0.0) -> list[float]:
        by = self.of(fp32(scale))
        held = [self.mul(self.of(x), by) for x in row]
        return [self.softcap(x, cap) for x in held] if cap else held

    def softcap(self, x: float, cap: float) -> float:
        most = self.of(fp32(cap))
        return self.mul(most, self.of(tanh(self.div(self.of(x), most))))

    def exponentials(self, row: Sequence[float], most: float, seen: Sequence[bool]) -> list[float]:
        return [
            self.of(exp(self.add(x, -most))) if s else 0.0 for x, s in zip(row, seen, strict=True)
        ]

    def softmax(
        self, row: Sequence[float], seen: Sequence[bool], scale: float, cap: float = 0.0
    ) -> list[float]:
        if not any(seen):
            return [0.0] * len(row)
        held = self.scaled(row, scale, cap)
        most = max(x for x, s in zip(held, seen, strict=True) if s)
        powers = self.exponentials(held, most, seen)
        total = self.total(powers)
        return [self.div(p, total) for p in powers]

    def silu(self, x: float) -> float:
        held = self.of(x)
        return self.div(held, self.add(1.0, self.of(exp(-held))))

    def gelu_tanh(self, x: float) -> float:
        held = self.of(x)
        cube = self.mul(self.mul(held, held), held)
        inner = self.add(held, self.mul(self.of(fp32(0.044715)), cube))
        gate = self.of(tanh(self.mul(self.of(fp32(math.sqrt(2 / math.pi))), inner)))
        return self.mul(self.mul(0.5, held), self.add(1.0, gate))
