"""Routing once more, one token at a time in plain Python floats."""

from __future__ import annotations

import math
from collections.abc import Sequence

from accelsim.workload.layer_config import MoeConfig


def largest(values: Sequence[float], count: int) -> list[int]:
    return sorted(range(len(values)), key=lambda i: (-values[i], i))[:count]


def routed(
    scores: Sequence[float], moe: MoeConfig, correction: Sequence[float] | None = None
) -> list[tuple[int, float]]:
    """Experts of one token with their gates."""
    routing, count = moe.routing, len(scores)
    if routing.scores == "sigmoid":
        gates = [1 / (1 + math.exp(-r)) for r in scores]
    else:
        total = sum(math.exp(r) for r in scores)
        gates = [math.exp(r) / total for r in scores]
    rank = [g + (correction[i] if correction is not None else 0.0) for i, g in enumerate(gates)]
    size = count // routing.n_groups
    groups = [range(start, start + size) for start in range(0, count, size)]
    if len(groups) > 1:
        sums = [sum(sorted((rank[e] for e in group), reverse=True)[:2]) for group in groups]
        allowed = [e for g in largest(sums, routing.topk_groups) for e in groups[g]]
    else:
        allowed = list(range(count))
    chosen = sorted(allowed, key=lambda e: (-rank[e], e))[: moe.topk]
    share = 1.0
    if routing.scores == "softmax_topk" or routing.normalised:
        share = sum(gates[e] for e in chosen)
    return [(e, gates[e] / share * routing.scale) for e in chosen]
