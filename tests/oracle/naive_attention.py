"""Attention once more: one row of plain Python numbers at a time, sums k ascending in fp32."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tests.oracle.naive_vector import ROUND, Unit, exp, fp32

Row = Sequence[float]


def chain(a: Row, b: Row, operand: str) -> float:
    """Sum of products: each with one rounding, from zero."""
    total = 0.0
    for x, y in zip(a, b, strict=True):
        # Products of fp32 are exact in fp64 and the sum is rounded twice; the operands of the
        # tests have few bits, so that the first rounding changes nothing.
        total = fp32(total + ROUND[operand](x) * ROUND[operand](y))
    return total


class Query:
    """One query with the keys, values and mask of its head."""

    def __init__(
        self, q: Row, k: Sequence[Row], v: Sequence[Row], seen: Sequence[bool], cap: float = 0.0
    ) -> None:
        self.q, self.k, self.v, self.seen, self.cap = q, k, v, seen, cap

    def scores(self, keys: range, operand: str) -> list[float]:
        return [chain(self.q, self.k[key], operand) for key in keys]

    def values(self, weights: Row, keys: range, operand: str) -> list[float]:
        columns = zip(*(self.v[key] for key in keys), strict=True)
        return [chain(weights, column, operand) for column in columns]

    def unfused(self, unit: Unit, operand: str, scale: float) -> list[float]:
        keys = range(len(self.k))
        weights = unit.softmax(self.scores(keys, operand), self.seen, scale, self.cap)
        return self.values(weights, keys, operand)

    def fused(self, unit: Unit, operand: str, scale: float, tile: int, parts: int) -> list[float]:
        size = math.ceil(len(self.k) / parts)
        most, total, out = -math.inf, 0.0, [0.0] * len(self.v[0])
        for first in range(0, len(self.k), size):
            keys = range(first, min(first + size, len(self.k)))
            part_most, part_total, part = self.part(unit, operand, scale, tile or size, keys)
            if part_total == 0:
                continue
            new = max(most, part_most)
            by, part_by = exp(fp32(most - new)), exp(fp32(part_most - new))
            out = [fp32(fp32(o * by) + fp32(p * part_by)) for o, p in zip(out, part, strict=True)]
            total = fp32(fp32(total * by) + fp32(part_total * part_by))
            most = new
        return [fp32(o / total) if total else 0.0 for o in out]

    def part(
        self, unit: Unit, operand: str, scale: float, tile: int, keys: range
    ) -> tuple[float, float, list[float]]:
        most, total, out = -math.inf, 0.0, [0.0] * len(self.v[0])
        for first in range(keys.start, keys.stop, tile):
            here = range(first, min(first + tile, keys.stop))
            seen = [self.seen[key] for key in here]
            if not any(seen):
                continue
            held = unit.scaled(self.scores(here, operand), scale, self.cap)
            new = max([most, *(x for x, s in zip(held, seen, strict=True) if s)])
            weights = unit.exponentials(held, new, seen)
            by, most = exp(fp32(most - new)), new
            total = fp32(fp32(total * by) + Unit("fp32").total(weights))
            added = self.values(weights, here, operand)
            out = [fp32(fp32(o * by) + a) for o, a in zip(out, added, strict=True)]
        return most, total, out
