"""How a mixture of experts chooses: which experts a token visits, and how much each counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from accelsim.errors import WorkloadError
from accelsim.workload.sizes import check_flags, check_sizes, check_word, shown

RoutingScores = Literal["softmax", "softmax_topk", "sigmoid"]
SCORES = ("softmax", "softmax_topk", "sigmoid")
_LARGEST_SCALE = 1000


@dataclass(frozen=True)
class RoutingConfig:
    """How a token's experts are chosen and weighted: other results, the same shapes and times.

    Attributes
    ----------
    scores : str
        What makes gates of a router's outputs: ``softmax`` over all experts, ``softmax_topk`` over
        the chosen ones (gpt-oss), or ``sigmoid`` of each (DeepSeek-V3).
    normalised : bool
        Gates of the chosen experts are divided by their sum.
    scale : float
        What gates are multiplied by in the end (`routed_scaling_factor`).
    corrected : bool
        The router's bias per expert enters the choice and not the gates.
    n_groups, topk_groups : int
        Experts lie in groups of equal size; a token visits those groups alone whose two best
        experts have the largest sums. One group is all experts.

    Raises
    ------
    WorkloadError
        If a field is none of these.

    References
    ----------
    DeepSeek-AI, DeepSeek-V3 Technical Report, 2024, arXiv 2412.19437, equations 12 to 16.
    """

    scores: RoutingScores = "softmax"
    normalised: bool = True
    scale: float = 1.0
    corrected: bool = False
    n_groups: int = 1
    topk_groups: int = 1

    def __post_init__(self) -> None:
        check_word(self, "scores", SCORES)
        check_flags(self, "normalised", "corrected")
        check_sizes(self, "n_groups", "topk_groups")
        number = isinstance(self.scale, int | float) and not isinstance(self.scale, bool)
        if not number or not 0 < self.scale < _LARGEST_SCALE:
            raise WorkloadError(
                f"RoutingConfig.scale is {shown(self.scale)}, expected a number above 0 and below "
                f"{_LARGEST_SCALE:,}"
            )
        if self.topk_groups > self.n_groups:
            raise WorkloadError(
                f"RoutingConfig: top {self.topk_groups} of only {self.n_groups} groups"
            )
