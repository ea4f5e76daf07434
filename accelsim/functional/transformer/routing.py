"""Which experts a token visits, and how much each counts, in the vector unit's format."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from accelsim.functional import vector
from accelsim.functional.formats import round_to
from accelsim.workload.layer_config import MoeConfig

Floats = NDArray[np.float32]
_BEST_OF_A_GROUP = 2


def choose_experts(
    scores: Floats, moe: MoeConfig, fmt: str = "fp32", *, correction: Floats | None = None
) -> tuple[NDArray[np.int64], Floats]:
    """Return the experts of every token and their gates, the best first.

    Parameters
    ----------
    scores : array of float32, [tokens, n_experts]
        What the router's matmul gives; finite.
    moe : MoeConfig
    fmt : str, optional
        Format of the vector unit.
    correction : array of float32, [n_experts], optional
        Added for the choice alone.

    Returns
    -------
    chosen : array of int64, [tokens, topk]
        Among equals the first expert is chosen.
    gates : array of float32, [tokens, topk]

    Notes
    -----
    With scores r and topk chosen experts C, the gate of expert i is one of

    - softmax: ``exp(r_i) / sum_all exp(r_j)``,
    - softmax_topk: ``exp(r_i) / sum_C exp(r_j)``,
    - sigmoid: ``1 / (1 + exp(-r_i))``,

    then divided by the sum over C where `normalised`, and multiplied by `scale`. The choice goes by
    ``gate + correction`` (softmax_topk: by r), within the groups whose two best experts have the
    largest sums. Every operation is rounded to `fmt`; sums over C add the best expert first.

    References
    ----------
    [1] DeepSeek-AI, DeepSeek-V3 Technical Report, 2024, arXiv 2412.19437, equations 12 to 16.
    [2] Jiang et al., Mixtral of Experts, 2024, arXiv 2401.04088, section 2.1.
    """
    routing = moe.routing
    gates = _gates(scores, routing.scores, fmt)
    rank = gates if correction is None else vector.add(gates, correction, fmt)
    if routing.n_groups > 1:
        rank = _within_groups(rank, routing.n_groups, routing.topk_groups, fmt)
    chosen = _best(rank, moe.topk)
    picked = np.take_along_axis(gates, chosen, axis=1)
    if routing.scores == "softmax_topk":
        picked = vector.softmax(picked, fmt)
    elif routing.normalised:
        total = _sum(picked, fmt)
        picked = round_to(picked / np.where(total > 0, total, np.float32(1.0)), fmt)
    if routing.scale != 1.0:
        picked = vector.mul(picked, np.float32(routing.scale), fmt)
    return chosen, picked


def _gates(scores: Floats, kind: str, fmt: str) -> Floats:
    """Gates of all experts; softmax over the chosen ones waits for the choice."""
    if kind == "softmax":
        return vector.softmax(scores, fmt)
    if kind == "softmax_topk":
        return round_to(scores, fmt)
    # A sigmoid is the softmax of a score and zero: no exponential of a positive number.
    pairs = np.stack([scores, np.zeros_like(scores)], axis=-1)
    return np.ascontiguousarray(vector.softmax(pairs, fmt)[..., 0])


def _best(rank: Floats, count: int) -> NDArray[np.int64]:
    """Indices of the largest in every row, in descending order."""
    return np.argsort(-rank, axis=1, kind="stable")[:, :count]


def _within_groups(rank: Floats, n_groups: int, topk_groups: int, fmt: str) -> Floats:
    """Rank experts outside of the best groups below all others."""
    tokens = len(rank)
    groups = rank.reshape(tokens, n_groups, -1)
    two = -np.sort(-groups, axis=2)[:, :, :_BEST_OF_A_GROUP]
    best = _best(vector.add(two[..., 0], two[..., 1], fmt), topk_groups)
    kept = np.full_like(groups, -np.inf)
    rows = np.arange(tokens)[:, None]
    kept[rows, best] = groups[rows, best]
    return kept.reshape(rank.shape)


def _sum(gates: Floats, fmt: str) -> Floats:
    """Sum rows in order, the best expert first: [tokens, 1]."""
    total = gates[:, :1]
    for place in range(1, gates.shape[1]):
        total = vector.add(total, gates[:, place : place + 1], fmt)
    return total
